//! One pass over a Job: counts its pods, decides, creates and deletes pods, and writes the status.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{MANAGER, pod};
use super::indexes::Indexes;
use super::outcome::{self, Outcome};
use super::{
    JOBS, SOURCE, backoff, backoff_limit_per_index, completions, failure_policy, is_failed, is_indexed,
    is_suspended, pods, replaces_only_failed,
};
use crate::aks::condition;
use crate::aks::object::{is_ending, list, number, object_ref, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::Task;
use crate::clock::SimTime;

/// The maximum number of pods that one pass creates or deletes.
const PODS_MAX: usize = 500;

/// The pods of a Job, and the numbers that follow from them and from the status.
pub(super) struct Count {
    /// All pods of the Job.
    pub pods: Vec<Arc<Value>>,
    /// The pods that have neither finished nor begun to be deleted.
    pub active: Vec<Arc<Value>>,
    /// The number of pods that are being deleted and have not ended.
    pub terminating: usize,
    /// The number of pods that succeeded so far; of an Indexed Job, the number of indexes.
    pub succeeded: i64,
    /// The number of pods that failed so far, without those that a rule ignores.
    pub failed: i64,
    /// The indexes that succeeded.
    pub completed: Indexes,
    /// The indexes that failed for good.
    pub failed_indexes: Indexes,
}

impl Count {
    fn of(job: &Value, pods: Vec<Arc<Value>>) -> Self {
        let all = completions(job).unwrap_or(0);
        let is_new = |pod: &&Arc<Value>| {
            pods::is_tracked(pod) && (!is_indexed(job) || pods::index(job, pod).is_some())
        };
        let is_active = |pod: &&Arc<Value>| !is_ending(pod) && !pod::is_over(pod);
        let mut count = Self {
            active: pods.iter().filter(is_active).cloned().collect(),
            terminating: pods.iter().filter(|pod| is_ending(pod) && !pod::is_over(pod)).count(),
            succeeded: number(job, "/status/succeeded").unwrap_or(0),
            failed: number(job, "/status/failed").unwrap_or(0),
            completed: Indexes::parse(text(job, "/status/completedIndexes"), all),
            failed_indexes: Indexes::parse(text(job, "/status/failedIndexes"), all),
            pods: Vec::new(),
        };
        for pod in pods.iter().filter(is_new) {
            let index = pods::index(job, pod).filter(|_| is_indexed(job));
            if text(pod, "/status/phase") == "Succeeded" {
                match index {
                    Some(index) => count.completed.insert(index),
                    None => count.succeeded += 1,
                }
            } else if is_failed(job, pod) {
                let verdict = failure_policy::judge(job, pod);
                count.failed += i64::from(verdict.counts());
                let is_last = backoff_limit_per_index(job)
                    .is_some_and(|limit| i64::from(pods::failures_before(pod)) >= limit);
                let fails_index = backoff_limit_per_index(job).is_some()
                    && (verdict == failure_policy::Verdict::FailIndex || (verdict.counts() && is_last));
                if let Some(index) = index.filter(|_| fails_index) {
                    count.failed_indexes.insert(index);
                }
            }
        }
        if is_indexed(job) {
            count.succeeded = i64::from(count.completed.count());
        }
        Self { pods, ..count }
    }

    fn indexes<'p>(job: &Value, pods: impl IntoIterator<Item = &'p Arc<Value>>) -> Indexes {
        pods.into_iter().filter_map(|pod| pods::index(job, pod)).collect()
    }

    /// Returns the last failed pod of each index that is to be tried again. It stays until its successor exists, which
    /// takes over its number of failures.
    fn replaced(&self, job: &Value) -> BTreeMap<u32, Arc<Value>> {
        let mut last: BTreeMap<u32, Arc<Value>> = BTreeMap::new();
        if backoff_limit_per_index(job).is_none() {
            return last;
        }
        let mut settled = Self::indexes(job, &self.active);
        settled.extend(&self.completed);
        settled.extend(&self.failed_indexes);
        let age = |pod: &Value| (pods::all_failures_before(pod), backoff::finish_time(pod));
        for pod in self.pods.iter().filter(|pod| pods::is_tracked(pod) && is_failed(job, pod)) {
            if let Some(index) = pods::index(job, pod).filter(|index| !settled.contains(*index)) {
                let known = last.entry(index).or_insert_with(|| Arc::clone(pod));
                if age(pod) > age(known) {
                    *known = Arc::clone(pod);
                }
            }
        }
        last
    }
}

/// A pass over a Job.
struct Pass<'j> {
    job: &'j Value,
    count: Count,
    replaced: BTreeMap<u32, Arc<Value>>,
    status: Value,
    conditions: Vec<Value>,
    /// The number of failed pods that were let go.
    failed: i64,
    /// The numbers of active, ready and terminating pods after the pass.
    active: usize,
    ready: usize,
    terminating: usize,
    /// The time at which the next pod may start.
    next: Option<SimTime>,
}

/// Reconciles one Job that has not finished.
pub(super) fn reconcile(cx: &mut ReconcileContext<'_>, job: &Value) {
    let count = Count::of(job, cx.owned("pods", job));
    record_failures(cx, job, &count);
    let mut status = job.get("status").cloned().unwrap_or_else(|| json!({}));
    if text(job, "/status/startTime").is_empty() && !is_suspended(job) {
        status["startTime"] = json!(cx.at.rfc3339());
    }
    let mut pass = Pass {
        job,
        replaced: count.replaced(job),
        failed: number(job, "/status/failed").unwrap_or(0),
        active: count.active.len(),
        ready: count.active.iter().filter(|pod| condition::is_true(pod, "Ready")).count(),
        terminating: count.terminating,
        conditions: list(job, "/status/conditions").to_vec(),
        status,
        count,
        next: None,
    };
    let mut end = outcome::decide(job, &pass.count, cx.at, cx.timing);
    if end.is_some() {
        let active = std::mem::take(&mut pass.count.active);
        pass.delete(cx, &active);
    } else {
        pass.manage(cx);
        end = pass.is_complete().then(Outcome::complete);
        if end.is_none() {
            pass.report_suspension(cx);
        }
    }
    pass.release_counted(cx, end.as_ref());
    let is_finished = pass.report_end(cx, end.as_ref());
    pass.write(cx);
    pass.schedule_next(cx, is_finished);
}

/// Adds the pods that finished since the last pass to the failures from which the delay of a whole Job follows.
fn record_failures(cx: &mut ReconcileContext<'_>, job: &Value, count: &Count) {
    let new = count.pods.iter().filter(|pod| pods::is_tracked(pod));
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for pod in new {
        if text(pod, "/status/phase") == "Succeeded" {
            succeeded.push(backoff::finish_time(pod));
        } else if is_failed(job, pod) {
            failed.push(backoff::finish_time(pod));
        }
    }
    if backoff_limit_per_index(job).is_none() && !(succeeded.is_empty() && failed.is_empty()) {
        cx.state.job_failures.entry(uid(job).to_owned()).or_default().add(&succeeded, &failed);
    }
}

impl Pass<'_> {
    fn delete(&mut self, cx: &mut ReconcileContext<'_>, removed: &[Arc<Value>]) {
        for pod in removed {
            pods::delete(cx, self.job, pod);
            self.ready -= usize::from(condition::is_true(pod, "Ready"));
        }
        self.active -= removed.len();
        self.terminating += removed.len();
    }

    /// Deletes pods without counting them as failed.
    fn withdraw(&mut self, cx: &mut ReconcileContext<'_>, removed: &[Arc<Value>]) {
        removed.iter().for_each(|pod| pods::release(cx, pod));
        self.delete(cx, removed);
    }

    /// Creates or deletes pods until their number is the desired one.
    fn manage(&mut self, cx: &mut ReconcileContext<'_>) {
        let job = self.job;
        if is_suspended(job) {
            let active = std::mem::take(&mut self.count.active);
            return self.withdraw(cx, &active);
        }
        let active = self.active as i64;
        let parallelism = number(job, "/spec/parallelism").unwrap_or(1);
        let wanted = match completions(job) {
            Some(all) => (i64::from(all) - self.count.succeeded).clamp(0, parallelism),
            // Without a number of completions, the first success ends the creation of pods.
            None if self.count.succeeded > 0 => active,
            None => parallelism,
        };
        let surplus = usize::try_from(active - wanted).unwrap_or(0);
        let mut removed = pods::removable(job, &self.count.active, surplus);
        removed.truncate(PODS_MAX);
        if !removed.is_empty() {
            return self.withdraw(cx, &removed);
        }
        let ending = if replaces_only_failed(job) { self.count.terminating as i64 } else { 0 };
        let missing = usize::try_from(wanted - ending - active).unwrap_or(0).min(PODS_MAX);
        if missing > 0 {
            self.create(cx, missing);
        }
    }

    fn create(&mut self, cx: &mut ReconcileContext<'_>, missing: usize) {
        let job = self.job;
        if backoff_limit_per_index(job).is_none() {
            let failures = cx.state.job_failures.get(uid(job)).copied().unwrap_or_default();
            let due = failures.retry_at(cx.timing);
            if due > cx.at {
                self.next = Some(due);
                return;
            }
        }
        let mut indexes: Vec<Option<u32>> = vec![None; missing];
        if is_indexed(job) {
            indexes = self.pending_indexes(missing).into_iter().map(Some).collect();
        }
        for index in indexes {
            let replaced = index.and_then(|index| self.replaced.get(&index)).cloned();
            let due = replaced.as_ref().map(|pod| {
                let failures = pods::all_failures_before(pod) + 1;
                backoff::retry_at(failures, backoff::finish_time(pod), cx.timing)
            });
            if let Some(due) = due.filter(|due| *due > cx.at) {
                self.next = Some(self.next.map_or(due, |next| next.min(due)));
                continue;
            }
            pods::create(cx, job, index, replaced.as_deref());
            self.active += 1;
            // Its successor has the number of failures now.
            if let Some(index) = index {
                self.replaced.remove(&index);
            }
        }
    }

    /// Returns the first indexes that have no pod and are not done.
    fn pending_indexes(&self, most: usize) -> Vec<u32> {
        let mut taken = Count::indexes(self.job, &self.count.active);
        taken.extend(&self.count.completed);
        taken.extend(&self.count.failed_indexes);
        if replaces_only_failed(self.job) {
            let ending = self.count.pods.iter().filter(|pod| is_ending(pod) && !pod::is_over(pod));
            taken.extend(&Count::indexes(self.job, ending));
        }
        taken.missing(completions(self.job).unwrap_or(0)).take(most).collect()
    }

    fn is_complete(&self) -> bool {
        let is_enough = match completions(self.job) {
            Some(all) => self.count.succeeded >= i64::from(all),
            None => self.count.succeeded > 0,
        };
        is_enough && self.active == 0
    }

    fn report_suspension(&mut self, cx: &mut ReconcileContext<'_>) {
        let is_suspended = is_suspended(self.job);
        let texts =
            if is_suspended { ("JobSuspended", "Job suspended") } else { ("JobResumed", "Job resumed") };
        if !outcome::set_condition(&mut self.conditions, "Suspended", is_suspended, texts, cx.at) {
            return;
        }
        if !is_suspended {
            self.status["startTime"] = json!(cx.at.rfc3339());
        }
        let reason = if is_suspended { "Suspended" } else { "Resumed" };
        cx.event(self.job, &EventSpec::normal(SOURCE, reason, texts.1));
    }

    /// Counts the pods that have finished, and lets them go. All pods of a Job that has ended are counted.
    fn release_counted(&mut self, cx: &mut ReconcileContext<'_>, end: Option<&Outcome>) {
        let is_valid = |pod: &Value| !is_indexed(self.job) || pods::index(self.job, pod).is_some();
        for pod in self.count.pods.iter().filter(|pod| pods::is_tracked(pod)) {
            let has_succeeded = text(pod, "/status/phase") == "Succeeded";
            let has_failed = is_failed(self.job, pod);
            let is_kept = pods::index(self.job, pod)
                .and_then(|index| self.replaced.get(&index))
                .is_some_and(|kept| uid(kept) == uid(pod));
            if end.is_none() && !has_succeeded && (!has_failed || is_kept) {
                continue;
            }
            // A pod that still runs when its Job fails counts as failed.
            let counts = has_failed || (!has_succeeded && end.is_some_and(|end| !end.succeeds));
            if counts && is_valid(pod) && failure_policy::judge(self.job, pod).counts() {
                self.failed += 1;
            }
            pods::release(cx, pod);
        }
    }

    /// Writes the conditions of the end; returns whether the Job has finished.
    fn report_end(&mut self, cx: &mut ReconcileContext<'_>, end: Option<&Outcome>) -> bool {
        let Some(end) = end else { return false };
        let texts = (end.reason.as_str(), end.message.as_str());
        let [early, last] = end.conditions();
        outcome::set_condition(&mut self.conditions, early, true, texts, cx.at);
        if self.terminating > 0 {
            return false;
        }
        outcome::set_condition(&mut self.conditions, last, true, texts, cx.at);
        if end.succeeds {
            self.status["completionTime"] = json!(cx.at.rfc3339());
            cx.event(self.job, &EventSpec::normal(SOURCE, "Completed", "Job completed"));
        } else {
            cx.event(self.job, &EventSpec::warning(SOURCE, &end.reason, end.message.clone()));
        }
        true
    }

    fn write(&mut self, cx: &mut ReconcileContext<'_>) {
        let job = self.job;
        let status = &mut self.status;
        for (field, count) in
            [("active", self.active as i64), ("succeeded", self.count.succeeded), ("failed", self.failed)]
        {
            set_or_drop(status, field, (count > 0).then(|| json!(count)));
        }
        status["ready"] = json!(self.ready);
        status["terminating"] = json!(self.terminating);
        status["uncountedTerminatedPods"] = json!({});
        if is_indexed(job) {
            let completed = self.count.completed.to_string();
            set_or_drop(status, "completedIndexes", (!completed.is_empty()).then(|| json!(completed)));
        }
        if backoff_limit_per_index(job).is_some() {
            status["failedIndexes"] = json!(self.count.failed_indexes.to_string());
        }
        if !self.conditions.is_empty() {
            status["conditions"] = json!(self.conditions);
        }
        cx.status(JOBS, job, self.status.clone(), MANAGER);
    }

    /// Schedules the pass after a delay or at the deadline.
    fn schedule_next(&self, cx: &mut ReconcileContext<'_>, is_finished: bool) {
        let task = Task::ResumeJob { job: object_ref(self.job) };
        cx.state.timers.cancel(|waiting| *waiting == task);
        if is_finished {
            cx.state.job_failures.remove(uid(self.job));
            return;
        }
        let deadline = outcome::deadline(self.job, text(&self.status, "/startTime"), cx.timing);
        // A deadline in the past has been reported; the Job waits for its pods.
        let next = [self.next, deadline.filter(|due| *due > cx.at)].into_iter().flatten().min();
        if let Some(due) = next {
            cx.state.timers.insert(due, task);
        }
    }
}

fn set_or_drop(status: &mut Value, field: &str, value: Option<Value>) {
    match (value, status.as_object_mut()) {
        (Some(value), _) => status[field] = value,
        (None, Some(map)) => drop(map.shift_remove(field)),
        (None, None) => {}
    }
}
