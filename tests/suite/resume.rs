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
        let said: Value = serde_json::from_str(&line).unwrap();
        if said["event"] == event && said["step"] == step {
            return;
        }
    }
    panic!("the run ended before {event} of {step}");
}

#[test]
fn killed_while_the_cluster_is_being_made_the_next_run_attaches_to_it() {
    let here = TestEnvironment::at_speed("200");
    let mut run = here.spawn(&["up", "--format", "json"]);
    await_event(&mut run, "started", "cluster-ready");
    run.kill().unwrap();
    run.wait().unwrap();

    let summary = here.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    assert_eq!(here.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
}

#[test]
fn killed_before_the_answer_is_read_nothing_is_made_twice() {
    for step in ["resource-group", "network", "key-vault", "cluster", "certificate", "tls-secret", "gateways"]
    {
        let here = TestEnvironment::at_speed("400");
        let mut run = here.spawn(&["up", "--format", "json"]);
        await_event(&mut run, "started", step);
        run.kill().unwrap();
        run.wait().unwrap();

        let summary = here.expect(0, &["up", "--format", "json"]).summary();
        assert_eq!(summary["outcome"], "ready", "killed in {step}");
        let created = |line: &Value| line["method"] == "PUT" && line["status"] == 201;
        let paths: Vec<String> = here
            .ledger()
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
fn a_second_run_beside_the_first_is_refused_and_told_who_holds_the_lock() {
    let here = TestEnvironment::at_speed("60");
    let mut run = here.spawn(&["up", "--format", "json"]);
    await_event(&mut run, "started", "cluster-ready");
    let refused = here.expect(4, &["up"]);
    assert!(refused.stderr.contains(&run.id().to_string()), "{}", refused.stderr);
    run.kill().unwrap();
    run.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_ends_in_order_and_says_how_to_go_on() {
    let here = TestEnvironment::at_speed("60");
    let mut run = here.spawn(&["up", "--format", "json"]);
    await_event(&mut run, "started", "cluster-ready");
    let sent = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = run.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("landfall up"), "{stderr}");

    let summary = here.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    assert_eq!(here.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
}

#[test]
fn a_cluster_whose_answer_was_lost_is_met_again_and_is_ours() {
    let here = TestEnvironment::at_speed("400");
    here.expect(0, &["up", "--fault", "reset-after@PUT managedClusters"]);
    let answers: Vec<_> = here
        .ledger()
        .into_iter()
        .filter(|line| {
            line["method"] == "PUT" && line["path"].as_str().unwrap().contains("/managedClusters/")
        })
        .map(|line| line["status"].as_u64().unwrap())
        .collect();
    assert_eq!(answers, [0, 412], "the second is refused, because the first has made it");
    here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
}

#[test]
fn an_import_whose_answer_was_lost_is_looked_for_before_it_is_repeated() {
    let here = TestEnvironment::at_speed("400");
    // The first request of an import only gets the challenge, so the second is the import itself.
    here.expect(0, &["up", "--fault", "reset-after@POST import*2"]);
    assert_eq!(here.count("POST", "/import"), 2, "a third one would make a second version");
}
