//! One run at a time, and every environment with its own journal.

use crate::{environment::TestEnvironment, running_process::RunningProcess};
use serde_json::Value;
use std::{fs, net::TcpListener, path::Path};

#[test]
fn a_concurrent_run_is_refused_reads_are_allowed_and_a_killed_run_blocks_nothing() {
    let env = TestEnvironment::at_speed("60");
    let mut run = RunningProcess::start(&env, &["up"]);
    run.until_step("started", "cluster-ready");
    let holder: Value = serde_json::from_slice(&fs::read(env.state().join("journal.lock")).unwrap()).unwrap();
    for arguments in [&["up"][..], &["down", "--yes"]] {
        let output = env.expect(4, arguments).stderr;
        for word in [&format!("process {}", run.id()), holder["since"].as_str().unwrap(), "`up`", "hint:"] {
            assert!(output.replace("\n  ", " ").replace("   ", "").contains(word), "{word}: {output}");
        }
    }
    let status: Value = serde_json::from_str(&env.expect(0, &["status", "--format", "json"]).stdout).unwrap();
    let state = |name: &str| {
        let steps = status["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == name).unwrap()["state"].clone()
    };
    assert_eq!((state("network"), state("cluster-ready")), ("ready".into(), "underway".into()));
    run.kill();

    env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
    assert_eq!(env.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
}

/// Creates a journal with one run, which was refused before it created anything.
fn with_a_journal() -> TestEnvironment {
    let env = TestEnvironment::instant();
    env.command(&["up"]).env("K8S_VERSION", "1.12").output().unwrap();
    assert!(!env.journal().is_empty());
    env
}

/// Changes the first line of the journal.
fn tamper(env: &TestEnvironment, change: impl FnOnce(&mut Value)) {
    let path = env.state().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let mut opened: Value = serde_json::from_str(first).unwrap();
    change(&mut opened);
    fs::write(&path, format!("{opened}\n{rest}")).unwrap();
}

/// Checks that both commands refuse with these texts, without any request.
fn refused(env: &TestEnvironment, words: &[&str]) {
    let before = env.request_log().len();
    for arguments in [&["up"][..], &["down", "--yes"]] {
        // The environment is empty, so a `down` that gets past the journal would report that.
        let output = env.expect(2, arguments).stderr;
        assert!(words.iter().all(|word| output.contains(word)) && output.contains("hint:"), "{output}");
    }
    assert_eq!(env.request_log().len(), before, "{:#?}", env.request_log());
}

#[test]
fn a_journal_of_another_environment_is_refused_before_any_request() {
    let env = with_a_journal();
    tamper(&env, |opened| opened["environment"]["environment"] = "production".into());
    refused(&env, &["production", "default", "--environment"]);
}

#[test]
fn a_folder_copied_to_another_name_is_refused() {
    let env = with_a_journal();
    let copy = env.path().join(".landfall/copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(env.state().join("journal.jsonl"), copy.join("journal.jsonl")).unwrap();
    let output = env.expect(2, &["up", "--environment", "copy"]).stderr;
    assert!(output.contains("default") && output.contains("copy"), "{output}");
    assert!(!copy.join("sim").exists(), "a cloud was opened");
}

#[test]
fn a_journal_of_another_subscription_is_refused_before_any_request() {
    let env = with_a_journal();
    env.unseal_journal();
    let other = "00000000-0000-4000-8000-000000000009";
    tamper(&env, |opened| opened["environment"]["subscription"] = other.into());
    let before = env.request_log().len();
    let output = env.expect(2, &["up"]).stderr;
    assert!(output.contains(other) && output.contains("hint:"), "{output}");
    assert_eq!(env.request_log().len(), before);
}

#[test]
fn a_journal_of_another_cloud_is_refused_before_sign_in() {
    let env = with_a_journal();
    tamper(&env, |opened| opened["environment"]["cloud"] = "azure".into());
    refused(&env, &["cloud azure", "cloud sim"]);

    let env = with_a_journal();
    let foreign_server = TcpListener::bind("127.0.0.1:0").unwrap();
    foreign_server.set_nonblocking(true).unwrap();
    let port = foreign_server.local_addr().unwrap().port();
    env.write("landfall.toml", format!(
        "cloud = \"azure\"\nkubeconfig = \"kubeconfig\"\n[endpoints]\nlogin = \"https://login.localhost:{port}\"\narm = \"https://arm.localhost:{port}\"\n"
    ));
    let env = env.with("AZURE_TENANT_ID", "00000000-0000-4000-8000-000000000001");
    let env = env.with("AZURE_CLIENT_ID", "app").with("AZURE_CLIENT_SECRET", "s3cret");
    refused(&env, &["cloud azure", "cloud sim"]);
    assert!(foreign_server.accept().is_err(), "somebody was signed in");
}

#[test]
fn a_journal_of_another_azure_subscription_is_refused_before_sign_in() {
    let env = with_a_journal();
    tamper(&env, |opened| opened["environment"]["cloud"] = "azure".into());
    let env = env
        .with("LANDFALL_CLOUD", "azure")
        .with("KUBECONFIG", "kubeconfig")
        .with("AZURE_SUBSCRIPTION_ID", "00000000-0000-4000-8000-000000000009");
    refused(&env, &["00000000-0000-4000-8000-000000000009"]);
}

#[test]
fn a_journal_of_a_newer_version_or_with_unknown_lines_is_refused() {
    let env = with_a_journal();
    tamper(&env, |opened| opened["format"] = 99.into());
    refused(&env, &["99", "newer"]);
    env.expect(2, &["status"]);

    let env = with_a_journal();
    let path = env.state().join("journal.jsonl");
    let text = format!("<<<<<<< HEAD\n{}", fs::read_to_string(&path).unwrap());
    fs::write(&path, &text).unwrap();
    let output = env.expect(1, &["up"]).stderr;
    assert!(output.contains("line 1") && output.contains("hint:"), "{output}");
    assert_eq!(read(&path), text);
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
