//! Defaults of a schema.

use serde_json::Value;

use super::traverse::{field, items};
use crate::field::{field as field_of, in_map};

/// Fills in the defaults below an existing value; a null that the schema does not allow counts as missing.
pub fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let Some(default) = field_of(field, "default") else { continue };
                let absent =
                    in_map(map, name).is_none_or(|is| is.is_null() && field["nullable"] != Value::Bool(true));
                if absent {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in map.iter_mut() {
                if let Some(field) = field(schema, name) {
                    fill(field, value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|item| fill(items(schema), item)),
        _ => {}
    }
}

/// Like [`fill`], for one field of an object and everything below it.
pub fn fill_field(schema: &Value, object: &mut Value, name: &str) {
    let (Some(field), Some(map)) = (field(schema, name), object.as_object_mut()) else { return };
    match (map.get_mut(name), field.get("default")) {
        (Some(value), _) => fill(field, value),
        (None, Some(default)) => {
            let mut value = default.clone();
            fill(field, &mut value);
            map.insert(name.to_owned(), value);
        }
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{Constrain, integer, list, object, string};
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_fill_existing_parents_and_create_those_with_a_default() {
        let ports = list(object(&[("port", integer()), ("protocol", string().default(json!("TCP")))]));
        let probe = object(&[("period", integer().default(json!(10)))]);
        let strategy = object(&[("type", string().default(json!("Rolling")))]).default(json!({}));
        let schema = object(&[("ports", ports), ("probe", probe), ("strategy", strategy)]);
        let mut value = json!({"ports": [{"port": 80}]});
        fill(&schema, &mut value);
        assert_eq!(
            value,
            json!({"ports": [{"port": 80, "protocol": "TCP"}], "strategy": {"type": "Rolling"}})
        );
    }
}
