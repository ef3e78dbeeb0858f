//! The controller with a cluster. The test is the runtime of the containers, so it decides how they end.

use serde_json::{Value, json};

use super::JOBS;
use crate::aks::condition;
use crate::aks::fixture::ClusterFixture;
use crate::aks::object::{is_ending, list, name, number, text};
use crate::aks::runtime::{ContainerEnd, ContainerReport};
use crate::clock::Speed;

const IMAGE: &str = "registry.test/worker";

fn job(spec: Value) -> Value {
    let container = json!({"name": "main", "image": format!("{IMAGE}:1")});
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "default"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

fn indexed(completions: u32, spec: Value) -> Value {
    let mut job =
        job(json!({"completions": completions, "parallelism": completions, "completionMode": "Indexed"}));
    for (field, value) in spec.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

/// A cluster in which the test runs the containers of the Job.
fn fixture() -> ClusterFixture {
    let mut fixture = ClusterFixture::running();
    fixture.run_image(IMAGE);
    fixture
}

/// Waits until the pods of the Job wait for their runtime, and starts them.
fn start(fixture: &mut ClusterFixture) {
    fixture.advance(9.0);
    fixture.start_containers();
}

fn live(fixture: &ClusterFixture) -> &Value {
    fixture.get(JOBS, "default", "once").expect("it is there")
}

fn status<'f>(fixture: &'f ClusterFixture, field: &str) -> &'f Value {
    &live(fixture)["status"][field]
}

/// Returns reason and message of a condition that is true.
fn condition_of(fixture: &ClusterFixture, kind: &str) -> Option<(String, String)> {
    let (status, reason, message) = ClusterFixture::condition(live(fixture), "/status/conditions", kind);
    (status == "True").then_some((reason, message))
}

fn pods(fixture: &ClusterFixture) -> Vec<&Value> {
    fixture.store.list("pods", Some("default"))
}

fn active(fixture: &ClusterFixture) -> usize {
    pods(fixture)
        .into_iter()
        .filter(|pod| !is_ending(pod) && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"))
        .count()
}

#[test]
fn every_index_has_a_pod_with_its_number_everywhere() {
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(3, json!({"parallelism": 2, "backoffLimitPerIndex": 1})));
    start(&mut fixture);
    let pod = pods(&fixture)[1].clone();
    assert!(name(&pod).starts_with("once-1-") && name(&pod).len() == "once-1-".len() + 5, "{}", name(&pod));
    let index = "batch.kubernetes.io~1job-completion-index";
    assert_eq!(text(&pod, &format!("/metadata/annotations/{index}")), "1");
    assert_eq!(text(&pod, &format!("/metadata/labels/{index}")), "1");
    assert_eq!(text(&pod, "/metadata/annotations/batch.kubernetes.io~1job-index-failure-count"), "0");
    assert_eq!(text(&pod, "/metadata/labels/batch.kubernetes.io~1job-name"), "once");
    assert_eq!(text(&pod, "/metadata/labels/job-name"), "once");
    assert_eq!(text(&pod, "/spec/hostname"), "once-1");
    let variable = &pod["spec"]["containers"][0]["env"][0];
    assert_eq!(variable["name"], "JOB_COMPLETION_INDEX");
    assert_eq!(
        text(variable, "/valueFrom/fieldRef/fieldPath"),
        "metadata.labels['batch.kubernetes.io/job-completion-index']"
    );
    assert_eq!((status(&fixture, "active"), status(&fixture, "ready")), (&json!(2), &json!(2)));
    assert_eq!(fixture.end_containers("once-1-", 0), 1);
    start(&mut fixture);
    assert_eq!(status(&fixture, "completedIndexes"), "1");
    fixture.end_containers("once-", 0);
    fixture.advance(1.0);
    assert_eq!(
        (status(&fixture, "completedIndexes"), status(&fixture, "succeeded")),
        (&json!("0-2"), &json!(3))
    );
    let reached = ("CompletionsReached".to_owned(), "Reached expected number of succeeded pods".to_owned());
    assert_eq!(condition_of(&fixture, "SuccessCriteriaMet"), Some(reached.clone()));
    assert_eq!(condition_of(&fixture, "Complete"), Some(reached));
    assert!(status(&fixture, "completionTime").is_string());
    assert_eq!(pods(&fixture).len(), 3, "finished pods stay");
    assert!(pods(&fixture).iter().all(|pod| list(pod, "/metadata/finalizers").is_empty()));
}

#[test]
fn a_failed_index_is_retried_later_each_time_and_its_failures_are_handed_on() {
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(2, json!({"backoffLimitPerIndex": 2})));
    start(&mut fixture);
    fixture.end_containers("once-1-", 0);
    let mut waits = Vec::new();
    for failures in 0..3 {
        let pod =
            pods(&fixture).into_iter().find(|pod| text(pod, "/status/phase") == "Running").expect("it runs");
        let count =
            text(pod, "/metadata/annotations/batch.kubernetes.io~1job-index-failure-count").to_owned();
        assert_eq!(count, failures.to_string());
        fixture.end_containers("once-0-", 1);
        let failed_at = fixture.now;
        fixture.advance(0.0);
        if failures < 2 {
            let due = fixture.due().expect("a new pod is due");
            waits.push(due.since(failed_at).as_secs());
            assert_eq!(active(&fixture), 0, "the index waits");
            fixture.advance(due.since(fixture.now).as_secs_f64());
            start(&mut fixture);
        }
    }
    assert_eq!(waits, [10, 20]);
    assert_eq!(
        (status(&fixture, "failedIndexes"), status(&fixture, "completedIndexes")),
        (&json!("0"), &json!("1"))
    );
    assert_eq!((status(&fixture, "failed"), status(&fixture, "succeeded")), (&json!(3), &json!(1)));
    let why = ("FailedIndexes".to_owned(), "Job has failed indexes".to_owned());
    assert_eq!(condition_of(&fixture, "FailureTarget"), Some(why.clone()));
    assert_eq!(condition_of(&fixture, "Failed"), Some(why));
    assert_eq!(pods(&fixture).len(), 4);
}

#[test]
fn too_many_failed_indexes_end_the_job_and_its_pods() {
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(4, json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1})));
    start(&mut fixture);
    fixture.end_containers("once-0-", 1);
    assert_eq!(condition_of(&fixture, "FailureTarget"), None, "one may fail");
    fixture.end_containers("once-2-", 1);
    fixture.advance(0.0);
    let why = (
        "MaxFailedIndexesExceeded".to_owned(),
        "Job has exceeded the specified maximal number of failed indexes".to_owned(),
    );
    assert_eq!(condition_of(&fixture, "FailureTarget"), Some(why.clone()));
    assert_eq!(condition_of(&fixture, "Failed"), None, "two pods are still ending");
    assert_eq!(status(&fixture, "terminating"), 2);
    let ending: Vec<_> = fixture.external_pods();
    assert!(ending.len() == 2 && ending.iter().all(|one| one.grace_seconds == Some(30)), "{ending:?}");
    fixture.end_containers("once-", 143);
    fixture.advance(0.0);
    assert_eq!(condition_of(&fixture, "Failed"), Some(why));
    assert_eq!((status(&fixture, "failedIndexes"), status(&fixture, "failed")), (&json!("0,2"), &json!(4)));
    assert_eq!(pods(&fixture).len(), 2, "the deleted pods are gone, the failed ones stay");
}

#[test]
fn the_failure_policy_ignores_disruptions_and_ends_an_index_or_the_job_by_exit_code() {
    let policy = json!({"rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailIndex", "onExitCodes": {"containerName": "main", "operator": "In", "values": [2, 3]}},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
    ]});
    let spec =
        json!({"backoffLimitPerIndex": 1, "podFailurePolicy": policy, "podReplacementPolicy": "Failed"});
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(3, spec));
    start(&mut fixture);
    fixture.end_containers("once-1-", 2);
    fixture.advance(0.0);
    assert_eq!(status(&fixture, "failedIndexes"), "1");

    let disrupted = fixture.external_pods().remove(0);
    let end = ContainerEnd::exited(137);
    fixture.report(&disrupted.pod, "main", &ContainerReport::ShutDown(end));
    fixture.advance(0.0);
    let lost = fixture.get("pods", "default", &disrupted.pod.name).expect("it stays");
    assert!(condition::is_true(lost, "DisruptionTarget") && text(lost, "/status/phase") == "Failed");
    fixture.advance(11.0);
    start(&mut fixture);
    assert_eq!(status(&fixture, "failed"), 1, "the disruption does not count");
    let again = pods(&fixture)
        .into_iter()
        .find(|pod| name(pod).starts_with("once-0-") && text(pod, "/status/phase") == "Running")
        .expect("it is replaced");
    let annotation = |key: &str| text(again, &format!("/metadata/annotations/batch.kubernetes.io~1{key}"));
    assert_eq!(annotation("job-index-failure-count"), "0");
    assert_eq!(annotation("job-index-ignored-failure-count"), "1");

    let pod_name = name(again).to_owned();
    fixture.end_containers("once-0-", 42);
    fixture.end_containers("once-2-", 0);
    fixture.advance(1.0);
    let why = format!(
        "Container main for pod default/{pod_name} failed with exit code 42 matching FailJob rule at index 2"
    );
    assert_eq!(condition_of(&fixture, "Failed"), Some(("PodFailurePolicy".to_owned(), why)));
}

#[test]
fn without_indexes_the_whole_job_has_one_delay_and_one_limit() {
    let mut fixture = fixture();
    fixture.request(JOBS, job(json!({"completions": 2, "parallelism": 1, "backoffLimit": 1})));
    start(&mut fixture);
    fixture.end_containers("once-", 1);
    fixture.advance(0.0);
    assert_eq!((status(&fixture, "failed"), active(&fixture)), (&json!(1), 0));
    fixture.advance(9.9);
    assert_eq!(active(&fixture), 0);
    fixture.advance(0.1);
    assert_eq!(active(&fixture), 1);
    start(&mut fixture);
    fixture.end_containers("once-", 0);
    fixture.advance(0.0);
    assert_eq!((status(&fixture, "succeeded"), active(&fixture)), (&json!(1), 1), "a success ends the delay");
    start(&mut fixture);
    fixture.end_containers("once-", 1);
    fixture.advance(1.0);
    let why = ("BackoffLimitExceeded".to_owned(), "Job has reached the specified backoff limit".to_owned());
    assert_eq!(condition_of(&fixture, "Failed"), Some(why));
    assert_eq!(status(&fixture, "completedIndexes"), &Value::Null);
}

#[test]
fn parallelism_changes_while_a_job_runs() {
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(5, json!({"parallelism": 3})));
    start(&mut fixture);
    let set = |fixture: &mut ClusterFixture, field: &str, value: Value| {
        let mut changed = live(fixture).clone();
        changed["spec"][field] = value;
        fixture.request(JOBS, changed);
        fixture.advance(0.0);
    };
    set(&mut fixture, "parallelism", json!(1));
    assert_eq!((active(&fixture), status(&fixture, "terminating")), (1, &json!(2)));
    let ending: Vec<String> =
        pods(&fixture).into_iter().filter(|pod| is_ending(pod)).map(|pod| name(pod).to_owned()).collect();
    for pod in ending {
        assert_eq!(fixture.end_containers(&pod, 143), 1);
    }
    fixture.advance(0.0);
    assert_eq!(pods(&fixture).len(), 1);
    assert_eq!(status(&fixture, "failed"), &Value::Null, "a withdrawn pod has not failed");
    set(&mut fixture, "parallelism", json!(5));
    assert_eq!(active(&fixture), 5);
}

#[test]
fn a_suspended_job_has_no_pods_and_starts_again_when_resumed() {
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(2, json!({"suspend": true, "activeDeadlineSeconds": 100})));
    fixture.advance(200.0);
    assert!(pods(&fixture).is_empty() && status(&fixture, "startTime").is_null());
    assert_eq!(
        condition_of(&fixture, "Suspended").map(|(reason, _)| reason).as_deref(),
        Some("JobSuspended")
    );
    let suspend = |fixture: &mut ClusterFixture, is: bool| {
        let mut changed = live(fixture).clone();
        changed["spec"]["suspend"] = json!(is);
        fixture.request(JOBS, changed);
        fixture.advance(0.0);
    };
    suspend(&mut fixture, false);
    assert_eq!(text(live(&fixture), "/status/startTime"), fixture.now.rfc3339());
    start(&mut fixture);
    assert_eq!(active(&fixture), 2);
    fixture.end_containers("once-0-", 0);
    suspend(&mut fixture, true);
    assert_eq!(active(&fixture), 0);
    fixture.end_containers("once-1-", 143);
    fixture.advance(50.0);
    suspend(&mut fixture, false);
    assert_eq!(text(live(&fixture), "/status/startTime"), fixture.now.rfc3339());
    assert_eq!((active(&fixture), status(&fixture, "completedIndexes")), (1, &json!("0")));
    assert_eq!(fixture.events("Resumed").len(), 1);
    fixture.advance(101.0);
    let why = ("DeadlineExceeded".to_owned(), "Job was active longer than specified deadline".to_owned());
    assert_eq!(condition_of(&fixture, "FailureTarget"), Some(why));
}

#[test]
fn a_success_policy_ends_the_rest() {
    let policy = json!({"rules": [{"succeededIndexes": "0"}]});
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(3, json!({"successPolicy": policy})));
    start(&mut fixture);
    fixture.end_containers("once-0-", 0);
    fixture.advance(0.0);
    let why = ("SuccessPolicy".to_owned(), "Matched rules at index 0".to_owned());
    assert_eq!(condition_of(&fixture, "SuccessCriteriaMet"), Some(why.clone()));
    assert_eq!(condition_of(&fixture, "Complete"), None);
    fixture.end_containers("once-", 143);
    fixture.advance(0.0);
    assert_eq!(condition_of(&fixture, "Complete"), Some(why));
    assert_eq!(status(&fixture, "completedIndexes"), "0");
}

#[test]
fn a_pod_that_is_deleted_counts_once_it_has_ended_and_is_replaced() {
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(1, json!({"podReplacementPolicy": "Failed"})));
    start(&mut fixture);
    let pod = fixture.external_pods().remove(0).pod;
    fixture.store.delete("pods", "default", &pod.name, None, fixture.now);
    fixture.advance(1.0);
    assert_eq!((active(&fixture), pods(&fixture).len()), (0, 1), "it is replaced after its end");
    fixture.end_containers("once-", 143);
    fixture.advance(10.0);
    assert_eq!((status(&fixture, "failed"), active(&fixture)), (&json!(1), 1));
    assert!(fixture.get("pods", "default", &pod.name).is_none());
}

#[test]
fn a_deleted_job_takes_its_pods_along() {
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(2, json!({})));
    start(&mut fixture);
    fixture.end_containers("once-0-", 0);
    fixture.store.delete(JOBS, "default", "once", None, fixture.now);
    fixture.advance(1.0);
    assert!(fixture.get(JOBS, "default", "once").is_none());
    assert_eq!(pods(&fixture).len(), 1, "a running container has its grace period");
    fixture.end_containers("once-1-", 143);
    fixture.advance(0.0);
    assert!(pods(&fixture).is_empty());
}

#[test]
fn containers_restart_within_a_pod_until_the_limit() {
    let mut spec = job(json!({"backoffLimit": 2}));
    spec["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    let mut fixture = fixture();
    fixture.request(JOBS, spec);
    start(&mut fixture);
    fixture.end_containers("once-", 1);
    fixture.advance(1.0);
    let pod = pods(&fixture)[0];
    assert_eq!(text(pod, "/status/containerStatuses/0/state/waiting/reason"), "CrashLoopBackOff");
    assert_eq!(number(pod, "/status/containerStatuses/0/lastState/terminated/exitCode"), Some(1));
    start(&mut fixture);
    assert_eq!(number(pods(&fixture)[0], "/status/containerStatuses/0/restartCount"), Some(1));
    fixture.end_containers("once-", 1);
    fixture.advance(2.0);
    assert_eq!(
        condition_of(&fixture, "Failed").map(|(reason, _)| reason).as_deref(),
        Some("BackoffLimitExceeded")
    );
}

#[test]
fn pods_of_unknown_images_succeed_by_themselves_and_a_finished_job_expires() {
    for speed in [Speed::Times(1.0), Speed::Instant] {
        let mut fixture = ClusterFixture::at_speed(speed);
        fixture.advance(60.0);
        fixture.request(JOBS, indexed(3, json!({"parallelism": 2, "ttlSecondsAfterFinished": 100})));
        fixture.advance(40.0);
        assert!(condition::is_true(live(&fixture), "Complete"), "{:?}", live(&fixture)["status"]);
        fixture.advance(50.0);
        assert_eq!(pods(&fixture).len(), 3, "a lifetime does not vanish at instant speed");
        fixture.advance(100.0);
        assert!(fixture.get(JOBS, "default", "once").is_none() && pods(&fixture).is_empty());
    }
}

#[test]
fn a_job_goes_on_after_the_state_was_reloaded() {
    let mut fixture = fixture();
    fixture.request(JOBS, indexed(2, json!({"backoffLimitPerIndex": 1})));
    start(&mut fixture);
    fixture.end_containers("once-0-", 1);
    fixture.advance(0.0);
    fixture.reload();
    fixture.advance(10.0);
    start(&mut fixture);
    fixture.reload();
    assert_eq!(fixture.end_containers("once-", 0), 2);
    fixture.advance(0.0);
    assert!(condition::is_true(live(&fixture), "Complete"));
}

#[test]
fn two_hundred_indexes_are_counted_in_one_line() {
    let mut fixture = ClusterFixture::at_speed(Speed::Instant);
    fixture.advance(60.0);
    fixture.request(JOBS, indexed(200, json!({"parallelism": 50})));
    fixture.advance(0.0);
    assert_eq!(status(&fixture, "completedIndexes"), "0-199", "{:?}", live(&fixture)["status"]);
    assert!(condition::is_true(live(&fixture), "Complete"));
}
