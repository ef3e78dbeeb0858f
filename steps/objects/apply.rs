//! Applying a set, and remembering which of its objects were there before.

use super::{
    Applied, Earlier, ObjectRef, is_managed, kind_word,
    look::{Found, kind_of, look},
    place, rank_of, reference, uid_of,
};
use crate::{
    clouds::{Clusters, Opened},
    cluster_ready::ReadyCluster,
    doing::{Doing, Written},
    reach::{Reached, reach},
    takeover,
};
use landfall_cloud::kubernetes::{Cluster, DynamicObject, Force, manifest::Manifest};
use landfall_engine::{Context, Kind, StepError};

/// Applies the set: namespaces and classes first, the rest at once. What an earlier run applied and nobody asks for any more
/// goes last.
///
/// What was there before is on disk as this step's ticket before the first object is applied, so
/// that a run that dies in the middle knows what to spare.
pub(crate) async fn apply(
    cx: &Context,
    opened: &Opened,
    earlier: Earlier,
    manifests: &[Manifest],
) -> Result<Applied, StepError> {
    let api = &opened.api;
    let standing = look(opened, manifests, &earlier).await?;
    let found = found(cx, &opened.uid, earlier.output, &standing.live);
    let mut applied = Applied { cluster_uid: opened.uid.clone(), objects: Vec::new(), found };
    cx.keep(&applied)?;
    for rank in 0..=1 {
        let batch: Vec<&Manifest> = manifests.iter().filter(|m| rank_of(kind_word(m)) == rank).collect();
        if batch.is_empty() {
            continue;
        }
        let ended = futures::future::join_all(batch.iter().map(|m| apply_one(cx, api, m))).await;
        let mut failed = None;
        for one in ended {
            match one {
                Ok(object) => applied.objects.push(object),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        // What was applied stays on record, also when the rest of it is refused.
        cx.keep(&applied)?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    applied.objects.extend(standing.left.prune(opened).await?);
    Ok(applied)
}

async fn apply_one(cx: &Context, api: &Cluster, manifest: &Manifest) -> Result<ObjectRef, StepError> {
    let kind = kind_of(api, manifest).await?;
    let what = format!("apply {}", place(manifest));
    let applied = api.apply(&kind, &manifest.object, Force::No).await.written(cx);
    let applied = match applied {
        // kubectl's apply or a hand's edit wrote these fields: what the person asked for in the manifest wins, and
        // the object's managed fields say so. Another tool that applies would only write them back.
        Err(error) if takeover::is_conflict(&error) => {
            takeover::allowed(api, &kind, manifest, &what, &error).await?;
            api.apply(&kind, &manifest.object, Force::Yes).await.written(cx)
        }
        applied => applied,
    };
    Ok(reference(&kind, &applied.doing(&what)?))
}

/// Names what is there of a set, for a run that found it. `output` is what the step gave last.
pub(crate) async fn references(
    cx: &Context,
    opened: &Opened,
    output: Option<Applied>,
    standing: &Found,
) -> Result<Applied, StepError> {
    let mut objects = Vec::new();
    for object in &standing.live {
        if let Some(kind) = opened.api.kind_of(object).await.doing("name what is there")? {
            objects.push(reference(&kind, object));
        }
    }
    // The order in which they are applied, so that what was found reads as what was made.
    objects.sort_by_key(|object| rank_of(&object.kind));
    objects.extend(standing.stays.iter().cloned());
    let found = found(cx, &opened.uid, output, &standing.live);
    Ok(Applied { cluster_uid: opened.uid.clone(), objects, found })
}

/// The UIDs of the live objects that we have not made, as far as is remembered: by the ticket of an attempt that did
/// not reach its end, else by the output of the last one that did.
fn found(cx: &Context, cluster_uid: &str, output: Option<Applied>, live: &[DynamicObject]) -> Vec<String> {
    let here = |applied: &Applied| applied.cluster_uid == cluster_uid;
    let (begun, ended) = (cx.ticket::<Applied>().filter(here), output.filter(here));
    let made = |object: &DynamicObject| match (&begun, &ended) {
        (Some(begun), _) => is_managed(object) && !begun.found.iter().any(|uid| uid == uid_of(object)),
        (None, Some(ended)) => ended.made().any(|made| made.uid == uid_of(object)),
        (None, None) => false,
    };
    live.iter().filter(|object| !made(object)).map(|object| uid_of(object).to_owned()).collect()
}

/// Returns the objects of a set that a run made which was killed in the middle.
///
/// A cluster of ours that cannot be reached need not be asked: they go with it. A kind that the cluster does not know
/// (any more) has no objects.
pub(crate) async fn recover(
    cx: &Context,
    clusters: &Clusters,
    cluster: &ReadyCluster,
    manifests: &[Manifest],
) -> Result<Option<Applied>, StepError> {
    let with_the_cluster = || Applied { cluster_uid: String::new(), objects: Vec::new(), found: Vec::new() };
    let opened = match reach(cx, clusters, cluster).await? {
        Reached::Open(opened) => opened,
        Reached::Gone => return Ok(None),
        Reached::Closed(_) => return Ok(Some(with_the_cluster())),
    };
    match made_in(cx, &opened, manifests).await {
        Err(error) if cx.is_ours("cluster") && matches!(error.kind, Kind::Failed | Kind::Refused) => {
            cx.note(format!(
                "left to the cluster: it does not say what is in it: {}",
                error.causes.join(": ")
            ));
            Ok(Some(with_the_cluster()))
        }
        made => made,
    }
}

/// Returns the objects of a set that are there, whoever applied them, and as they are.
pub(crate) async fn existing(
    cx: &Context,
    opened: &Opened,
    manifests: &[Manifest],
) -> Result<Option<(Applied, Vec<DynamicObject>)>, StepError> {
    let live = live(opened, manifests).await?;
    let applied = references(cx, opened, None, &Found { live: live.clone(), stays: Vec::new() }).await?;
    Ok((!live.is_empty()).then_some((applied, live)))
}

/// Names what of a set is there and was made by us.
async fn made_in(
    cx: &Context,
    opened: &Opened,
    manifests: &[Manifest],
) -> Result<Option<Applied>, StepError> {
    let live = live(opened, manifests).await?;
    let applied = references(cx, opened, None, &Found { live, stays: Vec::new() }).await?;
    let any = applied.made().next().is_some();
    Ok(any.then_some(applied))
}

/// Reads what is there of a set, in the kinds that the cluster knows.
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
