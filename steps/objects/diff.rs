//! Comparison of a set with the cluster: existing objects and their differences.

use super::{
    FIELD_MANAGER, ObjectRef,
    immutable::{self, ImmutableChange},
    is_managed, namespace, place,
    prune::{DesiredObjects, PreviousApply, PruneSet},
};
use crate::{ClusterSession, error::ErrorContext};
use landfall_cloud::kubernetes::{Cluster, DynamicObject, Kind, differences, manifest::Manifest};
use landfall_engine::{Change, Check, Kind as ErrorKind, Leftover, StepError};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The label that names the manager of an object.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The set in the cluster.
pub(crate) struct SetDiff {
    /// The existing objects, in the set's order.
    pub(crate) live: Vec<DynamicObject>,
    missing: usize,
    /// The objects to prune.
    pub(super) left: PruneSet,
    changes: Vec<Change>,
    /// Objects that cannot be updated in place and may not be replaced.
    refused: Vec<ImmutableChange>,
    /// Objects to delete and recreate.
    pub(super) replaced: Vec<ImmutableChange>,
    pub(super) fingerprint: String,
}

/// A set that is in sync.
pub(crate) struct InSyncSet {
    /// The existing objects, in the set's order.
    pub(crate) live: Vec<DynamicObject>,
    /// Objects that are no longer in the set and stay owned.
    pub(super) kept: Vec<ObjectRef>,
    pub(super) fingerprint: String,
}

impl SetDiff {
    /// Returns the refusal of the set, if the API server would refuse a part of it.
    pub(super) fn refusal(&self) -> Option<StepError> {
        immutable::refusal(&self.refused)
    }

    /// Returns the check result of the set, regardless of the readiness of its objects.
    pub(crate) fn check(self) -> Result<InSyncSet, Check<()>> {
        if let Some(error) = self.refusal() {
            return Err(Check::Refused { error });
        }
        match (self.missing, self.changes) {
            (0, changes) if changes.is_empty() => {
                Ok(InSyncSet { live: self.live, kept: self.left.kept, fingerprint: self.fingerprint })
            }
            (0, changes) => Err(Check::Drifted { changes }),
            // Created objects are owned even if some exist already; the ticket distinguishes them.
            _ => Err(Check::Missing),
        }
    }
}

/// Converts the check result of a set that is not in sync to that of its step.
pub(crate) fn verdict<T>(check: Check<()>) -> Check<T> {
    match check {
        Check::Drifted { changes } => Check::Drifted { changes },
        Check::Refused { error } => Check::Refused { error },
        _ => Check::Missing,
    }
}

/// Returns a fingerprint of manifests, without the values of Secrets, to detect changes.
pub(crate) fn fingerprint(manifests: &[Manifest]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for manifest in manifests {
        serde_json::to_string(&manifest.object).unwrap_or_default().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// Checks a set only for changes that the API server would refuse.
pub(crate) async fn refused(
    session: &ClusterSession,
    manifests: &[Manifest],
    wanted: &DesiredObjects,
) -> Result<Option<StepError>, StepError> {
    let mut known = Vec::new();
    for manifest in manifests {
        // A kind that the cluster does not serve has no objects.
        if session
            .api
            .kind_of(&manifest.object)
            .await
            .context("look at the kinds of the manifests")?
            .is_some()
        {
            known.push(manifest.clone());
        }
    }
    let previous = PreviousApply { wanted: wanted.clone(), ..PreviousApply::default() };
    Ok(diff(session, &known, &previous).await?.refusal())
}

pub(super) async fn kind_of(api: &Cluster, manifest: &Manifest) -> Result<Kind, StepError> {
    let what = format!("apply {}", place(manifest));
    api.kind_of(&manifest.object).await.context(&what)?.ok_or_else(|| {
        let types = manifest.object.types.clone().unwrap_or_default();
        StepError::new(ErrorKind::Failed, what)
            .code("UnknownKind")
            .cause(format!("the cluster has no kind {} in {}", types.kind, types.api_version))
            .hint("check apiVersion and kind, or install the custom resource definition first")
            .leftover(Leftover::Nothing)
    })
}

/// Reads every object of the set, with one list for each kind and namespace.
pub(crate) async fn diff(
    session: &ClusterSession,
    manifests: &[Manifest],
    previous: &PreviousApply,
) -> Result<SetDiff, StepError> {
    let api = &session.api;
    let kinds = futures::future::try_join_all(manifests.iter().map(|m| kind_of(api, m))).await?;
    let mut places: BTreeMap<(String, Option<String>), Kind> = BTreeMap::new();
    for (kind, manifest) in kinds.iter().zip(manifests) {
        let space = namespace(kind, &manifest.object).map(str::to_owned);
        places.insert((kind.plural.to_string(), space), kind.clone());
    }
    let lists = places.iter().map(|((plural, space), kind)| async move {
        let listed = api.list(kind, space.as_deref(), None).await;
        listed.context(format!("list {plural}")).map(|objects| ((plural.clone(), space.clone()), objects))
    });
    let (lists, left) =
        futures::future::try_join(futures::future::try_join_all(lists), PruneSet::find(session, previous))
            .await?;
    let lists: BTreeMap<_, _> = lists.into_iter().collect();
    let mut diff = SetDiff {
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
            None => diff.missing += 1,
            Some(live) => {
                diff.changes.extend(changes(kind, manifest, live));
                if let Some(immutable) = ImmutableChange::of(kind, manifest, live) {
                    match previous.wanted.replaces(&immutable.name) {
                        true => {
                            diff.changes.push(immutable.interruption());
                            diff.replaced.push(immutable);
                        }
                        false => diff.refused.push(immutable),
                    }
                }
                diff.live.push(with_types(live, manifest));
            }
        }
    }
    Ok(diff)
}

/// Adds the types. Items of a typed list contain no kind of their own.
fn with_types(live: &DynamicObject, manifest: &Manifest) -> DynamicObject {
    DynamicObject { types: manifest.object.types.clone(), ..live.clone() }
}

/// Returns the compared fields of an object, with the types that control comparison and display.
pub(super) fn value_of(kind: &Kind, object: &DynamicObject) -> Value {
    let mut value = object.data.clone();
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.kind);
    // An absent map does not request an empty one.
    for (key, map) in [("labels", &object.metadata.labels), ("annotations", &object.metadata.annotations)] {
        if let Some(map) = map {
            value["metadata"][key] = json!(map);
        }
    }
    value
}

fn changes(kind: &Kind, manifest: &Manifest, live: &DynamicObject) -> Vec<Change> {
    let mut wanted = value_of(kind, &manifest.complete());
    // The label of the manager does not apply to a foreign object.
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
    // Indexing would add a null for missing metadata, and null is not a desired value.
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata.filter(|metadata| metadata.get("labels") == Some(&json!({}))) {
        metadata.remove("labels");
        if metadata.is_empty() {
            object.as_object_mut().map(|object| object.remove("metadata"));
        }
    }
    object
}

/// Returns the managers of the object's fields, without its status.
fn managers(live: &DynamicObject) -> BTreeSet<&str> {
    let entries = live.metadata.managed_fields.iter().flatten();
    entries.filter(|entry| entry.subresource.is_none()).filter_map(|entry| entry.manager.as_deref()).collect()
}

/// Returns the Deployments of the set by namespace, to wait for them.
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
