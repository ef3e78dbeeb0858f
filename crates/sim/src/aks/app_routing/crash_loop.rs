//! A program that ends with an error: the kubelet starts it again, with backoff.

use serde_json::{Value, json};

use crate::aks::condition::{self, Condition};
use crate::aks::object::{is_ending, label, list, name, namespace, number, object_ref, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::{ObjectRef, Task};

const KUBELET: &str = "kubelet";
/// The first and the longest delay before a restart, in seconds of cloud time (Kubernetes source).
const BACKOFF: (f64, f64) = (10.0, 300.0);
/// The minimum real delay, in milliseconds: at infinite speed the program would otherwise restart without end.
const MIN_WAIT_MS: i64 = 1_000;

/// Returns the ready pod of a Deployment.
pub(super) fn running_pod(cx: &ReconcileContext<'_>, deployment: &Value) -> Option<Value> {
    let app = text(deployment, "/spec/selector/matchLabels/app");
    let pods = cx.store.shared("pods", Some(namespace(deployment)));
    let mut pods =
        pods.filter(|pod| label(pod, "app") == app && !is_ending(pod) && condition::is_true(pod, "Ready"));
    pods.next().map(|pod| Value::clone(pod))
}

/// Ends the container of a pod with an error, and schedules its restart.
pub(super) fn crash(cx: &mut ReconcileContext<'_>, pod: &Value) {
    let failures = cx.state.record_syncs.failures.entry(uid(pod).to_owned()).or_default();
    *failures += 1;
    let wait = (BACKOFF.0 * 2f64.powi((*failures - 1).min(30) as i32)).min(BACKOFF.1);
    let container = text(pod, "/spec/containers/0/name").to_owned();
    let message = format!(
        "Back-off restarting failed container {container} in pod {}_{}({})",
        name(pod),
        namespace(pod),
        uid(pod)
    );
    let mut status = pod["status"].clone();
    let restarts = number(&status, "/containerStatuses/0/restartCount").unwrap_or(0) + 1;
    let started = status["containerStatuses"][0]["state"]["running"]["startedAt"].clone();
    let ended = cx.at.rfc3339();
    let mut line = status["containerStatuses"][0].clone();
    line["ready"] = json!(false);
    line["started"] = json!(false);
    line["restartCount"] = json!(restarts);
    line["state"] = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
    line["lastState"] = json!({"terminated":
        {"exitCode": 1, "reason": "Error", "startedAt": started, "finishedAt": ended}});
    status["containerStatuses"] = json!([line]);
    set_ready(cx, &mut status, &container, false);
    cx.status("pods", pod, status, KUBELET);
    cx.event(pod, &EventSpec::warning(KUBELET, "BackOff", message));
    let due = cx.retry_after(wait).max(cx.at.plus_ms(MIN_WAIT_MS));
    cx.state.timers.insert(due, Task::RestartPod { pod: object_ref(pod) });
}

/// Starts the container of a pod again.
pub(in crate::aks) fn restart(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    let Some(pod) = cx.find("pods", target) else { return };
    if is_ending(&pod) || text(&pod, "/status/phase") != "Running" {
        return;
    }
    let mut status = pod["status"].clone();
    let container = text(&pod, "/spec/containers/0/name").to_owned();
    let mut line = status["containerStatuses"][0].clone();
    line["ready"] = json!(true);
    line["started"] = json!(true);
    line["state"] = json!({"running": {"startedAt": cx.at.rfc3339()}});
    status["containerStatuses"] = json!([line]);
    set_ready(cx, &mut status, &container, true);
    cx.status("pods", &pod, status, KUBELET);
}

fn set_ready(cx: &ReconcileContext<'_>, status: &mut Value, container: &str, is_ready: bool) {
    let mut conditions = list(status, "/conditions").to_vec();
    for kind in ["Ready", "ContainersReady"] {
        let condition = match is_ready {
            true => Condition::yes(kind, "", ""),
            false => {
                let message = format!("containers with unready status: [{container}]");
                Condition::no(kind, "ContainersNotReady", message)
            }
        };
        condition::set(&mut conditions, &condition, "lastProbeTime", cx.at);
    }
    status["conditions"] = json!(conditions);
}
