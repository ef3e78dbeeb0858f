//! Dropping of unknown fields.

use serde_json::Value;

use super::traverse::{field, items};

/// Drops unknown fields below a value and returns their paths, such as `spec.listeners[0].bogus`.
pub fn drop_unknown(schema: &Value, value: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    walk(schema, value, "", &mut dropped);
    dropped
}

fn walk(schema: &Value, value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            // A schema without fields describes a scalar; validation checks its type.
            if schema.get("properties").is_some() || schema.get("additionalProperties").is_some() {
                map.retain(|name, _| {
                    let known = field(schema, name).is_some();
                    if !known {
                        dropped.push(at(name));
                    }
                    known
                });
            }
            for (name, value) in map.iter_mut() {
                if let Some(field) = field(schema, name) {
                    walk(field, value, &at(name), dropped);
                }
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter_mut().enumerate() {
                walk(items(schema), item, &format!("{path}[{index}]"), dropped);
            }
        }
        _ => {}
    }
}
