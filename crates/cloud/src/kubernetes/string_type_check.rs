//! Fields of the built-in kinds that must be strings: `no`, `on` and `8080` without quotes are none.
//!
//! The API server refuses other values, but only when the cluster exists.

use serde_json::Value;

/// Lists of strings.
const LISTS: [&str; 2] = ["args", "command"];
/// Maps of strings.
const MAPS: [&str; 4] = ["labels", "annotations", "matchLabels", "nodeSelector"];
/// The API groups in which these names have that meaning.
const GROUPS: [&str; 3] = ["", "apps", "batch"];

/// Returns a message for every value of the object that must be a string and is none.
pub(super) fn check(object: &Value) -> Vec<String> {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if !GROUPS.contains(&group) {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    match object["kind"].as_str() {
        Some("Secret") => {
            // The keys are not quoted: a misplaced value may be among them.
            let fields = ["data", "stringData"].into_iter();
            wrong.extend(
                fields
                    .filter(|field| !non_strings(&object[*field]).is_empty())
                    .map(|field| format!("a value of {field} is not a string: put it in quotes")),
            );
        }
        Some("ConfigMap") => {
            for field in ["data", "binaryData"] {
                for (key, value) in non_strings(&object[field]) {
                    wrong.push(message(&format!("{field}.{key}"), value));
                }
            }
        }
        Some("Service") => {
            for (key, value) in non_strings(&object["spec"]["selector"]) {
                wrong.push(message(&format!("spec.selector.{key}"), value));
            }
        }
        _ => {}
    }
    walk(&object["metadata"], "metadata", &mut wrong);
    walk(&object["spec"], "spec", &mut wrong);
    wrong
}

fn walk(value: &Value, path: &str, wrong: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(item, &format!("{path}[{at}]"), wrong);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                if MAPS.contains(&name.as_str()) {
                    let values = non_strings(field).into_iter();
                    wrong.extend(values.map(|(key, value)| message(&format!("{path}.{key}"), value)));
                } else if LISTS.contains(&name.as_str()) {
                    let items = field.as_array().into_iter().flatten().enumerate();
                    let items = items.filter(|(_, item)| is_other(item));
                    wrong.extend(items.map(|(at, item)| message(&format!("{path}[{at}]"), item)));
                } else {
                    if name == "env" {
                        let values = field.as_array().into_iter().flatten().map(|entry| &entry["value"]);
                        let values = values.enumerate().filter(|(_, value)| is_other(value));
                        wrong
                            .extend(values.map(|(at, value)| message(&format!("{path}[{at}].value"), value)));
                    }
                    walk(field, &path, wrong);
                }
            }
        }
        _ => {}
    }
}

/// Returns the fields of a map that are booleans or numbers.
fn non_strings(map: &Value) -> Vec<(&String, &Value)> {
    map.as_object().into_iter().flatten().filter(|(_, value)| is_other(value)).collect()
}

fn is_other(value: &Value) -> bool {
    value.is_boolean() || value.is_number()
}

fn message(path: &str, value: &Value) -> String {
    let what = if value.is_boolean() { "boolean" } else { "number" };
    format!("{path} is the {what} {value}, but must be a string: put it in quotes")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn booleans_and_numbers_in_string_fields_are_named() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "labels": {"on": true}},
            "spec": {"replicas": 2, "template": {"spec": {"enableServiceLinks": false, "containers": [{
                "args": ["x", false], "env": [{"name": "A", "value": "x"}, {"name": "B", "value": 8080}, {"name": "C"}],
            }]}}},
        });
        assert_eq!(
            check(&object),
            [
                "metadata.labels.on is the boolean true, but must be a string: put it in quotes",
                "spec.template.spec.containers[0].args[1] is the boolean false, but must be a string: put it in quotes",
                "spec.template.spec.containers[0].env[1].value is the number 8080, but must be a string: put it in quotes",
            ]
        );
    }

    #[test]
    fn values_of_a_secret_are_not_quoted_and_other_groups_are_left_alone() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"pin": 4711}});
        assert_eq!(check(&secret), ["a value of stringData is not a string: put it in quotes"]);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": true, "b": null, "c": "d"}});
        assert_eq!(check(&map), ["data.a is the boolean true, but must be a string: put it in quotes"]);
        let custom = json!({"apiVersion": "example.com/v1", "kind": "A", "spec": {"args": [1], "env": [{"value": 1}]}});
        assert_eq!(check(&custom), Vec::<String>::new());
    }
}
