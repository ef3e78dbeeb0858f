//! The JSON Schema of `landfall.toml`, for editors, and for reporting all errors of the file at once.

use super::file_schema::File;
use landfall_steps::StepTables;
use schemars::JsonSchema;
use serde_json::{Map, Value};

/// Returns the schema of the settings file.
pub fn schema() -> Value {
    let mut schema = of::<File>();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.extend(of_steps());
    }
    schema
}

/// Returns the schema of a type, as TOML can hold it.
pub fn of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    tidy(&mut schema);
    schema
}

/// Returns the schemas of the tables that the steps declare, by name.
pub fn of_steps() -> Map<String, Value> {
    of_tables::<StepTables>()
}

fn of_tables<T: JsonSchema>() -> Map<String, Value> {
    let schema = of::<T>();
    schema["properties"].as_object().cloned().unwrap_or_default()
}

/// Returns the tables that the steps declare as a file contains them, every setting commented out.
pub fn template_of_steps() -> String {
    of_steps().iter().map(|(table, schema)| template(table, schema)).collect()
}

/// Returns a table with the description of each setting, and with its default or an example as the value.
fn template(table: &str, schema: &Value) -> String {
    let comment = |field: &Value| -> String {
        let lines = field["description"].as_str().unwrap_or_default().lines();
        lines.map(|line| format!("# {line}\n")).collect()
    };
    let mut text = format!("\n{}#[{table}]\n", comment(schema));
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        let value = field.get("default").unwrap_or(&field["examples"][0]);
        text.push_str(&format!("{}#{key} = {value}\n", comment(field)));
    }
    text
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
    fn a_declared_table_is_written_with_descriptions_and_values() {
        /// The tables of the test.
        #[derive(Default, serde::Deserialize, JsonSchema)]
        #[serde(default)]
        struct Tables {
            /// The pond.
            pond: Pond,
        }
        #[derive(Default, serde::Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        #[schemars(inline)]
        struct Pond {
            /// Its name.
            /// None means no pond.
            #[schemars(extend("examples" = ["koi"]))]
            name: Option<String>,
            /// Its depth in metres.
            depth: u32,
        }
        let tables = of_tables::<Tables>();
        assert_eq!(
            template("pond", &tables["pond"]),
            "\n# The pond.\n#[pond]\n# Its name.\n# None means no pond.\n#name = \"koi\"\n# Its depth in metres.\n#depth = 0\n"
        );
    }

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
