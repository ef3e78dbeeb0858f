//! Preflight reports later failures first: its messages, its exit code, and a request log with reads only.

use crate::environment::{CommandOutput, TestEnvironment};
use serde_json::Value;

/// Returns whether a request is a read. POSTs for the sign-in, names and policies count as reads.
fn is_read(line: &Value) -> bool {
    let path = line["path"].as_str().unwrap();
    let asks = ["/token", "/checkNameAvailability", "/checkPolicyRestrictions"];
    let is_dry_run = line["query"].to_string().contains(r#"["dryRun","All"]"#);
    line["method"] == "GET" || is_dry_run || asks.iter().any(|end| path.ends_with(end))
}

/// Runs `up`, which must fail without any change and without any ownership in the journal.
fn refused(env: &TestEnvironment, code: i32, arguments: &[&str]) -> CommandOutput {
    let output = env.expect(code, &[&["up"], arguments].concat());
    let touched: Vec<_> = env.request_log().into_iter().filter(|line| !is_read(line)).collect();
    assert!(touched.is_empty(), "{touched:#?}");
    let claims = ["started", "finished"];
    let claimed =
        env.journal().into_iter().any(|entry| claims.contains(&entry["did"].as_str().unwrap_or("")));
    assert!(!claimed, "{:#?}", env.journal());
    output
}

/// Compares the error message, at eighty columns.
fn shows(name: &str, output: &CommandOutput) {
    let error = output.stderr.find("error:").expect("an error is told");
    let text = &output.stderr[error..];
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(widest <= 80, "{name} is {widest} columns wide:\n{text}");
    let mut settings = insta::Settings::new();
    settings.add_filter(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>");
    settings.add_filter(r"kv-aks-istio-gate-[0-9a-f]{6}", "kv-aks-istio-gate-<digits>");
    // The offered versions depend on the day, and so do the ends of the following lines.
    settings.add_filter(r"offers 1\.\d+,[^;]*;\s+set[^:]*?newest", "offers <versions>; <remedy>");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn few_cores() {
    let env = TestEnvironment::instant();
    shows("few_cores", &refused(&env, 3, &["--sim-fault", "cores-few"]));
}

#[test]
fn few_addresses() {
    let env = TestEnvironment::instant();
    shows("few_addresses", &refused(&env, 3, &["--sim-fault", "addresses-few"]));
}

#[test]
fn a_restricted_size() {
    let env = TestEnvironment::instant();
    shows("a_size_that_is_withheld", &refused(&env, 3, &["--sim-fault", "size-withheld"]));
}

#[test]
fn an_unknown_size() {
    let env = TestEnvironment::instant();
    shows("a_size_that_there_is_not", &refused(&env, 2, &["--node-size", "Standard_Z9"]));
}

#[test]
fn an_unknown_region() {
    let env = TestEnvironment::instant();
    shows("a_region_that_there_is_not", &refused(&env, 2, &["--location", "westeurop"]));
}

#[test]
fn a_denying_policy() {
    let env = TestEnvironment::instant();
    shows("a_policy_that_denies", &refused(&env, 3, &["--sim-fault", "policy-denies"]));
}

#[test]
fn a_contributor() {
    let env = TestEnvironment::instant();
    shows("a_contributor", &refused(&env, 3, &["--sim-fault", "role-lost"]));
}

#[test]
fn everything_at_once() {
    let env = TestEnvironment::instant();
    let faults = "cores-few,addresses-few,policy-denies,role-lost";
    let output = refused(&env, 3, &["--sim-fault", faults, "--kubernetes-version", "1.12"]);
    shows("everything_at_once", &output);
}

#[test]
fn a_skipped_check_fails_later_in_the_run() {
    let env = TestEnvironment::instant();
    let few = ["up", "--sim-fault", "cores-few"];
    env.expect(3, &few);
    // Two nodes fit into ten cores; the third, and the surge node of an upgrade, would not.
    env.expect(0, &["up", "--skip-preflight", "quota"]);
    let unknown = env.expect(2, &["up", "--skip-preflight", "quotas"]);
    for name in ["quotas", "quota", "vault-name", "role-grants"] {
        assert!(unknown.stderr.contains(name), "{name}: {}", unknown.stderr);
    }
}
