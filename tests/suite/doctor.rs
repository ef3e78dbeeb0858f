//! `landfall doctor`: its output, its exit codes, and the absence of changes.

use crate::environment::TestEnvironment;
use crate::screens::shows;
use serde_json::{Value, json};

#[test]
fn nothing_was_made_nothing_is_wrong_and_a_cluster_that_somebody_stopped() {
    let here = TestEnvironment::instant();
    shows("doctor_never_made", &here.expect(1, &["doctor"]).stdout);
    assert!(!here.state().join("journal.jsonl").exists(), "nothing is remembered of a look");
    here.expect(0, &["up"]);
    let journal = std::fs::read(here.state().join("journal.jsonl")).unwrap();
    let before = here.ledger().len();
    let said = here.expect(0, &["doctor"]);
    shows("doctor_well", &said.stdout);
    assert_eq!(said.stderr, "", "what may be piped is on standard output");
    assert_eq!(std::fs::read(here.state().join("journal.jsonl")).unwrap(), journal);
    let reads = |line: &&Value| {
        let path = line["path"].as_str().unwrap();
        line["method"] == "GET" || path.ends_with("/token") || path.ends_with("/listClusterUserCredential")
    };
    let asked: Vec<Value> = here.ledger().split_off(before);
    let writes: Vec<&Value> = asked.iter().filter(|line| !reads(line)).collect();
    assert!(writes.is_empty() && asked.len() > 20, "{writes:#?}");
    let here = here.with("LANDFALL_SIM_FAULTS", "cluster-stopped");
    let said = here.expect(1, &["doctor", "--format", "json"]).stdout;
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&document["environment"], &document["cloud"]), (&json!("default"), &json!("sim")));
    let root = &document["findings"][0];
    assert_eq!((&root["code"], &root["root"]), (&json!("CLUSTER_STOPPED"), &json!(true)));
    assert!(root["mend"].as_str().unwrap().starts_with("az aks start -g "), "{root}");
    assert_eq!(document["findings"].as_array().unwrap().len(), 1);
    shows("doctor_stopped", &here.expect(1, &["doctor"]).stdout);
}

#[test]
fn nodes_that_are_lost_explain_everything_in_the_cluster() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let here = here.with("LANDFALL_SIM_FAULTS", "nodes-lost");
    shows("doctor_nodes_lost", &here.expect(1, &["doctor"]).stdout);
}
