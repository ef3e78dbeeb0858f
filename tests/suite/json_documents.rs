//! The structure of all JSON that scripts read: keys, types, and the words of closed sets. A rename in the
//! code must not change it.

use crate::{environment::TestEnvironment, screens::settings};
use serde_json::Value;
use std::collections::BTreeSet;

/// Keys whose string values are a closed set that scripts compare with.
const CLOSED: [&str; 9] = ["event", "how", "outcome", "residue", "state", "action", "check", "entry", "kind"];

/// Collects the paths of a document with their types: `steps[].owned: bool`.
fn paths(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    let name = |kind: &str| format!("{path}: {kind}");
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                // A gateway has sockets if its ports are taken, or reserved for root.
                if key == "sockets" {
                    continue;
                }
                // Which parts an activity has depends on the time that a wait took.
                if key == "activity" {
                    into.insert(format!("{path}.{key}: object"));
                    continue;
                }
                paths(field, &format!("{path}.{key}"), into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{path}[]"), into)),
        Value::String(text) => {
            let key = path.rsplit('.').next().unwrap_or_default();
            into.insert(if CLOSED.contains(&key) { format!("{path} = {text}") } else { name("string") });
        }
        Value::Number(_) => drop(into.insert(name("number"))),
        Value::Bool(_) => drop(into.insert(name("bool"))),
        Value::Null => drop(into.insert(name("null"))),
    }
}

/// Formats one block per command, a line per path; documents with different names get separate blocks.
fn shape<'a>(title: &str, name: &str, documents: impl IntoIterator<Item = &'a Value>) -> String {
    let mut lines = BTreeSet::new();
    for document in documents {
        let kind = document[name].as_str().unwrap_or_default();
        paths(document, kind, &mut lines);
    }
    let lines: Vec<String> = lines.into_iter().map(|line| format!("  {line}")).collect();
    format!("{title}\n{}\n", lines.join("\n"))
}

#[test]
fn every_document_and_every_event_has_the_documented_keys() {
    let env = TestEnvironment::instant();
    let mut blocks = Vec::new();
    let mut run = |title: &str, code: i32, arguments: &[&str]| {
        let output = env.expect(code, arguments);
        let lines: Vec<Value> = match serde_json::from_str(&output.stdout) {
            Ok(document) => vec![document],
            Err(_) => output.events(),
        };
        blocks.push(shape(title, "event", &lines));
    };
    run("plan, nothing is there", 0, &["plan", "--format", "json"]);
    let size = ["--node-size", "Standard_D99_nope", "--skip-preflight", "node-size"];
    run("up that fails", 3, &[&["up", "--format", "json"][..], &size].concat());
    run("doctor with a finding", 1, &["doctor", "--format", "json"]);
    run(
        "up under a fault that passes",
        0,
        &["up", "--format", "json", "--fault", "throttled@PATCH /kubernetes/*2"],
    );
    run("plan with changes", 0, &["plan", "--canary", "50/50", "--format", "json"]);
    run("status", 0, &["status", "--format", "json"]);
    run("status --live", 0, &["status", "--live", "--format", "json"]);
    run("verify", 0, &["verify", "--format", "json"]);
    run("doctor", 0, &["doctor", "--format", "json"]);
    run("rotate", 0, &["rotate", "--format", "json"]);
    run("down", 0, &["down", "--yes", "--format", "json"]);
    run("status afterwards", 0, &["status", "--format", "json"]);
    blocks.push(shape("the journal", "entry", &env.journal()));
    settings().bind(|| insta::assert_snapshot!("json_documents", blocks.join("\n")));
}
