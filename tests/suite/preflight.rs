//! Preflight reports later failures first: its messages, its exit code, and a request log with reads only.

use crate::environment::{Said, TestEnvironment};
use serde_json::Value;

/// Returns whether a request is a read. POSTs for the sign-in, names and policies count as reads.
fn is_read(line: &Value) -> bool {
    let path = line["path"].as_str().unwrap();
    let asks = ["/token", "/checkNameAvailability", "/checkPolicyRestrictions"];
    line["method"] == "GET" || asks.iter().any(|end| path.ends_with(end))
}

/// Runs `up`, which must fail without any change and without any ownership in the journal.
fn refused(here: &TestEnvironment, code: i32, arguments: &[&str]) -> Said {
    let said = here.expect(code, &[&["up"], arguments].concat());
    let touched: Vec<_> = here.ledger().into_iter().filter(|line| !is_read(line)).collect();
    assert!(touched.is_empty(), "{touched:#?}");
    let claims = ["started", "finished"];
    let claimed =
        here.journal().into_iter().any(|entry| claims.contains(&entry["did"].as_str().unwrap_or("")));
    assert!(!claimed, "{:#?}", here.journal());
    said
}

/// Compares the error message, at eighty columns.
fn shows(name: &str, said: &Said) {
    let error = said.stderr.find("error:").expect("an error is told");
    let text = &said.stderr[error..];
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(widest <= 80, "{name} is {widest} columns wide:\n{text}");
    let mut settings = insta::Settings::new();
    settings.add_filter(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>");
    settings.add_filter(r"kv-aks-istio-gate-[0-9a-f]{6}", "kv-aks-istio-gate-<digits>");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn few_cores() {
    let here = TestEnvironment::instant();
    shows("few_cores", &refused(&here, 3, &["--sim-fault", "cores-few"]));
}

#[test]
fn few_addresses() {
    let here = TestEnvironment::instant();
    shows("few_addresses", &refused(&here, 3, &["--sim-fault", "addresses-few"]));
}

#[test]
fn a_size_that_is_withheld() {
    let here = TestEnvironment::instant();
    shows("a_size_that_is_withheld", &refused(&here, 3, &["--sim-fault", "size-withheld"]));
}

#[test]
fn a_size_that_there_is_not() {
    let here = TestEnvironment::instant();
    shows("a_size_that_there_is_not", &refused(&here, 2, &["--node-size", "Standard_Z9"]));
}

#[test]
fn a_region_that_there_is_not() {
    let here = TestEnvironment::instant();
    shows("a_region_that_there_is_not", &refused(&here, 2, &["--location", "westeurop"]));
}

#[test]
fn a_policy_that_denies() {
    let here = TestEnvironment::instant();
    shows("a_policy_that_denies", &refused(&here, 3, &["--sim-fault", "policy-denies"]));
}

#[test]
fn a_contributor() {
    let here = TestEnvironment::instant();
    shows("a_contributor", &refused(&here, 3, &["--sim-fault", "role-lost"]));
}

#[test]
fn everything_at_once() {
    let here = TestEnvironment::instant();
    let faults = "cores-few,addresses-few,policy-denies,role-lost";
    let said = refused(&here, 3, &["--sim-fault", faults, "--kubernetes-version", "1.12"]);
    shows("everything_at_once", &said);
}

#[test]
fn the_stubborn_leave_a_check_out_and_get_what_it_would_have_told() {
    let here = TestEnvironment::instant();
    let few = ["up", "--sim-fault", "cores-few"];
    here.expect(3, &few);
    // Two nodes fit into ten cores; the third, and the surge node of an upgrade, would not.
    here.expect(0, &["up", "--skip-preflight", "quota"]);
    let unknown = here.expect(2, &["up", "--skip-preflight", "quotas"]);
    for name in ["quotas", "quota", "vault-name", "role-grants"] {
        assert!(unknown.stderr.contains(name), "{name}: {}", unknown.stderr);
    }
}
