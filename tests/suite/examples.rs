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
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {tool} is not on this machine");
    }
    found
}

#[test]
fn the_demo_goes_from_nothing_to_nothing() {
    if !has("bash") || !has("curl") {
        return;
    }
    let said = run("demo/run.sh");
    let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("{what} is not in:\n{said}"));
    assert!(at("checks passed") < at("BACKEND_") && at("BACKEND_") < at("Deleted in"), "{said}");
    assert_eq!(said.matches("checks passed").count(), 3, "{said}");
}

#[test]
fn everything_that_is_typed_to_test_an_environment_says_what_it_should() {
    if !has("bash") {
        return;
    }
    let said = run("testing-it-all/run.sh");
    match said.contains("skipped:") {
        true => println!("{said}"),
        false => assert!(said.contains("28 of 28 as expected"), "{said}"),
    }
}
