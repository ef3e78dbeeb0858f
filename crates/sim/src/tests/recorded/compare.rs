//! Comparison of an answer with the recorded one: status, error code, and the fields that it has.

use std::collections::BTreeSet;

use serde_json::Value;

use super::row::Row;
use crate::request::Reply;
use crate::test_cloud;

/// The result for one request.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) place: String,
    pub(super) statuses: (u16, u16),
    pub(super) codes: (String, String),
    /// The message of our error.
    pub(super) message: String,
    pub(super) fields: usize,
    pub(super) missing: Vec<String>,
}

impl Comparison {
    /// Compares a reply; `None` if the recorded answer is withheld.
    ///
    /// `is_own` returns whether a listed resource is of the recording: those of others are unknown here.
    pub(super) fn of(row: &Row, reply: &Reply, is_own: impl Fn(&Value) -> bool) -> Option<Self> {
        let status = row.status?;
        let mut recorded = row.answer.clone();
        if let Some(listed) = recorded.get_mut("value").and_then(Value::as_array_mut) {
            listed.retain(is_own);
        }
        let own = if reply.body.is_empty() { Value::Null } else { reply.value() };
        let code = if reply.status.is_success() { String::new() } else { test_cloud::code(reply) };
        let (theirs, ours) = (fields(&recorded), fields(&own));
        Some(Self {
            place: row.place(),
            statuses: (status, reply.status.as_u16()),
            codes: (row.code().to_owned(), code),
            message: message(&own).to_owned(),
            fields: theirs.len(),
            missing: theirs.difference(&ours).cloned().collect(),
        })
    }

    pub(super) fn has_status(&self) -> bool {
        self.statuses.0 == self.statuses.1
    }

    pub(super) fn has_code(&self) -> bool {
        self.codes.0 == self.codes.1
    }
}

fn message(body: &Value) -> &str {
    let error = if body["error"].is_object() { &body["error"] } else { body };
    error["message"].as_str().unwrap_or_default()
}

/// Returns the paths of all fields of a value; the elements of a list count as one.
pub(super) fn fields(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if map.contains_key("text_of_length") || map.contains_key("left_out") => {}
        Value::Object(map) => {
            for (name, value) in map {
                let name = if is_version(name) { "*" } else { name };
                let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
                collect(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|one| collect(one, &format!("{at}[]"), found)),
        _ => {}
    }
}

/// Returns whether a field is named after a version, such as `1.34.3`.
fn is_version(name: &str) -> bool {
    name.contains('.') && name.chars().all(|letter| letter.is_ascii_digit() || letter == '.')
}
