//! The status of a pod and of its containers, as the kubelet writes it.

use serde_json::{Value, json};

use super::image_reference;
use crate::aks::condition::{self, Condition};
use crate::aks::object::{hash, is_ending, list, number, text, uid};
use crate::aks::reconcile_context::ReconcileContext;

/// The condition types of every pod, with their status once the containers run.
pub(super) const STAGES: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Returns a status in which the named conditions are true, since now or since their last transition.
pub(super) fn status(cx: &ReconcileContext<'_>, pod: &Value, phase: &str, holding: &[&str]) -> Value {
    let running = phase == "Running";
    let mut conditions = list(pod, "/status/conditions").to_vec();
    for stage in STAGES {
        let condition = if holding.contains(&stage)
            || (stage == "Initialized" && list(pod, "/spec/initContainers").is_empty())
        {
            Condition::yes(stage, "", "")
        } else if matches!(stage, "Ready" | "ContainersReady") {
            let names: Vec<&str> = list(pod, "/spec/containers").iter().map(|c| text(c, "/name")).collect();
            let message = format!("containers with unready status: [{}]", names.join(" "));
            Condition::no(stage, "ContainersNotReady", message)
        } else {
            Condition::no(stage, "", "")
        };
        condition::set(&mut conditions, &condition, "lastProbeTime", cx.at);
    }
    let containers: Vec<Value> = list(pod, "/spec/containers")
        .iter()
        .map(|container| container_status(cx, pod, container, running))
        .collect();
    let mut status = json!({"phase": phase, "conditions": conditions, "containerStatuses": containers, "qosClass": qos_class(pod)});
    if !list(pod, "/spec/initContainers").is_empty() {
        let inits = list(pod, "/spec/initContainers").iter().map(|container| match running {
            true => finished_status(cx, pod, container),
            false => container_status(cx, pod, container, false),
        });
        status["initContainerStatuses"] = json!(inits.collect::<Vec<_>>());
    }
    status
}

/// Returns a status with the phase that follows from its containers.
pub(super) fn with_phase(pod: &Value, mut status: Value) -> Value {
    let code = |line: &Value| number(line, "/state/terminated/exitCode");
    let failed_init = list(&status, "/initContainerStatuses").iter().any(|line| code(line).is_some_and(|code| code != 0));
    let codes: Option<Vec<i64>> = list(&status, "/containerStatuses").iter().map(code).collect();
    let ended = match codes {
        _ if failed_init => Some("Failed"),
        Some(codes) if codes.iter().all(|code| *code == 0) => Some("Succeeded"),
        Some(_) => Some("Failed"),
        None => None,
    };
    // A deleted pod ends with its running containers; others never start.
    let is_interrupted = is_ending(pod)
        && !list(&status, "/containerStatuses").iter().any(|line| line["state"]["running"].is_object())
        && !list(&status, "/initContainerStatuses").iter().any(|line| line["state"]["running"].is_object());
    if let Some(phase) = ended.or(is_interrupted.then_some("Failed")) {
        status["phase"] = json!(phase);
    }
    status
}

/// Returns a status with the conditions that follow from its phase and its containers.
pub(super) fn with_readiness(cx: &ReconcileContext<'_>, pod: &Value, mut status: Value) -> Value {
    let mut conditions = list(&status, "/conditions").to_vec();
    let unready: Vec<&str> = list(&status, "/containerStatuses")
        .iter()
        .filter(|line| line["ready"] != json!(true))
        .map(|line| text(line, "/name"))
        .collect();
    let reason = match text(&status, "/phase") {
        "Succeeded" => "PodCompleted",
        "Failed" => "PodFailed",
        _ => "ContainersNotReady",
    };
    let is_over = reason != "ContainersNotReady";
    let message =
        if is_over { String::new() } else { format!("containers with unready status: [{}]", unready.join(" ")) };
    for kind in ["Ready", "ContainersReady"] {
        let condition = match unready.is_empty() && !is_over {
            true => Condition::yes(kind, "", ""),
            false => Condition::no(kind, reason, message.clone()),
        };
        condition::set(&mut conditions, &condition, "lastProbeTime", cx.at);
    }
    if is_over {
        condition::set(&mut conditions, &Condition::no(STAGES[0], "", ""), "lastProbeTime", cx.at);
    } else if text(&status, "/phase") == "Running" || list(pod, "/spec/initContainers").is_empty() {
        condition::set(&mut conditions, &Condition::yes("Initialized", "", ""), "lastProbeTime", cx.at);
    }
    status["conditions"] = json!(conditions);
    status
}

/// Returns the status of a container that runs, or that waits for its creation.
pub(super) fn container_status(cx: &ReconcileContext<'_>, pod: &Value, container: &Value, running: bool) -> Value {
    let reference = text(container, "/image");
    let state = if running {
        json!({"running": {"startedAt": cx.at.rfc3339()}})
    } else {
        json!({"waiting": {"reason": "ContainerCreating"}})
    };
    let mut status = json!({
        "name": text(container, "/name"),
        "image": if running { image_reference::with_tag(reference) } else { reference.to_owned() },
        "imageID": "",
        "ready": running,
        "started": running,
        "restartCount": 0,
        "state": state,
        "lastState": {},
    });
    if running {
        status["imageID"] = json!(image_id(reference));
        status["containerID"] = json!(container_id(pod, container));
    }
    status
}

fn finished_status(cx: &ReconcileContext<'_>, pod: &Value, container: &Value) -> Value {
    let mut status = container_status(cx, pod, container, true);
    let now = cx.at.rfc3339();
    status["started"] = json!(false);
    status["state"] =
        json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}});
    status
}

fn image_id(reference: &str) -> String {
    let repository = reference.split('@').next().unwrap_or(reference);
    let (first, second) = (hash(reference), hash(&format!("{reference}#")));
    format!("{repository}@sha256:{first:016x}{second:016x}{:016x}{:016x}", !first, !second)
}

fn container_id(pod: &Value, container: &Value) -> String {
    let key = format!("{}/{}", uid(pod), text(container, "/name"));
    let (first, second) = (hash(&key), hash(&format!("{key}#")));
    format!("containerd://{first:016x}{second:016x}{:016x}{:016x}", !first, !second)
}

fn qos_class(pod: &Value) -> &'static str {
    let has = |container: &Value, what: &str| container.pointer(what).is_some_and(Value::is_object);
    let containers = list(pod, "/spec/containers");
    if containers
        .iter()
        .all(|c| has(c, "/resources/limits") && c["resources"]["limits"] == c["resources"]["requests"])
    {
        "Guaranteed"
    } else if containers.iter().any(|c| has(c, "/resources/limits") || has(c, "/resources/requests")) {
        "Burstable"
    } else {
        "BestEffort"
    }
}
