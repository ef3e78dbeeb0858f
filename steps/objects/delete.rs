//! Deletion of a set: only owned objects, and only while they have the recorded UID.

use super::{
    Applied, ObjectRef,
    foreign::{self, OwnedObjects},
    prerequisites::DEFINITION,
    uid_of,
};
use crate::{
    ClusterSession, Clusters,
    cluster_access::{ClusterAccess, access_cluster},
    error_context::ErrorContext,
    operation,
    resource_spec::Resources,
};
use landfall_cloud::{
    ApiError,
    kubernetes::{Cluster, DynamicObject, Kind},
};
use landfall_engine::{Context, Kind as ErrorKind, Poll, StepError, UndoOutcome, Wait};
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
) -> Result<UndoOutcome, StepError> {
    let records = &resources.records;
    let owned = cx.owns(records.accepted);
    let Some(cluster) = cx.output_of(records.cluster) else {
        let why = "the journal does not record their cluster".to_owned();
        return Ok(if owned { UndoOutcome::DeletedWithParent } else { UndoOutcome::Kept { why } });
    };
    let session = match access_cluster(cx, clusters, records.accepted, &cluster).await? {
        ClusterAccess::Open(session) => session,
        ClusterAccess::NotFound if owned => return Ok(UndoOutcome::DeletedWithParent),
        ClusterAccess::NotFound => return Ok(UndoOutcome::AlreadyDeleted),
        ClusterAccess::Inaccessible(why) => return Ok(with_the_cluster(cx, &why)),
    };
    // The search for the objects of an interrupted run may have failed.
    if owned && applied.cluster_uid.is_empty() {
        return Ok(UndoOutcome::DeletedWithParent);
    }
    if applied.cluster_uid != session.uid {
        let why = "the cluster is not the one in which the objects were created".to_owned();
        return Ok(if owned { UndoOutcome::DeletedWithParent } else { UndoOutcome::Kept { why } });
    }
    let adopted = Applied { found: Vec::new(), ..applied.clone() };
    let applied = if cx.adopted() { &adopted } else { applied };
    // A namespace of this set may contain objects of other steps.
    let recorded = resources.owned_objects(|step| cx.past_of(step), |_| cx.adopted());
    let deletion = match delete_objects(&session.api, applied, &recorded).await {
        // The cluster answered a moment ago, and the client has retried repeatedly.
        Err((_, error)) if owned && operation::is_transient(&error) => {
            return Ok(with_the_cluster(cx, &format!("its API does not respond: {}", error.message)));
        }
        Err((what, error)) => return Err(error).context(what),
        Ok(deletion) => deletion,
    };
    if let Some(why) = await_balancers(cx, &session, applied, owned).await? {
        return Ok(with_the_cluster(cx, &why));
    }
    Ok(match (deletion.kept.is_empty(), deletion.deleted) {
        // Whatever keeps it also keeps the cluster, which reports it. Once the cluster is gone, nothing of
        // the set is left.
        (false, _) if owned => with_the_cluster(cx, &deletion.kept.join("; ")),
        (false, _) => UndoOutcome::Kept { why: deletion.kept.join("; ") },
        // They stay recorded as long as the cluster exists: otherwise they would count as foreign after an
        // `--adopt`.
        (true, _) if owned && !applied.found.is_empty() => {
            with_the_cluster(cx, "objects that were there before")
        }
        // They keep their data until the cluster is deleted.
        (true, _) if owned && !applied.claims.is_empty() => {
            with_the_cluster(cx, "the volume claims of its StatefulSets")
        }
        (true, 0) => UndoOutcome::AlreadyDeleted,
        (true, _) => UndoOutcome::Deleted,
    })
}

fn with_the_cluster(cx: &Context, why: &str) -> UndoOutcome {
    cx.note(format!("not deleted one by one, because it is deleted with the cluster: {why}"));
    UndoOutcome::DeletedWithParent
}

/// The result of the deletion of a set.
pub(super) struct DeletionResult {
    deleted: usize,
    /// Owned namespaces and definitions with foreign contents.
    kept: Vec<String>,
}

/// Deletes the objects, last first, each only if it has the recorded UID. A namespace stays if it contains an
/// object that is neither in the set nor `recorded` for another step.
pub(super) async fn delete_objects(
    api: &Cluster,
    applied: &Applied,
    recorded: &OwnedObjects,
) -> Result<DeletionResult, (String, ApiError)> {
    let mut deletion = DeletionResult { deleted: 0, kept: Vec::new() };
    for object in applied.created().rev() {
        let what = format!("delete {} {}", object.kind, object.name);
        let failed = |error| (what.clone(), error);
        if (object.api_version.as_str(), object.kind.as_str()) == ("v1", "Namespace") {
            if is_system_namespace(&object.name) {
                continue;
            }
            let foreign = foreign_objects(api, applied, recorded, &object.name).await.map_err(failed)?;
            if !foreign.is_empty() {
                let foreign = foreign.join(", ");
                deletion.kept.push(format!("namespace {} contains foreign objects: {foreign}", object.name));
                continue;
            }
        }
        let kind = api.find_kind(&object.api_version, &object.kind).await.map_err(failed)?;
        let Some(kind) = kind else { continue };
        if kind.kind == DEFINITION {
            let foreign = foreign_instances(api, applied, recorded, object).await.map_err(failed)?;
            if !foreign.is_empty() {
                let foreign = foreign::listed(&foreign);
                deletion.kept.push(format!("{DEFINITION} {} has foreign objects: {foreign}", object.name));
                continue;
            }
        }
        let uid = Some(object.uid.as_str()).filter(|uid| !uid.is_empty());
        match api.delete(&kind, object.namespace.as_deref(), &object.name, uid).await {
            Ok(true) => deletion.deleted += 1,
            Ok(false) => {}
            // The UID shows that another party recreated it: it is foreign now.
            Err(error) if error.status == Some(409) => {}
            Err(error) => return Err((what, error)),
        }
    }
    Ok(deletion)
}

/// Returns the objects of a definition that landfall did not apply: the cluster deletes all of them with it.
pub(super) async fn foreign_instances(
    api: &Cluster,
    applied: &Applied,
    recorded: &OwnedObjects,
    definition: &ObjectRef,
) -> Result<Vec<String>, ApiError> {
    let kind = api.find_kind(&definition.api_version, &definition.kind).await?;
    let Some(kind) = kind else { return Ok(Vec::new()) };
    let Some(live) = api.get(&kind, None, &definition.name).await? else { return Ok(Vec::new()) };
    let spec = &live.data["spec"];
    let group = spec["group"].as_str().unwrap_or_default();
    let defined = spec["names"]["kind"].as_str().unwrap_or_default();
    // Every served version lists all objects.
    let mut versions = spec["versions"].as_array().into_iter().flatten();
    let served = versions.find(|version| version["served"] == true);
    let version = served.and_then(|version| version["name"].as_str()).unwrap_or_default();
    let Some(instance) = api.find_kind(&format!("{group}/{version}"), defined).await? else {
        // Stored objects of a kind that is not served cannot be listed.
        return Ok(vec![format!("objects of {defined}, which is not served")]);
    };
    let is_foreign = |object: &&DynamicObject| {
        let is_created = applied.created().any(|created| created.uid == uid_of(object));
        !is_created && !recorded.is_applied(object) && object.metadata.deletion_timestamp.is_none()
    };
    let instances = api.list(&instance, None, None).await?;
    let name = |object: &DynamicObject| {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let space = object.metadata.namespace.as_ref().map(|space| format!("{space}/")).unwrap_or_default();
        format!("{defined} {space}{name}")
    };
    Ok(instances.iter().filter(is_foreign).map(name).collect())
}

/// Returns whether Kubernetes itself owns a namespace. A manifest may name it, but landfall never deletes it.
pub(super) fn is_system_namespace(namespace: &str) -> bool {
    namespace == "default" || namespace.starts_with("kube-")
}

/// Returns the names of foreign objects in a namespace, without those of the cluster itself.
pub(super) async fn foreign_objects(
    api: &Cluster,
    applied: &Applied,
    recorded: &OwnedObjects,
    space: &str,
) -> Result<Vec<String>, ApiError> {
    let contents = api.list_objects(space).await?;
    let foreign = |object: &&DynamicObject| {
        let found = applied.found.iter().any(|uid| uid == uid_of(object));
        let is_terminating = object.metadata.deletion_timestamp.is_some();
        // Managed fields are not sufficient: a bare object has none, and another environment's objects have
        // the same.
        let owned =
            recorded.is_applied(object) || applied.created().any(|created| created.uid == uid_of(object));
        (found || !owned) && !is_terminating
    };
    let named = |object: &DynamicObject| {
        let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
        format!("{kind} {}", object.metadata.name.as_deref().unwrap_or_default())
    };
    let mut names: Vec<String> = contents.objects.iter().filter(foreign).map(named).collect();
    // The objects of a user's API are invisible while its backend does not answer.
    let unresponsive = contents.unavailable.iter().filter(|api| !api.is_system);
    names.extend(unresponsive.map(|api| format!("objects of {api}, which does not answer")));
    Ok(names)
}

/// Waits until the Services of the set and of its Gateways are gone. The cloud retains them until their load
/// balancer and its address are gone. Returns the reason why this is unknown, if an owned cluster no longer
/// answers.
async fn await_balancers(
    cx: &Context,
    session: &ClusterSession,
    applied: &Applied,
    owned: bool,
) -> Result<Option<String>, StepError> {
    let balanced = |object: &&ObjectRef| matches!(object.kind.as_str(), "Gateway" | "Service");
    let holders: BTreeSet<&str> =
        applied.created().filter(balanced).map(|object| object.uid.as_str()).collect();
    let spaces: BTreeSet<&str> =
        applied.created().filter(balanced).filter_map(|object| object.namespace.as_deref()).collect();
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
        let unresponsive = AtomicBool::new(false);
        let waited = cx.wait_until(wait, async || {
            let services = match session.api.list(&kind, Some(space), None).await {
                Err(error) if operation::is_transient(&error) => {
                    unresponsive.store(true, Ordering::Relaxed);
                    return Ok(operation::no_response(&error, None));
                }
                listed => listed.context(&what)?,
            };
            unresponsive.store(false, Ordering::Relaxed);
            let left: Vec<&str> = services
                .iter()
                .filter(|service| is_of(service))
                .filter_map(|service| service.metadata.name.as_deref())
                .collect();
            Ok(match left.is_empty() {
                true => Poll::Ready(()),
                false => Poll::not_yet(format!("not deleted yet: {}", left.join(", "))),
            })
        });
        match waited.await {
            Err(error)
                if owned && error.kind == ErrorKind::TimedOut && unresponsive.load(Ordering::Relaxed) =>
            {
                return Ok(Some(error.message));
            }
            waited => waited.map_err(|error| {
                error.hint("the events of the Service show what blocks it: kubectl describe service")
            })?,
        }
    }
    Ok(None)
}
