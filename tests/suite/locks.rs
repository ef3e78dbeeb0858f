//! One run at a time, and every environment with its own journal.

use crate::{environment::TestEnvironment, running::Running};
use serde_json::Value;
use std::{fs, net::TcpListener, path::Path};

#[test]
fn beside_a_run_others_are_refused_and_one_may_look_and_a_killed_one_is_in_nobodys_way() {
    let here = TestEnvironment::at_speed("60");
    let mut run = Running::start(&here, &["up"]);
    run.until_step("started", "cluster-ready");
    let holder: Value =
        serde_json::from_slice(&fs::read(here.state().join("journal.lock")).unwrap()).unwrap();
    for arguments in [&["up"][..], &["down", "--yes"]] {
        let said = here.expect(4, arguments).stderr;
        for word in [&format!("process {}", run.id()), holder["since"].as_str().unwrap(), "`up`", "hint:"] {
            assert!(said.replace("\n  ", " ").replace("   ", "").contains(word), "{word}: {said}");
        }
    }
    let status: Value =
        serde_json::from_str(&here.expect(0, &["status", "--format", "json"]).stdout).unwrap();
    let state = |name: &str| {
        let steps = status["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == name).unwrap()["state"].clone()
    };
    assert_eq!((state("network"), state("cluster-ready")), ("ready".into(), "underway".into()));
    run.kill();

    here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
    assert_eq!(here.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
}

/// Creates a journal with one run, which was refused before it created anything.
fn with_a_journal() -> TestEnvironment {
    let here = TestEnvironment::instant();
    here.command(&["up"]).env("K8S_VERSION", "1.12").output().unwrap();
    assert!(!here.journal().is_empty());
    here
}

/// Changes the first line of the journal.
fn tamper(here: &TestEnvironment, change: impl FnOnce(&mut Value)) {
    let path = here.state().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let mut opened: Value = serde_json::from_str(first).unwrap();
    change(&mut opened);
    fs::write(&path, format!("{opened}\n{rest}")).unwrap();
}

/// Checks that both commands refuse with these texts, without any request.
fn refused(here: &TestEnvironment, words: &[&str]) {
    let before = here.ledger().len();
    for arguments in [&["up"][..], &["down", "--yes"]] {
        // The environment is empty, so a `down` that gets past the journal would report that.
        let said = here.expect(2, arguments).stderr;
        assert!(words.iter().all(|word| said.contains(word)) && said.contains("hint:"), "{said}");
    }
    assert_eq!(here.ledger().len(), before, "{:#?}", here.ledger());
}

#[test]
fn a_journal_of_another_environment_is_refused_before_any_request() {
    let here = with_a_journal();
    tamper(&here, |opened| opened["environment"]["environment"] = "production".into());
    refused(&here, &["production", "default", "--environment"]);
}

#[test]
fn a_folder_copied_to_another_name_is_refused() {
    let here = with_a_journal();
    let copy = here.path().join(".landfall/copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(here.state().join("journal.jsonl"), copy.join("journal.jsonl")).unwrap();
    let said = here.expect(2, &["up", "--environment", "copy"]).stderr;
    assert!(said.contains("default") && said.contains("copy"), "{said}");
    assert!(!copy.join("sim").exists(), "a cloud was opened");
}

#[test]
fn a_journal_of_another_subscription_is_refused_before_any_request() {
    let here = with_a_journal();
    here.unseal_journal();
    let other = "00000000-0000-4000-8000-000000000009";
    tamper(&here, |opened| opened["environment"]["subscription"] = other.into());
    let before = here.ledger().len();
    let said = here.expect(2, &["up"]).stderr;
    assert!(said.contains(other) && said.contains("hint:"), "{said}");
    assert_eq!(here.ledger().len(), before);
}

#[test]
fn a_journal_of_another_cloud_is_refused_before_anybody_signs_in() {
    let here = with_a_journal();
    tamper(&here, |opened| opened["environment"]["cloud"] = "azure".into());
    refused(&here, &["cloud azure", "cloud sim"]);

    let here = with_a_journal();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let port = stranger.local_addr().unwrap().port();
    here.write("landfall.toml", format!(
        "cloud = \"azure\"\nkubeconfig = \"kubeconfig\"\n[endpoints]\nlogin = \"https://login.localhost:{port}\"\narm = \"https://arm.localhost:{port}\"\n"
    ));
    let here = here.with("AZURE_TENANT_ID", "00000000-0000-4000-8000-000000000001");
    let here = here.with("AZURE_CLIENT_ID", "app").with("AZURE_CLIENT_SECRET", "s3cret");
    refused(&here, &["cloud azure", "cloud sim"]);
    assert!(stranger.accept().is_err(), "somebody was signed in");
}

#[test]
fn a_journal_of_another_azure_subscription_is_refused_before_anybody_signs_in() {
    let here = with_a_journal();
    tamper(&here, |opened| opened["environment"]["cloud"] = "azure".into());
    let here = here
        .with("LANDFALL_CLOUD", "azure")
        .with("KUBECONFIG", "kubeconfig")
        .with("AZURE_SUBSCRIPTION_ID", "00000000-0000-4000-8000-000000000009");
    refused(&here, &["00000000-0000-4000-8000-000000000009"]);
}

#[test]
fn a_journal_of_a_newer_program_or_with_strange_lines_is_refused() {
    let here = with_a_journal();
    tamper(&here, |opened| opened["format"] = 99.into());
    refused(&here, &["99", "newer"]);
    here.expect(2, &["status"]);

    let here = with_a_journal();
    let path = here.state().join("journal.jsonl");
    let text = format!("<<<<<<< HEAD\n{}", fs::read_to_string(&path).unwrap());
    fs::write(&path, &text).unwrap();
    let said = here.expect(1, &["up"]).stderr;
    assert!(said.contains("line 1") && said.contains("hint:"), "{said}");
    assert_eq!(read(&path), text);
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
