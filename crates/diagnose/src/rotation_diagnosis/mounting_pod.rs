//! The pods that mount the class. The driver works only for them.

use super::{Finding, RotationContext, SelfRecovery};
use crate::secret_provider_class::{is_running, mounted_classes};
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

/// A pod that mounts the class.
pub(super) struct MountingPod<'a> {
    pub(super) name: &'a str,
    /// True if it is running and not terminating.
    pub(super) is_running: bool,
    phase: &'a str,
    /// The reason why it is not running, from its conditions and containers.
    not_ready_reason: Option<String>,
}

/// Returns the pods that mount a class.
pub(super) fn pods_mounting<'a>(pods: &'a [DynamicObject], class: &str) -> Vec<MountingPod<'a>> {
    let mounts_class = |pod: &&DynamicObject| mounted_classes(pod).any(|mounted| mounted == class);
    let mounting_pod = |pod: &'a DynamicObject| {
        let phase = pod.data["status"]["phase"].as_str().unwrap_or("Pending");
        let is_terminating = pod.metadata.deletion_timestamp.is_some();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        MountingPod {
            name,
            not_ready_reason: not_ready_reason(pod),
            is_running: is_running(pod),
            phase: if is_terminating { "Terminating" } else { phase },
        }
    };
    pods.iter().filter(mounts_class).map(mounting_pod).collect()
}

/// Returns the finding if no running pod mounts the class.
pub(super) fn none_running(
    mounting_pods: &[MountingPod<'_>],
    class: &str,
    context: &RotationContext<'_>,
) -> Option<Finding> {
    if mounting_pods.iter().any(|mounting_pod| mounting_pod.is_running) {
        return None;
    }
    let finding = Finding::new(
        "SYNC_WORKLOAD_MISSING",
        format!("no running pod in {} mounts SecretProviderClass {class}", context.namespace),
        "run landfall up: it recreates the workload tls-secret-sync",
    );
    if mounting_pods.is_empty() {
        return Some(finding.evidence("there is no such pod"));
    }
    let finding = Finding::new(
        "SYNC_POD_NOT_RUNNING",
        format!("the pod that mounts SecretProviderClass {class} is not running"),
        "the evidence shows why; if its workload was edited, run landfall up: it restores tls-secret-sync",
    );
    let state = |mounting_pod: &MountingPod<'_>| match &mounting_pod.not_ready_reason {
        Some(not_ready_reason) => {
            format!("pod {} is {}: {not_ready_reason}", mounting_pod.name, mounting_pod.phase)
        }
        None => format!("pod {} is {}", mounting_pod.name, mounting_pod.phase),
    };
    Some(
        mounting_pods
            .iter()
            .map(state)
            .fold(finding, Finding::evidence)
            .self_recovery(SelfRecovery::Possible),
    )
}

/// Returns the reason why a pod is not running or not ready: a waiting container, or an unmet condition.
pub(crate) fn not_ready_reason(pod: &DynamicObject) -> Option<String> {
    let status = &pod.data["status"];
    let describe = |about: &Value| {
        let (reason, message) = (about["reason"].as_str()?, about["message"].as_str().unwrap_or_default());
        let message_summary: String = message.lines().next().unwrap_or_default().chars().take(160).collect();
        Some(format!("{reason}: {message_summary}").trim_end_matches(": ").to_owned())
    };
    let all = |key: &str| status[key].as_array().cloned().unwrap_or_default();
    let waiting = all("containerStatuses").iter().find_map(|one| describe(&one["state"]["waiting"]));
    // During the mount of its volumes every container waits with these reasons, so they explain nothing.
    let waiting = waiting.filter(|not_ready_reason| {
        not_ready_reason != "ContainerCreating" && not_ready_reason != "PodInitializing"
    });
    waiting.or_else(|| {
        let unmet = |one: &&Value| one["status"] == "False" && one["type"] == "PodScheduled";
        all("conditions").iter().find(unmet).and_then(describe)
    })
}
