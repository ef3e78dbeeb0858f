//! Conditions in the status of an object.

use serde_json::{Value, json};

use super::object::text;
use crate::clock::SimTime;

/// A condition to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub kind: &'static str,
    pub holds: bool,
    pub reason: String,
    pub message: String,
}

impl Condition {
    /// Creates a condition with status `True`.
    pub fn yes(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: true, reason: reason.into(), message: message.into() }
    }

    /// Creates a condition with status `False`.
    pub fn no(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason: reason.into(), message: message.into() }
    }
}

/// Writes conditions with `observedGeneration` into a list, in order.
///
/// The transition time changes only with the status; conditions of other types stay in place.
pub(super) fn observe(conditions: &mut Vec<Value>, new: &[Condition], generation: i64, at: SimTime) {
    for condition in new {
        let status = if condition.holds { "True" } else { "False" };
        let before = conditions.iter().position(|known| text(known, "/type") == condition.kind);
        let since = before
            .filter(|&place| text(&conditions[place], "/status") == status)
            .map_or_else(|| at.rfc3339(), |place| text(&conditions[place], "/lastTransitionTime").to_owned());
        let line = json!({
            "lastTransitionTime": since,
            "message": condition.message,
            "observedGeneration": generation,
            "reason": condition.reason,
            "status": status,
            "type": condition.kind,
        });
        match before {
            Some(place) => conditions[place] = line,
            None => conditions.push(line),
        }
    }
}

/// Writes one condition of a built-in kind (without generation), with the additional timestamp of that kind.
///
/// `beside` is `lastUpdateTime` of Deployments or `lastProbeTime` of Pods; an empty one is omitted.
pub(super) fn set(conditions: &mut Vec<Value>, new: &Condition, time_field: &str, at: SimTime) {
    let status = if new.holds { "True" } else { "False" };
    let before = conditions.iter().position(|known| text(known, "/type") == new.kind);
    if let Some(place) = before {
        let known = &conditions[place];
        let same = text(known, "/status") == status
            && text(known, "/reason") == new.reason
            && text(known, "/message") == new.message;
        if same {
            return;
        }
    }
    let since = before
        .filter(|&place| text(&conditions[place], "/status") == status)
        .map_or_else(|| at.rfc3339(), |place| text(&conditions[place], "/lastTransitionTime").to_owned());
    let mut line = json!({"type": new.kind, "status": status, "lastTransitionTime": since});
    if !new.reason.is_empty() {
        line["reason"] = json!(new.reason);
        line["message"] = json!(new.message);
    }
    match time_field {
        "" => {}
        "lastProbeTime" => line[time_field] = Value::Null,
        _ => line[time_field] = json!(at.rfc3339()),
    }
    match before {
        Some(place) => conditions[place] = line,
        None => conditions.push(line),
    }
}

/// Returns whether a condition of that type is `True` in an object's status.
pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    super::object::list(object, "/status/conditions")
        .iter()
        .any(|known| text(known, "/type") == kind && text(known, "/status") == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut list = vec![json!({"type": "Programmed", "status": "Unknown",
            "lastTransitionTime": "1970-01-01T00:00:00Z", "reason": "Pending", "message": "Waiting for controller"})];
        observe(&mut list, &[Condition::no("Programmed", "AddressNotUsable", "a")], 1, SimTime(1_000));
        observe(&mut list, &[Condition::no("Programmed", "AddressNotAssigned", "b")], 2, SimTime(2_000));
        assert_eq!(list.len(), 1);
        assert_eq!(text(&list[0], "/lastTransitionTime"), SimTime(1_000).rfc3339());
        assert_eq!((text(&list[0], "/message"), &list[0]["observedGeneration"]), ("b", &json!(2)));
        observe(&mut list, &[Condition::yes("Programmed", "Programmed", "c")], 2, SimTime(3_000));
        assert_eq!(text(&list[0], "/lastTransitionTime"), SimTime(3_000).rfc3339());
    }
}
