//! Competing writes by another client: with client-side `kubectl apply`, or elsewhere in the store.

use serde_json::{Value, json};

use super::path::{self, RequestTarget, Subresource};
use super::store::{Store, metadata_mut, names};
use crate::clock::SimTime;
use crate::request::Request;

/// The field manager of `kubectl apply` without `--server-side`.
const KUBECTL: &str = "kubectl-client-side-apply";

/// Writes the object of an apply request as kubectl, with a different value in one field, so that kubectl
/// owns the field. Returns whether the request is an apply with such a field.
pub(crate) fn overwrite_as_other_client(store: &mut Store, request: &Request, now: SimTime) -> bool {
    let RequestTarget::Objects(resource_path) = path::parse(store, &request.segments()) else { return false };
    let Ok(mut wanted) = request.json::<Value>() else { return false };
    if resource_path.subresource != Subresource::Main || !wanted.is_object() || !change_one_field(&mut wanted)
    {
        return false;
    }
    let (namespace, name) = (resource_path.namespace().to_owned(), resource_path.name().to_owned());
    if !namespace.is_empty() && store.get("namespaces", "", &namespace).is_none() {
        return false;
    }
    let metadata = metadata_mut(&mut wanted);
    metadata.insert("name".into(), json!(name));
    if !namespace.is_empty() {
        metadata.insert("namespace".into(), json!(namespace));
    }
    let resource = resource_path.definition.resource();
    let object = match store.get(&resource, &namespace, &name) {
        None => wanted,
        Some(live) => merged(live.clone(), &wanted),
    };
    debug_assert_eq!(names(&object), (namespace, name));
    store.put(&resource, object, KUBECTL, now)
}

/// Advances the resource version and compacts the history, so that every known resource version is too old.
pub(crate) fn compact_store(store: &mut Store) {
    store.compact();
}

/// Changes the value of one field: a harmless one that an applier usually sets.
fn change_one_field(object: &mut Value) -> bool {
    if let Some(replicas) = object.pointer("/spec/replicas").and_then(Value::as_i64) {
        object["spec"]["replicas"] = json!(replicas + 1);
        return true;
    }
    // The ownership labels stay: another client changes an owned object, but does not replace it.
    let is_marker = |key: &str| key.contains("managed-by") || key.contains("landfall");
    for pointer in ["/data", "/metadata/annotations", "/metadata/labels"] {
        let map = object.pointer_mut(pointer).and_then(Value::as_object_mut);
        let field = map.into_iter().flatten().find(|(key, value)| value.is_string() && !is_marker(key));
        if let Some((_, value)) = field {
            *value = json!("by-hand");
            return true;
        }
    }
    false
}

/// Merges `over` into an object: maps are merged, everything else is replaced.
fn merged(live: Value, over: &Value) -> Value {
    match (live, over) {
        (Value::Object(mut live), Value::Object(over)) => {
            for (key, value) in over {
                let slot = live.entry(key.clone()).or_insert(Value::Null);
                *slot = merged(slot.take(), value);
            }
            Value::Object(live)
        }
        (_, over) => over.clone(),
    }
}
