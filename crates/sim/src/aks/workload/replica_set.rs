//! The ReplicaSet controller: keeps the desired number of pods.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{MANAGER, pod};
use crate::aks::condition;
use crate::aks::object::{generation, is_ending, name, number, text};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};

const REPLICA_SETS: &str = "replicasets.apps";

/// Reconciles all ReplicaSets.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for set in cx.all(REPLICA_SETS) {
        if !is_ending(&set) {
            reconcile(cx, &set);
        }
    }
}

fn reconcile(cx: &mut ReconcileContext<'_>, set: &Value) {
    let mut pods = owned_pods(cx, set);
    let wanted = usize::try_from(number(set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
    while pods.len() < wanted {
        let new = pod::from_template(cx, set);
        let message = format!("Created pod: {}", name(&new));
        cx.put("pods", new.clone(), MANAGER);
        cx.event(set, &EventSpec::normal("replicaset-controller", "SuccessfulCreate", message));
        pods.push(Arc::new(new));
    }
    // Pods that are not ready are removed first, then the youngest.
    pods.sort_by_key(|pod| {
        (
            condition::is_true(pod, "Ready"),
            std::cmp::Reverse(text(pod, "/metadata/creationTimestamp").to_owned()),
        )
    });
    let surplus = pods.len().saturating_sub(wanted);
    for pod in pods.drain(..surplus) {
        let message = format!("Deleted pod: {}", name(&pod));
        cx.remove("pods", &pod);
        cx.event(set, &EventSpec::normal("replicaset-controller", "SuccessfulDelete", message));
    }
    update_status(cx, set);
}

fn owned_pods(cx: &ReconcileContext<'_>, set: &Value) -> Vec<Arc<Value>> {
    let mut pods = cx.owned("pods", set);
    pods.retain(|pod| !is_ending(pod) && !pod::is_over(pod));
    pods
}

fn update_status(cx: &mut ReconcileContext<'_>, set: &Value) {
    let pods = owned_pods(cx, set);
    let ready = pods.iter().filter(|pod| condition::is_true(pod, "Ready")).count();
    let mut status = json!({
        "observedGeneration": generation(set),
        "replicas": pods.len(),
        "fullyLabeledReplicas": pods.len(),
    });
    if ready > 0 {
        status["readyReplicas"] = json!(ready);
        status["availableReplicas"] = json!(ready);
    }
    cx.status(REPLICA_SETS, set, status, MANAGER);
}
