//! Accessors for Kubernetes objects as plain JSON.

use serde_json::{Value, json};

use super::timers::ObjectRef;
use crate::field::{field, in_map};

/// Returns the value at a JSON pointer. `Value::pointer` copies every part of its argument twice, which is a twentieth of
/// the work of a cluster.
fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(object, |value, part| match value {
        Value::Object(fields) if part.contains('~') => {
            fields.get(&part.replace("~1", "/").replace("~0", "~"))
        }
        Value::Object(fields) => in_map(fields, part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Returns the string at a JSON pointer; empty if there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the number at a JSON pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    at(object, pointer).and_then(Value::as_i64)
}

/// Returns the list at a JSON pointer; empty if there is none.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns a field of the metadata. The controllers compare those of every object again and again.
fn metadata<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    field(field(object, "metadata")?, name)
}

fn metadata_text<'a>(object: &'a Value, field: &str) -> &'a str {
    metadata(object, field).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    metadata_text(object, "name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    metadata_text(object, "namespace")
}

pub(super) fn uid(object: &Value) -> &str {
    metadata_text(object, "uid")
}

/// Returns `metadata.generation`; 1 for kinds without it.
pub(super) fn generation(object: &Value) -> i64 {
    number(object, "/metadata/generation").unwrap_or(1)
}

/// Returns the value of a label; empty if there is none.
pub(super) fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    metadata(object, "labels")
        .and_then(|labels| field(labels, key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns whether the object is being deleted.
pub(super) fn is_ending(object: &Value) -> bool {
    metadata(object, "deletionTimestamp").is_some()
}

/// Returns the name and uid of an object.
pub(super) fn object_ref(object: &Value) -> ObjectRef {
    ObjectRef { namespace: namespace(object).into(), name: name(object).into(), uid: uid(object).into() }
}

/// Returns an owner reference to `owner` as the controller.
pub(super) fn controlled_by(owner: &Value) -> Value {
    let mut reference = owned_by(owner);
    reference["controller"] = json!(true);
    reference["blockOwnerDeletion"] = json!(true);
    reference
}

/// Returns an owner reference to `owner` for garbage collection only.
pub(super) fn owned_by(owner: &Value) -> Value {
    json!({
        "apiVersion": text(owner, "/apiVersion"),
        "kind": text(owner, "/kind"),
        "name": name(owner),
        "uid": uid(owner),
    })
}

/// Returns whether the object has an owner with that uid.
pub(super) fn has_owner(object: &Value, owner_uid: &str) -> bool {
    let owners = metadata(object, "ownerReferences").and_then(Value::as_array);
    owners
        .into_iter()
        .flatten()
        .any(|owner| field(owner, "uid").and_then(Value::as_str).unwrap_or_default() == owner_uid)
}

/// Returns whether an object's labels satisfy `matchLabels` and `matchExpressions` of a selector.
pub(super) fn selects(selector: &Value, object: &Value) -> bool {
    let by_label = selector.get("matchLabels").is_none_or(|labels| selects_plain(labels, object));
    by_label && list(selector, "/matchExpressions").iter().all(|expression| satisfies(expression, object))
}

/// Returns whether an object's labels contain all of these pairs, as in a Service's selector.
pub(crate) fn selects_plain(labels: &Value, object: &Value) -> bool {
    labels.as_object().is_some_and(|pairs| {
        pairs.iter().all(|(key, value)| value.as_str().is_some_and(|value| label(object, key) == value))
    })
}

fn satisfies(expression: &Value, object: &Value) -> bool {
    let key = text(expression, "/key");
    let is_there = object.pointer("/metadata/labels").is_some_and(|labels| labels.get(key).is_some());
    let listed = list(expression, "/values").iter().any(|value| value.as_str() == Some(label(object, key)));
    match text(expression, "/operator") {
        "In" => is_there && listed,
        "NotIn" => !(is_there && listed),
        "Exists" => is_there,
        "DoesNotExist" => !is_there,
        _ => false,
    }
}

/// Returns whether `live` contains everything in `wanted`; lists must match item by item.
pub(super) fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| live.get(key).is_some_and(|live| holds(live, value)))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| holds(live, wanted))
        }
        _ => live == wanted,
    }
}

/// Merges `wanted` into `live`: its fields win, other fields stay.
pub(super) fn merge_into(live: &mut Value, wanted: &Value) {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            for (key, value) in wanted {
                match live.get_mut(key) {
                    Some(field) => merge_into(field, value),
                    None => {
                        live.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            live.iter_mut().zip(wanted).for_each(|(live, wanted)| merge_into(live, wanted));
        }
        (live, wanted) => *live = wanted.clone(),
    }
}

/// Returns a 64-bit FNV-1a hash, for stable names from content.
pub(super) fn hash(content: &str) -> u64 {
    content.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Returns `length` characters of the alphabet of generated names (no vowels, no characters that resemble
/// each other).
pub(super) fn suffix(content: &str, length: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = hash(content);
    // FNV leaves similar inputs similar in their low bits.
    rest ^= rest >> 29;
    rest = rest.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    rest ^= rest >> 32;
    (0..length)
        .map(|_| {
            let letter = ALPHABET[(rest % ALPHABET.len() as u64) as usize];
            rest /= ALPHABET.len() as u64;
            char::from(letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additional_fields_are_no_difference_but_a_longer_list_is() {
        let live = json!({"spec": {"a": 1, "b": 2, "ports": [{"port": 80, "nodePort": 30001}]}});
        assert!(holds(&live, &json!({"spec": {"a": 1, "ports": [{"port": 80}]}})));
        assert!(!holds(&live, &json!({"spec": {"ports": [{"port": 80}, {"port": 443}]}})));
        assert!(!holds(&live, &json!({"spec": {"a": 2}})));
    }

    #[test]
    fn merge_keeps_fields_that_are_not_named() {
        let mut live = json!({"spec": {"a": 1, "ports": [{"port": 80, "nodePort": 30001}]}});
        merge_into(&mut live, &json!({"spec": {"a": 2, "ports": [{"port": 81}]}}));
        assert_eq!(live, json!({"spec": {"a": 2, "ports": [{"port": 81, "nodePort": 30001}]}}));
    }

    #[test]
    fn selectors_match_labels_and_expressions() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        assert!(selects(&json!({"matchLabels": {"app": "web"}}), &object));
        let not_in = json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]});
        assert!(!selects(&not_in, &object));
        assert!(selects(&json!({}), &object));
        assert!(!selects_plain(&json!({"app": "api"}), &object));
    }
}
