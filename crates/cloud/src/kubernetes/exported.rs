//! Exported objects: fields that only the server sets, as `kubectl get -o yaml` prints them.
//!
//! An apply that contains them is refused (a UID of another object) or claims a field that the server changes.

use serde_json::{Map, Value};

use super::differences::LAST_APPLIED;

/// Metadata fields that the server sets.
const METADATA: [&str; 8] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];
/// Annotations that kubectl or a controller sets.
const ANNOTATIONS: [&str; 2] = [LAST_APPLIED, "deployment.kubernetes.io/revision"];

/// Removes the fields that only the server sets, and returns the paths of those that had a value.
pub(super) fn strip(object: &mut Value) -> Vec<String> {
    let mut stripped = Vec::new();
    let Some(fields) = object.as_object_mut() else { return stripped };
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        take(metadata, &METADATA, "metadata", &mut stripped);
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            let before = annotations.len();
            take(annotations, &ANNOTATIONS, "metadata.annotations", &mut stripped);
            if annotations.is_empty() && before > 0 {
                metadata.remove("annotations");
            }
        }
    }
    if let Some(status) = fields.remove("status")
        && !is_empty(&status)
    {
        stripped.push("status".to_owned());
    }
    stripped
}

fn take(from: &mut Map<String, Value>, names: &[&str], path: &str, stripped: &mut Vec<String>) {
    for name in names {
        if from.remove(*name).is_some_and(|value| !is_empty(&value)) {
            stripped.push(format!("{path}.{name}"));
        }
    }
}

/// Returns whether a value contains nothing: generators write `creationTimestamp: null` and `status: {}`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn server_set_fields_are_removed_and_named() {
        let mut object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"status": "kept"},
            "metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "creationTimestamp": "2026-03-01T10:00:00Z",
                "annotations": {LAST_APPLIED: "{}"}, "labels": {"uid": "kept"}},
            "status": {"phase": "Active"},
        });
        let stripped = strip(&mut object);
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"status": "kept"},
                "metadata": {"name": "a", "labels": {"uid": "kept"}}})
        );
        let annotation = format!("metadata.annotations.{LAST_APPLIED}");
        let expected =
            ["metadata.uid", "metadata.resourceVersion", "metadata.creationTimestamp", &annotation, "status"];
        assert_eq!(stripped, expected);
    }

    #[test]
    fn empty_fields_of_generators_are_removed_silently() {
        let mut object = json!({
            "metadata": {"name": "a", "creationTimestamp": null, "annotations": {"mine": "x"}},
            "status": {"conditions": [], "acceptedNames": {"kind": ""}},
        });
        assert_eq!(strip(&mut object), Vec::<String>::new());
        assert_eq!(object, json!({"metadata": {"name": "a", "annotations": {"mine": "x"}}}));
    }
}
