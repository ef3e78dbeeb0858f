//! Apply of a set, with a record of the objects that existed before.

use super::{
    Applied, Earlier, LAST_RANK, ObjectRef, Wanted, fingerprint,
    immutable::{self, Immutable},
    kind_word, leftover,
    look::{Found, kind_of, look},
    namespace,
    ownership::Ownership,
    place,
    progress::{self, Outcome, Progress},
    rank_of, reference, uid_of,
};
use crate::{
    Clusters, Opened,
    cluster_ready::ReadyCluster,
    doing::{Doing, Written},
    manifests::name_of,
    reach::{Reached, reach},
    resource::Resources,
    takeover,
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
    opened: &Opened,
    earlier: Earlier,
    manifests: &[Manifest],
) -> Result<Applied, StepError> {
    let standing = look(opened, manifests, &earlier).await?;
    if let Some(refused) = standing.refusal() {
        return Err(refused);
    }
    let ownership = Ownership::of(cx, &opened.uid, earlier.output);
    let mut progress = Progress::begin(&opened.uid, &ownership, &standing);
    let set = Set { cx, api: &opened.api, replaced: &standing.replaced, wanted: &earlier.wanted };
    for rank in 0..=LAST_RANK {
        let batch: Vec<&Manifest> = manifests.iter().filter(|m| rank_of(kind_word(m)) == rank).collect();
        if batch.is_empty() {
            continue;
        }
        let kinds = futures::future::try_join_all(batch.iter().map(|m| kind_of(set.api, m))).await?;
        progress.announce(kinds.iter().zip(&batch).map(|(kind, manifest)| announced(kind, manifest)));
        cx.keep(progress.ticket())?;
        let requests = kinds.iter().zip(&batch).map(|(kind, manifest)| set.apply(kind, manifest));
        let ended = futures::future::join_all(requests).await;
        let mut failed = None;
        for ((kind, manifest), one) in kinds.iter().zip(&batch).zip(ended) {
            match one {
                Ok(applied) => progress.settle(applied),
                Err(error) => {
                    progress.fail(&announced(kind, manifest), &error);
                    failed = failed.or(Some(error));
                }
            }
        }
        if let Some(error) = failed {
            // Applied objects stay on record, also if the rest of the set is refused.
            cx.keep(progress.ticket())?;
            return Err(error);
        }
    }
    cx.keep(progress.ticket())?;
    let stays = standing.left.prune(opened).await?;
    Ok(progress.finish(stays))
}

/// Returns the name of an object that a request may create.
fn announced(kind: &Kind, manifest: &Manifest) -> ObjectRef {
    let namespace = namespace(kind, &manifest.object).map(str::to_owned);
    ObjectRef { namespace, uid: String::new(), ..reference(kind, &manifest.object) }
}

/// The context to apply each object of a set.
struct Set<'a> {
    cx: &'a Context,
    api: &'a Cluster,
    replaced: &'a [Immutable],
    wanted: &'a Wanted,
}

impl Set<'_> {
    async fn apply(&self, kind: &Kind, manifest: &Manifest) -> Result<Outcome, StepError> {
        let what = format!("apply {}", place(manifest));
        let name = manifest.object.metadata.name.as_deref().unwrap_or_default();
        let look = || self.api.get(kind, namespace(kind, &manifest.object), name);
        let mut replaces = None;
        if self.replaced.iter().any(|one| one.name == name_of(manifest))
            && let Some(live) = look().await.doing(&what)?
            && immutable::is_among(self.replaced, manifest, &live)
        {
            immutable::delete(self.cx, self.api, kind, &live).await?;
            replaces = Some(uid_of(&live).to_owned());
        }
        let applied = match self.write(kind, manifest, &what).await? {
            Err(error) if immutable::is_refused(&error) => {
                let live = look().await.doing(&what)?.filter(|_| self.wanted.replaces(&name_of(manifest)));
                let Some(live) = live else {
                    let refused = Err(error).doing(&what);
                    return refused.map_err(|error| immutable::explained(error, &name_of(manifest)));
                };
                immutable::delete(self.cx, self.api, kind, &live).await?;
                replaces = Some(uid_of(&live).to_owned());
                self.write(kind, manifest, &what).await?
            }
            applied => applied,
        };
        let (object, creation) = applied.doing(&what)?;
        Ok(Outcome {
            object: reference(kind, &object),
            creation: progress::judged(creation, &object),
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
        let applied = self.api.create_or_update(kind, &object, Force::No).await.written(self.cx);
        match applied {
            Err(error) if takeover::is_conflict(&error) => {
                takeover::allowed(self.api, kind, manifest, what, &error).await?;
                Ok(self.api.create_or_update(kind, &object, Force::Yes).await.written(self.cx))
            }
            applied => Ok(applied),
        }
    }
}

/// Returns the existing objects of a set, for a run that found it. `output` is the step's last output.
pub(crate) async fn references(
    cx: &Context,
    opened: &Opened,
    output: Option<Applied>,
    standing: &Found,
) -> Result<Applied, StepError> {
    let mut objects = Vec::new();
    for object in &standing.live {
        if let Some(kind) = opened.api.kind_of(object).await.doing("identify the existing objects")? {
            objects.push(reference(&kind, object));
        }
    }
    // The order is that of an apply, so that a found set has the same output as a created one.
    objects.sort_by_key(|object| rank_of(&object.kind));
    objects.extend(standing.stays.iter().cloned());
    let ownership = Ownership::of(cx, &opened.uid, output);
    let foreign = standing.live.iter().filter(|object| !ownership.owns(object));
    let found = foreign.map(|object| uid_of(object).to_owned()).collect();
    let fingerprint = Some(standing.fingerprint.clone());
    Ok(Applied { found, fingerprint, ..Applied::of(&opened.uid, objects) })
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
    let opened = match reach(cx, clusters, accepted, cluster).await? {
        Reached::Open(opened) => opened,
        Reached::Gone => return Ok(None),
        Reached::Closed(_) => return Ok(Some(with_the_cluster())),
    };
    match made_in(cx, &opened, manifests).await {
        Err(error) if cx.owns(accepted) && matches!(error.kind, ErrorKind::Failed | ErrorKind::Refused) => {
            cx.note(format!(
                "left to the deletion of the cluster: its contents cannot be listed: {}",
                error.causes.join(": ")
            ));
            Ok(Some(with_the_cluster()))
        }
        made => made,
    }
}

/// Returns the existing objects of a set, whoever applied them, in their current state.
pub(crate) async fn existing(
    cx: &Context,
    opened: &Opened,
    manifests: &[Manifest],
) -> Result<Option<(Applied, Vec<DynamicObject>)>, StepError> {
    let live = live(opened, manifests).await?;
    let found = Found { live: live.clone(), stays: Vec::new(), fingerprint: fingerprint(manifests) };
    let applied = references(cx, opened, None, &found).await?;
    Ok((!live.is_empty()).then_some((applied, live)))
}

/// Returns the existing objects of a set that landfall created.
async fn made_in(
    cx: &Context,
    opened: &Opened,
    manifests: &[Manifest],
) -> Result<Option<Applied>, StepError> {
    let live = live(opened, manifests).await?;
    let found = Found { live, stays: Vec::new(), fingerprint: fingerprint(manifests) };
    let mut applied = references(cx, opened, None, &found).await?;
    // The manifests may have changed since: objects of that attempt that they no longer contain are deleted
    // too.
    let ownership = Ownership::of(cx, &opened.uid, None);
    let mut others: Vec<ObjectRef> = ownership.begun().cloned().collect();
    if let Some(attempt) = ownership.attempt() {
        for name in attempt.creating.iter().flatten() {
            others.extend(leftover::created(&opened.api, name, attempt).await?);
        }
    }
    for object in others {
        if !applied.objects.iter().any(|known| known.uid == object.uid) {
            applied.objects.push(object);
        }
    }
    let any = applied.made().next().is_some();
    Ok(any.then_some(applied))
}

/// Reads the existing objects of a set, in the kinds that the cluster serves.
async fn live(opened: &Opened, manifests: &[Manifest]) -> Result<Vec<DynamicObject>, StepError> {
    let mut known = Vec::new();
    for manifest in manifests {
        let what = format!("find {}", place(manifest));
        if opened.api.kind_of(&manifest.object).await.doing(what)?.is_some() {
            known.push(manifest.clone());
        }
    }
    Ok(look(opened, &known, &Earlier::default()).await?.live)
}
