//! The Job controller: pods that run to completion, with or without indexes.
//!
//! One pass over a Job (`reconcile.rs`) counts the pods that have finished since the last one, decides whether the Job has
//! ended (`outcome.rs`), deletes and creates pods, and writes the status. A pod has a finalizer until it is counted
//! (`pods.rs`), so a deleted pod counts too. Source: batch/v1 and the behaviour of the controller in Kubernetes 1.36.

mod backoff;
mod failure_policy;
mod indexes;
mod outcome;
mod pods;
mod reconcile;
mod success_policy;
#[cfg(test)]
mod tests;

pub(in crate::aks) use backoff::Failures;

use serde_json::Value;

use crate::aks::condition;
use crate::aks::object::{is_ending, list, number, object_ref, text};
use crate::aks::reconcile_context::ReconcileContext;
use crate::aks::timers::{ObjectRef, Task};

const JOBS: &str = "jobs.batch";
const SOURCE: &str = "job-controller";
/// The value of `managedBy` of Jobs of this controller; an empty one is the default.
const CONTROLLER: &str = "kubernetes.io/job-controller";

/// Reconciles all Jobs.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for job in cx.all(JOBS) {
        if is_finished(&job) {
            schedule_expiry(cx, &job);
        } else if !is_ending(&job) && matches!(text(&job, "/spec/managedBy"), "" | CONTROLLER) {
            reconcile::reconcile(cx, &job);
        }
    }
    pods::release_orphans(cx);
}

/// Reconciles one Job whose delay or deadline has passed.
pub(in crate::aks) fn resume(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    if let Some(job) = cx.find(JOBS, target).filter(|job| !is_finished(job) && !is_ending(job)) {
        reconcile::reconcile(cx, &job);
    }
}

/// Deletes a finished Job whose time to live has passed, with its pods.
pub(in crate::aks) fn expire(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    let Some(job) = cx.find(JOBS, target) else { return };
    match expiry(cx, &job) {
        Some(due) if due <= cx.at => cx.remove(JOBS, &job),
        // The time to live was changed.
        Some(_) => schedule_expiry(cx, &job),
        None => {}
    }
}

fn schedule_expiry(cx: &mut ReconcileContext<'_>, job: &Value) {
    if let Some(due) = expiry(cx, job) {
        cx.state.timers.insert_once(due.max(cx.at), Task::ExpireJob { job: object_ref(job) });
    }
}

/// Returns the time at which a finished Job is deleted, if it has a time to live.
fn expiry(cx: &ReconcileContext<'_>, job: &Value) -> Option<crate::clock::SimTime> {
    let seconds = number(job, "/spec/ttlSecondsAfterFinished")?;
    let mut conditions = list(job, "/status/conditions").iter();
    let ended = conditions.find(|line| {
        matches!(text(line, "/type"), "Complete" | "Failed") && text(line, "/status") == "True"
    })?;
    Some(cx.timing.lasting(backoff::time(text(ended, "/lastTransitionTime"))?, seconds as f64))
}

fn is_finished(job: &Value) -> bool {
    condition::is_true(job, "Complete") || condition::is_true(job, "Failed")
}

fn is_indexed(job: &Value) -> bool {
    text(job, "/spec/completionMode") == "Indexed"
}

fn is_suspended(job: &Value) -> bool {
    job["spec"]["suspend"] == Value::Bool(true)
}

/// Returns the desired number of successes; `None` if any success ends the Job.
fn completions(job: &Value) -> Option<u32> {
    number(job, "/spec/completions").and_then(|count| u32::try_from(count).ok())
}

fn backoff_limit_per_index(job: &Value) -> Option<i64> {
    number(job, "/spec/backoffLimitPerIndex").filter(|_| is_indexed(job))
}

/// Returns whether a pod is replaced only once it has ended, not already when its deletion begins.
fn replaces_only_failed(job: &Value) -> bool {
    text(job, "/spec/podReplacementPolicy") == "Failed" || job["spec"]["podFailurePolicy"].is_object()
}

/// Returns whether a pod has failed, or counts as failed because it is being deleted.
fn is_failed(job: &Value, pod: &Value) -> bool {
    match text(pod, "/status/phase") {
        "Failed" => true,
        "Succeeded" => false,
        _ => is_ending(pod) && !replaces_only_failed(job),
    }
}
