//! Comparison of an answer with the recorded one.

use serde_json::Value;

use super::normalize::normalized;
use crate::request::Reply;

/// The number of differences that are described.
const SHOWN_MAX: usize = 4;
/// The length of a described value.
const VALUE_MAX: usize = 700;

/// Returns the first differences between an answer and the recorded one; empty if they are equal.
pub fn differences(reply: &Reply, recorded: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let status = Value::from(reply.status.as_u16());
    if status != recorded["status"] {
        found.push(format!("status: {status}, recorded {}", recorded["status"]));
    }
    let media_type = reply.headers.get("content-type").and_then(|value| value.to_str().ok());
    let is_yaml = recorded["content_type"] == "application/yaml";
    let body = body(&reply.body, media_type.unwrap_or_default());
    let expected = match &recorded["body"] {
        Value::String(text) if is_yaml => serde_saphyr::from_str(text).unwrap_or_default(),
        other => other.clone(),
    };
    let warnings = reply.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok());
    let warnings = warnings.collect::<Vec<_>>().join(", ");
    let recorded_warnings = recorded["warning"].as_str().unwrap_or_default();
    if warnings != recorded_warnings {
        found.push(format!("warning: {warnings:?}, recorded {recorded_warnings:?}"));
    }
    compare(&normalized(&body), &normalized(&expected), "", &mut found);
    found.truncate(SHOWN_MAX);
    found
}

fn body(bytes: &[u8], media_type: &str) -> Value {
    let text = String::from_utf8_lossy(bytes);
    match media_type {
        "application/yaml" => serde_saphyr::from_str(&text).unwrap_or_default(),
        _ => serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text)),
    }
}

fn compare(is: &Value, recorded: &Value, path: &str, found: &mut Vec<String>) {
    if found.len() >= SHOWN_MAX || is == recorded {
        return;
    }
    match (is, recorded) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in right {
                match left.get(name) {
                    Some(is) => compare(is, value, &format!("{path}.{name}"), found),
                    None => found.push(format!("{path}.{name}: absent, recorded {}", short(value))),
                }
            }
            for (name, value) in left.iter().filter(|(name, _)| !right.contains_key(*name)) {
                found.push(format!("{path}.{name}: {}, recorded nothing", short(value)));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(left, right, &format!("{path}[{index}]"), found);
            }
        }
        _ => found.push(format!("{path}: {}\n       recorded: {}", short(is), short(recorded))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
