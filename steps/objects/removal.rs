//! Deletion of a set: only owned objects, and only while they have the recorded UID.

use super::{Applied, ObjectRef, uid_of};
use crate::{
    Clusters, Opened,
    doing::Doing,
    operation,
    reach::{Reached, reach},
    resource::Resources,
};
use landfall_cloud::{
    ApiError,
    kubernetes::{Cluster, DynamicObject, Kind},
};
use landfall_engine::{Context, Kind as ErrorKind, Look, StepError, Undone, Wait};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Deletes a set, one object at a time, and waits for its load balancers: an unused public address costs
/// money and belongs to no environment.
///
/// In an owned, unreachable cluster the objects are deleted with it. In a foreign one they stay until it is
/// reachable.
pub(crate) async fn undo(
    cx: &Context,
    clusters: &Clusters,
    resources: &Resources,
    applied: &Applied,
) -> Result<Undone, StepError> {
    let records = &resources.records;
    let ours = cx.owns(records.accepted);
    let Some(cluster) = cx.output_of(records.cluster) else {
        let why = "the journal does not record their cluster".to_owned();
        return Ok(if ours { Undone::GoesWithParent } else { Undone::Kept { why } });
    };
    let opened = match reach(cx, clusters, records.accepted, &cluster).await? {
        Reached::Open(opened) => opened,
        Reached::Gone if ours => return Ok(Undone::GoesWithParent),
        Reached::Gone => return Ok(Undone::AlreadyGone),
        Reached::Closed(why) => return Ok(with_the_cluster(cx, &why)),
    };
    // The search for the objects of an interrupted run may have failed.
    if ours && applied.cluster_uid.is_empty() {
        return Ok(Undone::GoesWithParent);
    }
    if applied.cluster_uid != opened.uid {
        let why = "the cluster is not the one in which the objects were created".to_owned();
        return Ok(if ours { Undone::GoesWithParent } else { Undone::Kept { why } });
    }
    let adopted = Applied { found: Vec::new(), ..applied.clone() };
    let applied = if cx.adopted() { &adopted } else { applied };
    // A namespace of this set may contain objects of other steps.
    let recorded = resources.owned_objects(|step| cx.past_of(step), |_| cx.adopted());
    let removed = match remove(&opened.api, applied, &recorded).await {
        // The cluster answered a moment ago, and the client has retried repeatedly.
        Err((_, error)) if ours && operation::passes(&error) => {
            return Ok(with_the_cluster(cx, &format!("its API does not respond: {}", error.message)));
        }
        Err((what, error)) => return Err(error).doing(what),
        Ok(removed) => removed,
    };
    if let Some(why) = await_balancers(cx, &opened, applied, ours).await? {
        return Ok(with_the_cluster(cx, &why));
    }
    Ok(match (removed.kept.is_empty(), removed.deleted) {
        // Whatever keeps it also keeps the cluster, which reports it. Once the cluster is gone, nothing of
        // the set is left.
        (false, _) if ours => with_the_cluster(cx, &removed.kept.join("; ")),
        (false, _) => Undone::Kept { why: removed.kept.join("; ") },
        // They stay recorded as long as the cluster exists: otherwise they would count as foreign after an
        // `--adopt`.
        (true, _) if ours && !applied.found.is_empty() => {
            with_the_cluster(cx, "objects that were there before")
        }
        (true, 0) => Undone::AlreadyGone,
        (true, _) => Undone::Deleted,
    })
}

fn with_the_cluster(cx: &Context, why: &str) -> Undone {
    cx.note(format!("left to the deletion of the cluster: {why}"));
    Undone::GoesWithParent
}

/// The result of the deletion of a set.
pub(super) struct Removed {
    deleted: usize,
    /// Owned namespaces with foreign contents.
    kept: Vec<String>,
}

/// Deletes the objects, last first, each only if it has the recorded UID. A namespace stays if it contains an
/// object that is neither in the set nor `recorded`, by UID, for another step.
pub(super) async fn remove(
    api: &Cluster,
    applied: &Applied,
    recorded: &BTreeSet<String>,
) -> Result<Removed, (String, ApiError)> {
    let mut removed = Removed { deleted: 0, kept: Vec::new() };
    for object in applied.made().rev() {
        let what = format!("delete {} {}", object.kind, object.name);
        let failed = |error| (what.clone(), error);
        if (object.api_version.as_str(), object.kind.as_str()) == ("v1", "Namespace") {
            if is_kubernetes_own(&object.name) {
                continue;
            }
            let theirs = strangers(api, applied, recorded, &object.name).await.map_err(failed)?;
            if !theirs.is_empty() {
                let theirs = theirs.join(", ");
                removed.kept.push(format!("namespace {} contains foreign objects: {theirs}", object.name));
                continue;
            }
        }
        let kind = api.kind_named(&object.api_version, &object.kind).await.map_err(failed)?;
        let Some(kind) = kind else { continue };
        let uid = Some(object.uid.as_str()).filter(|uid| !uid.is_empty());
        match api.delete(&kind, object.namespace.as_deref(), &object.name, uid).await {
            Ok(true) => removed.deleted += 1,
            Ok(false) => {}
            // The UID shows that another party recreated it: it is foreign now.
            Err(error) if error.status == Some(409) => {}
            Err(error) => return Err((what, error)),
        }
    }
    Ok(removed)
}

/// Returns whether Kubernetes itself owns a namespace. A manifest may name it, but landfall never deletes it.
pub(super) fn is_kubernetes_own(namespace: &str) -> bool {
    namespace == "default" || namespace.starts_with("kube-")
}

/// Returns the names of foreign objects in a namespace, without those of the cluster itself.
pub(super) async fn strangers(
    api: &Cluster,
    applied: &Applied,
    recorded: &BTreeSet<String>,
    space: &str,
) -> Result<Vec<String>, ApiError> {
    let contents = api.contents(space).await?;
    let theirs = |object: &&DynamicObject| {
        let found = applied.found.iter().any(|uid| uid == uid_of(object));
        let dies = object.metadata.deletion_timestamp.is_some();
        // Managed fields are not sufficient: a bare object has none, and another environment's objects have
        // the same.
        let owned =
            recorded.contains(uid_of(object)) || applied.made().any(|made| made.uid == uid_of(object));
        (found || !owned) && !dies
    };
    let named = |object: &DynamicObject| {
        let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
        format!("{kind} {}", object.metadata.name.as_deref().unwrap_or_default())
    };
    let mut names: Vec<String> = contents.objects.iter().filter(theirs).map(named).collect();
    // The objects of a user's API are invisible while its backend does not answer.
    let silent = contents.unavailable.iter().filter(|api| !api.of_system);
    names.extend(silent.map(|api| format!("objects of {api}, which does not answer")));
    Ok(names)
}

/// Waits until the Services of the set and of its Gateways are gone. The cloud retains them until their load
/// balancer and its address are gone. Returns the reason why this is unknown, if an owned cluster no longer
/// answers.
async fn await_balancers(
    cx: &Context,
    opened: &Opened,
    applied: &Applied,
    ours: bool,
) -> Result<Option<String>, StepError> {
    let balanced = |object: &&ObjectRef| matches!(object.kind.as_str(), "Gateway" | "Service");
    let holders: BTreeSet<&str> = applied.made().filter(balanced).map(|object| object.uid.as_str()).collect();
    let spaces: BTreeSet<&str> =
        applied.made().filter(balanced).filter_map(|object| object.namespace.as_deref()).collect();
    let is_of = |service: &DynamicObject| {
        let owners = service.metadata.owner_references.iter().flatten();
        service.data["spec"]["type"].as_str() == Some("LoadBalancer")
            && (holders.contains(uid_of(service))
                || owners.into_iter().any(|o| holders.contains(o.uid.as_str())))
    };
    let wait =
        Wait::new("the load balancers to be deleted", Duration::from_secs(30), Duration::from_secs(540));
    for space in spaces {
        let what = format!("list the Services in {space}");
        let kind = Kind::SERVICE;
        let silent = AtomicBool::new(false);
        let looked = cx.wait_until(wait, async || {
            let services = match opened.api.list(&kind, Some(space), None).await {
                Err(error) if operation::passes(&error) => {
                    silent.store(true, Ordering::Relaxed);
                    return Ok(operation::unanswered(&error, None));
                }
                listed => listed.doing(&what)?,
            };
            silent.store(false, Ordering::Relaxed);
            let left: Vec<&str> = services
                .iter()
                .filter(|service| is_of(service))
                .filter_map(|service| service.metadata.name.as_deref())
                .collect();
            Ok(match left.is_empty() {
                true => Look::There(()),
                false => Look::not_yet(format!("not deleted yet: {}", left.join(", "))),
            })
        });
        match looked.await {
            Err(error) if ours && error.kind == ErrorKind::TimedOut && silent.load(Ordering::Relaxed) => {
                return Ok(Some(error.message));
            }
            looked => looked.map_err(|error| {
                error.hint("the events of the Service show what blocks it: kubectl describe service")
            })?,
        }
    }
    Ok(None)
}
