//! The Job controller: pods that run to completion. Containers do not run here, so each of them succeeds.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{MANAGER, pod};
use crate::aks::condition::{self, Condition};
use crate::aks::object::{is_ending, list, name, number, object_ref, suffix, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::{ObjectRef, Task};

const JOBS: &str = "jobs.batch";
const SOURCE: &str = "job-controller";
/// The time that the containers of a Job's pod run, in seconds of cloud time (assumed).
const RUNS: f64 = 3.0;
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Reconciles all Jobs.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for job in cx.all(JOBS) {
        if !is_ending(&job) && !is_finished(&job) {
            reconcile(cx, &job);
        }
    }
}

fn is_finished(job: &Value) -> bool {
    condition::is_true(job, "Complete") || condition::is_true(job, "Failed")
}

fn reconcile(cx: &mut ReconcileContext<'_>, job: &Value) {
    let pods = cx.owned("pods", job);
    let succeeded = pods.iter().filter(|pod| text(pod, "/status/phase") == "Succeeded").count() as i64;
    let mut active: Vec<&Value> =
        pods.iter().map(Arc::as_ref).filter(|pod| !is_ending(pod) && !pod::is_over(pod)).collect();
    let mut status = job.get("status").cloned().unwrap_or_else(|| json!({}));
    let mut conditions = list(job, "/status/conditions").to_vec();
    let parallel = number(job, "/spec/parallelism").unwrap_or(1);
    let wanted = number(job, "/spec/completions");
    if job["spec"]["suspend"] == json!(true) {
        active.drain(..).for_each(|pod| cx.remove("pods", pod));
        let suspended = Condition::yes("Suspended", "JobSuspended", "Job suspended");
        condition::set(&mut conditions, &suspended, "lastProbeTime", cx.at);
    } else {
        if condition::is_true(job, "Suspended") {
            let resumed = Condition::no("Suspended", "JobResumed", "Job resumed");
            condition::set(&mut conditions, &resumed, "lastProbeTime", cx.at);
        }
        if text(job, "/status/startTime").is_empty() {
            status["startTime"] = json!(cx.at.rfc3339());
        }
    }
    let is_done = wanted.map_or(succeeded > 0 && active.is_empty(), |wanted| succeeded >= wanted);
    let mut count = active.len() as i64;
    if is_done {
        let message = "Reached expected number of succeeded pods";
        for kind in ["SuccessCriteriaMet", "Complete"] {
            let condition = Condition::yes(kind, "CompletionsReached", message);
            condition::set(&mut conditions, &condition, "lastProbeTime", cx.at);
        }
        status["completionTime"] = json!(cx.at.rfc3339());
        cx.event(job, &EventSpec::normal(SOURCE, "Completed", "Job completed"));
        if let Some(seconds) = number(job, "/spec/ttlSecondsAfterFinished") {
            cx.schedule_once(seconds as f64, Task::ExpireJob { job: object_ref(job) });
        }
    } else if job["spec"]["suspend"] != json!(true) {
        // Without a number of completions, the first success ends the creation of pods.
        let missing = wanted.map_or(if succeeded > 0 { 0 } else { parallel }, |wanted| wanted - succeeded);
        while count < missing.min(parallel) {
            create(cx, job);
            count += 1;
        }
    }
    set_counts(&mut status, count, succeeded);
    if !conditions.is_empty() {
        status["conditions"] = json!(conditions);
    }
    cx.status(JOBS, job, status, MANAGER);
}

fn set_counts(status: &mut Value, active: i64, succeeded: i64) {
    for (field, count) in [("active", active), ("succeeded", succeeded)] {
        match status.as_object_mut() {
            Some(map) if count == 0 => drop(map.shift_remove(field)),
            _ => status[field] = json!(count),
        }
    }
    status["ready"] = json!(0);
    status["terminating"] = json!(0);
    status["uncountedTerminatedPods"] = json!({});
}

fn create(cx: &mut ReconcileContext<'_>, job: &Value) {
    let mut new = pod::from_template(cx, job);
    if text(job, "/spec/completionMode") == "Indexed" {
        let taken: Vec<String> = cx
            .owned("pods", job)
            .iter()
            .map(|pod| {
                text(pod, "/metadata/annotations/batch.kubernetes.io~1job-completion-index").to_owned()
            })
            .collect();
        let index = (0_i64..).find(|index| !taken.contains(&index.to_string())).unwrap_or_default();
        let tail = suffix(&format!("{}#{index}#{}", uid(job), cx.state.pods), 5);
        new["metadata"]["name"] = json!(format!("{}-{index}-{tail}", name(job)));
        new["metadata"]["generateName"] = json!(format!("{}-{index}-", name(job)));
        new["metadata"]["annotations"][INDEX] = json!(index.to_string());
        new["metadata"]["labels"][INDEX] = json!(index.to_string());
    }
    let message = format!("Created pod: {}", name(&new));
    cx.put("pods", new, MANAGER);
    cx.event(job, &EventSpec::normal(SOURCE, "SuccessfulCreate", message));
}

/// Schedules the end of a started pod if a Job controls it.
pub(super) fn schedule_completion(cx: &mut ReconcileContext<'_>, pod: &Value) {
    if list(pod, "/metadata/ownerReferences").iter().any(|owner| owner["kind"] == "Job") {
        cx.schedule_once(RUNS, Task::CompletePod { pod: object_ref(pod) });
    }
}

/// Ends the containers of a pod successfully.
pub(in crate::aks) fn complete_pod(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    let Some(pod) = cx.find("pods", target) else { return };
    if !is_ending(&pod) && !pod::is_over(&pod) {
        let status = pod::completed_status(cx, &pod);
        cx.status("pods", &pod, status, "kubelet");
    }
}

/// Deletes a finished Job whose time to live has passed, with its pods.
pub(in crate::aks) fn expire(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    if let Some(job) = cx.find(JOBS, target) {
        cx.remove(JOBS, &job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture::ClusterFixture;

    fn job(spec: Value) -> Value {
        let mut job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "default"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}}},
        });
        for (field, value) in spec.as_object().into_iter().flatten() {
            job["spec"][field] = value.clone();
        }
        job
    }

    #[test]
    fn a_job_completes_and_its_pods_stay() {
        let mut fixture = ClusterFixture::running();
        fixture.request(JOBS, job(json!({"completions": 3, "parallelism": 2, "completionMode": "Indexed"})));
        fixture.advance(2.0);
        let active = |fixture: &ClusterFixture| {
            fixture.get(JOBS, "default", "once").expect("it is there")["status"]["active"].clone()
        };
        assert_eq!(active(&fixture), 2);
        fixture.advance(60.0);
        let live = fixture.get(JOBS, "default", "once").expect("it is there");
        assert_eq!((&live["status"]["succeeded"], &live["status"]["active"]), (&json!(3), &Value::Null));
        assert!(condition::is_true(live, "Complete") && live["status"]["completionTime"].is_string());
        let pods = fixture.store.list("pods", Some("default"));
        assert_eq!(pods.len(), 3);
        assert!(pods.iter().all(|pod| text(pod, "/status/phase") == "Succeeded"));
    }

    #[test]
    fn a_suspended_job_waits_and_a_finished_one_expires() {
        let mut fixture = ClusterFixture::running();
        fixture.request(JOBS, job(json!({"suspend": true, "ttlSecondsAfterFinished": 100})));
        fixture.advance(60.0);
        assert!(fixture.store.list("pods", Some("default")).is_empty());
        assert!(condition::is_true(fixture.get(JOBS, "default", "once").expect("it is there"), "Suspended"));
        let mut resumed = fixture.get(JOBS, "default", "once").expect("it is there").clone();
        resumed["spec"]["suspend"] = json!(false);
        fixture.request(JOBS, resumed);
        fixture.advance(60.0);
        assert!(condition::is_true(fixture.get(JOBS, "default", "once").expect("it is there"), "Complete"));
        fixture.advance(100.0);
        assert!(fixture.get(JOBS, "default", "once").is_none());
        assert!(fixture.store.list("pods", Some("default")).is_empty());
    }
}
