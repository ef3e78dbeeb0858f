//! Somebody else who writes to the same objects: with `kubectl apply` of before server-side apply, or somewhere else in
//! the store.

use serde_json::{Value, json};

use super::path::{self, Subresource, Target};
use super::store::{Store, metadata_mut, names};
use crate::clock::Moment;
use crate::request::Request;

/// What `kubectl apply` without `--server-side` calls itself.
const KUBECTL: &str = "kubectl-client-side-apply";

/// Writes the object of an apply request as kubectl had written it, with one field of another value, so that the
/// field is kubectl's. Returns whether the request is such a one and has a field to differ in.
pub(crate) fn overwrite(store: &mut Store, request: &Request, now: Moment) -> bool {
    let Target::Objects(place) = path::parse(store, &request.segments()) else { return false };
    let Ok(mut wanted) = request.json::<Value>() else { return false };
    if place.subresource != Subresource::Main || !wanted.is_object() || !differ(&mut wanted) {
        return false;
    }
    let (namespace, name) = (place.namespace().to_owned(), place.name().to_owned());
    if !namespace.is_empty() && store.get("namespaces", "", &namespace).is_none() {
        return false;
    }
    let metadata = metadata_mut(&mut wanted);
    metadata.insert("name".into(), json!(name));
    if !namespace.is_empty() {
        metadata.insert("namespace".into(), json!(namespace));
    }
    let resource = place.definition.resource();
    let object = match store.get(&resource, &namespace, &name) {
        None => wanted,
        Some(live) => laid_over(live.clone(), &wanted),
    };
    debug_assert_eq!(names(&object), (namespace, name));
    store.put(&resource, object, KUBECTL, now)
}

/// Writes something that concerns no object anybody looks at, and compacts the history: every number known is too old.
pub(crate) fn write_elsewhere(store: &mut Store) {
    store.compact();
}

/// Gives one field another value: one that is harmless and that an applier usually sets.
fn differ(object: &mut Value) -> bool {
    if let Some(replicas) = object.pointer("/spec/replicas").and_then(Value::as_i64) {
        object["spec"]["replicas"] = json!(replicas + 1);
        return true;
    }
    // What tells whose an object is stays as it is: it is a rival's hand on our object, not a rival's object.
    let is_mark = |key: &str| key.contains("managed-by") || key.contains("landfall");
    for pointer in ["/data", "/metadata/annotations", "/metadata/labels"] {
        let map = object.pointer_mut(pointer).and_then(Value::as_object_mut);
        let field = map.into_iter().flatten().find(|(key, value)| value.is_string() && !is_mark(key));
        if let Some((_, value)) = field {
            *value = json!("by-hand");
            return true;
        }
    }
    false
}

/// Lays an object over another: maps are joined, everything else is replaced.
fn laid_over(live: Value, over: &Value) -> Value {
    match (live, over) {
        (Value::Object(mut live), Value::Object(over)) => {
            for (key, value) in over {
                let slot = live.entry(key.clone()).or_insert(Value::Null);
                *slot = laid_over(slot.take(), value);
            }
            Value::Object(live)
        }
        (_, over) => over.clone(),
    }
}
