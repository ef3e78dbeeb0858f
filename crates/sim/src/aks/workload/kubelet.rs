//! The kubelet's part in the life of containers: it reports their start and their end, restarts them, and ends the pods
//! that are being deleted.
//!
//! A container here ends by itself only in a pod of a Job, after a fixed time and with success. A pod whose images all
//! belong to a runtime outside of the simulation ([`ClusterInfo::images`]) is *external*: its containers wait until the
//! runtime reports that they have started ([`container_started`]), and run until it reports their end
//! ([`container_ended`]). `processes.rs` is such a runtime.

use serde_json::{Value, json};

use super::pod::{KUBELET, is_over};
use super::pod_status::{self, STAGES, container_status};
use super::{image_reference, pod};
use crate::aks::cluster_info::ClusterInfo;
use crate::aks::object::{is_ending, list, name, namespace, number, object_ref, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::{ObjectRef, Task};

/// The time that the containers of a Job's pod run, in seconds of cloud time (assumed).
const RUNS: f64 = 3.0;
/// The delay between the deletion request of a pod and the end of its containers, which handle SIGTERM, in seconds of
/// cloud time.
const POD_END: f64 = 1.0;
/// The first and the longest delay before a restart, in seconds of cloud time (Kubernetes source).
const RESTART: (f64, f64) = (10.0, 300.0);
/// The exit code of a program that ended at SIGTERM.
const TERMINATED: i32 = 143;

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerEnd {
    /// The exit code; 128 and the number of the signal for a program that a signal ended.
    pub exit_code: i32,
    /// The reason in the status.
    pub reason: &'static str,
    /// More about it; usually empty.
    pub message: String,
}

impl ContainerEnd {
    /// The program exited.
    pub fn exited(exit_code: i32) -> Self {
        let reason = if exit_code == 0 { "Completed" } else { "Error" };
        Self { exit_code, reason, message: String::new() }
    }

    /// The kernel killed the program, because its container had no memory left.
    pub fn out_of_memory() -> Self {
        Self { exit_code: 137, reason: "OOMKilled", message: String::new() }
    }
}

/// Returns whether a runtime outside of the simulation runs the containers of a pod: it knows all of its images.
pub(in crate::aks) fn is_external(cluster_info: &ClusterInfo, pod: &Value) -> bool {
    let mut containers = containers(pod).peekable();
    containers.peek().is_some()
        && containers.all(|container| {
            cluster_info.images.contains(image_reference::repository(text(container, "/image")))
        })
}

/// Returns the init containers and the containers of a pod.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "/spec/initContainers").iter().chain(list(pod, "/spec/containers"))
}

/// Writes the events about the start of a container.
pub(super) fn report_start(cx: &mut ReconcileContext<'_>, pod: &Value, container: &Value) {
    let (container_name, image) =
        (text(container, "/name"), image_reference::with_tag(text(container, "/image")));
    for (reason, message) in [
        ("Pulled", format!("Container image \"{image}\" already present on machine")),
        ("Created", format!("Created container: {container_name}")),
        ("Started", format!("Started container {container_name}")),
    ] {
        cx.event(pod, &EventSpec::normal(KUBELET, reason, message));
    }
}

/// Schedules the end of a started pod if a Job controls it.
pub(super) fn schedule_completion(cx: &mut ReconcileContext<'_>, pod: &Value) {
    if list(pod, "/metadata/ownerReferences").iter().any(|owner| owner["kind"] == "Job") {
        cx.schedule_once(RUNS, Task::CompletePod { pod: object_ref(pod) });
    }
}

/// Ends the containers of a pod successfully.
pub(in crate::aks) fn complete(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    if let Some(pod) = cx.find("pods", target).filter(|pod| !is_ending(pod)) {
        end_all(cx, &pod, &ContainerEnd::exited(0));
    }
}

/// Ends all running containers of a pod.
pub(in crate::aks) fn end_all(cx: &mut ReconcileContext<'_>, pod: &Value, end: &ContainerEnd) {
    for container in running(pod) {
        container_ended(cx, &object_ref(pod), container, end);
    }
}

/// Returns the names of the running containers of a pod, also of its init containers.
pub(in crate::aks) fn running(pod: &Value) -> Vec<&str> {
    let statuses =
        list(pod, "/status/initContainerStatuses").iter().chain(list(pod, "/status/containerStatuses"));
    statuses.filter(|line| line["state"]["running"].is_object()).map(|line| text(line, "/name")).collect()
}

/// Returns the names of the containers of an external pod that its runtime must start now: the first init container that
/// is not done, or all containers that wait.
pub(in crate::aks) fn startable<'p>(cluster_info: &ClusterInfo, pod: &'p Value) -> Vec<&'p str> {
    let is_ready = list(pod, "/status/conditions")
        .iter()
        .any(|line| text(line, "/type") == STAGES[0] && text(line, "/status") == "True");
    if !is_ready || is_ending(pod) || is_over(pod) || !is_external(cluster_info, pod) {
        return Vec::new();
    }
    let waits = |status: &&Value| {
        let waiting = &status["state"]["waiting"];
        waiting.is_object()
            && !matches!(text(waiting, "/reason"), "CrashLoopBackOff" | "CreateContainerConfigError")
    };
    let is_done = |status: &Value| number(status, "/state/terminated/exitCode") == Some(0);
    let inits = list(pod, "/status/initContainerStatuses");
    if let Some(first) = inits.iter().find(|status| !is_done(status)) {
        return Some(first).filter(waits).map(|status| text(status, "/name")).into_iter().collect();
    }
    list(pod, "/status/containerStatuses").iter().filter(waits).map(|status| text(status, "/name")).collect()
}

/// Reports that a container has started.
pub(in crate::aks) fn container_started(cx: &mut ReconcileContext<'_>, target: &ObjectRef, container: &str) {
    let Some(pod) = cx.find("pods", target).filter(|pod| !is_over(pod)) else { return };
    let Some(spec) = containers(&pod).find(|spec| text(spec, "/name") == container).cloned() else { return };
    let mut status = pod["status"].clone();
    let now = cx.at.rfc3339();
    let Some(line) = line_mut(&mut status, container) else { return };
    let before = line.clone();
    *line = container_status(cx, &pod, &spec, true);
    line["state"] = json!({"running": {"startedAt": now}});
    line["restartCount"] = before["restartCount"].clone();
    line["lastState"] = before["lastState"].clone();
    if list(&pod, "/spec/containers").iter().any(|spec| text(spec, "/name") == container) {
        status["phase"] = json!("Running");
    }
    let status = pod_status::with_readiness(cx, &pod, status);
    cx.status("pods", &pod, status, KUBELET);
    cx.state.running.insert(key(&pod, container));
    report_start(cx, &pod, &spec);
}

/// Reports that a container cannot be created because its configuration refers to something that is missing. The kubelet
/// tries again.
pub(in crate::aks) fn container_refused(
    cx: &mut ReconcileContext<'_>,
    target: &ObjectRef,
    container: &str,
    why: &str,
) {
    let Some(pod) = cx.find("pods", target).filter(|pod| !is_over(pod)) else { return };
    let mut status = pod["status"].clone();
    let Some(line) = line_mut(&mut status, container) else { return };
    line["state"] = json!({"waiting": {"reason": "CreateContainerConfigError", "message": why}});
    cx.status("pods", &pod, status, KUBELET);
    cx.event(&pod, &EventSpec::warning(KUBELET, "Failed", format!("Error: {why}")));
    schedule_restart(cx, target, container, RESTART.0);
}

/// Reports that a container has ended: it is restarted if its pod says so, and the pod ends with its last container.
pub(in crate::aks) fn container_ended(
    cx: &mut ReconcileContext<'_>,
    target: &ObjectRef,
    container: &str,
    end: &ContainerEnd,
) {
    let Some(pod) = cx.find("pods", target) else { return };
    cx.state.running.remove(&key(&pod, container));
    let mut status = pod["status"].clone();
    let Some(line) = line_mut(&mut status, container) else { return };
    if line["state"]["terminated"].is_object() {
        return;
    }
    let started = line["state"]["running"]["startedAt"].clone();
    let now = json!(cx.at.rfc3339());
    let mut terminated = json!({
        "exitCode": end.exit_code, "reason": end.reason, "startedAt": if started.is_null() { now.clone() } else { started },
        "finishedAt": now,
    });
    if !end.message.is_empty() {
        terminated["message"] = json!(end.message);
    }
    if !line["containerID"].is_null() {
        terminated["containerID"] = line["containerID"].clone();
    }
    line["ready"] = json!(false);
    line["started"] = json!(false);
    let restarts = number(line, "/restartCount").unwrap_or(0);
    let is_restarted = restarts_after(&pod, container, end.exit_code);
    if is_restarted {
        let message = format!(
            "Back-off restarting failed container {container} in pod {}_{}({})",
            name(&pod),
            namespace(&pod),
            uid(&pod)
        );
        line["restartCount"] = json!(restarts + 1);
        line["lastState"] = json!({"terminated": terminated});
        line["state"] = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
        cx.event(&pod, &EventSpec::warning(KUBELET, "BackOff", message));
    } else {
        line["state"] = json!({"terminated": terminated});
    }
    let status = pod_status::with_readiness(cx, &pod, pod_status::with_phase(&pod, status));
    cx.status("pods", &pod, status, KUBELET);
    if is_restarted {
        let wait = (RESTART.0 * 2f64.powi(restarts.min(30) as i32)).min(RESTART.1);
        return schedule_restart(cx, target, container, wait);
    }
    if is_ending(&pod) && cx.find("pods", target).is_some_and(|pod| running(&pod).is_empty()) {
        confirm_end(cx, target);
    }
}

/// Returns whether a container starts again after its end.
fn restarts_after(pod: &Value, container: &str, exit_code: i32) -> bool {
    let is_init = list(pod, "/spec/initContainers").iter().any(|spec| text(spec, "/name") == container);
    !is_ending(pod)
        && match text(pod, "/spec/restartPolicy") {
            "Never" => false,
            "OnFailure" => exit_code != 0,
            _ => !is_init || exit_code != 0,
        }
}

fn schedule_restart(cx: &mut ReconcileContext<'_>, target: &ObjectRef, container: &str, wait: f64) {
    let due = cx.retry_after(wait);
    let task = Task::RestartContainer { pod: target.clone(), container: container.to_owned() };
    cx.state.timers.insert(due, task);
}

/// Starts a container again after its delay. The runtime of an external pod does that itself.
pub(in crate::aks) fn restart(cx: &mut ReconcileContext<'_>, target: &ObjectRef, container: &str) {
    let Some(pod) = cx.find("pods", target).filter(|pod| !is_ending(pod) && !is_over(pod)) else { return };
    if !is_external(cx.cluster_info, &pod) {
        container_started(cx, target, container);
        return schedule_completion(cx, &pod);
    }
    let mut status = pod["status"].clone();
    if let Some(line) = line_mut(&mut status, container).filter(|line| line["state"]["waiting"].is_object()) {
        line["state"] = json!({"waiting": {"reason": "ContainerCreating"}});
        cx.status("pods", &pod, status, KUBELET);
    }
}

/// Ends the containers of a pod that is being deleted; the runtime of an external pod does that itself.
pub(super) fn stop(cx: &mut ReconcileContext<'_>, pod: &Value) {
    let is_external = is_external(cx.cluster_info, pod) && !running(pod).is_empty();
    let is_done = is_over(pod) && number(pod, "/metadata/deletionGracePeriodSeconds") == Some(0);
    if !is_external && !is_done {
        cx.schedule_once(POD_END, Task::EndPod { pod: object_ref(pod) });
    }
}

/// Ends a pod that is being deleted.
pub(in crate::aks) fn end(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    let Some(pod) = cx.find("pods", target).filter(|pod| is_ending(pod)) else { return };
    let is_held = !list(&pod, "/metadata/finalizers").is_empty();
    if !is_over(&pod) && is_held {
        // The holder of the finalizer learns how the pod ended.
        if running(&pod).is_empty() {
            let mut status = pod["status"].clone();
            status["phase"] = json!("Failed");
            let status = pod_status::with_readiness(cx, &pod, status);
            cx.status("pods", &pod, status, KUBELET);
        }
        end_all(cx, &pod, &ContainerEnd::exited(TERMINATED));
    }
    confirm_end(cx, target);
}

/// Removes a pod whose containers have ended, as soon as it has no finalizers.
fn confirm_end(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    if let Some(pod) = cx.find("pods", target) {
        cx.store.delete("pods", namespace(&pod), name(&pod), Some(0), cx.at);
    }
}

/// Returns the status of a container.
fn line_mut<'s>(status: &'s mut Value, container: &str) -> Option<&'s mut Value> {
    let map = status.as_object_mut()?;
    let lists = map.iter_mut().filter(|(field, _)| field.as_str().ends_with("ontainerStatuses"));
    let mut lines = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
    lines.find(|line| line["name"] == *container)
}

/// Returns the name of a running container among all of the cluster.
pub(super) fn key(pod: &Value, container: &str) -> String {
    format!("{}/{container}", uid(pod))
}

/// Starts the pods again that waited for a runtime which no longer knows their images.
pub(in crate::aks) fn adopt_waiting(cx: &mut ReconcileContext<'_>) {
    let waits = |pod: &Value| {
        text(pod, "/status/phase") == "Pending" && !text(pod, "/status/podIP").is_empty() && !is_ending(pod)
    };
    for pod in cx.list_where("pods", waits) {
        if !is_external(cx.cluster_info, &pod) {
            pod::start(cx, &object_ref(&pod));
        }
    }
}
