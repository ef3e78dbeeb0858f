//! Accessors for fields of objects and resources in JSON.

use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

/// Returns the name of an object.
pub(crate) fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

/// Returns the namespace of an object, `default` if it names none.
pub(crate) fn space(object: &DynamicObject) -> &str {
    object.metadata.namespace.as_deref().unwrap_or("default")
}

/// Returns the arguments that name an object to kubectl: its name, and its namespace unless that is `default`.
pub(crate) fn kubectl_name(object: &DynamicObject) -> String {
    match space(object) {
        "default" => name(object).to_owned(),
        space => format!("{} -n {space}", name(object)),
    }
}

/// Returns the string at a JSON pointer; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the items at a JSON pointer.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the strings at a JSON pointer.
pub(crate) fn texts<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer).iter().filter_map(Value::as_str).collect()
}

/// Returns `namespace/name`, or the name alone if the object is cluster-scoped or in `default`.
pub(crate) fn display_name(object: &DynamicObject) -> String {
    match object.metadata.namespace.as_deref() {
        None | Some("default") => name(object).to_owned(),
        Some(namespace) => format!("{namespace}/{}", name(object)),
    }
}

/// Returns a label of an object.
pub(crate) fn label<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// Returns the number at a JSON pointer; 0 if there is none, because the API omits zeros.
pub(crate) fn number(object: &DynamicObject, pointer: &str) -> i64 {
    object.data.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// A condition of a status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusCondition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl StatusCondition<'_> {
    /// Returns the condition as evidence:
    /// `ResolvedRefs=False InvalidCertificateRef: secret default/tls not found`.
    pub(crate) fn description(&self) -> String {
        let StatusCondition { kind, status, reason, message } = self;
        format!("{kind}={status} {reason}: {message}").trim_end_matches([':', ' ']).to_owned()
    }

    /// Returns the condition without its message: `ResolvedRefs=False InvalidCertificateRef`.
    pub(crate) fn short(&self) -> String {
        format!("{}={} {}", self.kind, self.status, self.reason).trim_end().to_owned()
    }
}

/// Returns a condition of a status if it has that value.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str, value: &str) -> Option<StatusCondition<'a>> {
    let found = list(status, "/conditions").iter().find(|one| text(one, "/type") == kind)?;
    let status_condition = StatusCondition {
        kind: text(found, "/type"),
        status: text(found, "/status"),
        reason: text(found, "/reason"),
        message: text(found, "/message"),
    };
    status_condition.status.eq_ignore_ascii_case(value).then_some(status_condition)
}

/// Returns whether a condition is true.
pub(crate) fn is_condition_true(status: &Value, kind: &str) -> bool {
    condition(status, kind, "True").is_some()
}

/// Returns whether a pod is ready for requests.
pub(crate) fn is_ready(pod: &DynamicObject) -> bool {
    pod.metadata.deletion_timestamp.is_none() && is_condition_true(&pod.data["status"], "Ready")
}

/// Returns the pods of a namespace that match a selector of plain labels; an empty selector matches none.
pub(crate) fn selected<'a>(
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
pub(crate) fn latest<'a>(events: &'a [DynamicObject], of: &str, reasons: &[&str]) -> Option<&'a Value> {
    let about =
        events.iter().map(|event| &event.data).filter(|event| text(event, "/involvedObject/name") == of);
    about
        .filter(|event| reasons.contains(&text(event, "/reason")))
        .max_by_key(|event| text(event, "/lastTimestamp"))
}
