//! The messages of a Job's validation, as a client gets them.

use serde_json::{Value, json};

use crate::kubernetes::fixture::Cluster;

const JOBS: &str = "/apis/batch/v1/namespaces/demo/jobs/once";

fn job(spec: &Value) -> Value {
    let container = json!({"name": "main", "image": "busybox:1"});
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "completions": 3, "completionMode": "Indexed",
        "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
    }});
    for (field, value) in spec.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

/// Returns the errors of a new Job, without the text before them.
fn errors(spec: &Value) -> String {
    let refused = Cluster::new().apply(JOBS, "me", &job(spec));
    let message = refused.value()["message"].as_str().unwrap_or_default().to_owned();
    message.strip_prefix("Job.batch \"once\" is invalid: ").unwrap_or(&message).to_owned()
}

fn rule(rule: Value) -> Value {
    json!({"podFailurePolicy": {"rules": [rule]}})
}

#[test]
fn what_belongs_together_is_required_together() {
    for (spec, wanted) in [
        (json!({}), ""),
        (
            json!({"maxFailedIndexes": 1}),
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
        ),
        (
            json!({"completionMode": "NonIndexed", "backoffLimitPerIndex": 1}),
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
        ),
        (
            json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 4}),
            "spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions",
        ),
        (
            json!({"completions": 100_001, "backoffLimitPerIndex": 1}),
            "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
        ),
        (
            json!({"parallelism": 100_001}),
            "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
        ),
        (
            json!({"completions": 100_001, "backoffLimitPerIndex": 1, "maxFailedIndexes": 10_001}),
            "spec.maxFailedIndexes: Invalid value: 10001: must be less than or equal to 10000 when completions are above \
             100000 and used with backoff limit per index",
        ),
        (
            json!({"completionMode": "NonIndexed", "successPolicy": {"rules": [{"succeededCount": 1}]}}),
            "spec.successPolicy: Invalid value: {\"rules\":[{\"succeededCount\":1}]}: requires indexed completion mode",
        ),
        (
            json!({"successPolicy": {"rules": [{"succeededIndexes": "0,2", "succeededCount": 3}]}}),
            "spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of \
             indexes in the specified succeededIndexes field)",
        ),
        (
            json!({"successPolicy": {"rules": [{"succeededIndexes": "1-3"}]}}),
            "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"1-3\": error parsing succeededIndexes: too large \
             index: \"3\"",
        ),
        (
            json!({"managedBy": "me"}),
            "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")",
        ),
    ] {
        assert_eq!(errors(&spec), wanted, "{spec}");
    }
}

#[test]
fn a_failure_policy_is_checked_rule_by_rule() {
    let codes = |codes: Value| rule(json!({"action": "Count", "onExitCodes": codes}));
    let at = "spec.podFailurePolicy.rules[0]";
    for (spec, wanted) in [
        (rule(json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]})), String::new()),
        (codes(json!({"operator": "NotIn", "values": [0, 2]})), String::new()),
        (
            rule(json!({"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [2]}})),
            format!("{at}.action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set"),
        ),
        (
            rule(json!({"action": "Stop", "onExitCodes": {"operator": "In", "values": [2]}})),
            format!(
                "{at}.action: Unsupported value: \"Stop\": supported values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\""
            ),
        ),
        (
            rule(json!({"action": "Count"})),
            format!("{at}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"),
        ),
        (
            codes(json!({"operator": "In", "values": [0]})),
            format!("{at}.onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"),
        ),
        (
            codes(json!({"operator": "In", "values": [3, 2]})),
            format!("{at}.onExitCodes.values: Invalid value: [3,2]: must be ordered"),
        ),
        (
            codes(json!({"containerName": "other", "operator": "In", "values": [2]})),
            format!(
                "{at}.onExitCodes.containerName: Invalid value: \"other\": must be one of the container or initContainer names in the pod template"
            ),
        ),
    ] {
        assert_eq!(errors(&spec), wanted, "{spec}");
    }
    let mut restarting = rule(json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}));
    restarting["template"] = job(&json!({}))["spec"]["template"].clone();
    restarting["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    assert_eq!(
        errors(&restarting),
        "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when podFailurePolicy is specified"
    );
    let mut eager = rule(json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}));
    eager["podReplacementPolicy"] = json!("TerminatingOrFailed");
    assert_eq!(
        errors(&eager),
        "spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported values: \"Failed\""
    );
}

#[test]
fn defaults_depend_on_the_limit_per_index_and_on_the_policy() {
    let mut cluster = Cluster::new();
    let mut spec = rule(json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}));
    spec["backoffLimitPerIndex"] = json!(1);
    assert_eq!(cluster.apply(JOBS, "me", &job(&spec)).status, 201);
    let live = cluster.get(JOBS).value();
    assert_eq!(live["spec"]["backoffLimit"], json!(2_147_483_647_i64));
    assert_eq!(live["spec"]["podReplacementPolicy"], "Failed");
    assert_eq!(live["spec"]["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["status"], "True");
    assert_eq!((&live["spec"]["parallelism"], &live["spec"]["suspend"]), (&json!(1), &json!(false)));
}

#[test]
fn an_update_changes_the_parallelism_and_no_limit() {
    let mut cluster = Cluster::new();
    let base = json!({"backoffLimitPerIndex": 1, "parallelism": 2});
    assert_eq!(cluster.apply(JOBS, "me", &job(&base)).status, 201);
    let mut refused = |field: &str, value: Value| {
        let mut changed = base.clone();
        changed[field] = value;
        let answer = cluster.apply(JOBS, "me", &job(&changed));
        answer.value()["message"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(refused("parallelism", json!(3)), "");
    assert_eq!(refused("suspend", json!(true)), "");
    let why = refused("backoffLimitPerIndex", json!(2));
    assert!(why.ends_with("spec.backoffLimitPerIndex: Invalid value: 2: field is immutable"), "{why}");
    let why = refused("completions", json!(4));
    assert!(
        why.ends_with(
            "spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism"
        ),
        "{why}"
    );
    assert_eq!(refused("completions", json!(2)), "", "an elastic Job changes both");
}

#[test]
fn a_name_must_leave_room_for_the_index() {
    let mut long = job(&json!({"completions": 11}));
    let name = "n".repeat(61);
    long["metadata"]["name"] = json!(name);
    let refused = Cluster::new().apply(&JOBS.replace("once", &name), "me", &long);
    let message = refused.value()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("will not able to create pod with invalid DNS label"), "{message}");
}
