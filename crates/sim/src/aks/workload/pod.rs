//! Pods: the scheduler and the kubelet, from Pending to Running.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{identity_webhook, image_reference, job, volume};
use crate::aks::condition::{self, Condition};
use crate::aks::object::{
    controlled_by, hash, is_ending, label, list, name, namespace, object_ref, suffix, text, uid,
};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::{ObjectRef, Task};
use crate::aks::{csi, node};
use crate::durations;

const KUBELET: &str = "kubelet";
/// The delay between the deletion request of a pod and its removal, in seconds of cloud time, for containers
/// that handle SIGTERM.
const POD_END: f64 = 1.0;
/// The condition types of every pod, with their status once the containers run.
const STAGES: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

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

/// Schedules new pods, and removes those being deleted.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    let is_new = |pod: &Value| text(pod, "/status/hostIP").is_empty() && !is_over(pod);
    for pod in cx.list_where("pods", |pod| is_ending(pod) || is_new(pod)) {
        if is_ending(&pod) {
            cx.schedule_once(POD_END, Task::EndPod { pod: object_ref(&pod) });
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
    let mut status = status(cx, &pod, "Running", &STAGES);
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
    job::schedule_completion(cx, &pod);
    for container in list(&pod, "/spec/containers") {
        let (container_name, image) =
            (text(container, "/name"), image_reference::with_tag(text(container, "/image")));
        let pulled = format!("Container image \"{image}\" already present on machine");
        cx.event(&pod, &EventSpec::normal(KUBELET, "Pulled", pulled));
        cx.event(
            &pod,
            &EventSpec::normal(KUBELET, "Created", format!("Created container: {container_name}")),
        );
        cx.event(&pod, &EventSpec::normal(KUBELET, "Started", format!("Started container {container_name}")));
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

/// Removes a pod whose containers have ended.
pub(in crate::aks) fn end(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    if let Some(pod) = cx.find("pods", target) {
        cx.remove("pods", &pod);
    }
}

fn next_address(cx: &mut ReconcileContext<'_>, pod: &Value) -> String {
    cx.state.pod_addresses += 1;
    let node =
        text(pod, "/spec/nodeName").rsplit_once("vmss").map_or(0, |(_, index)| index.parse().unwrap_or(0u32));
    // The first ten addresses of a node's range belong to the node.
    format!("10.244.{}.{}", node % 256, 10 + cx.state.pod_addresses % 240)
}

/// Returns a status in which the named conditions are true, since now or since their last transition.
fn status(cx: &ReconcileContext<'_>, pod: &Value, phase: &str, holding: &[&str]) -> Value {
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
    if running && !list(pod, "/spec/initContainers").is_empty() {
        let done: Vec<Value> = list(pod, "/spec/initContainers")
            .iter()
            .map(|container| finished_status(cx, pod, container))
            .collect();
        status["initContainerStatuses"] = json!(done);
    }
    status
}

fn container_status(cx: &ReconcileContext<'_>, pod: &Value, container: &Value, running: bool) -> Value {
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

/// Returns the status of a pod whose containers have ended successfully.
pub(super) fn completed_status(cx: &ReconcileContext<'_>, pod: &Value) -> Value {
    let mut completed = pod["status"].clone();
    completed["phase"] = json!("Succeeded");
    let mut conditions = list(pod, "/status/conditions").to_vec();
    for stage in ["Ready", "ContainersReady", "PodReadyToStartContainers"] {
        let reason = if stage == "PodReadyToStartContainers" { "" } else { "PodCompleted" };
        condition::set(&mut conditions, &Condition::no(stage, reason, ""), "lastProbeTime", cx.at);
    }
    completed["conditions"] = json!(conditions);
    let containers = list(pod, "/spec/containers").iter().map(|container| {
        let mut status = finished_status(cx, pod, container);
        status["ready"] = json!(false);
        status
    });
    completed["containerStatuses"] = json!(containers.collect::<Vec<_>>());
    completed
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
