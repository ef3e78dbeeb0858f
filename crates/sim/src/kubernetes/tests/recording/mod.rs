//! The contract test of the API server: a recording of a real kube-apiserver 1.36 is sent to a cluster, request
//! by request, and each answer is compared with the recorded one.
//!
//! The recording is not part of this repository; without it the test is skipped. `peculiarities` lists the
//! differences that a simulated AKS cluster has on purpose.

mod compare;
mod normalize;
mod peculiarities;

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::kubernetes::dispatch::serve;
use crate::kubernetes::fixture::{Cluster, T0};
use crate::kubernetes::status::unauthorized;
use crate::request::{Reply, Request};

/// The number of equal answers, which may only rise.
const EQUAL_LEAST: usize = 323;

const RECORDING: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/kube-apiserver-recording.jsonl");

#[test]
fn recorded_requests_get_the_answers_of_a_real_api_server() {
    let Ok(recording) = std::fs::read_to_string(Path::new(RECORDING)) else {
        println!("skipped: {RECORDING} does not exist");
        return;
    };
    let mut cluster = recorded_cluster();
    let (mut compared, mut equal) = (0, 0);
    let mut wrongly_accepted = Vec::new();
    for line in recording.lines() {
        let recorded: Value = serde_json::from_str(line).expect("the recording is JSON lines");
        let reply = send(&mut cluster, &recorded);
        let answer = &recorded["answer"];
        if answer.is_null() {
            continue;
        }
        let label = format!("{} {}", recorded["n"], recorded["name"].as_str().unwrap_or_default());
        if answer["status"].as_u64() >= Some(400) && reply.status.as_u16() < 400 {
            wrongly_accepted.push(label.clone());
        }
        if normalize::is_shortened(&answer["body"]) {
            continue;
        }
        compared += 1;
        let differences = compare::differences(&reply, answer);
        if differences.is_empty() {
            equal += 1;
            continue;
        }
        let number = recorded["n"].as_u64().unwrap_or_default();
        match peculiarities::reason(number) {
            Some(reason) => println!("{label}: {reason}"),
            None => println!("{label}: {}", differences.join("\n    ")),
        }
    }
    let different = compared - equal;
    println!("compared {compared}, equal {equal}, different {different}");
    println!("accepted although the real one rejects: {wrongly_accepted:?}");
    assert!(equal >= EQUAL_LEAST, "only {equal} answers are equal, of {EQUAL_LEAST}");
    assert!(wrongly_accepted.is_empty(), "accepted, although a real server refuses it: {wrongly_accepted:?}");
}

/// Creates the cluster of the recording: the custom kinds, the initial namespaces, no controllers.
fn recorded_cluster() -> Cluster {
    let mut cluster = Cluster::new();
    for name in ["default", "kube-system"] {
        cluster.store.put("namespaces", json!({"metadata": {"name": name}}), "boot", T0);
    }
    cluster
}

fn send(cluster: &mut Cluster, recorded: &Value) -> Reply {
    let text = |name: &str| recorded[name].as_str().unwrap_or_default();
    let method: Method = text("method").parse().expect("a recorded method");
    let mut request = Request::new(method, "c", text("path")).with_header("user-agent", "landfall");
    if recorded["content_type"].is_string() {
        request = request.with_header("content-type", text("content_type"));
    }
    for (name, header) in [("Accept", "accept"), ("Authorization", "authorization")] {
        if let Some(value) = recorded["headers"][name].as_str() {
            request = request.with_header(header, value);
        }
    }
    // The front end answers unknown tokens before the API server.
    if request.header("authorization").is_some() {
        return unauthorized();
    }
    request.body = match &recorded["body"] {
        Value::Null => Bytes::new(),
        Value::String(text) => Bytes::from(text.clone()),
        body => Bytes::from(normalize::expanded(body).to_string()),
    };
    // Nothing works in the recorded cluster: no time passes in which a controller could act.
    serve(&mut cluster.store, &request, "dev", cluster.now).reply
}
