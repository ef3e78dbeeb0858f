//! The two steps of the GitHub Action, run as a runner runs them.

use crate::releases::{Release, root, text};
use landfall_packaging::names;
use std::{fs, process::Output};

fn run(release: &Release, step: &str, inputs: &[(&str, &str)]) -> Output {
    let script = root().join("packaging/action.sh");
    release
        .command("bash")
        .arg(script)
        .arg(step)
        .env("RUNNER_TEMP", release.path("runner"))
        .env("GITHUB_PATH", release.path("path"))
        .env("GITHUB_OUTPUT", release.path("output"))
        .envs(inputs.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn it_installs_the_version_of_its_tag_and_runs_a_command() {
    let release = Release::new();
    release.program("gh", "exit 0");
    let tag = names::tag(names::VERSION);
    let output = run(&release, "install", &[("LANDFALL_ACTION_REF", &tag)]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(&format!("releases/download/{tag}/")), "{}", text(&output));
    let bin = release.path("runner/landfall/bin");
    assert_eq!(fs::read_to_string(release.path("path")).unwrap(), format!("{}\n", bin.display()));
    let outputs = fs::read_to_string(release.path("output")).unwrap();
    let wanted = format!("version={}\npath={}\n", names::VERSION, bin.join("landfall").display());
    assert_eq!(outputs, wanted);

    let output = run(&release, "run", &[("LANDFALL_ACTION_COMMAND", "--cloud azure  up\n--domain * $(id)")]);
    assert_eq!(output.status.code(), Some(7));
    let arguments = String::from_utf8(output.stdout).unwrap();
    assert_eq!(arguments, "[--cloud]\n[azure]\n[up]\n[--domain]\n[*]\n[$(id)]\n");
    assert!(fs::read_to_string(release.path("output")).unwrap().ends_with("exit-code=7\n"));
}

#[test]
fn a_branch_installs_the_newest_release() {
    let release = Release::new();
    release.program("gh", "exit 0");
    let output = run(&release, "install", &[("LANDFALL_ACTION_REF", "main")]);
    assert!(text(&output).contains("releases/latest/download/"), "{}", text(&output));
}

#[test]
fn without_an_attestation_nothing_is_installed() {
    let release = Release::new();
    release.program("gh", "exit 1");
    for input in [&[][..], &[("LANDFALL_ACTION_ATTESTATION", "no")]] {
        let output = run(&release, "install", input);
        assert!(!output.status.success(), "{}", text(&output));
        assert!(!release.path("runner/landfall/bin/landfall").exists());
    }
    let output = run(&release, "install", &[("LANDFALL_ACTION_ATTESTATION", "false")]);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn every_input_and_output_is_used() {
    let text = fs::read_to_string(root().join("action.yml")).unwrap();
    let action: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let script = fs::read_to_string(root().join("packaging/action.sh")).unwrap();
    for input in action["inputs"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("inputs.{input} ")), "{input} is not used");
    }
    for (output, value) in action["outputs"].as_object().unwrap() {
        let value = value["value"].as_str().unwrap();
        assert!(value.ends_with(&format!(".outputs.{output} }}}}")), "{value}");
        assert!(script.contains(&format!("{output}=")), "the script does not write {output}");
    }
    let mut variables = 0;
    for step in action["runs"]["steps"].as_array().unwrap() {
        for name in step["env"].as_object().unwrap().keys().filter(|name| name.starts_with("LANDFALL_")) {
            assert!(script.contains(name.as_str()), "the script does not read {name}");
            variables += 1;
        }
        assert!(!step["run"].as_str().unwrap().contains("${{"), "an input is a part of a command line");
    }
    assert_eq!(variables, 4);
}
