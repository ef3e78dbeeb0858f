//! Mounting of volumes by the kubelet, with exponential backoff.

use serde_json::Value;

use super::{CLASSES, DRIVER, MANAGER, Mounted, POD_STATUSES, class_name, provider, service_account};
use crate::aks::object::{is_ending, list, name, namespace, owned_by, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::{ObjectRef, Task};
use crate::aks::workload;
use crate::durations;

const KUBELET: &str = "kubelet";

/// Returns the volumes of a pod whose mount can fail, with the duration of the first attempt in seconds of
/// cloud time.
pub(in crate::aks) fn volumes_to_mount(pod: &Value) -> Vec<(String, f64)> {
    let takes = |volume: &Value| {
        if volume.get("csi").is_some() {
            Some(durations::CSI_MOUNT)
        } else if volume.get("secret").is_some() || volume.get("configMap").is_some() {
            Some(0.0)
        } else {
            None
        }
    };
    list(pod, "/spec/volumes")
        .iter()
        .filter_map(|volume| takes(volume).map(|takes| (text(volume, "/name").to_owned(), takes)))
        .collect()
}

/// Tries to mount a volume of a pod. On failure writes an event and schedules the next attempt.
pub(in crate::aks) fn mount(
    cx: &mut ReconcileContext<'_>,
    target: &ObjectRef,
    volume_name: &str,
    attempt: u32,
) {
    let Some(pod) = cx.find("pods", target) else { return };
    if is_ending(&pod) || workload::is_over(&pod) {
        return;
    }
    let volume = list(&pod, "/spec/volumes").iter().find(|volume| text(volume, "/name") == volume_name);
    let Some(volume) = volume.cloned() else { return };
    match set_up(cx, &pod, &volume) {
        Ok(()) => workload::mounted(cx, &pod),
        Err(why) => {
            let message = format!("MountVolume.SetUp failed for volume \"{volume_name}\" : {why}");
            fail(cx, &pod, target, volume_name, attempt, message);
        }
    }
}

fn fail(
    cx: &mut ReconcileContext<'_>,
    pod: &Value,
    target: &ObjectRef,
    volume: &str,
    attempt: u32,
    message: String,
) {
    let event_spec = EventSpec::warning(KUBELET, "FailedMount", message);
    cx.event(pod, &event_spec);
    let wait = backoff(attempt);
    let mut due = cx.retry_after(wait);
    let step = due.0 - cx.at.0;
    // If time advances far, the same attempt fails many times: the failures are counted, not repeated.
    let skipped = (idle_until(cx) - due.0).max(0) / step;
    if wait >= durations::KUBELET_BACKOFF_LAST && skipped > 0 {
        due = due.plus_ms((skipped - 1) * step);
        cx.count_event(pod, &event_spec, skipped, due);
        due = due.plus_ms(step);
    }
    let task = Task::Mount { pod: target.clone(), volume: volume.to_owned(), attempt: attempt + 1 };
    cx.state.timers.insert(due, task);
}

/// Returns the time until which every attempt has the same result, because the vaults and the cluster do not
/// change.
pub(in crate::aks) fn idle_until(cx: &ReconcileContext<'_>) -> i64 {
    let work = cx.state.timers.next_matching(|task| {
        !matches!(task, Task::Mount { .. } | Task::Rotate { .. } | Task::SyncRecords { .. })
    });
    let until = cx.vaults.quiet_until().map_or(cx.until, |quiet| quiet.max(cx.until));
    [work, cx.vaults.grant_due(cx.at)].into_iter().flatten().fold(until, std::cmp::min).0
}

/// Returns the delay after the attempt with that number, in seconds of cloud time.
fn backoff(attempt: u32) -> f64 {
    let doubled = durations::KUBELET_BACKOFF_FIRST * 2f64.powi(attempt.min(30) as i32);
    doubled.min(durations::KUBELET_BACKOFF_LAST)
}

fn set_up(cx: &mut ReconcileContext<'_>, pod: &Value, volume: &Value) -> Result<(), String> {
    if volume.get("csi").is_some() {
        return set_up_class(cx, pod, volume);
    }
    for (part, resource, kind, field) in [
        ("secret", "secrets", "secret", "/secret/secretName"),
        ("configMap", "configmaps", "configmap", "/configMap/name"),
    ] {
        let wanted = text(volume, field);
        let optional = volume.pointer(&format!("/{part}/optional")) == Some(&Value::Bool(true));
        if !wanted.is_empty() && !optional && cx.store.get(resource, namespace(pod), wanted).is_none() {
            return Err(format!("{kind} \"{wanted}\" not found"));
        }
    }
    Ok(())
}

fn set_up_class(cx: &mut ReconcileContext<'_>, pod: &Value, volume: &Value) -> Result<(), String> {
    let driver = text(volume, "/csi/driver");
    if driver != DRIVER || cx.cluster_info.csi.is_none() {
        return Err(format!(
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name {driver} not found in the list of registered CSI drivers"
        ));
    }
    service_account::check(cx, pod).map_err(|why| {
        format!("kubernetes.io/csi: mounter.SetUpAt failed to get service account token attributes: {why}")
    })?;
    if volume.pointer("/csi/readOnly") != Some(&Value::Bool(true)) {
        return Err("rpc error: code = InvalidArgument desc = Readonly is not true in request".into());
    }
    let class = class_name(volume);
    if class.is_empty() {
        return Err("rpc error: code = Unknown desc = SecretProviderClass is not set".into());
    }
    let place = namespace(pod);
    let spc = cx.get(CLASSES, place, class).ok_or_else(|| {
        format!(
            "rpc error: code = Unknown desc = failed to get secretproviderclass {place}/{class}, error: SecretProviderClass.secrets-store.csi.x-k8s.io \"{class}\" not found"
        )
    })?;
    let files = provider::fetch(cx, pod, &spc, &[]).map_err(|why| {
        format!(
            "rpc error: code = Unknown desc = failed to mount secrets store objects for pod {place}/{}, err: {why}",
            name(pod)
        )
    })?;
    let mounted = Mounted { volume: text(volume, "/name").to_owned(), files };
    record_mount(cx, pod, class, &mounted);
    cx.state.mounts.entry(uid(pod).to_owned()).or_default().classes.insert(class.to_owned(), mounted);
    cx.schedule_once(super::SYNC, Task::SyncSecrets);
    if let Some(interval) = cx.cluster_info.csi.as_ref().and_then(|csi| csi.rotation_seconds) {
        let task = Task::Rotate { pod: crate::aks::object::object_ref(pod) };
        if !cx.state.timers.holds(|waiting| *waiting == task) {
            let due = cx.retry_after(interval);
            cx.state.timers.insert(due, task);
        }
    }
    Ok(())
}

/// Records the mounted versions of a pod in its SecretProviderClassPodStatus.
pub(super) fn record_mount(cx: &mut ReconcileContext<'_>, pod: &Value, class: &str, mounted: &Mounted) {
    let objects: Vec<Value> = mounted
        .files
        .iter()
        .map(|file| serde_json::json!({"id": file.id, "version": file.version}))
        .collect();
    let mut unique: Vec<Value> = Vec::new();
    for object in objects {
        if !unique.contains(&object) {
            unique.push(object);
        }
    }
    let status = serde_json::json!({
        "podName": name(pod),
        "secretProviderClassName": class,
        "mounted": true,
        "targetPath": format!(
            "/var/lib/kubelet/pods/{}/volumes/kubernetes.io~csi/{}/mount", uid(pod), mounted.volume
        ),
        "objects": unique,
    });
    let wanted = serde_json::json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClassPodStatus",
        "metadata": {
            "name": pod_status_name(pod, class),
            "namespace": namespace(pod),
            "labels": {"internal.secrets-store.csi.k8s.io/node-name": text(pod, "/spec/nodeName")},
            "ownerReferences": [owned_by(pod)],
        },
        "status": status,
    });
    cx.put(POD_STATUSES, wanted, MANAGER);
}

/// Returns the name of the SecretProviderClassPodStatus of a mount.
pub(super) fn pod_status_name(pod: &Value, class: &str) -> String {
    format!("{}-{}-{class}", name(pod), namespace(pod))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_two_minutes_and_two_seconds() {
        let waits: Vec<f64> = (0..10).map(backoff).collect();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 122.0, 122.0]);
    }
}
