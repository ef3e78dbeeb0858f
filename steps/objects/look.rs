//! Looking at a set: what is there of it, and what differs.

use super::{
    FIELD_MANAGER, ObjectRef,
    immutable::{self, Immutable},
    is_managed,
    leftover::{Earlier, Leftover, Wanted},
    namespace, place,
};
use crate::{clouds::Opened, doing::Doing};
use landfall_cloud::kubernetes::{Cluster, DynamicObject, Kind, differences, manifest::Manifest};
use landfall_engine::{Change, Check, Kind as ErrorKind, Residue, StepError};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The label that says who manages an object.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The set as it stands in the cluster.
pub(crate) struct Standing {
    /// What is there of it, in the set's order.
    pub(crate) live: Vec<DynamicObject>,
    missing: usize,
    /// What an earlier run applied and nobody asks for any more.
    pub(super) left: Leftover,
    changes: Vec<Change>,
    /// Objects that cannot be updated in place, and that nobody asked to replace.
    refused: Vec<Immutable>,
    /// Objects that are deleted and recreated.
    pub(super) replaced: Vec<Immutable>,
    pub(super) fingerprint: String,
}

/// A set that stands as wanted.
pub(crate) struct Found {
    /// What is there of it, in the set's order.
    pub(crate) live: Vec<DynamicObject>,
    /// What is no part of it any more, and stays ours.
    pub(super) stays: Vec<ObjectRef>,
    pub(super) fingerprint: String,
}

impl Standing {
    /// Refuses the set when the API server would refuse a part of it.
    pub(super) fn refusal(&self) -> Option<StepError> {
        immutable::refusal(&self.refused)
    }

    /// Returns the verdict on the set, leaving out whether the objects are ready.
    pub(crate) fn check(self) -> Result<Found, Check<()>> {
        if let Some(error) = self.refusal() {
            return Err(Check::Refused { error });
        }
        match (self.missing, self.changes) {
            (0, changes) if changes.is_empty() => {
                Ok(Found { live: self.live, stays: self.left.stays, fingerprint: self.fingerprint })
            }
            (0, changes) => Err(Check::Differs { changes }),
            // What comes is ours even when some of it stands already; which that is, is remembered.
            _ => Err(Check::Missing),
        }
    }
}

/// Returns the verdict on a set that is not in sync as that of its step.
pub(crate) fn verdict<T>(check: Check<()>) -> Check<T> {
    match check {
        Check::Differs { changes } => Check::Differs { changes },
        Check::Refused { error } => Check::Refused { error },
        _ => Check::Missing,
    }
}

/// Returns a fingerprint of manifests, without the values of Secrets, to tell whether they changed.
pub(crate) fn fingerprint(manifests: &[Manifest]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for manifest in manifests {
        serde_json::to_string(&manifest.object).unwrap_or_default().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// Looks at a set for changes that the API server would refuse, without looking at the rest.
pub(crate) async fn refused(
    opened: &Opened,
    manifests: &[Manifest],
    wanted: &Wanted,
) -> Result<Option<StepError>, StepError> {
    let mut known = Vec::new();
    for manifest in manifests {
        // A kind that the cluster does not know has no objects.
        if opened.api.kind_of(&manifest.object).await.doing("look at the kinds of the manifests")?.is_some() {
            known.push(manifest.clone());
        }
    }
    let earlier = Earlier { wanted: wanted.clone(), ..Earlier::default() };
    Ok(look(opened, &known, &earlier).await?.refusal())
}

pub(super) async fn kind_of(api: &Cluster, manifest: &Manifest) -> Result<Kind, StepError> {
    let what = format!("apply {}", place(manifest));
    api.kind_of(&manifest.object).await.doing(&what)?.ok_or_else(|| {
        let types = manifest.object.types.clone().unwrap_or_default();
        StepError::new(ErrorKind::Failed, what)
            .code("UnknownKind")
            .cause(format!("the cluster has no kind {} in {}", types.kind, types.api_version))
            .hint("check apiVersion and kind, or install the custom resource definition first")
            .residue(Residue::Nothing)
    })
}

/// Looks at every object of the set, with one list for each kind and namespace.
pub(crate) async fn look(
    opened: &Opened,
    manifests: &[Manifest],
    earlier: &Earlier,
) -> Result<Standing, StepError> {
    let api = &opened.api;
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
    let (lists, left) =
        futures::future::try_join(futures::future::try_join_all(lists), Leftover::look(opened, earlier))
            .await?;
    let lists: BTreeMap<_, _> = lists.into_iter().collect();
    let mut standing = Standing {
        live: Vec::new(),
        missing: 0,
        changes: left.changes().collect(),
        left,
        refused: Vec::new(),
        replaced: Vec::new(),
        fingerprint: fingerprint(manifests),
    };
    for (kind, manifest) in kinds.iter().zip(manifests) {
        let space = namespace(kind, &manifest.object).map(str::to_owned);
        let listed = lists.get(&(kind.plural.to_string(), space)).map(Vec::as_slice).unwrap_or_default();
        match listed.iter().find(|object| object.metadata.name == manifest.object.metadata.name) {
            None => standing.missing += 1,
            Some(live) => {
                standing.changes.extend(changes(kind, manifest, live));
                if let Some(immutable) = Immutable::of(kind, manifest, live) {
                    match earlier.wanted.replaces(&immutable.name) {
                        true => {
                            standing.changes.push(immutable.interruption());
                            standing.replaced.push(immutable);
                        }
                        false => standing.refused.push(immutable),
                    }
                }
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

/// Returns the fields of an object that are compared, with the types that say how to compare and show them.
pub(super) fn value_of(kind: &Kind, object: &DynamicObject) -> Value {
    let mut value = object.data.clone();
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.kind);
    // An absent map is no wish for an empty one.
    for (key, map) in [("labels", &object.metadata.labels), ("annotations", &object.metadata.annotations)] {
        if let Some(map) = map {
            value["metadata"][key] = json!(map);
        }
    }
    value
}

fn changes(kind: &Kind, manifest: &Manifest, live: &DynamicObject) -> Vec<Change> {
    let mut wanted = value_of(kind, &manifest.complete());
    // That we manage it is no property of an object that somebody else made.
    if !is_managed(live)
        && let Some(labels) = wanted.pointer_mut("/metadata/labels").and_then(Value::as_object_mut)
    {
        labels.remove(MANAGED_BY);
    }
    let wanted = without_empty_labels(wanted);
    let name = manifest.object.metadata.name.as_deref().unwrap_or_default();
    let named = |(path, is, wanted): (String, Value, Value)| Change {
        field: format!("{} {name}: {}", kind.kind, path.trim_start_matches('.')),
        is,
        wanted,
    };
    let mut changes: Vec<Change> =
        differences(&wanted, &value_of(kind, live)).into_iter().map(named).collect();
    if !changes.is_empty() && !is_managed(live) {
        let field = format!("{} {name}: metadata.managedFields", kind.kind);
        changes.push(Change { field, is: json!(managers(live)), wanted: json!([FIELD_MANAGER]) });
    }
    changes
}

/// An object without labels may have no metadata that could differ.
fn without_empty_labels(mut object: Value) -> Value {
    // Indexing would add a null where there is no metadata, and null is no wish.
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata.filter(|metadata| metadata.get("labels") == Some(&json!({}))) {
        metadata.remove("labels");
        if metadata.is_empty() {
            object.as_object_mut().map(|object| object.remove("metadata"));
        }
    }
    object
}

/// Who has written the object's fields, its status aside.
fn managers(live: &DynamicObject) -> BTreeSet<&str> {
    let entries = live.metadata.managed_fields.iter().flatten();
    entries.filter(|entry| entry.subresource.is_none()).filter_map(|entry| entry.manager.as_deref()).collect()
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
