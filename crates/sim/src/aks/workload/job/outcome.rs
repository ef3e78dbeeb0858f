//! The end of a Job: its reasons and messages, and the conditions that report it.

use serde_json::{Value, json};

use super::failure_policy::{self, Verdict};
use super::reconcile::Count;
use super::{backoff, backoff_limit_per_index, completions, is_failed, is_suspended, success_policy};
use crate::aks::object::{list, number, text};
use crate::clock::{SimTime, Timing};

/// The end of a Job that is decided. It is reported twice: before its last pods have ended, and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub succeeds: bool,
    pub reason: String,
    pub message: String,
}

impl Outcome {
    fn failure(reason: &str, message: impl Into<String>) -> Self {
        Self { succeeds: false, reason: reason.to_owned(), message: message.into() }
    }

    /// Returns the success of a Job that has all its completions.
    pub fn complete() -> Self {
        Self::success("CompletionsReached", "Reached expected number of succeeded pods")
    }

    fn success(reason: &str, message: impl Into<String>) -> Self {
        Self { succeeds: true, reason: reason.to_owned(), message: message.into() }
    }

    /// Returns the types of the condition before the last pods have ended, and of the one after.
    pub fn conditions(&self) -> [&'static str; 2] {
        if self.succeeds { ["SuccessCriteriaMet", "Complete"] } else { ["FailureTarget", "Failed"] }
    }
}

/// Returns the outcome of a Job that does not come from its number of successes; `None` if it goes on.
pub(super) fn decide(job: &Value, count: &Count, at: SimTime, timing: &Timing) -> Option<Outcome> {
    decided_before(job)
        .or_else(|| failed_by_rule(job, count))
        .or_else(|| over_limit(job, count))
        .or_else(|| past_deadline(job, at, timing))
        .or_else(|| failed_by_indexes(job, count))
        .or_else(|| {
            let message = success_policy::met(job, completions(job)?, &count.completed)?;
            Some(Outcome::success("SuccessPolicy", message))
        })
}

fn decided_before(job: &Value) -> Option<Outcome> {
    let reported = |kind: &str| {
        let found = list(job, "/status/conditions").iter().find(|line| text(line, "/type") == kind)?;
        (text(found, "/status") == "True").then(|| (text(found, "/reason"), text(found, "/message")))
    };
    let success = reported("SuccessCriteriaMet").map(|(reason, message)| Outcome::success(reason, message));
    success.or_else(|| reported("FailureTarget").map(|(reason, message)| Outcome::failure(reason, message)))
}

fn failed_by_rule(job: &Value, count: &Count) -> Option<Outcome> {
    let failed = count.pods.iter().filter(|pod| is_failed(job, pod));
    let mut messages = failed.filter_map(|pod| match failure_policy::judge(job, pod) {
        Verdict::FailJob(message) => Some(message),
        _ => None,
    });
    messages.next().map(|message| Outcome::failure("PodFailurePolicy", message))
}

fn over_limit(job: &Value, count: &Count) -> Option<Outcome> {
    let limit = number(job, "/spec/backoffLimit").unwrap_or(6);
    let restarts = || -> i64 {
        let statuses = count.active.iter().flat_map(|pod| {
            list(pod, "/status/containerStatuses").iter().chain(list(pod, "/status/initContainerStatuses"))
        });
        statuses.filter_map(|status| number(status, "/restartCount")).sum()
    };
    let restarts_containers = text(job, "/spec/template/spec/restartPolicy") == "OnFailure";
    let is_over = count.failed > limit || (restarts_containers && restarts() >= limit.max(1));
    is_over.then(|| Outcome::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit"))
}

/// Returns the time at which a Job fails because it was active for too long.
pub(super) fn deadline(job: &Value, started: &str, timing: &Timing) -> Option<SimTime> {
    let seconds = number(job, "/spec/activeDeadlineSeconds").filter(|_| !is_suspended(job))?;
    Some(timing.lasting(backoff::time(started)?, seconds as f64))
}

fn past_deadline(job: &Value, at: SimTime, timing: &Timing) -> Option<Outcome> {
    let due = deadline(job, text(job, "/status/startTime"), timing)?;
    let message = "Job was active longer than specified deadline";
    (due <= at).then(|| Outcome::failure("DeadlineExceeded", message))
}

fn failed_by_indexes(job: &Value, count: &Count) -> Option<Outcome> {
    backoff_limit_per_index(job)?;
    let failed = count.failed_indexes.count();
    let most = number(job, "/spec/maxFailedIndexes");
    if most.is_some_and(|most| i64::from(failed) > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(Outcome::failure("MaxFailedIndexesExceeded", message));
    }
    let are_all_done = failed + count.completed.count() >= completions(job)?;
    (failed > 0 && are_all_done).then(|| Outcome::failure("FailedIndexes", "Job has failed indexes"))
}

/// Writes a condition of a Job; returns whether that changed anything. A condition does not begin as false.
pub(super) fn set_condition(
    conditions: &mut Vec<Value>,
    kind: &str,
    holds: bool,
    (reason, message): (&str, &str),
    at: SimTime,
) -> bool {
    let status = if holds { "True" } else { "False" };
    let known = conditions.iter().position(|line| text(line, "/type") == kind);
    let is_same = |line: &Value| {
        text(line, "/status") == status && text(line, "/reason") == reason && text(line, "/message") == message
    };
    if known.map_or(!holds, |place| is_same(&conditions[place])) {
        return false;
    }
    let now = at.rfc3339();
    let line = json!({
        "type": kind, "status": status, "lastProbeTime": now, "lastTransitionTime": now,
        "reason": reason, "message": message,
    });
    match known {
        Some(place) => conditions[place] = line,
        None => conditions.push(line),
    }
    true
}
