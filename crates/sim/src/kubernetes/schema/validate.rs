//! Validation of an object by its schema: types, required fields, enums, ranges, lengths, patterns, unique
//! items.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

use regex_lite::Regex;
use serde_json::Value;

use super::traverse::{ListKind, field, item_edge, items, list_keys, list_kind};
use crate::kubernetes::status::FieldError;

/// The wording of errors: that of the OpenAPI validator, or that of handwritten validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// The wording for custom resources.
    OpenApi,
    /// The wording for built-in kinds.
    BuiltIn,
}

/// Returns the validation errors of an object.
pub fn field_errors(schema: &Value, object: &Value, wording: Wording) -> Vec<FieldError> {
    let mut validator = Validator { wording, errors: Vec::new() };
    validator.value(schema, object, "");
    validator.errors
}

struct Validator {
    wording: Wording,
    errors: Vec<FieldError>,
}

impl Validator {
    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        if !self.has_type(schema, value, path) {
            return;
        }
        self.alternatives(schema, value, path);
        self.choice(schema, value, path);
        match value {
            Value::Object(map) => {
                for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if map.get(name).is_none_or(|value| self.wording == Wording::BuiltIn && value.is_null()) {
                        self.errors.push(FieldError::required(&below(path, name), ""));
                    }
                }
                if let Some(most) = schema["maxProperties"].as_u64().filter(|most| map.len() as u64 > *most) {
                    self.errors.push(FieldError::too_many(path, map.len(), most));
                }
                for (name, value) in map {
                    if let Some(field) = field(schema, name) {
                        self.value(field, value, &below(path, name));
                    }
                }
            }
            Value::Array(list) => self.list(schema, list, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => self.number(schema, number, path),
            _ => {}
        }
    }

    fn has_type(&mut self, schema: &Value, value: &Value, path: &str) -> bool {
        let Some(wanted) = schema["type"].as_str() else { return true };
        let is = match value {
            // Only built-in kinds ignore a null.
            Value::Null if self.wording == Wording::BuiltIn || schema["nullable"] == true => return false,
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() && wanted == "integer" => "number",
            Value::Number(_) => wanted_number(wanted),
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if is != wanted {
            let why = format!("{path} in body must be of type {wanted}: {is:?}");
            self.errors.push(FieldError::wrong_type(path, &Value::String(is.into()), &why));
        }
        is == wanted
    }

    /// Checks `oneOf`, `anyOf` and `not`. Without a fitting alternative, the errors of the first one follow.
    fn alternatives(&mut self, schema: &Value, value: &Value, path: &str) {
        for (keyword, count) in [("oneOf", "one and only one"), ("anyOf", "at least one")] {
            let Some(schemas) = schema[keyword].as_array() else { continue };
            let errors: Vec<Vec<FieldError>> =
                schemas.iter().map(|schema| self.errors_of(schema, value, path)).collect();
            let fitting = errors.iter().filter(|errors| errors.is_empty()).count();
            if fitting == 1 || (fitting > 1 && keyword == "anyOf") {
                continue;
            }
            let found = match (keyword, fitting) {
                ("anyOf", _) => String::new(),
                (_, 0) => ". Found none valid".to_owned(),
                (_, many) => format!(". Found {many} valid alternatives"),
            };
            let why = format!("{path:?} must validate {count} schema ({keyword}){found}");
            self.errors.push(FieldError::invalid("", &Value::from(""), &why));
            self.errors.extend(errors.into_iter().next().unwrap_or_default());
        }
        let excluded = schema.get("not").filter(|schema| schema.is_object());
        if excluded.is_some_and(|schema| self.errors_of(schema, value, path).is_empty()) {
            let why = format!("{path:?} must not validate the schema (not)");
            self.errors.push(FieldError::invalid("", &Value::from(""), &why));
        }
    }

    fn errors_of(&self, schema: &Value, value: &Value, path: &str) -> Vec<FieldError> {
        let mut validator = Self { wording: self.wording, errors: Vec::new() };
        validator.value(schema, value, path);
        validator.errors
    }

    fn choice(&mut self, schema: &Value, value: &Value, path: &str) {
        if let Some(choices) = schema["enum"].as_array()
            && !choices.contains(value)
        {
            self.errors.push(FieldError::unsupported(path, value, choices));
        }
    }

    fn list(&mut self, schema: &Value, list: &[Value], path: &str) {
        if let Some(least) = schema["minItems"].as_u64().filter(|least| (list.len() as u64) < *least) {
            self.errors.push(match self.wording {
                Wording::BuiltIn => FieldError::required(path, ""),
                Wording::OpenApi => FieldError::invalid(
                    path,
                    &Value::from(list.len()),
                    &format!("{path} in body should have at least {least} items"),
                ),
            });
        }
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| list.len() as u64 > *most) {
            self.errors.push(FieldError::too_many(path, list.len(), most));
        }
        let mut seen = BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let at = format!("{path}[{index}]");
            if list_kind(schema) != ListKind::Atomic
                && let Ok(edge) = item_edge(schema, item)
                && !seen.insert(edge)
            {
                self.errors.push(FieldError::duplicate(&at, &keys_of(schema, item)));
            }
            self.value(items(schema), item, &at);
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let value = || Value::String(text.to_owned());
        let length = text.chars().count() as u64;
        if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            let why = format!("{path} in body should be at least {least} chars long");
            self.errors.push(match self.wording {
                Wording::BuiltIn => FieldError::required(path, ""),
                Wording::OpenApi => FieldError::invalid(path, &value(), &why),
            });
            return;
        }
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            self.errors.push(FieldError::too_long(path, most));
            return;
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !matches(pattern, text)
        {
            let why = format!("{path} in body should match '{pattern}'");
            self.errors.push(FieldError::invalid(path, &value(), &why));
        }
        if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            let why = format!("{path} in body must be of type date-time: {text:?}");
            self.errors.push(FieldError::invalid(path, &value(), &why));
        }
        let is_family = match schema["format"].as_str() {
            Some("ipv4") => text.parse::<Ipv4Addr>().is_ok(),
            Some("ipv6") => text.parse::<Ipv6Addr>().is_ok(),
            _ => true,
        };
        if !is_family {
            let format = schema["format"].as_str().unwrap_or_default();
            let why = format!("{path} in body must be of type {format}: {text:?}");
            self.errors.push(FieldError::wrong_type(path, &value(), &why));
        }
    }

    fn number(&mut self, schema: &Value, number: &serde_json::Number, path: &str) {
        let is = number.as_f64().unwrap_or(0.0);
        let (least, most) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
        let low = least.filter(|least| is < *least as f64);
        let high = most.filter(|most| is > *most as f64);
        let why = match (self.wording, low, high) {
            (_, None, None) => return,
            (Wording::OpenApi, Some(least), _) => {
                format!("{path} in body should be greater than or equal to {least}")
            }
            (Wording::OpenApi, None, Some(most)) => {
                format!("{path} in body should be less than or equal to {most}")
            }
            (Wording::BuiltIn, ..) => match (least, most) {
                (Some(least), Some(most)) => format!("must be between {least} and {most}, inclusive"),
                (Some(least), None) => format!("must be greater than or equal to {least}"),
                (None, _) => format!("must be less than or equal to {}", most.unwrap_or_default()),
            },
        };
        self.errors.push(FieldError::invalid(path, &Value::Number(number.clone()), &why));
    }
}

fn wanted_number(wanted: &str) -> &'static str {
    if wanted == "integer" { "integer" } else { "number" }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Returns the keys of an item in the format of errors, or the item itself in a set.
fn keys_of(schema: &Value, item: &Value) -> Value {
    if list_kind(schema) == ListKind::Set {
        return item.clone();
    }
    list_keys(schema).filter_map(|key| Some((key.to_owned(), item.get(key)?.clone()))).collect()
}

/// Returns whether a text matches a pattern; an invalid pattern matches nothing.
pub fn matches(pattern: &str, text: &str) -> bool {
    matches_valid(pattern, text).unwrap_or(false)
}

/// Returns whether a text matches a pattern; `None` for an invalid pattern.
pub fn matches_valid(pattern: &str, text: &str) -> Option<bool> {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Option<Regex>>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        let regex = compiled.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
        regex.as_ref().map(|regex| regex.is_match(text))
    })
}

#[cfg(test)]
mod tests {
    use super::super::build::{Constrain, integer, keyed, object, string};
    use super::*;
    use serde_json::json;

    #[test]
    fn each_constraint_reports_its_requirement() {
        let item = object(&[("name", string().pattern("^[a-z]+$")), ("port", integer().range(1, 10))]);
        let schema =
            object(&[("list", keyed(item, &["name"]).count(1, 2)), ("mode", string().one_of(&["A", "B"]))])
                .required(&["mode", "list"]);
        let say = |value: Value| -> Vec<String> {
            let errors = field_errors(&schema, &value, Wording::OpenApi);
            errors.iter().map(|error| error.to_string()).collect()
        };
        assert_eq!(say(json!({})), ["mode: Required value", "list: Required value"]);
        assert_eq!(
            say(json!({"mode": "C", "list": [{"name": "a", "port": 0}, {"name": "a", "port": "x"}]})),
            [
                r#"mode: Unsupported value: "C": supported values: "A", "B""#,
                "list[0].port: Invalid value: 0: list[0].port in body should be greater than or equal to 1",
                r#"list[1]: Duplicate value: {"name":"a"}"#,
                r#"list[1].port: Invalid value: "string": list[1].port in body must be of type integer: "string""#,
            ]
        );
        assert!(say(json!({"mode": "A", "list": [{"name": "a"}]})).is_empty());
        assert_eq!(
            say(json!({"mode": null, "list": [{"name": "a"}]})),
            [r#"mode: Invalid value: "null": mode in body must be of type string: "null""#]
        );
    }
}
