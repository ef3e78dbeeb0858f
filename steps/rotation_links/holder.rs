//! The pods that mount the class: the driver works for them alone.

use super::{Finding, Links, Outlook};
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

/// A pod that mounts the class.
pub(super) struct Holder<'a> {
    pub(super) name: &'a str,
    /// Running, and not on its way out.
    pub(super) runs: bool,
    phase: &'a str,
}

/// Returns the pods that mount a class.
pub(super) fn of_class<'a>(pods: &'a [DynamicObject], class: &str) -> Vec<Holder<'a>> {
    let mounts =
        |volume: &Value| volume["csi"]["volumeAttributes"]["secretProviderClass"].as_str() == Some(class);
    let holds = |pod: &&DynamicObject| {
        pod.data["spec"]["volumes"].as_array().is_some_and(|volumes| volumes.iter().any(mounts))
    };
    let holder = |pod: &'a DynamicObject| {
        let phase = pod.data["status"]["phase"].as_str().unwrap_or("Pending");
        let leaves = pod.metadata.deletion_timestamp.is_some();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        Holder {
            name,
            runs: phase == "Running" && !leaves,
            phase: if leaves { "Terminating" } else { phase },
        }
    };
    pods.iter().filter(holds).map(holder).collect()
}

/// The finding when nobody holds the class open.
pub(super) fn none_running(holders: &[Holder<'_>], class: &str, links: &Links<'_>) -> Option<Finding> {
    if holders.iter().any(|holder| holder.runs) {
        return None;
    }
    let stuck = Finding::new(
        "NoHolder",
        format!("no running pod in {} mounts SecretProviderClass {class}", links.namespace),
        "run landfall up: it applies the workload tls-secret-sync anew; when its pod stays Pending, look at the nodes",
    );
    let states: Vec<String> =
        holders.iter().map(|holder| format!("pod {} is {}", holder.name, holder.phase)).collect();
    Some(match states.is_empty() {
        true => stuck.evidence("there is no such pod at all"),
        false => states.into_iter().fold(stuck, Finding::evidence).outlook(Outlook::MayPass),
    })
}
