//! Pods: the scheduler and the kubelet, from Pending to Running.
//!
//! Containers do not run here, unless a program of this machine stands in for their image: see `kubelet.rs`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pod_status::{STAGES, status};
use super::{identity_webhook, image_reference, kubelet, volume};
use crate::aks::condition::{self, Condition};
use crate::aks::object::{
    controlled_by, is_ending, label, list, name, namespace, object_ref, suffix, text, uid,
};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::{ObjectRef, Task};
use crate::aks::{csi, node};
use crate::durations;

/// The field manager of the kubelet.
pub(super) const KUBELET: &str = "kubelet";

/// Creates a pod from the template of a workload, which becomes its controller.
pub(super) fn from_template(cx: &mut ReconcileContext<'_>, workload: &Value) -> Value {
    cx.state.pods += 1;
    let pod_name =
        format!("{}-{}", name(workload), suffix(&format!("{}#{}", uid(workload), cx.state.pods), 5));
    let template = &workload["spec"]["template"];
    let mut metadata = template.get("metadata").cloned().unwrap_or_else(|| json!({}));
    metadata["name"] = json!(pod_name);
    metadata["generateName"] = json!(format!("{}-", name(workload)));
    metadata["namespace"] = json!(namespace(workload));
    metadata["ownerReferences"] = json!([controlled_by(workload)]);
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
    identity_webhook::inject(cx, &mut pod);
    pod
}

/// Returns whether a pod has completed.
pub(in crate::aks) fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Schedules new pods, and ends those being deleted.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    let is_new = |pod: &Value| text(pod, "/status/hostIP").is_empty() && !is_over(pod);
    for pod in cx.list_where("pods", |pod| is_ending(pod) || is_new(pod)) {
        if is_ending(&pod) {
            kubelet::stop(cx, &pod);
        } else {
            schedule(cx, Arc::unwrap_or_clone(pod));
        }
    }
}

fn schedule(cx: &mut ReconcileContext<'_>, mut pod: Value) {
    let assigned = text(&pod, "/spec/nodeName").to_owned();
    let node = if assigned.is_empty() { node::least_loaded(cx) } else { cx.get("nodes", "", &assigned) };
    let Some(node) = node else {
        return mark_unschedulable(cx, &pod, "no nodes available to schedule pods");
    };
    if let Some(why) = volume::waits_for_claim(cx, &pod) {
        return mark_unschedulable(cx, &pod, &why);
    }
    let node_name = name(&node).to_owned();
    if assigned.is_empty() {
        pod["spec"]["nodeName"] = json!(node_name);
    }
    pod["status"] = status(cx, &pod, "Pending", &[STAGES[4]]);
    pod["status"]["hostIP"] = json!(node::address(&node));
    pod["status"]["hostIPs"] = json!([{"ip": node::address(&node)}]);
    pod["status"]["startTime"] = json!(cx.at.rfc3339());
    cx.put("pods", pod.clone(), KUBELET);
    let Some(pod) = cx.get("pods", namespace(&pod), name(&pod)) else { return };
    let message = format!("Successfully assigned {}/{} to {node_name}", namespace(&pod), name(&pod));
    cx.event(&pod, &EventSpec::normal("default-scheduler", "Scheduled", message));
    let volumes = csi::volumes_to_mount(&pod);
    if volumes.is_empty() {
        begin_start(cx, &pod, 0.0);
        return;
    }
    for (volume, takes) in volumes {
        cx.schedule(takes, Task::Mount { pod: object_ref(&pod), volume, attempt: 0 });
    }
}

fn mark_unschedulable(cx: &mut ReconcileContext<'_>, pod: &Value, message: &str) {
    let mut conditions = list(pod, "/status/conditions").to_vec();
    condition::set(
        &mut conditions,
        &Condition::no("PodScheduled", "Unschedulable", message),
        "lastProbeTime",
        cx.at,
    );
    let known = list(pod, "/status/conditions") == conditions.as_slice();
    if !known {
        cx.event(pod, &EventSpec::warning("default-scheduler", "FailedScheduling", message));
        cx.status("pods", pod, json!({"phase": "Pending", "conditions": conditions}), "kube-scheduler");
    }
}

/// Handles a mounted volume of a pod: the containers start once all volumes are mounted.
pub(in crate::aks) fn mounted(cx: &mut ReconcileContext<'_>, pod: &Value) {
    let waiting =
        cx.state.timers.holds(|task| matches!(task, Task::Mount { pod: of, .. } if of.uid == uid(pod)));
    if !waiting {
        begin_start(cx, pod, durations::CSI_MOUNT);
    }
}

fn begin_start(cx: &mut ReconcileContext<'_>, pod: &Value, spent: f64) {
    if let Some(container) = list(pod, "/spec/containers")
        .iter()
        .find(|c| image_reference::format_error(text(c, "/image")).is_some())
    {
        return refuse_image(cx, pod, container);
    }
    let takes = if label(pod, "gateway.networking.k8s.io/gateway-name").is_empty() {
        durations::POD_READY
    } else {
        durations::GATEWAY_DEPLOYMENT
    };
    let mut due = cx.after((takes - spent).max(1.0));
    // istiod is ready only once its certificates exist, which takes longer than a pod's start.
    if let (true, Some(since)) = (label(pod, "app") == "istiod", cx.state.mesh_since) {
        due = due.max(cx.timing.after(since, durations::ISTIOD_READY));
    }
    cx.state.timers.insert_once(due, Task::StartPod { pod: object_ref(pod) });
}

fn refuse_image(cx: &mut ReconcileContext<'_>, pod: &Value, container: &Value) {
    let reference = text(container, "/image");
    let format_error = image_reference::format_error(reference).unwrap_or_default();
    let why = format!(
        "Failed to apply default image tag \"{reference}\": couldn't parse image name \"{reference}\": {format_error}"
    );
    let Some(live) = cx.get("pods", namespace(pod), name(pod)) else { return };
    let mut status = live["status"].clone();
    for line in status["containerStatuses"].as_array_mut().into_iter().flatten() {
        if line["name"] == container["name"] {
            line["state"] = json!({"waiting": {"reason": "InvalidImageName", "message": why}});
        }
    }
    cx.status("pods", pod, status, KUBELET);
    cx.event(pod, &EventSpec::warning(KUBELET, "InspectFailed", why));
    cx.event(pod, &EventSpec::warning(KUBELET, "Failed", "Error: InvalidImageName"));
}

/// Starts the containers of a pod.
pub(in crate::aks) fn start(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    let Some(pod) = cx.find("pods", target) else { return };
    if is_ending(&pod) || is_over(&pod) || text(&pod, "/status/phase") == "Running" {
        return;
    }
    let is_external = kubelet::is_external(cx.cluster_info, &pod);
    let mut status = match is_external {
        // The containers wait for their runtime.
        true => status(cx, &pod, "Pending", &[STAGES[0], STAGES[4]]),
        false => status(cx, &pod, "Running", &STAGES),
    };
    for field in ["hostIP", "hostIPs", "startTime"] {
        status[field] = pod["status"][field].clone();
    }
    let address = if pod["spec"]["hostNetwork"] == json!(true) {
        text(&pod, "/status/hostIP").to_owned()
    } else {
        next_address(cx, &pod)
    };
    status["podIP"] = json!(address);
    status["podIPs"] = json!([{"ip": address}]);
    cx.status("pods", &pod, status, KUBELET);
    if is_external {
        return;
    }
    kubelet::schedule_completion(cx, &pod);
    for container in list(&pod, "/spec/containers") {
        kubelet::report_start(cx, &pod, container);
    }
}

/// Starts all waiting pods now, except those of the mesh: they ran before the cluster became `Succeeded`.
pub(in crate::aks) fn start_all(cx: &mut ReconcileContext<'_>) {
    for pod in cx.all("pods") {
        if label(&pod, "app") != "istiod" {
            let target = object_ref(&pod);
            cx.state.timers.cancel(|task| *task == Task::StartPod { pod: target.clone() });
            start(cx, &target);
        }
    }
}

fn next_address(cx: &mut ReconcileContext<'_>, pod: &Value) -> String {
    cx.state.pod_addresses += 1;
    let node =
        text(pod, "/spec/nodeName").rsplit_once("vmss").map_or(0, |(_, index)| index.parse().unwrap_or(0u32));
    // The first ten addresses of a node's range belong to the node.
    format!("10.244.{}.{}", node % 256, 10 + cx.state.pod_addresses % 240)
}
