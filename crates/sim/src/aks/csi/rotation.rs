//! Rotation: polls the vault for new versions of mounted objects. A failure keeps the old content.

use serde_json::Value;

use super::{CLASSES, Mounted, mount, provider, service_account, sync};
use crate::aks::object::{is_ending, namespace, object_ref, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::{ObjectRef, Task};
use crate::aks::workload;

const SOURCE: &str = "csi-secrets-store-rotation";
/// The minimum real time between two polls, in milliseconds. At infinite speed the simulator would otherwise
/// poll without end.
const MIN_INTERVAL_MS: i64 = 1_000;

/// The result of one poll for the objects of one class.
enum PollResult {
    Unchanged,
    Changed,
    Failed(EventSpec<'static>),
}

/// Polls for everything that a pod has mounted, and schedules the next poll. Polls that cannot have another result
/// are skipped, and their failures counted.
pub(in crate::aks) fn rotate(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    let Some(pod) = cx.find("pods", target) else { return };
    let Some(interval) = cx.cluster_info.csi.as_ref().and_then(|csi| csi.rotation_seconds) else { return };
    if is_ending(&pod) || workload::is_over(&pod) {
        return;
    }
    let mounts = cx.state.mounts.get(uid(&pod)).cloned().unwrap_or_default();
    let mut results = Vec::new();
    for (class, mounted) in &mounts.classes {
        results.push(rotate_class(cx, &pod, class, mounted));
    }
    let mut due = cx.retry_after(interval).max(cx.at.plus_ms(MIN_INTERVAL_MS));
    if !results.iter().any(|result| matches!(result, PollResult::Changed)) {
        let step = due.0 - cx.at.0;
        let skipped = (mount::idle_until(cx) - due.0).max(0) / step;
        let last = due.plus_ms((skipped - 1) * step);
        for result in results {
            if let (PollResult::Failed(event_spec), 1..) = (result, skipped) {
                cx.count_event(&pod, &event_spec, skipped, last);
            }
        }
        due = due.plus_ms(skipped * step);
    }
    cx.state.timers.insert(due, Task::Rotate { pod: target.clone() });
}

/// Schedules the first poll of each mounted pod after the interval was changed. A disabled rotation has none.
///
/// AKS restarts the driver with its new settings, so every interval starts from now.
pub(in crate::aks) fn restart_rotation(cx: &mut ReconcileContext<'_>) {
    cx.state.timers.cancel(|task| matches!(task, Task::Rotate { .. }));
    let Some(interval) = cx.cluster_info.csi.as_ref().and_then(|csi| csi.rotation_seconds) else { return };
    let due = cx.retry_after(interval);
    let pods = cx.store.list("pods", None).into_iter();
    let mounted: Vec<ObjectRef> =
        pods.filter(|pod| cx.state.mounts.contains_key(uid(pod))).map(object_ref).collect();
    for pod in mounted {
        cx.state.timers.insert(due, Task::Rotate { pod });
    }
}

fn rotate_class(cx: &mut ReconcileContext<'_>, pod: &Value, class: &str, mounted: &Mounted) -> PollResult {
    let place = namespace(pod);
    let fetched = match cx.get(CLASSES, place, class) {
        Some(spc) => {
            service_account::check(cx, pod).and_then(|()| provider::fetch(cx, pod, &spc, &mounted.files))
        }
        None => Err(format!("SecretProviderClass.secrets-store.csi.x-k8s.io \"{class}\" not found")),
    };
    let files = match fetched {
        Ok(files) if files == mounted.files => return PollResult::Unchanged,
        Ok(files) => files,
        Err(why) => {
            let message = format!("provider mount err: {why}");
            let event_spec = EventSpec::warning(SOURCE, "MountRotationFailed", message);
            cx.event(pod, &event_spec);
            return PollResult::Failed(event_spec);
        }
    };
    let rotated = Mounted { volume: mounted.volume.clone(), files };
    mount::record_mount(cx, pod, class, &rotated);
    if let Some(mounts) = cx.state.mounts.get_mut(uid(pod)) {
        mounts.classes.insert(class.to_owned(), rotated.clone());
    }
    let message = format!("successfully rotated mounted contents for spc {place}/{class}");
    cx.event(pod, &EventSpec::normal(SOURCE, "MountRotationComplete", message));
    match sync::rewrite(cx, pod, class, &rotated) {
        Ok(changed) => {
            for secret in changed {
                let message = format!("successfully rotated K8s secret {secret}");
                cx.event(pod, &EventSpec::normal(SOURCE, "SecretRotationComplete", message));
            }
        }
        Err(why) => cx.event(pod, &EventSpec::warning(SOURCE, "SecretRotationFailed", why)),
    }
    PollResult::Changed
}
