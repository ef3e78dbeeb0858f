//! `landfall doctor`: its output, its exit codes, and the absence of changes.

use crate::environment::TestEnvironment;
use crate::screens::shows;
use serde_json::{Value, json};

#[test]
fn doctor_before_up_in_sync_and_with_a_stopped_cluster() {
    let env = TestEnvironment::instant();
    shows("doctor_never_made", &env.expect(1, &["doctor"]).stdout);
    assert!(!env.state().join("journal.jsonl").exists(), "nothing is remembered of a look");
    env.expect(0, &["up"]);
    let journal = std::fs::read(env.state().join("journal.jsonl")).unwrap();
    let before = env.request_log().len();
    let output = env.expect(0, &["doctor"]);
    shows("doctor_well", &output.stdout);
    assert_eq!(output.stderr, "", "what may be piped is on standard output");
    assert_eq!(std::fs::read(env.state().join("journal.jsonl")).unwrap(), journal);
    let reads = |line: &&Value| {
        let path = line["path"].as_str().unwrap();
        line["method"] == "GET" || path.ends_with("/token") || path.ends_with("/listClusterUserCredential")
    };
    let requests: Vec<Value> = env.request_log().split_off(before);
    let writes: Vec<&Value> = requests.iter().filter(|line| !reads(line)).collect();
    assert!(writes.is_empty() && requests.len() > 20, "{writes:#?}");
    let env = env.with("LANDFALL_SIM_FAULTS", "cluster-stopped");
    let output = env.expect(1, &["doctor", "--format", "json"]).stdout;
    let document: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&document["environment"], &document["cloud"]), (&json!("default"), &json!("sim")));
    let root = &document["findings"][0];
    assert_eq!((&root["code"], &root["root"]), (&json!("CLUSTER_STOPPED"), &json!(true)));
    assert!(root["mend"].as_str().unwrap().starts_with("az aks start -g "), "{root}");
    assert_eq!(document["findings"].as_array().unwrap().len(), 1);
    shows("doctor_stopped", &env.expect(1, &["doctor"]).stdout);
}

#[test]
fn nodes_that_are_lost_explain_everything_in_the_cluster() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let env = env.with("LANDFALL_SIM_FAULTS", "nodes-lost");
    shows("doctor_nodes_lost", &env.expect(1, &["doctor"]).stdout);
}

#[test]
fn a_check_that_could_not_run_is_no_success() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let env = env.with("LANDFALL_SIM_FAULTS", "server-error@GET microsoft.authorization/locks*999");
    let output = env.expect(1, &["doctor"]).stdout;
    assert!(!output.contains('✓') && output.contains("1 of 13 checks could not run: locks."), "{output}");
    assert!(output.contains("Could not read:"), "{output}");
    let document = env.expect(1, &["doctor", "--format", "json"]).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    let result = |check: &str| {
        let all = document["checks"].as_array().unwrap();
        all.iter().find(|outcome| outcome["check"] == check).unwrap()["result"].clone()
    };
    assert_eq!((result("locks"), result("cluster")), (json!("could-not-run"), json!("ok")));
}
