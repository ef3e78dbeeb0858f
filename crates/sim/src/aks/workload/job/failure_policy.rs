//! The pod failure policy of a Job: the first rule that matches a failed pod decides what its failure means.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy>

use serde_json::Value;

use crate::aks::object::{list, name, namespace, number, text};

/// The meaning of a pod's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The failure counts towards the limits.
    Count,
    /// The failure does not count.
    Ignore,
    /// The index of the pod fails at once.
    FailIndex,
    /// The whole Job fails at once, with this message.
    FailJob(String),
}

impl Verdict {
    /// Returns whether the failure counts.
    pub fn counts(&self) -> bool {
        *self != Self::Ignore
    }
}

/// Returns what the failure of a pod means for a Job.
pub(super) fn judge(job: &Value, pod: &Value) -> Verdict {
    for (index, rule) in list(job, "/spec/podFailurePolicy/rules").iter().enumerate() {
        let action = text(rule, "/action");
        let why = if let Some(requirement) = rule.get("onExitCodes") {
            matching_container(pod, requirement).map(|container| {
                format!(
                    "Container {} for pod {}/{} failed with exit code {} matching {action} rule at index {index}",
                    text(container, "/name"),
                    namespace(pod),
                    name(pod),
                    number(container, "/state/terminated/exitCode").unwrap_or(0),
                )
            })
        } else {
            matching_condition(pod, rule).map(|condition| {
                format!(
                    "Pod {}/{} has condition {condition} matching {action} rule at index {index}",
                    namespace(pod),
                    name(pod),
                )
            })
        };
        if let Some(why) = why {
            return match action {
                "Ignore" => Verdict::Ignore,
                "FailIndex" => Verdict::FailIndex,
                "FailJob" => Verdict::FailJob(why),
                _ => Verdict::Count,
            };
        }
    }
    Verdict::Count
}

/// Returns the first container that failed with an exit code of the requirement.
fn matching_container<'p>(pod: &'p Value, requirement: &Value) -> Option<&'p Value> {
    let wanted = text(requirement, "/containerName");
    let listed = |code: i64| list(requirement, "/values").iter().any(|value| value.as_i64() == Some(code));
    let is_in = text(requirement, "/operator") == "In";
    let mut statuses =
        list(pod, "/status/containerStatuses").iter().chain(list(pod, "/status/initContainerStatuses"));
    statuses.find(|status| {
        let code = number(status, "/state/terminated/exitCode").unwrap_or(0);
        (wanted.is_empty() || text(status, "/name") == wanted) && code != 0 && listed(code) == is_in
    })
}

/// Returns the type of the first condition of the pod that the rule names.
fn matching_condition<'p>(pod: &'p Value, rule: &Value) -> Option<&'p str> {
    let patterns = list(rule, "/onPodConditions");
    let mut conditions = list(pod, "/status/conditions").iter();
    let matches = |condition: &&Value| {
        patterns.iter().any(|pattern| {
            text(pattern, "/type") == text(condition, "/type")
                && text(pattern, "/status") == text(condition, "/status")
        })
    };
    conditions.find(matches).map(|condition| text(condition, "/type"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(rules: Value) -> Value {
        json!({"spec": {"podFailurePolicy": {"rules": rules}}})
    }

    fn pod(codes: &[(&str, i64)], conditions: &[&str]) -> Value {
        let statuses: Vec<Value> = codes
            .iter()
            .map(|(name, code)| json!({"name": name, "state": {"terminated": {"exitCode": code}}}))
            .collect();
        let conditions: Vec<Value> =
            conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
        json!({
            "metadata": {"namespace": "ns", "name": "p"},
            "status": {"containerStatuses": statuses, "conditions": conditions},
        })
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let rules = json!([
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailIndex", "onExitCodes": {"containerName": "main", "operator": "In", "values": [2, 3]}},
            {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [1, 2, 3, 137]}},
        ]);
        let verdict = |codes: &[(&str, i64)], conditions: &[&str]| judge(&job(rules.clone()), &pod(codes, conditions));
        assert_eq!(verdict(&[("main", 2)], &["DisruptionTarget"]), Verdict::Ignore);
        assert_eq!(verdict(&[("main", 2)], &[]), Verdict::FailIndex);
        assert_eq!(verdict(&[("main", 137)], &["Ready"]), Verdict::Count);
        // A container that ended well matches no rule, not even NotIn.
        assert_eq!(verdict(&[("main", 0)], &[]), Verdict::Count);
        let why = "Container side for pod ns/p failed with exit code 9 matching FailJob rule at index 2";
        assert_eq!(verdict(&[("main", 0), ("side", 9)], &[]), Verdict::FailJob(why.to_owned()));
        assert_eq!(verdict(&[("side", 2)], &[]), Verdict::Count, "the rule is about another container");
    }

    #[test]
    fn without_a_policy_every_failure_counts() {
        assert_eq!(judge(&json!({"spec": {}}), &pod(&[("main", 2)], &["DisruptionTarget"])), Verdict::Count);
        let on_condition = json!([{"action": "FailJob", "onPodConditions": [{"type": "ConfigIssue", "status": "True"}]}]);
        let why = "Pod ns/p has condition ConfigIssue matching FailJob rule at index 0";
        assert_eq!(judge(&job(on_condition), &pod(&[], &["ConfigIssue"])), Verdict::FailJob(why.to_owned()));
    }
}
