//! The pods that mount the class. The driver works only for them.

use super::{Finding, Links, Outlook};
use crate::secret_model::{is_running, mounted_classes};
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

/// A pod that mounts the class.
pub(super) struct Holder<'a> {
    pub(super) name: &'a str,
    /// True if it is running and not terminating.
    pub(super) runs: bool,
    phase: &'a str,
    /// The reason why it is not running, from its conditions and containers.
    why: Option<String>,
}

/// Returns the pods that mount a class.
pub(super) fn of_class<'a>(pods: &'a [DynamicObject], class: &str) -> Vec<Holder<'a>> {
    let holds = |pod: &&DynamicObject| mounted_classes(pod).any(|mounted| mounted == class);
    let holder = |pod: &'a DynamicObject| {
        let phase = pod.data["status"]["phase"].as_str().unwrap_or("Pending");
        let leaves = pod.metadata.deletion_timestamp.is_some();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        Holder {
            name,
            why: why(pod),
            runs: is_running(pod),
            phase: if leaves { "Terminating" } else { phase },
        }
    };
    pods.iter().filter(holds).map(holder).collect()
}

/// Returns the finding if no running pod mounts the class.
pub(super) fn none_running(holders: &[Holder<'_>], class: &str, links: &Links<'_>) -> Option<Finding> {
    if holders.iter().any(|holder| holder.runs) {
        return None;
    }
    let stuck = Finding::new(
        "SYNC_WORKLOAD_MISSING",
        format!("no running pod in {} mounts SecretProviderClass {class}", links.namespace),
        "run landfall up: it recreates the workload tls-secret-sync",
    );
    if holders.is_empty() {
        return Some(stuck.evidence("there is no such pod"));
    }
    let stuck = Finding::new(
        "SYNC_POD_NOT_RUNNING",
        format!("the pod that mounts SecretProviderClass {class} is not running"),
        "the evidence shows why; if its workload was edited, run landfall up: it restores tls-secret-sync",
    );
    let state = |holder: &Holder<'_>| match &holder.why {
        Some(why) => format!("pod {} is {}: {why}", holder.name, holder.phase),
        None => format!("pod {} is {}", holder.name, holder.phase),
    };
    Some(holders.iter().map(state).fold(stuck, Finding::evidence).outlook(Outlook::MayPass))
}

/// Returns the reason why a pod is not running or not ready: a waiting container, or an unmet condition.
pub(crate) fn why(pod: &DynamicObject) -> Option<String> {
    let status = &pod.data["status"];
    let told = |about: &Value| {
        let (reason, message) = (about["reason"].as_str()?, about["message"].as_str().unwrap_or_default());
        let gist: String = message.lines().next().unwrap_or_default().chars().take(160).collect();
        Some(format!("{reason}: {gist}").trim_end_matches(": ").to_owned())
    };
    let all = |key: &str| status[key].as_array().cloned().unwrap_or_default();
    let waiting = all("containerStatuses").iter().find_map(|one| told(&one["state"]["waiting"]));
    // During the mount of its volumes every container waits with these reasons, so they explain nothing.
    let waiting = waiting.filter(|why| why != "ContainerCreating" && why != "PodInitializing");
    waiting.or_else(|| {
        let unmet = |one: &&Value| one["status"] == "False" && one["type"] == "PodScheduled";
        all("conditions").iter().find(unmet).and_then(told)
    })
}
