//! Fields of JSON objects whose names are compared, not hashed.

use serde_json::{Map, Value};

/// The number of fields up to which it is faster to compare their names than to hash one: a comparison ends at the length of
/// the name in most cases. Most parts of a Kubernetes object and of a schema are smaller.
const COMPARED_MAX: usize = 8;

/// Returns a field of a JSON object; `None` if it has none with this name, or is no object.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    in_map(value.as_object()?, name)
}

/// Returns a value of a map.
pub(crate) fn in_map<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    match map.len() {
        0..=COMPARED_MAX => map.iter().find(|(own, _)| *own == name).map(|(_, value)| value),
        _ => map.get(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_of_a_small_and_of_a_large_object_is_found() {
        for size in [1, COMPARED_MAX, COMPARED_MAX + 1, 40] {
            let object = Value::Object((0..size).map(|n| (format!("f{n}"), json!(n))).collect());
            assert!((0..size).all(|n| field(&object, &format!("f{n}")) == Some(&json!(n))), "{size}");
            assert_eq!(field(&object, "f"), None);
        }
        assert_eq!([field(&json!({}), "a"), field(&json!(["a"]), "a"), field(&json!("a"), "a")], [None; 3]);
    }
}
