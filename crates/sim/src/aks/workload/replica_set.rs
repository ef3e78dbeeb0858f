//! The ReplicaSet controller: keeps the desired number of pods.

use serde_json::{Value, json};

use super::{MANAGER, pod};
use crate::aks::condition;
use crate::aks::object::{generation, is_ending, name, number, text};
use crate::aks::turn::{Happening, Turn};

const REPLICA_SETS: &str = "replicasets.apps";

/// Reconciles all ReplicaSets.
pub(super) fn look(turn: &mut Turn<'_>) {
    for set in turn.all(REPLICA_SETS) {
        if !is_ending(&set) {
            reconcile(turn, &set);
        }
    }
}

fn reconcile(turn: &mut Turn<'_>, set: &Value) {
    let mut pods = owned_pods(turn, set);
    let wanted = usize::try_from(number(set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
    while pods.len() < wanted {
        let new = pod::from_template(turn, set);
        let message = format!("Created pod: {}", name(&new));
        turn.put("pods", new.clone(), MANAGER);
        turn.event(set, &Happening::normal("replicaset-controller", "SuccessfulCreate", message));
        pods.push(new);
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
        turn.remove("pods", &pod);
        turn.event(set, &Happening::normal("replicaset-controller", "SuccessfulDelete", message));
    }
    report(turn, set);
}

fn owned_pods(turn: &Turn<'_>, set: &Value) -> Vec<Value> {
    let mut pods = turn.owned("pods", set);
    pods.retain(|pod| !is_ending(pod) && !pod::is_over(pod));
    pods
}

fn report(turn: &mut Turn<'_>, set: &Value) {
    let pods = owned_pods(turn, set);
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
    turn.status(REPLICA_SETS, set, status, MANAGER);
}
