//! What a pod says about its end, and why it does not start.

use crate::fleet::result::{EnvironmentError, EnvironmentOutcome, EnvironmentResult, StepCounts};
use serde_json::Value;

/// The reasons of a container that will not start by itself.
const NOT_STARTING: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Returns the result in the log of a pod: its last event of an environment.
pub fn result_in(log: &str) -> Option<EnvironmentResult> {
    let events = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "environment").find_map(|event| result_of(&event))
}

/// Parses an event of an environment.
fn result_of(event: &Value) -> Option<EnvironmentResult> {
    let outcome: EnvironmentOutcome = serde_json::from_value(event["outcome"].clone()).ok()?;
    let number = |field: &str| event[field].as_u64().unwrap_or(0);
    let steps = |field: &str| u32::try_from(number(field)).unwrap_or(u32::MAX);
    let text = |field: &str| event[field].as_str().map(str::to_owned);
    let causes = event["causes"].as_array().into_iter().flatten();
    let error = text("message").map(|message| EnvironmentError {
        step: text("step"),
        code: text("code"),
        message,
        causes: causes.filter_map(|cause| cause.as_str().map(str::to_owned)).collect(),
        hint: text("hint"),
        request_id: text("request_id"),
    });
    let steps = StepCounts {
        found: steps("found"),
        created: steps("created"),
        changed: steps("changed"),
        deleted: steps("deleted"),
    };
    Some(EnvironmentResult {
        outcome,
        elapsed_ms: number("elapsed_ms"),
        requests: number("requests"),
        steps,
        error,
    })
}

/// Returns the result of a pod that has left none: its exit code, or the reason of its end.
pub fn result_by_status(job: &str, status: Option<&Value>) -> EnvironmentResult {
    let terminated = status.map(|status| &status["containerStatuses"][0]["state"]["terminated"]);
    let exit = terminated.and_then(|terminated| terminated["exitCode"].as_u64());
    let reason =
        terminated.and_then(|terminated| terminated["reason"].as_str()).filter(|reason| *reason != "Error");
    let outcome = match exit {
        Some(3) => EnvironmentOutcome::Refused,
        _ => EnvironmentOutcome::Failed,
    };
    let cause = match (reason, exit) {
        (Some("OOMKilled"), _) => "the container was killed: it needed more memory than its limit".to_owned(),
        (Some(reason), Some(exit)) => format!("the container ended with {reason} (exit code {exit})"),
        (None, Some(exit)) => format!("the container ended with exit code {exit}"),
        (_, None) => status.and_then(waiting_reason).unwrap_or_else(|| "the pod is gone".to_owned()),
    };
    let hint = match reason {
        Some("OOMKilled") => "set kubernetes.resources.memory_limit higher".to_owned(),
        _ => logs(job),
    };
    let error = EnvironmentError {
        code: reason.map(str::to_owned),
        message: "run the environment in a pod".to_owned(),
        causes: vec![cause],
        hint: Some(hint),
        ..EnvironmentError::default()
    };
    EnvironmentResult { error: Some(error), ..EnvironmentResult::new(outcome) }
}

/// Returns the result of a pod that has succeeded and left no result.
pub fn without_result(job: &str) -> EnvironmentResult {
    let error = EnvironmentError {
        code: Some("NoResult".to_owned()),
        message: "run the environment in a pod".to_owned(),
        causes: vec![
            "the container ended with success, but left no result in the journal or in its log".to_owned(),
        ],
        hint: Some(format!(
            "check kubernetes.image: it must be landfall, of the version of this command; {}",
            logs(job)
        )),
        ..EnvironmentError::default()
    };
    EnvironmentResult { error: Some(error), ..EnvironmentResult::new(EnvironmentOutcome::Failed) }
}

fn logs(job: &str) -> String {
    format!(
        "look at the pods and their logs: kubectl logs --selector batch.kubernetes.io/job-name={job} --prefix"
    )
}

/// Returns why a pod does not start.
pub fn waiting_reason(status: &Value) -> Option<String> {
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    let message = |of: &Value| of["message"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
    if let Some(reason) = waiting["reason"].as_str().filter(|reason| NOT_STARTING.contains(reason)) {
        return Some(format!("{reason}{}", message(waiting)));
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut unscheduled = conditions.filter(|one| one["type"] == "PodScheduled" && one["status"] == "False");
    unscheduled.find_map(|one| Some(format!("{}{}", one["reason"].as_str()?, message(one))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fleet::json::of_result;
    use serde_json::json;

    #[test]
    fn the_last_event_of_a_log_is_the_result() {
        let error = EnvironmentError {
            code: Some("QuotaExceeded".into()),
            message: "create the cluster".into(),
            causes: vec!["no cores".into()],
            ..EnvironmentError::default()
        };
        let result = EnvironmentResult {
            requests: 7,
            steps: StepCounts { found: 1, ..StepCounts::default() },
            error: Some(error),
            ..EnvironmentResult::new(EnvironmentOutcome::Refused)
        };
        let mut event = of_result("a", &result);
        event["event"] = "environment".into();
        let log = format!("not json\n{{\"event\":\"started\"}}\n{event}\nerror: failed to …\n");
        assert_eq!(result_in(&log), Some(result));
        assert_eq!(result_in("error: …\n"), None);
    }

    #[test]
    fn a_pod_without_a_result_says_how_it_ended() {
        let ended =
            |state: Value| result_by_status("j", Some(&json!({ "containerStatuses": [{ "state": state }] })));
        let cause = |result: EnvironmentResult| result.error.unwrap().causes.remove(0);
        let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        assert!(cause(ended(killed)).contains("memory"));
        let refused = ended(json!({ "terminated": { "exitCode": 3, "reason": "Error" } }));
        assert_eq!(refused.outcome, EnvironmentOutcome::Refused);
        let waits = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "not found" } });
        assert_eq!(cause(ended(waits)), "ImagePullBackOff: not found");
        assert_eq!(cause(result_by_status("j", None)), "the pod is gone");
    }
}
