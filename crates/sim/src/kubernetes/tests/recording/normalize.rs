//! Normalization of answers: the values that the recording lacks, and those that no two servers share.

use regex_lite::Regex;
use serde_json::{Map, Value, json};

const UID: &str = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";

/// Fields with values that differ between any two servers.
const VOLATILE: [&str; 10] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "lastTransitionTime",
    "time",
    "continue",
    "remainingItemCount",
    "selfLink",
    "storageVersionHash",
];

/// Returns an answer without volatile values; both answers of a comparison are normalized.
///
/// The recording lacks the status of objects and its owners, and lists the owners of fields by name.
pub fn normalized(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, _)| !VOLATILE.contains(&name.as_str()));
            let mut kept: Map<String, Value> =
                kept.map(|(name, value)| (name.clone(), normalized(value))).collect();
            for name in ["clusterIP", "clusterIPs"] {
                kept.entry(name).and_modify(hide_address);
            }
            kept.entry("nodePort").and_modify(|port| *port = json!("N"));
            kept.entry("managedFields").and_modify(sort_owners);
            match kept.get("kind").and_then(Value::as_str) {
                Some("Table") => hide_ages_and_documentation(&mut kept),
                // A real server lists custom resources in the order of a hash map.
                Some("APIResourceList") => drop(kept.entry("resources").and_modify(sort_by_name)),
                None | Some("Status" | "Scale") => {}
                Some(_) => drop(kept.shift_remove("status")),
            }
            Value::Object(kept)
        }
        Value::Array(list) => list.iter().map(normalized).collect(),
        Value::String(text) => json!(matched(UID).replace_all(text, "UID")),
        other => other.clone(),
    }
}

fn matched(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

fn hide_address(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(hide_address),
        Value::String(text) if text == "None" || text.parse::<std::net::IpAddr>().is_ok() => {
            *value = json!("IP");
        }
        _ => {}
    }
}

fn sort_owners(owners: &mut Value) {
    let key = |owner: &Value| {
        let text = |name: &str| owner[name].as_str().unwrap_or_default().to_owned();
        (text("manager"), text("operation"), text("subresource"))
    };
    if let Some(owners) = owners.as_array_mut() {
        owners.retain(|owner| owner["subresource"] != "status");
        owners.sort_by_key(key);
    }
}

fn sort_by_name(items: &mut Value) {
    if let Some(items) = items.as_array_mut() {
        items.sort_by_key(|item| item["name"].as_str().unwrap_or_default().to_owned());
    }
}

/// Removes what a table adds: ages, which pass, and the documentation of its columns.
fn hide_ages_and_documentation(table: &mut Map<String, Value>) {
    let items = |value: Option<&mut Value>| value.and_then(Value::as_array_mut).map(std::mem::take);
    let mut columns = items(table.get_mut("columnDefinitions")).unwrap_or_default();
    for column in &mut columns {
        column.as_object_mut().map(|column| column.shift_remove("description"));
    }
    let age = columns.iter().position(|column| column["name"] == "Age");
    let mut rows = items(table.get_mut("rows")).unwrap_or_default();
    for row in &mut rows {
        if let Some(cell) = age.and_then(|age| row["cells"].get_mut(age)) {
            *cell = json!("AGE");
        }
    }
    table.insert("columnDefinitions".into(), Value::Array(columns));
    table.insert("rows".into(), Value::Array(rows));
}

/// Returns whether the recording contains only the beginning and the length of a text in a value.
pub fn is_shortened(value: &Value) -> bool {
    match value {
        Value::Object(map) => is_short_text(map) || map.values().any(is_shortened),
        Value::Array(list) => list.iter().any(is_shortened),
        _ => false,
    }
}

fn is_short_text(map: &Map<String, Value>) -> bool {
    map.contains_key("repeat") && map.contains_key("length")
}

/// Returns a request body with its shortened texts at their full length.
pub fn expanded(value: &Value) -> Value {
    match value {
        Value::Object(map) if is_short_text(map) => {
            let length = map["length"].as_u64().and_then(|length| usize::try_from(length).ok());
            let text = map["repeat"].as_str().unwrap_or_default();
            json!(text.chars().cycle().take(length.unwrap_or(0)).collect::<String>())
        }
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), expanded(value))).collect(),
        Value::Array(list) => list.iter().map(expanded).collect(),
        other => other.clone(),
    }
}
