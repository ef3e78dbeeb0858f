//! `landfall verify`: its display, its JSON, its exit codes.

use crate::environment::{CommandOutput, TestEnvironment};
use quick_xml::{Reader, events::Event};
use serde_json::Value;
use std::collections::BTreeMap;

const CHECKS: [&str; 10] = [
    "gateways",
    "tls-secret",
    "certificate",
    "catch-all",
    "any-path",
    "redirect",
    "canary",
    "header-routing",
    "path-routing",
    "dns",
];

/// Compares the output at eighty columns, without colour, with placeholders for random and time-dependent
/// values.
fn shows(name: &str, text: &str) {
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(widest <= 80, "{name} is {widest} columns wide:\n{text}");
    assert!(!text.contains('\u{1b}'), "{name} is coloured in a pipe");
    let mut settings = insta::Settings::new();
    for (pattern, replacement) in [
        // A line break depends on the length of a number or an address.
        (r"\s*\n {19}", " "),
        (r"127\.0\.0\.\d+", "<address>"),
        (r"SHA-1 [0-9A-F]{4}…[0-9A-F]{4}", "SHA-1 <ends>"),
        (r"version [0-9a-f]{8}", "version <version>"),
        (r"until \d{4}-\d\d-\d\d", "until <date>"),
        (r"\d+ echo-v1, \d+ echo-v2", "<n> echo-v1, <n> echo-v2"),
        (r"tls-secret-sync-[a-z0-9]+-[a-z0-9]+", "tls-secret-sync-<pod>"),
        (r"\b\d+(\.\d)? s\b", "<duration>"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn document(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", output.stdout))
}

fn names(checks: &Value) -> Vec<&str> {
    checks.as_array().unwrap().iter().map(|one| one["check"].as_str().unwrap()).collect()
}

fn failing(checks: &Value) -> Vec<&str> {
    let all = checks.as_array().unwrap().iter();
    all.filter(|one| one["ok"] == false).map(|one| one["check"].as_str().unwrap()).collect()
}

#[test]
fn verification_of_a_created_environment() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let journal = env.journal();
    shows("verify", &env.expect(0, &["verify"]).stdout);

    let output = env.expect(0, &["verify", "--format", "json"]);
    assert_eq!(output.stderr, "");
    let proof = document(&output);
    assert_eq!(names(&proof["checks"]), CHECKS);
    assert_eq!((failing(&proof["checks"]).len(), &proof["ok"]), (0, &true.into()));
    assert_eq!(proof["checks"][9]["state"], "skipped", "no zone is managed here");
    assert_eq!((&proof["environment"], &proof["cloud"]), (&"default".into(), &"sim".into()));
    assert_eq!(env.journal(), journal, "a proof writes nothing down");
}

#[test]
fn a_failed_check_ends_with_1_and_is_reported() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    // These settings require another split than the applied one.
    let base = ["verify", "--canary", "50/50", "--patience", "0"];
    shows("verify_fails", &env.expect(1, &base).stdout);
    let report = env.path().join("report.xml");
    let arguments = [&base[..], &["--format", "json", "--junit", report.to_str().unwrap()]].concat();
    let proof = document(&env.expect(1, &arguments));
    assert_eq!((failing(&proof["checks"]), &proof["ok"]), (vec!["canary"], &false.into()));

    let cases = cases(&std::fs::read_to_string(&report).unwrap());
    assert_eq!(cases.len(), CHECKS.len());
    assert_eq!((cases["canary"].as_str(), cases["dns"].as_str()), ("failure", "skipped"));
    assert!(cases.values().filter(|element| *element == "system-out").count() == 8, "{cases:?}");
    let missing = env.path().join("nowhere/report.xml");
    let output = env.expect(1, &["verify", "--junit", missing.to_str().unwrap()]);
    assert!(output.stderr.contains("failed to write the report"), "{}", output.stderr);
}

/// Returns the cases of a JUnit report by their names, with the content of each.
fn cases(report: &str) -> BTreeMap<String, String> {
    let mut reader = Reader::from_str(report);
    let (mut cases, mut case) = (BTreeMap::new(), None);
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return cases,
            Event::Start(tag) if tag.name().as_ref() == "testcase" => {
                let name = tag.try_get_attribute("name").unwrap().unwrap();
                case = Some(name.value.into_owned());
            }
            Event::Start(tag) | Event::Empty(tag) => {
                if let Some(case) = case.take() {
                    let element = tag.name().as_ref().to_owned();
                    cases.insert(case, element);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn without_an_environment_there_is_nothing_to_verify() {
    let env = TestEnvironment::instant();
    let never_created = env.expect(2, &["verify"]);
    assert!(
        never_created.stderr.contains("no gateway is created yet")
            && never_created.stderr.contains("landfall up"),
        "{}",
        never_created.stderr
    );
    assert!(!env.state().join("sim").exists(), "nothing was opened");
    env.expect(0, &["up"]);
    env.expect(0, &["down", "--yes"]);
    let deleted = env.expect(2, &["verify"]);
    assert!(deleted.stderr.contains("no gateway is created yet"), "{}", deleted.stderr);
}

#[test]
fn up_verifies_the_created_environment() {
    let env = TestEnvironment::instant();
    let output = env.expect(0, &["up", "--verify", "--format", "json"]);
    let events = output.events();
    let [.., verified, summary] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&verified["event"], &verified["ok"]), (&"verified".into(), &true.into()));
    assert_eq!(names(&verified["checks"]), CHECKS);
    assert_eq!((&summary["event"], &summary["verified"]), (&"summary".into(), &true.into()));

    let output = env.expect(0, &["up", "--verify"]);
    shows("up_verify", &output.stdout);
    assert!(output.stderr.contains("Ready in"), "{}", output.stderr);
    let plain = env.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(plain["verified"], Value::Null);
}
