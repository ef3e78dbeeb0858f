//! Comparison of a set with the cluster: existing objects and their differences.

use super::{
    FIELD_MANAGER, ObjectRef,
    immutable::{self, ImmutableChange},
    is_managed, listener_references, namespace, place, prerequisites,
    prune::{self, DesiredObjects, PreviousApply, PruneSet},
    replicas::Autoscaled,
};
use crate::{ClusterSession, error_context::ErrorContext, field_conflicts, manifests::name_of, operation};
use landfall_cloud::kubernetes::{
    Cluster, Difference, DynamicObject, Force, Kind, confirmed, differences, immutable_differences,
    manifest::Manifest,
};
use landfall_engine::{Change, Check, Context, Kind as ErrorKind, Leftover, StepError};
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// The label that names the manager of an object.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The maximum number of found objects in a note.
const NOTED_MAX: usize = 8;

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
    /// The first takeover of fields that is not allowed.
    conflict: Option<StepError>,
    /// The objects that exist without a record, by kind and name.
    found: Vec<String>,
    /// Objects to delete and recreate.
    pub(super) replaced: Vec<ImmutableChange>,
    /// The manifests to send: without fields that an autoscaler owns.
    pub(super) desired: Vec<Manifest>,
    pub(super) fingerprint: String,
    pub(super) jobs: BTreeMap<String, String>,
}

/// A set that is in sync.
pub(crate) struct InSyncSet {
    /// The existing objects, in the set's order.
    pub(crate) live: Vec<DynamicObject>,
    /// Objects that are no longer in the set and stay owned.
    pub(super) kept: Vec<ObjectRef>,
    pub(super) fingerprint: String,
    pub(super) jobs: BTreeMap<String, String>,
}

impl SetDiff {
    /// Returns the refusal of the set, if the API server would refuse a part of it.
    pub(super) fn refusal(&self) -> Option<StepError> {
        immutable::refusal(&self.refused).or_else(|| self.conflict.clone())
    }

    /// Notes the objects that exist and are not owned, before they are recorded.
    pub(crate) fn note_found(&self, cx: &Context) {
        if self.found.is_empty() {
            return;
        }
        let more = self.found.len().saturating_sub(NOTED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = &self.found[..self.found.len().min(NOTED_MAX)];
        cx.note(format!("found, not owned: {}{more}", shown.join(", ")));
    }

    /// Returns the check result of the set, regardless of the readiness of its objects.
    pub(crate) fn check(self) -> Result<InSyncSet, Check<()>> {
        if let Some(error) = self.refusal() {
            return Err(Check::Refused { error });
        }
        match (self.missing, self.changes) {
            (0, changes) if changes.is_empty() => {
                let Self { live, left, fingerprint, jobs, .. } = self;
                Ok(InSyncSet { live, kept: left.kept, fingerprint, jobs })
            }
            (0, changes) => Err(Check::Drifted { changes }),
            // Created objects are owned even if some exist already; the ticket distinguishes them.
            (_, changes) if self.live.is_empty() && changes.is_empty() => Err(Check::Missing),
            (_, changes) => Err(Check::Partial { changes }),
        }
    }
}

/// Converts the check result of a set that is not in sync to that of its step.
pub(crate) fn verdict<T>(check: Check<()>) -> Check<T> {
    match check {
        Check::Partial { changes } => Check::Partial { changes },
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
    Ok(immutable::refusal(&diff(session, &known, &previous).await?.refused))
}

pub(super) async fn kind_of(api: &Cluster, manifest: &Manifest) -> Result<Kind, StepError> {
    let kind = api.kind_of(&manifest.object).await.context(format!("apply {}", place(manifest)))?;
    kind.ok_or_else(|| unknown_kind(manifest))
}

fn unknown_kind(manifest: &Manifest) -> StepError {
    let types = manifest.object.types.clone().unwrap_or_default();
    StepError::new(ErrorKind::Failed, format!("apply {}", place(manifest)))
        .code("UnknownKind")
        .cause(format!("the cluster has no kind {} in {}", types.kind, types.api_version))
        .hint("check apiVersion and kind, or add the custom resource definition to the manifests")
        .leftover(Leftover::Nothing)
}

/// Returns the kind of an object; `None` if the cluster serves it only after the apply of its definition, which
/// is in the set.
async fn known_kind(api: &Cluster, set: &[Manifest], manifest: &Manifest) -> Result<Option<Kind>, StepError> {
    match api.kind_of(&manifest.object).await.context(format!("apply {}", place(manifest)))? {
        None if !prerequisites::is_defined_by(set, manifest) => Err(unknown_kind(manifest)),
        kind => Ok(kind),
    }
}

/// The kind of a manifest, and its existing object. Both are absent while its definition is not applied yet.
type Existing = Option<(Kind, Option<DynamicObject>)>;

/// The age of the lists that a comparison may use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListAge {
    /// A check of another step may have read them a moment ago.
    Recent,
    /// They are read now.
    Fresh,
}

/// Reads every object of the set, in its order, with one list for each kind and namespace.
async fn read(
    session: &ClusterSession,
    manifests: &[Manifest],
    age: ListAge,
) -> Result<Vec<Existing>, StepError> {
    let api = &session.api;
    let kinds = manifests.iter().map(|manifest| known_kind(api, manifests, manifest));
    let kinds = futures::future::try_join_all(kinds).await?;
    let known: Vec<(&Kind, &Manifest)> =
        kinds.iter().zip(manifests).filter_map(|(kind, manifest)| Some((kind.as_ref()?, manifest))).collect();
    // Kinds of different groups may have the same plural, and one kind may stand in several versions.
    let key = |kind: &Kind, manifest: &Manifest| {
        let space = namespace(kind, &manifest.object).map(str::to_owned);
        (kind.api_version(), kind.plural.to_string(), space)
    };
    let mut places: BTreeMap<(String, String, Option<String>), Kind> = BTreeMap::new();
    for &(kind, manifest) in &known {
        places.insert(key(kind, manifest), kind.clone());
    }
    let lists = places.iter().map(|(place, kind)| async move {
        let (_, plural, space) = place;
        let listed = match age {
            ListAge::Recent => api.list_recent(kind, space.as_deref()).await,
            ListAge::Fresh => api.list(kind, space.as_deref(), None).await,
        };
        listed.context(format!("list {plural}")).map(|objects| (place.clone(), objects))
    });
    let lists: BTreeMap<_, _> = futures::future::try_join_all(lists).await?.into_iter().collect();
    let find = |(kind, manifest): (Option<Kind>, &Manifest)| {
        let kind = kind?;
        let listed = lists.get(&key(&kind, manifest)).map(Vec::as_slice).unwrap_or_default();
        let live = listed.iter().find(|object| object.metadata.name == manifest.object.metadata.name);
        Some((kind, live.cloned()))
    };
    Ok(kinds.into_iter().zip(manifests).map(find).collect())
}

/// Returns the existing objects of the set, in its order.
pub(super) async fn live(
    session: &ClusterSession,
    manifests: &[Manifest],
) -> Result<Vec<DynamicObject>, StepError> {
    let found = read(session, manifests, ListAge::Fresh).await?;
    let existing = found.iter().zip(manifests);
    Ok(existing
        .filter_map(|(found, manifest)| Some(with_types(found.as_ref()?.1.as_ref()?, manifest)))
        .collect())
}

/// Compares the set with the cluster, for a check: steps whose checks run at the same time share their lists.
pub(crate) async fn diff(
    session: &ClusterSession,
    manifests: &[Manifest],
    previous: &PreviousApply,
) -> Result<SetDiff, StepError> {
    diff_of(session, manifests, previous, ListAge::Recent).await
}

/// Compares the set with the current state of the cluster.
pub(super) async fn current_diff(
    session: &ClusterSession,
    manifests: &[Manifest],
    previous: &PreviousApply,
) -> Result<SetDiff, StepError> {
    diff_of(session, manifests, previous, ListAge::Fresh).await
}

async fn diff_of(
    session: &ClusterSession,
    manifests: &[Manifest],
    previous: &PreviousApply,
    age: ListAge,
) -> Result<SetDiff, StepError> {
    let (found, left) =
        futures::future::try_join(read(session, manifests, age), PruneSet::find(session, previous)).await?;
    let autoscaled = Autoscaled::of(manifests);
    let desired: Vec<Cow<'_, Manifest>> = found
        .iter()
        .zip(manifests)
        .map(|(found, manifest)| match found {
            Some((kind, Some(live))) => {
                listener_references::desired(autoscaled.desired(kind, manifest, live), live)
            }
            _ => Cow::Borrowed(manifest),
        })
        .collect();
    let compared = found.iter().zip(&desired).map(|(found, manifest)| async move {
        match found {
            Some((kind, Some(live))) => compare(&session.api, kind, manifest, live).await.map(Some),
            _ => Ok(None),
        }
    });
    let compared = futures::future::try_join_all(compared).await?;
    let mut diff = SetDiff {
        live: Vec::new(),
        missing: 0,
        changes: left.changes().collect(),
        left,
        refused: Vec::new(),
        conflict: None,
        found: Vec::new(),
        replaced: Vec::new(),
        desired: Vec::new(),
        fingerprint: fingerprint(manifests),
        jobs: prune::expiring_jobs(manifests),
    };
    // Finished Jobs that the cluster has deleted, which must not run again.
    let mut expired_jobs = BTreeSet::new();
    for (index, ((found, manifest), compared)) in found.iter().zip(&desired).zip(compared).enumerate() {
        let (Some((kind, Some(live))), Some(compared)) = (found, compared) else {
            match previous.expired(&session.uid, manifest, &diff) {
                Some(expired) => {
                    diff.left.kept.push(expired);
                    expired_jobs.insert(index);
                }
                None => diff.missing += 1,
            }
            continue;
        };
        if !previous.records(&with_types(live, manifest)) {
            diff.found.push(format!("{} {}", kind.kind, live.metadata.name.as_deref().unwrap_or_default()));
        }
        diff.conflict = diff.conflict.or(compared.conflict);
        diff.changes.extend(changes(kind, manifest, live, compared.fields, &compared.managers));
        if let Some(immutable) = ImmutableChange::of(kind, manifest, live, compared.immutable) {
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
    // A recreation sets the replicas again.
    let is_replaced = |manifest: &Manifest| diff.replaced.iter().any(|one| one.name == name_of(manifest));
    let sent = desired.into_iter().zip(manifests).enumerate();
    let sent = sent.filter(|(index, _)| !expired_jobs.contains(index));
    diff.desired =
        sent.map(|(_, (sent, m))| if is_replaced(m) { m.clone() } else { sent.into_owned() }).collect();
    Ok(diff)
}

/// Adds the types. Items of a typed list contain no kind of their own.
fn with_types(live: &DynamicObject, manifest: &Manifest) -> DynamicObject {
    DynamicObject { types: manifest.object.types.clone(), ..live.clone() }
}

/// Returns the compared fields of an object, with the types that control comparison and display.
fn value_of(kind: &Kind, object: &DynamicObject) -> Value {
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

/// The differences of an object.
struct Compared {
    fields: Vec<Difference>,
    /// Those that the API server refuses to apply.
    immutable: Vec<Difference>,
    /// The other managers whose fields an apply would take over.
    managers: BTreeSet<String>,
    /// The refusal to take over the fields of a competing manager.
    conflict: Option<StepError>,
}

/// Compares an object. Apparent differences count only if the server confirms them in a dry run. See decision
/// 0014.
async fn compare(
    api: &Cluster,
    kind: &Kind,
    manifest: &Manifest,
    live: &DynamicObject,
) -> Result<Compared, StepError> {
    let complete = manifest.complete();
    let mut is = value_of(kind, live);
    let wanted = value_of(kind, &complete);
    let fields = differences(&without_foreign_label(wanted.clone(), live), &is);
    is["metadata"]["managedFields"] = json!(live.metadata.managed_fields);
    let immutable = immutable_differences(&wanted, &is);
    let mut compared = Compared { fields, immutable, managers: BTreeSet::new(), conflict: None };
    if compared.fields.is_empty() && compared.immutable.is_empty() {
        return Ok(compared);
    }
    let mut applied = api.dry_run_apply(kind, &complete, Force::No).await;
    if let Err(conflict) = &applied
        && field_conflicts::is_conflict(conflict)
    {
        match field_conflicts::takeover(live, &format!("apply {}", place(manifest)), conflict) {
            Ok(managers) => compared.managers = managers,
            Err(refused) => compared.conflict = Some(refused),
        }
        applied = api.dry_run_apply(kind, &complete, Force::Yes).await;
    }
    match applied {
        Ok(applied) => {
            let applied = value_of(kind, &applied);
            compared.fields = confirmed(compared.fields, &applied, &is);
            compared.immutable = confirmed(compared.immutable, &applied, &is);
            Ok(compared)
        }
        Err(error) if operation::is_transient(&error) => {
            Err(error).context(format!("compare {}", place(manifest)))
        }
        // Without the right to write, or for a change that the server refuses, the apparent ones count.
        Err(_) => Ok(compared),
    }
}

/// Removes the label of the manager, which does not apply to a foreign object.
fn without_foreign_label(mut wanted: Value, live: &DynamicObject) -> Value {
    if !is_managed(live)
        && let Some(labels) = wanted.pointer_mut("/metadata/labels").and_then(Value::as_object_mut)
    {
        labels.remove(MANAGED_BY);
    }
    without_empty_labels(wanted)
}

/// Returns the changes of an object. `taken_from` are the managers whose fields an apply takes over.
fn changes(
    kind: &Kind,
    manifest: &Manifest,
    live: &DynamicObject,
    fields: Vec<Difference>,
    taken_from: &BTreeSet<String>,
) -> Vec<Change> {
    let name = manifest.object.metadata.name.as_deref().unwrap_or_default();
    let named = |(path, is, wanted): Difference| Change {
        field: format!("{} {name}: {}", kind.kind, path.trim_start_matches('.')),
        is,
        wanted,
    };
    let mut changes: Vec<Change> = fields.into_iter().map(named).collect();
    if !changes.is_empty() && (!taken_from.is_empty() || !is_managed(live)) {
        let field = format!("{} {name}: metadata.managedFields", kind.kind);
        let is = if taken_from.is_empty() { json!(managers(live)) } else { json!(taken_from) };
        changes.push(Change { field, is, wanted: json!([FIELD_MANAGER]) });
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
