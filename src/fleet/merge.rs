//! The settings of one environment of a fleet: `[defaults]`, with its own entry over them, field by field.

use crate::settings::parse::Document;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The settings that are no part of an environment's fingerprint: a digest of a secret could be guessed.
const SECRETS: [&[&str]; 2] = [&["certificate", "password"], &["certificate", "acme", "eab_key"]];

/// Merges the defaults with the entry of an environment. In every text, `{name}` is the environment's name, and
/// `{ring}` its ring.
pub fn merged(
    defaults: &Map<String, Value>,
    own: &Map<String, Value>,
    name: &str,
    ring: &str,
) -> Map<String, Value> {
    let mut values = Value::Object(defaults.clone());
    over(&mut values, &Value::Object(own.clone()));
    substitute(&mut values, name, ring);
    match values {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}

/// Puts the values of a table over those of another.
fn over(base: &mut Value, own: &Value) {
    match (base, own) {
        (Value::Object(base), Value::Object(own)) => {
            for (key, value) in own {
                match base.get_mut(key) {
                    Some(existing) => over(existing, value),
                    None => drop(base.insert(key.clone(), value.clone())),
                }
            }
        }
        (base, own) => *base = own.clone(),
    }
}

fn substitute(value: &mut Value, name: &str, ring: &str) {
    match value {
        Value::String(text) if text.contains('{') => {
            *text = text.replace("{name}", name).replace("{ring}", ring);
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| substitute(value, name, ring)),
        Value::Array(items) => items.iter_mut().for_each(|value| substitute(value, name, ring)),
        _ => {}
    }
}

/// Returns the lines of the merged settings: those of the environment's entry over those of the defaults.
pub fn lines(document: &Document, entry: &str) -> BTreeMap<String, usize> {
    let below = |prefix: String| {
        let lines = document.lines.range(prefix.clone()..);
        lines
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .filter_map(|(key, line)| Some((key.split_once('.')?.1.to_owned(), *line)))
    };
    below("defaults.".to_owned()).chain(below(format!("{entry}."))).collect()
}

/// Returns the settings that the environment's own entry contains.
pub fn keys(document: &Document, entry: &str) -> BTreeSet<String> {
    let prefix = format!("{entry}.");
    let keys = document.lines.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    keys.filter_map(|(key, _)| key.strip_prefix(&prefix).map(str::to_owned)).collect()
}

/// Returns a digest of the settings without their secrets, by which a later run recognises that nothing has changed.
pub fn fingerprint(values: &Map<String, Value>) -> String {
    let mut values = values.clone();
    // The place of the journal says nothing about the environment.
    values.shift_remove("state");
    let mut values = Value::Object(values);
    for path in SECRETS {
        let Some((last, tables)) = path.split_last() else { continue };
        let table = tables.iter().try_fold(&mut values, |table, key| table.get_mut(key));
        if let Some(Value::Object(table)) = table {
            table.shift_remove(*last);
        }
    }
    values.sort_all_objects();
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, values.to_string().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_environments_fields_replace_those_of_the_defaults() {
        let defaults = object(json!({
            "domain": "{name}.example.com", "cluster": { "nodes": 2, "name": "aks-{name}-{ring}" }, "tags": { "Team": "web" }
        }));
        let own = object(json!({ "cluster": { "nodes": 5 }, "tags": { "Tier": "{braces}" } }));
        assert_eq!(
            Value::Object(merged(&defaults, &own, "shop", "canary")),
            json!({
                "domain": "shop.example.com", "cluster": { "nodes": 5, "name": "aks-shop-canary" },
                "tags": { "Team": "web", "Tier": "{braces}" }
            })
        );
    }

    #[test]
    fn a_fingerprint_ignores_order_and_secrets() {
        let one = object(json!({ "domain": "a", "certificate": { "name": "c", "password": "planted" } }));
        let same = object(json!({ "certificate": { "password": "other", "name": "c" }, "domain": "a" }));
        let other = object(json!({ "domain": "b", "certificate": { "name": "c" } }));
        assert_eq!(fingerprint(&one), fingerprint(&same));
        assert_ne!(fingerprint(&one), fingerprint(&other));
    }
}
