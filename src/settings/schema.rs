//! The JSON Schema of `landfall.toml`, for editors, and for reporting all errors of the file at once.

use super::file::File;
use serde_json::Value;

/// Returns the schema of the settings file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    tidy(&mut schema);
    schema
}

/// Removes the effects of `Option`: TOML has no null, so neither type nor default can be null.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    fields.insert("type".into(), only);
                }
            }
            if fields.get("default").is_some_and(|value| value.is_null() || value.is_object()) {
                fields.shift_remove("default");
            }
            if let Some(Value::Array(names)) = fields.get_mut("enum") {
                names.retain(|name| !name.is_null());
            }
            if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    fields.shift_remove("anyOf");
                    for (name, value) in only {
                        fields.entry(name).or_insert(value);
                    }
                }
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_has_a_plain_type_and_a_description() {
        fn check_leaves(path: &str, schema: &Value) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}{key}");
                assert!(property["description"].is_string(), "{path} has no description");
                assert!(property.get("type").is_some(), "{path} has no type: {property}");
                assert!(
                    property.get("anyOf").is_none() && property.get("$ref").is_none(),
                    "{path}: {property}"
                );
                check_leaves(&format!("{path}."), property);
            }
        }
        let schema = schema();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["cluster"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["cloud"]["enum"], serde_json::json!(["sim", "azure"]));
        check_leaves("", &schema);
    }
}
