//! Computed cells of pods: the ready containers, and the status.

use serde_json::{Value, json};

use super::age;
use super::cell::{NONE, each, or_none, text};
use crate::clock::SimTime;

/// Returns the cell with that name.
pub(super) fn cell(what: &str, pod: &Value, now: SimTime) -> Value {
    match what {
        "ready" => {
            let ready = each(pod, "/status/containerStatuses").filter(|status| status["ready"] == true);
            json!(format!("{}/{}", ready.count(), each(pod, "/spec/containers").count()))
        }
        "restarts" => restarts(pod, now),
        "ip" => or_none(pod, "/status/podIP"),
        "node" => or_none(pod, "/spec/nodeName"),
        "nominated" => or_none(pod, "/status/nominatedNodeName"),
        "gates" => gates(pod),
        _ => json!(status(pod)),
    }
}

/// Returns the status: `Terminating` during a deletion, else the reason of the last container that has one,
/// else the phase.
fn status(pod: &Value) -> String {
    if !text(pod, "/metadata/deletionTimestamp").is_empty() {
        return "Terminating".to_owned();
    }
    let mut word = text(pod, "/status/phase").to_owned();
    if let reason @ ("Evicted" | "NodeLost" | "Shutdown") = text(pod, "/status/reason") {
        word = reason.to_owned();
    }
    let initialising = each(pod, "/status/initContainerStatuses").enumerate().find_map(|(index, status)| {
        let done = status["state"]["terminated"]["exitCode"] == 0;
        (!done).then(|| match reason(status) {
            "" | "PodInitializing" => {
                format!("Init:{index}/{}", each(pod, "/spec/initContainers").count())
            }
            reason => format!("Init:{reason}"),
        })
    });
    if let Some(word) = initialising {
        return word;
    }
    for status in each(pod, "/status/containerStatuses").rev() {
        match reason(status) {
            "" => {}
            reason => word = reason.to_owned(),
        }
    }
    let runs = each(pod, "/status/containerStatuses").any(|status| status["state"]["running"].is_object());
    if word == "Completed" && runs { "Running".to_owned() } else { word }
}

fn reason(status: &Value) -> &str {
    match text(status, "/state/waiting/reason") {
        "" => text(status, "/state/terminated/reason"),
        waiting => waiting,
    }
}

fn restarts(pod: &Value, now: SimTime) -> Value {
    let count: i64 =
        each(pod, "/status/containerStatuses").filter_map(|status| status["restartCount"].as_i64()).sum();
    let last = each(pod, "/status/containerStatuses")
        .map(|status| text(status, "/lastState/terminated/finishedAt"))
        .filter(|time| !time.is_empty())
        .max();
    match last {
        Some(time) if count > 0 => json!(format!("{count} ({} ago)", age(time, now))),
        _ => json!(count.to_string()),
    }
}

fn gates(pod: &Value) -> Value {
    let gates: Vec<&str> =
        each(pod, "/spec/readinessGates").map(|gate| text(gate, "/conditionType")).collect();
    if gates.is_empty() {
        return json!(NONE);
    }
    let holds = |gate: &&&str| {
        each(pod, "/status/conditions").any(|line| line["type"] == **gate && line["status"] == "True")
    };
    json!(format!("{}/{}", gates.iter().filter(holds).count(), gates.len()))
}
