//! `status --live`: its display of the current state.

use crate::{environment::TestEnvironment, screens::shows};
use serde_json::Value;

/// Removes the lines with the overriding sockets, which appear only on machines that reserve the low ports.
fn without_sockets(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains(" is served at "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn live_status_of_a_complete_environment() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let screen = env.expect(0, &["status", "--live"]).stdout;
    shows("status_live", &without_sockets(&screen));
    let document = env.expect(0, &["status", "--live", "--format", "json"]).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["live"]["well"], true, "{document:#}");
    assert_eq!(document["live"]["gateways"].as_array().unwrap().len(), 2);
    assert_eq!(document["steps"].as_array().unwrap().len(), 19, "what is remembered is in it too");
}

#[test]
fn before_the_first_up_the_live_status_is_empty() {
    let env = TestEnvironment::instant();
    let (live, remembered) = (env.expect(0, &["status", "--live"]), env.expect(0, &["status"]));
    assert_eq!(live.stdout, remembered.stdout);
    assert!(!env.state().join("sim").exists(), "no cloud is made by asking");
}
