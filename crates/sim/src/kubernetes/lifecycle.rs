//! Creation and deletion of objects: ids and times, finalizers, owners and namespaces.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::definition::Definition;
use super::store::{Store, metadata_mut, names};
use super::write::Draft;
use crate::clock::SimTime;
use crate::field::field;

/// The finalizer that keeps an owner until its dependents are deleted.
const FOREGROUND: &str = "foregroundDeletion";
/// The grace period of pods that do not set one, in seconds.
const GRACE_SECONDS: i64 = 30;

/// The deletion propagation policy for dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Deletes the dependents after the owner.
    Background,
    /// Deletes the dependents before the owner.
    Foreground,
    /// Keeps the dependents, without the owner reference.
    Orphan,
}

/// The result of a deletion request.
#[derive(Debug, Clone, PartialEq)]
pub enum Deletion {
    /// The object is deleted; contains its last version.
    Deleted(Value),
    /// The object is being deleted and still exists.
    Terminating(Value),
}

/// Fills in apiVersion, kind and, for namespaced kinds, the namespace `default`.
pub(super) fn complete_identity(object: &mut Value, definition: &Definition) {
    object["apiVersion"] = json!(definition.api_version());
    object["kind"] = json!(definition.kind);
    let metadata = metadata_mut(object);
    if !definition.namespaced {
        metadata.shift_remove("namespace");
    } else if metadata.get("namespace").and_then(Value::as_str).is_none_or(str::is_empty) {
        metadata.insert("namespace".into(), json!("default"));
    }
}

/// Sets the server-managed metadata of an object, and ignores those in the request.
pub(super) fn copy_server_fields(store: &Store, draft: &Draft, object: &mut Value) {
    const KEPT: [&str; 6] = [
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
    ];
    let (namespace, name) = names(object);
    let metadata = metadata_mut(object);
    metadata.shift_remove("selfLink");
    for field in KEPT {
        metadata.shift_remove(field);
        if let Some(value) = draft.live.as_ref().and_then(|live| live["metadata"].get(field)) {
            metadata.insert(field.into(), value.clone());
        }
    }
    if draft.live.is_none() {
        let uid = new_uid(store, &draft.definition.resource(), &namespace, &name, draft.at);
        metadata.insert("uid".into(), json!(uid.to_string()));
        metadata.insert("creationTimestamp".into(), json!(draft.at.rfc3339()));
        if draft.definition.has_generation {
            metadata.insert("generation".into(), json!(1));
        }
    }
}

/// Derives a uid from the object's identity and the time, so that a repeated run produces the same ids.
fn new_uid(store: &Store, resource: &str, namespace: &str, name: &str, at: SimTime) -> Uuid {
    let seed = format!("{}|{resource}|{namespace}|{name}|{}|{}", store.identity(), store.revision(), at.0);
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, seed.as_bytes());
    uuid::Builder::from_random_bytes(*hash.as_bytes()).into_uuid()
}

/// Returns the five letters and digits that complete a generated name.
pub(super) fn name_suffix(store: &Store, prefix: &str, at: SimTime) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let bytes = *new_uid(store, "", "", prefix, at).as_bytes();
    bytes.iter().take(5).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

/// Returns the time that the containers of a pod have to end when it is deleted now, in seconds. Zero for a pod without
/// containers that may run, and for all other objects.
fn grace_seconds(resource: &str, object: &Value, requested: Option<i64>) -> i64 {
    let has_ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let is_scheduled = object["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    if resource != "pods" || has_ended || !is_scheduled {
        return 0;
    }
    let own = || object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(GRACE_SECONDS);
    // A negative one counts as one second.
    match requested.unwrap_or_else(own) {
        seconds if seconds < 0 => 1,
        seconds => seconds,
    }
}

/// Returns whether an object is being deleted and nothing holds it: no finalizers, and no containers that may run.
pub(super) fn is_finished(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let held = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    let is_core = |kind: &str| object["kind"] == *kind && object["apiVersion"] == "v1";
    let is_namespace = is_core("Namespace");
    let is_ending = is_core("Pod") && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0;
    let is_held = held(&metadata["finalizers"]) || is_namespace && held(&object["spec"]["finalizers"]);
    metadata["deletionTimestamp"].is_string() && !is_ending && !is_held
}

/// Deletes an existing object: at once, or as soon as nothing holds it.
pub(super) fn delete(
    store: &mut Store,
    resource: &str,
    namespace: &str,
    name: &str,
    propagation: Propagation,
    requested_grace: Option<i64>,
    at: SimTime,
) -> Option<Deletion> {
    let object = store.shared_object(resource, namespace, name)?;
    let is_held = object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let dependents = dependents_of(store, &object);
    let foreground = propagation == Propagation::Foreground;
    if propagation == Propagation::Orphan {
        dependents.iter().for_each(|dependent| remove_owner(store, dependent, &object, at));
    }
    let grace = grace_seconds(resource, &object, requested_grace);
    if !foreground && !is_held && resource != "namespaces" && grace == 0 {
        drop(object);
        let removed = store.remove(resource, namespace, name, at);
        return removed.map(|removed| Deletion::Deleted(Arc::unwrap_or_clone(removed)));
    }
    let marked = mark_terminating(&object, foreground, grace, at);
    let marked = if marked == *object {
        marked
    } else {
        Arc::unwrap_or_clone(store.commit(resource, namespace, name, Some(marked), at)?)
    };
    if foreground {
        for (resource, namespace, name) in &dependents {
            delete(store, resource, namespace, name, Propagation::Background, None, at);
        }
        release_foreground(store, resource, namespace, name, at);
    }
    Some(Deletion::Terminating(marked))
}

fn mark_terminating(object: &Value, foreground: bool, grace: i64, at: SimTime) -> Value {
    let mut object = object.clone();
    let until = at.plus_ms(grace.saturating_mul(1000)).rfc3339();
    if object["metadata"]["deletionTimestamp"].is_string() {
        // A later request can only shorten the time.
        if object["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|left| grace < left) {
            object["metadata"]["deletionTimestamp"] = json!(until);
            object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        }
    } else {
        object["metadata"]["deletionTimestamp"] = json!(until);
        object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        if let Some(generation) = object["metadata"]["generation"].as_i64() {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        if object["kind"] == "Namespace" {
            object["metadata"].as_object_mut().map(|map| map.shift_remove("deletionGracePeriodSeconds"));
            object["status"]["phase"] = json!("Terminating");
        }
    }
    let finalizers = &mut object["metadata"]["finalizers"];
    if foreground {
        let mut list = finalizers.as_array().cloned().unwrap_or_default();
        if !list.iter().any(|name| name == FOREGROUND) {
            list.push(json!(FOREGROUND));
        }
        *finalizers = Value::Array(list);
    } else if finalizers.is_null() {
        object["metadata"].as_object_mut().map(|map| map.shift_remove("finalizers"));
    }
    object
}

/// Removes the foreground finalizer once no dependent is left.
fn release_foreground(store: &mut Store, resource: &str, namespace: &str, name: &str, at: SimTime) {
    let Some(object) = store.get(resource, namespace, name).cloned() else { return };
    if !dependents_of(store, &object).is_empty() {
        return;
    }
    let mut object = object;
    if let Some(list) = object["metadata"]["finalizers"].as_array_mut() {
        let before = list.len();
        list.retain(|name| name != FOREGROUND);
        if list.len() == before {
            return;
        }
    }
    let stored = store.commit(resource, namespace, name, Some(object), at);
    if stored.is_some_and(|stored| is_finished(&stored)) {
        store.remove(resource, namespace, name, at);
    }
}

type ObjectKey = (String, String, String);

fn dependents_of(store: &Store, owner: &Value) -> Vec<ObjectKey> {
    let Some(uid) = metadata(owner, "uid").and_then(Value::as_str) else { return Vec::new() };
    let is_owner = |owner: &Value| field(owner, "uid").is_some_and(|own| own == uid);
    let owned = store.all_objects().filter(|(_, object)| owners(object).any(is_owner));
    owned
        .map(|(resource, object)| {
            let (namespace, name) = names(object);
            (resource.to_owned(), namespace, name)
        })
        .collect()
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    metadata(object, "ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

fn metadata<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    field(field(object, "metadata")?, name)
}

fn remove_owner(store: &mut Store, (resource, namespace, name): &ObjectKey, owner: &Value, at: SimTime) {
    let Some(mut object) = store.get(resource, namespace, name).cloned() else { return };
    if let Some(list) = object["metadata"]["ownerReferences"].as_array_mut() {
        list.retain(|reference| reference["uid"] != owner["metadata"]["uid"]);
        if list.is_empty() {
            object["metadata"].as_object_mut().map(|map| map.shift_remove("ownerReferences"));
        }
    }
    store.commit(resource, namespace, name, Some(object), at);
}

/// Deletes the dependents of a removed object, or removes the owner reference if they have other owners. Also
/// releases owners that wait in the foreground for this object.
pub(super) fn collect_dependents(store: &mut Store, removed: &Value, at: SimTime) {
    for object_key in dependents_of(store, removed) {
        let (resource, namespace, name) = &object_key;
        let Some(object) = store.get(resource, namespace, name) else { continue };
        let has_another = owners(object).any(|reference| {
            let uid = field(reference, "uid");
            uid != metadata(removed, "uid")
                && store.all_objects().any(|(_, object)| metadata(object, "uid") == uid)
        });
        if has_another {
            remove_owner(store, &object_key, removed, at);
        } else {
            delete(store, resource, namespace, name, Propagation::Background, None, at);
        }
    }
    let owners: Vec<&Value> = owners(removed).filter_map(|reference| field(reference, "uid")).collect();
    let waiting: Vec<ObjectKey> = store
        .all_objects()
        .filter(|(_, object)| {
            !owners.is_empty()
                && metadata(object, "uid").is_some_and(|uid| owners.contains(&uid))
                && metadata(object, "deletionTimestamp").is_some_and(Value::is_string)
        })
        .map(|(resource, object)| {
            let (namespace, name) = names(object);
            (resource.to_owned(), namespace, name)
        })
        .collect();
    for (resource, namespace, name) in waiting {
        release_foreground(store, &resource, &namespace, &name, at);
    }
}

/// Returns the namespaces that are being deleted.
pub(super) fn terminating(store: &Store) -> impl Iterator<Item = &Value> {
    let namespaces = store.list("namespaces", None).into_iter();
    namespaces.filter(|namespace| namespace["metadata"]["deletionTimestamp"].is_string())
}

/// Returns the due times of the namespaces being deleted. A namespace is not due if it only waits for
/// finalizers of its objects.
pub(super) fn namespaces_due(store: &Store) -> impl Iterator<Item = SimTime> {
    terminating(store).filter_map(|namespace| {
        let name = names(namespace).1;
        let mut contents = store.all_objects().filter(|(_, object)| names(object).0 == name).peekable();
        let is_empty = contents.peek().is_none();
        let has_work = is_empty || contents.any(|(_, o)| !o["metadata"]["deletionTimestamp"].is_string());
        let since = namespace["metadata"]["deletionTimestamp"].as_str()?.parse::<jiff::Timestamp>().ok()?;
        has_work.then(|| SimTime(since.as_millisecond()).plus_ms(1))
    })
}

/// Deletes the objects in namespaces being deleted, and removes the empty namespaces.
pub(super) fn finish_terminating_namespaces(store: &mut Store, now: SimTime) {
    if !namespaces_due(store).any(|due| due <= now) {
        return;
    }
    let leaving: Vec<String> = terminating(store).map(|namespace| names(namespace).1).collect();
    for namespace in leaving {
        let contents = |store: &Store| -> Vec<(String, String)> {
            let objects = store.all_objects().filter(|(_, object)| names(object).0 == namespace);
            objects.map(|(resource, object)| (resource.to_owned(), names(object).1)).collect()
        };
        for (resource, name) in contents(store) {
            delete(store, &resource, &namespace, &name, Propagation::Background, None, now);
        }
        let Some(own) = store.get("namespaces", "", &namespace) else { continue };
        let is_held = own["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if contents(store).is_empty() && !is_held {
            store.remove("namespaces", "", &namespace, now);
        }
    }
}
