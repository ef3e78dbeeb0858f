//! Computed cells, by the name in their path: the part before the dot selects the kind.

use serde_json::{Value, json};

use super::{age, batch, network, pod, storage, workload};
use crate::clock::SimTime;

/// The text of an empty cell.
pub(super) const NONE: &str = "<none>";

/// Returns the cell with that name.
pub(super) fn cell(what: &str, object: &Value, now: SimTime) -> Value {
    match what.split_once('.').unwrap_or((what, "")) {
        ("pod", what) => pod::cell(what, object, now),
        ("node", what) => network::node(what, object),
        ("service", what) => network::service(what, object),
        ("endpoints", what) => network::endpoints(what, object),
        ("slice", what) => network::slice(what, object),
        ("event", what) => event(what, object, now),
        ("scaler", what) => workload::autoscaler(what, object),
        ("budget", what) => workload::budget(what, object),
        ("job", what) => batch::job(what, object, now),
        ("cron", what) => batch::cron_job(what, object, now),
        ("volume", what) => storage::volume(what, object),
        ("quota", what) => storage::quota(what, object),
        ("ingress", what) => network::ingress(what, object),
        ("policy", _) => workload::selector(&object["spec"]["podSelector"]),
        ("webhooks", _) => json!(each(object, "/webhooks").count()),
        ("data", what) => data(what, object),
        ("binding", what) => binding(what, object),
        ("created", _) => object["metadata"]["creationTimestamp"].clone(),
        (_, what) => workload::cell(what, object),
    }
}

/// Joins texts with commas; `<none>` if there are none.
pub(super) fn joined<I: IntoIterator<Item = String>>(texts: I) -> Value {
    let all = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(",");
    json!(if all.is_empty() { NONE.to_owned() } else { all })
}

/// Returns labels in selector format, ordered by key.
pub(super) fn labels(labels: &Value) -> Value {
    let mut pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    joined(pairs)
}

/// Returns the items of a list; none if there is no list.
pub(super) fn each<'v>(object: &'v Value, pointer: &str) -> impl DoubleEndedIterator<Item = &'v Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Returns a text; empty if there is none.
pub(super) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns a text; `<none>` if there is none.
pub(super) fn or_none(object: &Value, pointer: &str) -> Value {
    joined([text(object, pointer).to_owned()])
}

fn data(what: &str, object: &Value) -> Value {
    let count = |field: &str| match &object[field] {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    match what {
        "accounts" => json!(count("secrets")),
        _ => json!(count("data") + count("binaryData")),
    }
}

fn event(what: &str, object: &Value, now: SimTime) -> Value {
    let time = |fields: &[&str]| {
        let first = fields.iter().map(|field| text(object, field)).find(|time| !time.is_empty());
        json!(first.map_or_else(|| "<unknown>".to_owned(), |time| age(time, now)))
    };
    match what {
        "last" => time(&["/series/lastObservedTime", "/lastTimestamp", "/firstTimestamp", "/eventTime"]),
        "first" => time(&["/firstTimestamp", "/eventTime"]),
        "count" => json!(object["series"]["count"].as_i64().or(object["count"].as_i64()).unwrap_or(1).max(1)),
        "source" => {
            let source = &object["source"];
            let parts = [&source["component"], &source["host"]];
            json!(parts.iter().filter_map(|part| part.as_str()).collect::<Vec<_>>().join(", "))
        }
        "message" => json!(text(object, "/message").trim()),
        _ => {
            let kind = text(object, "/involvedObject/kind").to_lowercase();
            json!(format!("{kind}/{}", text(object, "/involvedObject/name")))
        }
    }
}

fn binding(what: &str, object: &Value) -> Value {
    let subjects = |kind: &str| {
        joined(each(object, "/subjects").filter(|subject| subject["kind"] == *kind).map(
            |subject| match text(subject, "/namespace") {
                "" => text(subject, "/name").to_owned(),
                namespace => format!("{namespace}/{}", text(subject, "/name")),
            },
        ))
    };
    match what {
        "role" => json!(format!("{}/{}", text(object, "/roleRef/kind"), text(object, "/roleRef/name"))),
        other => match subjects(other) {
            // kubectl shows an empty cell here, not `<none>`.
            Value::String(none) if none == NONE => json!(""),
            found => found,
        },
    }
}
