//! A set of Kubernetes objects: looked at, applied and taken away together.

use crate::{
    clouds::{Clusters, Opened},
    cluster_ready::ReadyCluster,
    doing::Doing,
    takeover,
};
use landfall_cloud::{
    ApiErrorKind,
    kubernetes::{Cluster, DynamicObject, Force, Kind, differences, manifest::Manifest},
};
use landfall_engine::{Change, Check, Context, Kind as ErrorKind, Residue, StepError, Undone};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Who we are to the API server: the owner of the fields we apply.
pub const FIELD_MANAGER: &str = "landfall";

/// An object that is there, by the names that find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `apps/v1`, `v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Absent for what is cluster-wide.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Tells it apart from a later one of the same name.
    pub uid: String,
}

/// What a set made, and in which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The UID of the cluster's `kube-system`: nothing is taken away from another cluster.
    pub cluster_uid: String,
    /// The objects.
    pub objects: Vec<ObjectRef>,
    /// UIDs of those among them that were there before us: they are not ours to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
}

/// The set as it stands in the cluster.
pub(crate) struct Standing {
    /// What is there of it, in the set's order.
    pub(crate) live: Vec<DynamicObject>,
    missing: usize,
    changes: Vec<Change>,
}

impl Standing {
    /// Returns the verdict on the set, leaving out whether the objects are ready.
    pub(crate) fn check(self) -> Result<Vec<DynamicObject>, Check<()>> {
        match (self.missing, self.changes) {
            (0, changes) if changes.is_empty() => Ok(self.live),
            (0, changes) => Err(Check::Differs { changes }),
            // What comes is ours even when some of it stands already; which that is, is remembered.
            _ => Err(Check::Missing),
        }
    }
}

/// Names a manifest the way its author finds it again.
fn place(manifest: &Manifest) -> String {
    let object = &manifest.object;
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    let name = object.metadata.name.as_deref().unwrap_or_default();
    format!("{kind} {name} ({}, document {})", manifest.file, manifest.document)
}

async fn kind_of(api: &Cluster, manifest: &Manifest) -> Result<Kind, StepError> {
    let what = format!("apply {}", place(manifest));
    api.kind_of(&manifest.object).await.doing(&what)?.ok_or_else(|| {
        let types = manifest.object.types.clone().unwrap_or_default();
        StepError::new(ErrorKind::Failed, what)
            .code("UnknownKind")
            .cause(format!("the cluster knows no kind {} in {}", types.kind, types.api_version))
            .hint("check apiVersion and kind, or install the custom resource definition first")
            .residue(Residue::Nothing)
    })
}

pub(crate) fn namespace<'a>(kind: &Kind, object: &'a DynamicObject) -> Option<&'a str> {
    kind.namespaced.then(|| object.metadata.namespace.as_deref().unwrap_or("default"))
}

/// Looks at every object of the set, with one list for each kind and namespace.
pub(crate) async fn look(api: &Cluster, manifests: &[Manifest]) -> Result<Standing, StepError> {
    let kinds = futures::future::try_join_all(manifests.iter().map(|m| kind_of(api, m))).await?;
    let mut places: BTreeMap<(String, Option<String>), Kind> = BTreeMap::new();
    for (kind, manifest) in kinds.iter().zip(manifests) {
        let space = namespace(kind, &manifest.object).map(str::to_owned);
        places.insert((kind.plural.to_string(), space), kind.clone());
    }
    let lists = places.iter().map(|((plural, space), kind)| async move {
        let listed = api.list(kind, space.as_deref(), None).await;
        listed.doing(format!("list {plural}")).map(|objects| ((plural.clone(), space.clone()), objects))
    });
    let lists: BTreeMap<_, _> = futures::future::try_join_all(lists).await?.into_iter().collect();
    let mut standing = Standing { live: Vec::new(), missing: 0, changes: Vec::new() };
    for (kind, manifest) in kinds.iter().zip(manifests) {
        let space = namespace(kind, &manifest.object).map(str::to_owned);
        let listed = lists.get(&(kind.plural.to_string(), space)).map(Vec::as_slice).unwrap_or_default();
        match listed.iter().find(|object| object.metadata.name == manifest.object.metadata.name) {
            None => standing.missing += 1,
            Some(live) => {
                standing.changes.extend(changes(kind, manifest, live));
                standing.live.push(with_types(live, manifest));
            }
        }
    }
    Ok(standing)
}

/// Items of a typed list carry no kind of their own.
fn with_types(live: &DynamicObject, manifest: &Manifest) -> DynamicObject {
    DynamicObject { types: manifest.object.types.clone(), ..live.clone() }
}

fn changes(kind: &Kind, manifest: &Manifest, live: &DynamicObject) -> Vec<Change> {
    let plain = |object: &DynamicObject| {
        let mut value = object.data.clone();
        // An absent map is no wish for an empty one.
        for (key, map) in [("labels", &object.metadata.labels), ("annotations", &object.metadata.annotations)]
        {
            if let Some(map) = map {
                value["metadata"][key] = serde_json::json!(map);
            }
        }
        value
    };
    let wanted = plain(&manifest.object);
    let name = manifest.object.metadata.name.as_deref().unwrap_or_default();
    let named = |(path, is, wanted): (String, Value, Value)| Change {
        field: format!("{} {name}: {path}", kind.kind),
        is,
        wanted,
    };
    differences(&wanted, &plain(live)).into_iter().map(named).collect()
}

/// Applies the set: namespaces and classes first, the rest at once. `output` is what the step gave last.
///
/// What was there before is on disk as this step's ticket before the first object is applied, so
/// that a run that dies in the middle knows what to spare.
pub(crate) async fn apply(
    cx: &Context,
    opened: &Opened,
    output: Option<Applied>,
    manifests: &[Manifest],
) -> Result<Applied, StepError> {
    let api = &opened.api;
    let live = look(api, manifests).await?.live;
    let found = found(cx, &opened.uid, output, &live);
    let mut applied = Applied { cluster_uid: opened.uid.clone(), objects: Vec::new(), found };
    cx.keep(&applied)?;
    for rank in 0..=1 {
        let batch: Vec<&Manifest> = manifests.iter().filter(|m| rank_of(kind_word(m)) == rank).collect();
        if batch.is_empty() {
            continue;
        }
        let ended = futures::future::join_all(batch.iter().map(|m| apply_one(api, m))).await;
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
            let residue = if applied.objects.is_empty() { error.residue } else { Residue::Something };
            return Err(error.residue(residue));
        }
    }
    Ok(applied)
}

/// What others stand on comes first.
fn rank_of(kind: &str) -> u8 {
    const FIRST: [&str; 6] = [
        "Namespace",
        "ServiceAccount",
        "ConfigMap",
        "Secret",
        "SecretProviderClass",
        "CustomResourceDefinition",
    ];
    u8::from(!FIRST.contains(&kind))
}

fn kind_word(manifest: &Manifest) -> &str {
    manifest.object.types.as_ref().map_or("", |types| types.kind.as_str())
}

async fn apply_one(api: &Cluster, manifest: &Manifest) -> Result<ObjectRef, StepError> {
    let kind = kind_of(api, manifest).await?;
    let what = format!("apply {}", place(manifest));
    let applied = api.apply(&kind, &manifest.object, Force::No).await;
    let applied = match applied {
        // kubectl's apply or a hand's edit wrote these fields: what the person asked for in the manifest wins, and
        // the object's managed fields say so. Another tool that applies would only write them back.
        Err(error) if takeover::is_conflict(&error) => {
            takeover::allowed(api, &kind, manifest, &what, &error).await?;
            api.apply(&kind, &manifest.object, Force::Yes).await
        }
        applied => applied,
    };
    Ok(reference(&kind, &applied.doing(&what)?))
}

fn reference(kind: &Kind, object: &DynamicObject) -> ObjectRef {
    ObjectRef {
        api_version: kind.api_version(),
        kind: kind.kind.to_string(),
        namespace: object.metadata.namespace.clone(),
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
    }
}

/// Names what is there of a set, for a run that found it. `output` is what the step gave last.
pub(crate) async fn references(
    cx: &Context,
    opened: &Opened,
    output: Option<Applied>,
    live: &[DynamicObject],
) -> Result<Applied, StepError> {
    let mut objects = Vec::new();
    for object in live {
        if let Some(kind) = opened.api.kind_of(object).await.doing("name what is there")? {
            objects.push(reference(&kind, object));
        }
    }
    // The order in which they are applied, so that what was found reads as what was made.
    objects.sort_by_key(|object| rank_of(&object.kind));
    let found = found(cx, &opened.uid, output, live);
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

fn uid_of(object: &DynamicObject) -> &str {
    object.metadata.uid.as_deref().unwrap_or_default()
}

impl Applied {
    /// The objects that were not there before.
    fn made(&self) -> impl DoubleEndedIterator<Item = &ObjectRef> {
        self.objects.iter().filter(|object| !self.found.contains(&object.uid))
    }
}

/// Returns the objects of a set that a run made which was killed in the middle.
///
/// In a cluster of ours nothing needs to be asked, so that one that is stopped or broken cannot keep them from going
/// with it. A kind that the cluster does not know (any more) has no objects.
pub(crate) async fn recover(
    cx: &Context,
    clusters: &Clusters,
    cluster: &ReadyCluster,
    manifests: &[Manifest],
) -> Result<Option<Applied>, StepError> {
    if cx.is_ours("cluster") {
        return Ok(Some(Applied { cluster_uid: String::new(), objects: Vec::new(), found: Vec::new() }));
    }
    let opened = match clusters.open(cluster).await {
        Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(None),
        opened => opened.doing(format!("open cluster {}", cluster.name))?,
    };
    let mut known = Vec::new();
    for manifest in manifests {
        let what = format!("find {}", place(manifest));
        if opened.api.kind_of(&manifest.object).await.doing(what)?.is_some() {
            known.push(manifest.clone());
        }
    }
    let live = look(&opened.api, &known).await?.live;
    let applied = references(cx, &opened, None, &live).await?;
    let any = applied.made().next().is_some();
    Ok(any.then_some(applied))
}

fn is_managed(object: &DynamicObject) -> bool {
    let managers = object.metadata.managed_fields.iter().flatten();
    managers.map(|entry| entry.manager.as_deref()).any(|manager| manager == Some(FIELD_MANAGER))
}

/// Deletes the objects, last first, each only if it is still the one we made.
pub(crate) async fn remove(api: &Cluster, cluster_uid: &str, applied: &Applied) -> Result<Undone, StepError> {
    if applied.cluster_uid != cluster_uid {
        return Ok(Undone::Kept {
            why: "the cluster is another one than the objects were made in".to_owned(),
        });
    }
    let mut deleted = 0;
    let mut kept = Vec::new();
    for object in applied.made().rev() {
        let what = format!("delete {} {}", object.kind, object.name);
        if (object.api_version.as_str(), object.kind.as_str()) == ("v1", "Namespace") {
            let theirs = strangers(api, applied, &object.name).await?;
            if !theirs.is_empty() {
                kept.push(format!("namespace {} holds what is not ours: {}", object.name, theirs.join(", ")));
                continue;
            }
        }
        let kind = api.kind_named(&object.api_version, &object.kind).await.doing(&what)?;
        let Some(kind) = kind else { continue };
        let uid = Some(object.uid.as_str()).filter(|uid| !uid.is_empty());
        match api.delete(&kind, object.namespace.as_deref(), &object.name, uid).await {
            Ok(true) => deleted += 1,
            Ok(false) => {}
            // The UID says that somebody made it anew: then it is theirs.
            Err(error) if error.status == Some(409) => {}
            Err(error) => return Err(error).doing(&what),
        }
    }
    Ok(match (kept.is_empty(), deleted) {
        (false, _) => Undone::Kept { why: kept.join("; ") },
        (true, 0) => Undone::AlreadyGone,
        (true, _) => Undone::Deleted,
    })
}

/// Names what is in a namespace and neither ours nor made by the cluster itself.
async fn strangers(api: &Cluster, applied: &Applied, space: &str) -> Result<Vec<String>, StepError> {
    let inside = api.contents(space).await.doing(format!("look into namespace {space}"))?;
    let theirs = |object: &&DynamicObject| {
        let found = applied.found.iter().any(|uid| uid == uid_of(object));
        let dies = object.metadata.deletion_timestamp.is_some();
        (found || !is_managed(object)) && !dies
    };
    let named = |object: &DynamicObject| {
        let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
        format!("{kind} {}", object.metadata.name.as_deref().unwrap_or_default())
    };
    Ok(inside.iter().filter(theirs).map(named).collect())
}

/// The namespaces in which the set has Deployments, for waiting on them.
pub(crate) fn deployments(manifests: &[Manifest]) -> BTreeMap<String, BTreeSet<String>> {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for manifest in manifests {
        let object = &manifest.object;
        if object.types.as_ref().is_some_and(|types| types.kind == "Deployment") {
            let space = object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
            wanted.entry(space).or_default().extend(object.metadata.name.clone());
        }
    }
    wanted
}
