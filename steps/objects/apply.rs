//! Apply of a set, with a record of the objects that existed before.

use super::{
    Applied, DEFINITION_RANK, DesiredObjects, LAST_RANK, ObjectRef, PreviousApply,
    apply_record::{self, ApplyResult, Progress},
    diff::{self, InSyncSet, current_diff, kind_of},
    fingerprint,
    immutable::{self, ImmutableChange},
    kind_name, namespace, place, prerequisites, prune, rank_of,
    recorded_ownership::Ownership,
    reference, uid_of,
};
use crate::{
    ClusterSession, Clusters,
    cluster_access::{ClusterAccess, access_cluster},
    cluster_ready::ReadyCluster,
    error_context::{ErrorContext, TrackWrite},
    field_conflicts,
    manifests::name_of,
    resource_spec::Resources,
};
use landfall_cloud::{
    ApiError,
    kubernetes::{Cluster, Creation, DynamicObject, Force, Kind, manifest::Manifest},
};
use landfall_engine::{Context, Kind as ErrorKind, StepError};

/// Applies the set, rank by rank. Prunes last: objects that an earlier run applied and the manifests no
/// longer contain.
///
/// Before each rank the ticket contains the names that its requests may create, and after it the UIDs. An
/// attempt that dies in the middle thus leaves enough to distinguish owned objects from foreign ones.
///
/// # Errors
/// `Refused`, before the first write, if an immutable field would have to change.
pub(crate) async fn apply(
    cx: &Context,
    session: &ClusterSession,
    previous: PreviousApply,
    manifests: &[Manifest],
) -> Result<Applied, StepError> {
    let diff = current_diff(session, manifests, &previous).await?;
    if let Some(refused) = diff.refusal() {
        return Err(refused);
    }
    let ownership = Ownership::of(cx, &session.uid, previous.output);
    let mut progress = Progress::start(&session.uid, &ownership, &diff);
    let set = Set { cx, api: &session.api, replaced: &diff.replaced, wanted: &previous.wanted };
    for rank in 0..=LAST_RANK {
        let batch: Vec<&Manifest> = diff.desired.iter().filter(|m| rank_of(kind_name(m)) == rank).collect();
        if batch.is_empty() {
            continue;
        }
        let kinds = futures::future::try_join_all(batch.iter().map(|m| kind_of(set.api, m))).await?;
        progress.record_planned(kinds.iter().zip(&batch).map(|(kind, manifest)| planned_ref(kind, manifest)));
        cx.save_ticket(progress.ticket())?;
        let requests = kinds.iter().zip(&batch).map(|(kind, manifest)| set.apply(kind, manifest));
        let results = futures::future::join_all(requests).await;
        let mut failed = None;
        for ((kind, manifest), one) in kinds.iter().zip(&batch).zip(results) {
            match one {
                Ok(applied) => progress.record_result(applied),
                Err(error) => {
                    progress.record_failure(&planned_ref(kind, manifest), &error);
                    failed = failed.or(Some(error));
                }
            }
        }
        if let Some(error) = failed {
            // Applied objects stay on record, also if the rest of the set is refused.
            cx.save_ticket(progress.ticket())?;
            return Err(error);
        }
        if rank == DEFINITION_RANK {
            cx.save_ticket(progress.ticket())?;
            prerequisites::await_definitions(cx, set.api, &batch).await?;
        }
    }
    cx.save_ticket(progress.ticket())?;
    let kept = diff.left.prune(session).await?;
    Ok(progress.finish(kept))
}

/// Returns the name of an object that a request may create.
fn planned_ref(kind: &Kind, manifest: &Manifest) -> ObjectRef {
    let namespace = namespace(kind, &manifest.object).map(str::to_owned);
    ObjectRef { namespace, uid: String::new(), ..reference(kind, &manifest.object) }
}

/// The context to apply each object of a set.
struct Set<'a> {
    cx: &'a Context,
    api: &'a Cluster,
    replaced: &'a [ImmutableChange],
    wanted: &'a DesiredObjects,
}

impl Set<'_> {
    async fn apply(&self, kind: &Kind, manifest: &Manifest) -> Result<ApplyResult, StepError> {
        let what = format!("apply {}", place(manifest));
        let name = manifest.object.metadata.name.as_deref().unwrap_or_default();
        let read = || self.api.get(kind, namespace(kind, &manifest.object), name);
        let mut replaces = None;
        if self.replaced.iter().any(|one| one.name == name_of(manifest))
            && let Some(live) = read().await.context(&what)?
            && immutable::is_among(self.replaced, manifest, &live)
        {
            immutable::delete(self.cx, self.api, kind, &live).await?;
            replaces = Some(uid_of(&live).to_owned());
        }
        let applied = match self.write(kind, manifest, &what).await? {
            Err(error) if immutable::is_refused(&error) => {
                let live = read().await.context(&what)?.filter(|_| self.wanted.replaces(&name_of(manifest)));
                let Some(live) = live else {
                    let refused = Err(error).context(&what);
                    return refused.map_err(|error| immutable::with_replace_hint(error, &name_of(manifest)));
                };
                immutable::delete(self.cx, self.api, kind, &live).await?;
                replaces = Some(uid_of(&live).to_owned());
                self.write(kind, manifest, &what).await?
            }
            applied => applied,
        };
        let (object, creation) = applied.context(&what)?;
        Ok(ApplyResult {
            object: reference(kind, &object),
            creation: apply_record::evaluate_creation(creation, &object),
            replaces,
        })
    }

    /// Sends the object. kubectl apply or a manual edit may have written some of its fields. The manifest
    /// wins, and the object's managed fields record it. Another tool that applies would only write its values
    /// back.
    async fn write(
        &self,
        kind: &Kind,
        manifest: &Manifest,
        what: &str,
    ) -> Result<Result<(DynamicObject, Creation), ApiError>, StepError> {
        let object = manifest.complete();
        let applied = self.api.create_or_update(kind, &object, Force::No).await.track_write(self.cx);
        match applied {
            Err(error) if field_conflicts::is_conflict(&error) => {
                field_conflicts::check_takeover(self.api, kind, manifest, what, &error).await?;
                Ok(self.api.create_or_update(kind, &object, Force::Yes).await.track_write(self.cx))
            }
            applied => Ok(applied),
        }
    }
}

/// Returns the existing objects of a set, for a run that found it. `output` is the step's last output.
pub(crate) async fn references(
    cx: &Context,
    session: &ClusterSession,
    output: Option<Applied>,
    diff: &InSyncSet,
) -> Result<Applied, StepError> {
    let mut objects = Vec::new();
    for object in &diff.live {
        if let Some(kind) = session.api.kind_of(object).await.context("identify the existing objects")? {
            objects.push(reference(&kind, object));
        }
    }
    // The order is that of an apply, so that a found set has the same output as a created one.
    objects.sort_by_key(|object| rank_of(&object.kind));
    objects.extend(diff.kept.iter().cloned());
    let ownership = Ownership::of(cx, &session.uid, output);
    let foreign = diff.live.iter().filter(|object| !ownership.owns(object));
    let found = foreign.map(|object| uid_of(object).to_owned()).collect();
    let fingerprint = Some(diff.fingerprint.clone());
    let jobs = diff.jobs.clone();
    Ok(Applied { found, fingerprint, jobs, ..Applied::of(&session.uid, objects) })
}

/// Returns the objects of a set that an interrupted run created.
///
/// An owned cluster that is unreachable needs no query: its objects are deleted with it. A kind that the
/// cluster does not serve (any more) has no objects.
pub(crate) async fn recover(
    cx: &Context,
    clusters: &Clusters,
    resources: &Resources,
    cluster: &ReadyCluster,
    manifests: &[Manifest],
) -> Result<Option<Applied>, StepError> {
    let accepted = resources.records.accepted;
    let with_the_cluster = || Applied::of("", Vec::new());
    let session = match access_cluster(cx, clusters, accepted, cluster).await? {
        ClusterAccess::Open(session) => session,
        ClusterAccess::NotFound => return Ok(None),
        ClusterAccess::Inaccessible(_) => return Ok(Some(with_the_cluster())),
    };
    match created_in(cx, &session, manifests).await {
        Err(error) if cx.owns(accepted) && matches!(error.kind, ErrorKind::Failed | ErrorKind::Refused) => {
            cx.note(format!(
                "the objects in the cluster cannot be listed; they are deleted together with it: {}",
                error.causes.join(": ")
            ));
            Ok(Some(with_the_cluster()))
        }
        created => created,
    }
}

/// Returns the existing objects of a set, owned or foreign, in their current state.
pub(crate) async fn existing(
    cx: &Context,
    session: &ClusterSession,
    manifests: &[Manifest],
) -> Result<Option<(Applied, Vec<DynamicObject>)>, StepError> {
    let live = live(session, manifests).await?;
    let found = in_sync(live.clone(), manifests);
    let applied = references(cx, session, None, &found).await?;
    Ok((!live.is_empty()).then_some((applied, live)))
}

fn in_sync(live: Vec<DynamicObject>, manifests: &[Manifest]) -> InSyncSet {
    let (fingerprint, jobs) = (fingerprint(manifests), prune::expiring_jobs(manifests));
    InSyncSet { live, kept: Vec::new(), fingerprint, jobs }
}

/// Returns the existing objects of a set that landfall created.
async fn created_in(
    cx: &Context,
    session: &ClusterSession,
    manifests: &[Manifest],
) -> Result<Option<Applied>, StepError> {
    let live = live(session, manifests).await?;
    let found = in_sync(live, manifests);
    let mut applied = references(cx, session, None, &found).await?;
    // The manifests may have changed since: objects of that attempt that they no longer contain are deleted
    // too.
    let ownership = Ownership::of(cx, &session.uid, None);
    let mut others: Vec<ObjectRef> = ownership.unfinished().cloned().collect();
    if let Some(attempt) = ownership.attempt() {
        for name in attempt.creating.iter().flatten() {
            others.extend(prune::created(&session.api, name, attempt).await?);
        }
    }
    for object in others {
        if !applied.objects.iter().any(|known| known.uid == object.uid) {
            applied.objects.push(object);
        }
    }
    let any = applied.created().next().is_some();
    Ok(any.then_some(applied))
}

/// Reads the existing objects of a set, in the kinds that the cluster serves.
async fn live(session: &ClusterSession, manifests: &[Manifest]) -> Result<Vec<DynamicObject>, StepError> {
    let mut known = Vec::new();
    for manifest in manifests {
        let what = format!("find {}", place(manifest));
        if session.api.kind_of(&manifest.object).await.context(what)?.is_some() {
            known.push(manifest.clone());
        }
    }
    diff::live(session, &known).await
}
