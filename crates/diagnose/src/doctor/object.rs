//! Accessors for fields of objects and resources in JSON.

use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

/// Returns the name of an object.
pub(super) fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

/// Returns the namespace of an object, `default` if it names none.
pub(super) fn space(object: &DynamicObject) -> &str {
    object.metadata.namespace.as_deref().unwrap_or("default")
}

/// Returns the string at a JSON pointer; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the items at a JSON pointer.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the strings at a JSON pointer.
pub(super) fn texts<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer).iter().filter_map(Value::as_str).collect()
}

/// A condition of a status.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) kind: &'a str,
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

impl Said<'_> {
    /// Returns the condition as evidence:
    /// `ResolvedRefs=False InvalidCertificateRef: secret default/tls not found`.
    pub(super) fn told(&self) -> String {
        let Said { kind, status, reason, message } = self;
        format!("{kind}={status} {reason}: {message}").trim_end_matches([':', ' ']).to_owned()
    }

    /// Returns the condition without its message: `ResolvedRefs=False InvalidCertificateRef`.
    pub(super) fn short(&self) -> String {
        format!("{}={} {}", self.kind, self.status, self.reason).trim_end().to_owned()
    }
}

/// Returns a condition of a status if it has that value.
pub(super) fn condition<'a>(status: &'a Value, kind: &str, value: &str) -> Option<Said<'a>> {
    let found = list(status, "/conditions").iter().find(|one| text(one, "/type") == kind)?;
    let said = Said {
        kind: text(found, "/type"),
        status: text(found, "/status"),
        reason: text(found, "/reason"),
        message: text(found, "/message"),
    };
    said.status.eq_ignore_ascii_case(value).then_some(said)
}

/// Returns whether a pod is ready for requests.
pub(super) fn is_ready(pod: &DynamicObject) -> bool {
    pod.metadata.deletion_timestamp.is_none() && condition(&pod.data["status"], "Ready", "True").is_some()
}

/// Returns the pods of a namespace that match a selector of plain labels; an empty selector matches none.
pub(super) fn selected<'a>(
    pods: &'a [DynamicObject],
    namespace: &str,
    selector: &Value,
) -> Vec<&'a DynamicObject> {
    let Some(wanted) = selector.as_object().filter(|wanted| !wanted.is_empty()) else { return Vec::new() };
    let has = |pod: &DynamicObject| {
        let labels = pod.metadata.labels.as_ref();
        wanted.iter().all(|(key, value)| {
            labels.and_then(|labels| labels.get(key)).map(String::as_str) == value.as_str()
        })
    };
    pods.iter().filter(|pod| space(pod) == namespace && has(pod)).collect()
}

/// Returns the latest event of an object with one of these reasons, as `reason, n times: gist`.
pub(super) fn latest<'a>(events: &'a [DynamicObject], of: &str, reasons: &[&str]) -> Option<&'a Value> {
    let about =
        events.iter().map(|event| &event.data).filter(|event| text(event, "/involvedObject/name") == of);
    about
        .filter(|event| reasons.contains(&text(event, "/reason")))
        .max_by_key(|event| text(event, "/lastTimestamp"))
}
