//! `status --live`: its display of the current state.

use crate::{environment::TestEnvironment, screens::shows};
use serde_json::Value;

/// Removes the lines with the overriding sockets, which appear only on machines that reserve the low ports.
fn without_sockets(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains(" is served at "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_whole_environment_on_one_screen() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let screen = here.expect(0, &["status", "--live"]).stdout;
    shows("status_live", &without_sockets(&screen));
    let document = here.expect(0, &["status", "--live", "--format", "json"]).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["live"]["well"], true, "{document:#}");
    assert_eq!(document["live"]["gateways"].as_array().unwrap().len(), 2);
    assert_eq!(document["steps"].as_array().unwrap().len(), 17, "what is remembered is in it too");
}

#[test]
fn before_anything_is_made_there_is_nothing_to_look_at() {
    let here = TestEnvironment::instant();
    let (live, remembered) = (here.expect(0, &["status", "--live"]), here.expect(0, &["status"]));
    assert_eq!(live.stdout, remembered.stdout);
    assert!(!here.state().join("sim").exists(), "no cloud is made by asking");
}
