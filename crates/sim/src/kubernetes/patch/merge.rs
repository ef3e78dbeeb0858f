//! JSON merge patch, RFC 7386.

use serde_json::{Map, Value};

/// Returns a value after a merge patch: maps are merged, null removes, everything else replaces.
pub fn patched(value: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut map = value.as_object().cloned().unwrap_or_else(Map::new);
    for (name, change) in changes {
        if change.is_null() {
            map.shift_remove(name);
        } else {
            let merged = patched(map.get(name).unwrap_or(&Value::Null), change);
            map.insert(name.clone(), merged);
        }
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_removes_and_lists_are_replaced() {
        let value = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        assert_eq!(
            patched(&value, &json!({"a": {"b": null, "d": {"e": null}}, "l": [3]})),
            json!({"a": {"c": 2, "d": {}}, "l": [3]})
        );
    }
}
