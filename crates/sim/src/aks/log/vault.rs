//! The logs of the Key Vault secrets provider add-on: each pod logs the actions on its own node.

use serde_json::Value;

use super::{LogLine, Writer, parse_time};
use crate::aks::object::{list, name, namespace, number, text};
use crate::clock::SimTime;
use crate::kubernetes::Store;

const POD_STATUSES: &str = "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io";

/// Returns the log of the provider: the objects it fetched, and its errors.
pub(super) fn provider(writer: &Writer<'_>) -> Vec<LogLine> {
    let mut lines =
        vec![line(writer, writer.since, 'I', &format!("provider starts, image {}", writer.image))];
    for (mounted, pod) in mounted(writer) {
        let Some(at) = parse_time(text(mounted, "/metadata/creationTimestamp")) else { continue };
        for object in list(mounted, "/status/objects") {
            let entry = format!(
                "fetched {} at version {} for pod {}",
                text(object, "/id"),
                text(object, "/version"),
                qualified_name(pod)
            );
            lines.push(line(writer, at, 'I', &entry));
        }
    }
    for (event, _) in events(writer) {
        // The kubelet's event repeats the provider's error.
        if let Some((_, why)) = text(event, "/message").split_once("desc = ")
            && why.contains("failed to mount secrets store objects")
        {
            lines.push(counted(writer, event, 'E', why));
        }
    }
    lines
}

/// Returns the log of the driver: its mounts and rotations.
pub(super) fn driver(writer: &Writer<'_>) -> Vec<LogLine> {
    let mut lines = vec![line(writer, writer.since, 'I', &format!("driver starts, image {}", writer.image))];
    for (mounted, pod) in mounted(writer) {
        let Some(at) = parse_time(text(mounted, "/metadata/creationTimestamp")) else { continue };
        let class = text(mounted, "/status/secretProviderClassName");
        let entry = format!("mounted class {}/{class} into pod {}", namespace(mounted), qualified_name(pod));
        lines.push(line(writer, at, 'I', &entry));
    }
    for (event, pod) in events(writer) {
        if text(event, "/source/component").starts_with("csi-secrets-store") {
            let level = if text(event, "/type") == "Warning" { 'E' } else { 'I' };
            let entry = format!(
                "pod {}: {}: {}",
                qualified_name(pod),
                text(event, "/reason"),
                text(event, "/message")
            );
            lines.push(counted(writer, event, level, &entry));
        }
    }
    lines
}

/// Creates a line in the klog format.
fn line(writer: &Writer<'_>, at: SimTime, level: char, message: &str) -> LogLine {
    let at = at.max(writer.since);
    let time = at.timestamp().strftime("%m%d %H:%M:%S%.3f");
    LogLine { at, text: format!("{level}{time} {message}") }
}

/// Creates the last line of a repeated event.
fn counted(writer: &Writer<'_>, event: &Value, level: char, message: &str) -> LogLine {
    let at = parse_time(text(event, "/lastTimestamp")).unwrap_or(writer.since);
    match number(event, "/count") {
        Some(count) if count > 1 => line(writer, at, level, &format!("{message} (for the {count}th time)")),
        _ => line(writer, at, level, message),
    }
}

fn qualified_name(pod: &Value) -> String {
    format!("{}/{}", namespace(pod), name(pod))
}

fn is_on_same_node(writer: &Writer<'_>, pod: &Value) -> bool {
    text(pod, "/spec/nodeName") == text(writer.pod, "/spec/nodeName")
}

/// Returns the mounts on the writer's node, with their pods.
fn mounted<'s>(writer: &Writer<'s>) -> Vec<(&'s Value, &'s Value)> {
    let store: &'s Store = writer.store;
    let all = store.list(POD_STATUSES, None).into_iter();
    all.filter_map(|mounted| {
        Some((mounted, store.get("pods", namespace(mounted), text(mounted, "/status/podName"))?))
    })
    .filter(|(_, pod)| is_on_same_node(writer, pod))
    .collect()
}

/// Returns the events of the pods on the writer's node.
fn events<'s>(writer: &Writer<'s>) -> Vec<(&'s Value, &'s Value)> {
    let store: &'s Store = writer.store;
    let all = store.list("events", None).into_iter().filter(|event| event["involvedObject"]["kind"] == "Pod");
    all.filter_map(|event| {
        Some((event, store.get("pods", namespace(event), text(event, "/involvedObject/name"))?))
    })
    .filter(|(_, pod)| is_on_same_node(writer, pod))
    .collect()
}
