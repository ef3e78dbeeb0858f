//! After a kill at a bad moment, the next run continues.

use crate::environment::TestEnvironment;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::Child,
};

/// Reads events until one of this kind for this step.
fn await_event(run: &mut Child, event: &str, step: &str) {
    let lines = BufReader::new(run.stdout.as_mut().unwrap()).lines();
    for line in lines.map(Result::unwrap) {
        let output: Value = serde_json::from_str(&line).unwrap();
        if output["event"] == event && output["step"] == step {
            return;
        }
    }
    panic!("the run ended before {event} of {step}");
}

#[test]
fn after_a_kill_during_cluster_creation_the_next_run_attaches() {
    let env = TestEnvironment::at_speed("200");
    let mut run = env.spawn(&["up", "--format", "json"]);
    await_event(&mut run, "started", "cluster-ready");
    run.kill().unwrap();
    run.wait().unwrap();

    let summary = env.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    assert_eq!(env.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
}

#[test]
fn a_run_killed_before_the_response_creates_nothing_twice() {
    for step in ["resource-group", "network", "key-vault", "cluster", "certificate", "tls-secret", "gateways"]
    {
        let env = TestEnvironment::at_speed("400");
        let mut run = env.spawn(&["up", "--format", "json"]);
        await_event(&mut run, "started", step);
        run.kill().unwrap();
        run.wait().unwrap();

        let summary = env.expect(0, &["up", "--format", "json"]).summary();
        assert_eq!(summary["outcome"], "ready", "killed in {step}");
        let created = |line: &Value| line["method"] == "PUT" && line["status"] == 201;
        let paths: Vec<String> = env
            .request_log()
            .iter()
            .filter(|l| created(l))
            .map(|l| l["path"].to_string().to_lowercase())
            .collect();
        let mut once = paths.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), paths.len(), "killed in {step}: something was made twice: {paths:#?}");
    }
}

#[test]
fn a_concurrent_run_is_refused_with_the_lock_holder() {
    let env = TestEnvironment::at_speed("60");
    let mut run = env.spawn(&["up", "--format", "json"]);
    await_event(&mut run, "started", "cluster-ready");
    let refused = env.expect(4, &["up"]);
    assert!(refused.stderr.contains(&run.id().to_string()), "{}", refused.stderr);
    run.kill().unwrap();
    run.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_is_graceful_and_reports_how_to_resume() {
    let env = TestEnvironment::at_speed("60");
    let mut run = env.spawn(&["up", "--format", "json"]);
    await_event(&mut run, "started", "cluster-ready");
    let sent = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = run.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("landfall up"), "{stderr}");

    let summary = env.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    assert_eq!(env.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
}

#[test]
fn a_cluster_with_a_lost_response_is_found_and_owned() {
    let env = TestEnvironment::at_speed("400");
    env.expect(0, &["up", "--fault", "reset-after@PUT managedClusters"]);
    let answers: Vec<_> = env
        .request_log()
        .into_iter()
        .filter(|line| {
            line["method"] == "PUT" && line["path"].as_str().unwrap().contains("/managedClusters/")
        })
        .map(|line| line["status"].as_u64().unwrap())
        .collect();
    assert_eq!(answers, [0, 412], "the second is refused, because the first has made it");
    env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
}

#[test]
fn an_import_with_a_lost_response_is_searched_before_a_retry() {
    let env = TestEnvironment::at_speed("400");
    // The first request of an import only gets the challenge, so the second is the import itself.
    env.expect(0, &["up", "--fault", "reset-after@POST import*2"]);
    assert_eq!(env.count("POST", "/import"), 2, "a third one would make a second version");
}
