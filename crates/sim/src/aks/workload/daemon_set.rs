//! The DaemonSet controller: one pod on each node.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{MANAGER, pod};
use crate::aks::condition;
use crate::aks::object::{generation, is_ending, list, name, text};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};

const DAEMON_SETS: &str = "daemonsets.apps";

/// Reconciles all DaemonSets.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    let nodes = cx.all("nodes");
    for set in cx.all(DAEMON_SETS) {
        if !is_ending(&set) {
            reconcile(cx, &set, &nodes);
        }
    }
}

fn reconcile(cx: &mut ReconcileContext<'_>, set: &Value, nodes: &[Arc<Value>]) {
    let mut pods = cx.owned("pods", set);
    pods.retain(|pod| !is_ending(pod));
    for pod in &pods {
        let images = |object: &Value, containers: &str| -> Vec<Value> {
            list(object, containers).iter().map(|container| container["image"].clone()).collect()
        };
        let outdated = images(pod, "/spec/containers") != images(set, "/spec/template/spec/containers");
        if outdated || !nodes.iter().any(|node| name(node) == text(pod, "/spec/nodeName")) {
            cx.remove("pods", pod);
        }
    }
    for node in nodes {
        if !pods.iter().any(|pod| text(pod, "/spec/nodeName") == name(node)) {
            let mut new = pod::from_template(cx, set);
            new["spec"]["nodeName"] = json!(name(node));
            let message = format!("Created pod: {}", name(&new));
            cx.put("pods", new, MANAGER);
            cx.event(set, &EventSpec::normal("daemonset-controller", "SuccessfulCreate", message));
        }
    }
    let ready = pods.iter().filter(|pod| condition::is_true(pod, "Ready")).count();
    let status = json!({
        "observedGeneration": generation(set),
        "currentNumberScheduled": pods.len(),
        "desiredNumberScheduled": nodes.len(),
        "updatedNumberScheduled": pods.len(),
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": ready,
    });
    cx.status(DAEMON_SETS, set, status, MANAGER);
}
