//! The scripts in `examples/`, run unchanged.

use assert_cmd::cargo::cargo_bin;
use std::{path::Path, process::Command};

/// Runs a script at full speed; returns its output, and panics if it fails.
fn run(script: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(script);
    let mut shell = Command::new("bash");
    shell
        .arg(script)
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("LANDFALL", cargo_bin("landfall"));
    for kept_away in
        ["KUBECONFIG", "LANDFALL_CLOUD", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"]
    {
        shell.env_remove(kept_away);
    }
    shell.env("LANDFALL_SIM_SPEED", "instant").env("DEMO_PAUSE", "0");
    let output = shell.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {tool} is not on this machine");
    }
    found
}

#[test]
fn the_demo_creates_and_deletes_everything() {
    if !has("bash") || !has("curl") {
        return;
    }
    let output = run("demo/run.sh");
    let at = |what: &str| output.find(what).unwrap_or_else(|| panic!("{what} is not in:\n{output}"));
    assert!(at("checks passed") < at("BACKEND_") && at("BACKEND_") < at("Deleted in"), "{output}");
    assert_eq!(output.matches("checks passed").count(), 3, "{output}");
}

#[test]
fn every_documented_test_command_has_the_expected_output() {
    if !has("bash") {
        return;
    }
    let output = run("testing-it-all/run.sh");
    match output.contains("skipped:") {
        true => println!("{output}"),
        false => assert!(output.contains("28 of 28 as expected"), "{output}"),
    }
}
