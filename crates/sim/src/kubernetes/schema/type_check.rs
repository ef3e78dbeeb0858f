//! Type checks of an applied configuration: declared fields, scalar types, and present and unique list keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::traverse::{ListKind, UNDESCRIBED, field, item_edge, items, list_keys, list_kind};
use crate::kubernetes::fields::display_path;

/// Returns the type errors of a configuration, such as `.spec.zzz: field not declared in schema`.
pub fn type_errors(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, value, "", &mut found);
    found
}

fn walk(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    if schema["x-kubernetes-int-or-string"] == Value::Bool(true) {
        if !(value.is_number() || value.is_string()) {
            found.push(format!("{path}: expected scalar, got {}", describe(value, "scalar")));
        }
        return;
    }
    match (schema["type"].as_str(), value) {
        (Some("object") | None, Value::Object(map)) => {
            for (name, value) in map {
                let path = format!("{path}.{name}");
                match field(schema, name) {
                    Some(field) => walk(field, value, &path, found),
                    None => found.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        (Some("array"), Value::Array(list)) => walk_list(schema, list, path, found),
        (None, Value::Array(list)) => {
            list.iter().for_each(|item| walk(&UNDESCRIBED, item, path, found));
        }
        (None, _) => {}
        (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) => {}
        (Some("integer" | "number"), Value::Number(_)) => {}
        (Some(kind), value) => {
            let expected = match kind {
                "object" => "map",
                "array" => "list",
                "integer" | "number" => "numeric (int or float)",
                kind => kind,
            };
            found.push(format!("{path}: expected {expected}, got {}", describe(value, kind)));
        }
    }
}

fn walk_list(schema: &Value, list: &[Value], path: &str, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, item) in list.iter().enumerate() {
        let mut at = format!("{path}[{index}]");
        if list_kind(schema) != ListKind::Atomic {
            match item_edge(schema, item) {
                Ok(edge) => {
                    at = format!("{path}{}", display_path(std::slice::from_ref(&edge)));
                    if !seen.insert(edge.clone()) {
                        let shown = display_path(&[edge]);
                        found.push(format!("{path}: duplicate entries for key {shown}"));
                    }
                }
                Err(_) => {
                    let keys: Vec<String> = list_keys(schema).map(|key| format!("{key:?}")).collect();
                    let which = keys.join(", ");
                    found.push(format!(
                        "{path}: element {index}: associative list with keys has an element that omits key field {which} (and doesn't have default value)"
                    ));
                }
            }
        }
        walk(items(schema), item, &at, found);
    }
}

/// Returns a value in the format of Go, which depends on the expected type.
fn describe(value: &Value, expected: &str) -> String {
    match expected {
        "integer" | "number" => match value {
            Value::Bool(_) => "bool".to_owned(),
            Value::Array(_) => "[]interface {}".to_owned(),
            Value::Object(_) => "map[string]interface {}".to_owned(),
            _ => "string".to_owned(),
        },
        "string" => format!("&value.valueUnstructured{{Value:{}}}", in_go_syntax(value)),
        _ => format!("&{{{}}}", in_go_text(value)),
    }
}

/// Returns a value like the verb `%#v` of Go.
fn in_go_syntax(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(in_go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let fields = sorted.into_iter().map(|(name, value)| format!("{name:?}:{}", in_go_syntax(value)));
            format!("map[string]interface {{}}{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// Returns a value like the verb `%v` of Go.
fn in_go_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(in_go_text).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let fields = sorted.into_iter().map(|(name, value)| format!("{name}:{}", in_go_text(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        scalar => scalar.to_string(),
    }
}
