//! Facts about the answers of Azure that hold without the recordings: requests with the status, the error and
//! the fields of their answers, in `tests/fixtures`. Requests without a status are sent too, but their answers are unknown.

use serde_json::{Value, json};

use super::classify::Versions;
use super::compare;
use super::row::Row;
use super::session;
use crate::arm::id;

/// Replays the facts of a file.
fn check(text: &str) {
    let facts: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a fact")).collect();
    let rows: Vec<Row> = facts.iter().zip(0..).map(|(fact, n)| Row::of_fact(fact, n)).collect();
    for recording in rows.chunk_by(|one, next| one.recording == next.recording) {
        session::replay(recording, Versions::Newest, |row, reply| {
            let fact = &facts[usize::try_from(row.n).expect("a small number")];
            let Some(status) = fact["status"].as_u64() else { return };
            let answer = if reply.body.is_empty() { Value::Null } else { reply.value() };
            assert_eq!(u64::from(reply.status.as_u16()), status, "{} {answer}", row.place());
            compare(&answer, fact);
        });
    }
}

#[test]
fn facts_about_dns_hold() {
    check(include_str!("../../../tests/fixtures/dns-recording.jsonl"));
}

#[test]
fn facts_about_other_services_hold() {
    check(include_str!("../../../tests/fixtures/azure-facts.jsonl"));
}

/// Compares an answer with the facts of the one of Azure.
fn compare(answer: &Value, fact: &Value) {
    let at = &fact["path"];
    let known = compare::fields(answer);
    for field in fact["has"].as_array().into_iter().flatten() {
        assert!(known.contains(field.as_str().unwrap_or_default()), "{at} has no {field}: {answer}");
    }
    if fact["code"].is_string() {
        let error = if answer["error"].is_object() { &answer["error"] } else { answer };
        assert_eq!(error["code"], fact["code"], "{at}");
        let message = error["message"].as_str().unwrap_or_default();
        let (before, _) = message.split_once(" in resource group").unwrap_or((message, ""));
        assert!(fact["message"].as_str().is_none_or(|known| known.starts_with(before)), "{message}");
    }
    if let Some(listed) = fact["lists"].as_array() {
        let sets = answer["value"].as_array().unwrap().iter();
        let sets = sets.map(|set| {
            json!(format!("{}/{}", id::name(set["type"].as_str().unwrap()), set["name"].as_str().unwrap()))
        });
        assert_eq!(&sets.collect::<Vec<Value>>(), listed, "{at}");
    }
    if fact["properties"].is_object() {
        let mut properties = answer["properties"].clone();
        let map = properties.as_object_mut().unwrap();
        map.remove("nameServers");
        if let Some(soa) = map.get_mut("SOARecord").and_then(Value::as_object_mut) {
            soa.remove("host");
        }
        if let (true, Some(servers)) = (fact["properties"]["NSRecords"].is_u64(), map.get_mut("NSRecords")) {
            // The recorded name servers are those of another cloud: those of a zone stay, others are added.
            *servers = json!(servers.as_array().unwrap().len().min(4));
        }
        assert_eq!(properties, fact["properties"], "{at}");
        let mut fields: Vec<&String> =
            answer.as_object().unwrap().keys().filter(|name| *name != "properties").collect();
        fields.sort();
        assert_eq!(json!(fields), fact["fields"], "{at}");
    }
}
