//! Ends of pods that are not their own failure: evictions, and nodes that shut down. Such pods have the condition
//! `DisruptionTarget`, which the failure policy of a Job can ignore.

use serde_json::{Value, json};

use super::kubelet::{ContainerEnd, container_ended, key, running};
use super::pod::KUBELET;
use crate::aks::condition::{self, Condition};
use crate::aks::object::{list, object_ref};
use crate::aks::reconcile_context::ReconcileContext;

/// Marks a pod as one that a disruption ends, not its own failure.
fn mark_disrupted(cx: &mut ReconcileContext<'_>, pod: &Value, reason: &'static str, message: &str) {
    let mut status = pod["status"].clone();
    let mut conditions = list(pod, "/status/conditions").to_vec();
    let disrupted = Condition::yes("DisruptionTarget", reason, message);
    condition::set(&mut conditions, &disrupted, "lastProbeTime", cx.at);
    status["conditions"] = json!(conditions);
    cx.status("pods", pod, status, KUBELET);
}

/// Evicts a pod, as a drain of its node does.
pub(in crate::aks) fn evict(cx: &mut ReconcileContext<'_>, pod: &Value) {
    mark_disrupted(cx, pod, "EvictionByEvictionAPI", "Eviction API: evicting");
    cx.delete("pods", pod);
}

/// Reports the loss of external containers whose runtime stopped without a report, as a kubelet does after its node has
/// restarted. The pods fail as disrupted ones.
pub(in crate::aks) fn report_lost(cx: &mut ReconcileContext<'_>) {
    let lost = std::mem::take(&mut cx.state.running);
    if lost.is_empty() {
        return;
    }
    for pod in cx.all("pods") {
        let own = running(&pod).into_iter().filter(|container| lost.contains(&key(&pod, container)));
        let own: Vec<String> = own.map(str::to_owned).collect();
        if own.is_empty() {
            continue;
        }
        report_shutdown(cx, &pod);
        for container in own {
            let message = "The container could not be located when the pod was terminated".to_owned();
            let end = ContainerEnd { exit_code: 137, reason: "ContainerStatusUnknown", message };
            container_ended(cx, &object_ref(&pod), &container, &end);
        }
    }
}

/// Reports that the node of a pod shuts down: its end counts as a disruption.
pub(in crate::aks) fn report_shutdown(cx: &mut ReconcileContext<'_>, pod: &Value) {
    let message = "Pod was terminated in response to imminent node shutdown.";
    mark_disrupted(cx, pod, "TerminationByKubelet", message);
    if let Some(pod) = cx.find("pods", &object_ref(pod)) {
        let mut status = pod["status"].clone();
        status["reason"] = json!("Terminated");
        status["message"] = json!(message);
        cx.status("pods", &pod, status, KUBELET);
    }
}
