//! Accessors for fields of objects of any kind.

pub(super) use landfall_cloud::kubernetes::DynamicObject as Object;
use serde_json::Value;

/// Returns `namespace/name`, or the name alone if the object is cluster-scoped or in `default`.
pub(super) fn name(of: &Object) -> String {
    let name = of.metadata.name.clone().unwrap_or_default();
    match of.metadata.namespace.as_deref() {
        None | Some("default") => name,
        Some(space) => format!("{space}/{name}"),
    }
}

pub(super) fn namespace(of: &Object) -> &str {
    of.metadata.namespace.as_deref().unwrap_or_default()
}

/// Returns the number at a JSON pointer; 0 if there is none, because the API omits zeros.
pub(super) fn number(of: &Object, pointer: &str) -> i64 {
    of.data.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

pub(super) fn list<'a>(of: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    of.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn text<'a>(of: &'a Value, pointer: &str) -> &'a str {
    of.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn label<'a>(of: &'a Object, key: &str) -> Option<&'a str> {
    of.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// Returns whether a condition is true.
pub(super) fn holds(status: &Value, condition: &str) -> bool {
    list(status, "/conditions").any(|one| text(one, "/type") == condition && text(one, "/status") == "True")
}
