//! The program's reaction to a damaged journal, and to names that changed after a kill.

use crate::environment::TestEnvironment;
use serde_json::Value;
use std::io::{BufRead, BufReader};

/// Runs `up` until a step starts a change, and kills the run there.
fn killed_at(env: &TestEnvironment, step: &str, arguments: &[&str]) {
    let mut run = env.spawn(&[&["up", "--format", "json"], arguments].concat());
    let lines = BufReader::new(run.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let is_write_ahead = |line: &String| {
        let output: Value = serde_json::from_str(line).unwrap();
        output["event"] == "started" && output["step"] == step
    };
    assert!(lines.into_iter().any(|line| is_write_ahead(&line)), "the run ended before {step}");
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn recorded_names_are_binding_from_the_first_write() {
    for (step, given, setting) in [
        ("resource-group", ["--resource-group", "rg-foo"], "resource_group"),
        ("cluster", ["--cluster", "mine"], "cluster.name"),
    ] {
        let env = TestEnvironment::at_speed("400");
        killed_at(&env, step, &given);
        let started =
            env.journal().into_iter().find(|line| line["entry"] == "started" && line["step"] == step);
        assert_eq!(started.unwrap()["named"]["name"], given[1]);
        let before = env.request_log().len();
        let output = env.expect(2, &["up"]);
        assert!(output.stderr.contains(setting) && output.stderr.contains(given[1]), "{}", output.stderr);
        assert_eq!(env.request_log().len(), before, "{step}: nothing was asked under the other name");
        assert!(env.expect(0, &["status", "--format", "json"]).stdout.contains(given[1]));
        env.expect(0, &["down", "--yes"]);
        assert!(env.journal().iter().any(|line| line["entry"] == "undone" && line["step"] == step));
        // No recorded name applies now.
        env.expect(0, &["up"]);
    }
}

#[test]
fn an_empty_journal_is_reported_and_not_taken_for_a_new_environment() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let path = env.state().join("journal.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let before = env.request_log().len();
    for left in [Some(&whole[..0]), Some(&whole[..40]), None] {
        match left {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        for command in [&["up"][..], &["down", "--yes"], &["status"]] {
            let output = env.expect(1, command);
            assert!(
                output.stderr.contains("journal.jsonl") && output.stderr.contains("hint:"),
                "{}",
                output.stderr
            );
        }
    }
    assert_eq!(env.request_log().len(), before, "no cloud was asked");
    std::fs::write(&path, whole).unwrap();
    env.expect(0, &["down", "--yes"]);
}

#[test]
fn the_journal_of_another_cloud_is_refused_before_any_change() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let path = env.state().join("journal.jsonl");
    let (whole, before) = (std::fs::read_to_string(&path).unwrap(), env.request_log().len());
    let other = whole.replace("\"cloud\":\"sim\"", "\"cloud\":\"azure\"");
    std::fs::write(&path, &other).unwrap();
    let output = env.expect(2, &["up"]);
    assert!(output.stderr.contains("--environment"), "{}", output.stderr);
    assert_eq!(env.request_log().len(), before);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
}

#[test]
fn resources_of_unknown_steps_are_listed_by_status_and_down() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    env.unseal_journal();
    let path = env.state().join("journal.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let at = "2026-11-23T09:00:00.000Z";
    text += &format!(
        "{{\"at\":\"{at}\",\"entry\":\"started\",\"step\":\"old-thing\",\"attempt\":1,\"making\":true}}\n"
    );
    text += &format!(
        "{{\"at\":\"{at}\",\"entry\":\"finished\",\"step\":\"old-thing\",\"how\":\"created\",\"output\":\"/old/7\"}}\n"
    );
    std::fs::write(&path, text).unwrap();
    assert!(env.expect(0, &["status"]).stdout.contains("/old/7"));
    let output = env.expect(0, &["down", "--yes"]);
    assert!(output.stderr.contains("old thing") && output.stderr.contains("/old/7"), "{}", output.stderr);
    let again = env.expect(0, &["down", "--yes", "--format", "json"]);
    assert_eq!(again.summary()["left_behind"][0]["output"], "/old/7", "it is kept in mind");
}

#[cfg(unix)]
#[test]
fn a_state_folder_readable_by_others_is_restricted_and_a_replaceable_one_is_refused() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let rights =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    rights(&env.state(), 0o755);
    rights(&env.state().join("journal.jsonl"), 0o644);
    let output = env.expect(0, &["up"]);
    assert!(output.stderr.contains("accessible to other users"), "{}", output.stderr);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&env.state()), mode(&env.state().join("journal.jsonl"))), (0o700, 0o600));
    assert!(!env.expect(0, &["up"]).stderr.contains("accessible to other users"), "said once");

    rights(&env.path().join(".landfall"), 0o777);
    let output = env.expect(2, &["up"]);
    assert!(output.stderr.contains("every user may write to it"), "{}", output.stderr);
    std::os::unix::fs::symlink("/nowhere/at/all", env.path().join("link")).unwrap();
    let output = env.expect(2, &["up", "--state-dir", "link"]);
    assert!(output.stderr.contains("/nowhere/at/all, which does not exist"), "{}", output.stderr);
}

#[test]
fn a_journal_that_was_cut_or_edited_is_refused_until_it_is_restored_or_accepted() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let path = env.state().join("journal.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let half = lines.len() / 2;
    let swapped = [&lines[..half], &[lines[half + 1], lines[half]], &lines[half + 2..]].concat().concat();
    let before = env.request_log().len();
    for (damaged, output) in [
        (lines[..half].concat(), format!("lines {} to {} were on disk", half + 1, lines.len())),
        ([&lines[..half], &lines[half + 1..]].concat().concat(), format!("line {} was written as", half + 1)),
        (swapped, format!("line {} was written as line {}", half + 1, half + 2)),
        (
            [&lines[..], &lines[half..=half]].concat().concat(),
            format!("line {} was written as", lines.len() + 1),
        ),
        (
            whole.replacen("\"how\":\"created\"", "\"how\":\"found\"", 1),
            "its checksum does not match".to_owned(),
        ),
    ] {
        std::fs::write(&path, &damaged).unwrap();
        for command in [&["up"][..], &["down", "--yes"], &["rotate"], &["plan"], &["status"]] {
            let setting = env.expect(1, command);
            let text =
                setting.stderr.replace("\n             ", " ").replace("\n  ", " ").replace("      ", " ");
            assert!(
                text.contains("--accept-journal") && text.contains("hint:"),
                "{command:?}: {}",
                setting.stderr
            );
            let words: Vec<&str> = setting.stderr.split_whitespace().collect();
            assert!(words.join(" ").contains(&output), "{output}: {}", setting.stderr);
        }
        // The readable part is still printed.
        let shown = env.expect(1, &["status", "--format", "json"]).stdout;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert!(shown["damage"].as_str().is_some_and(|damage| damage.contains("journal.jsonl")), "{shown}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "it was not touched");
    }
    assert_eq!(env.request_log().len(), before, "no cloud was asked");

    let output = env.expect(0, &["up", "--accept-journal"]).stderr;
    assert!(output.contains("accepted") && output.contains("damaged"), "{output}");
    let kept = env.files().into_iter().filter(|file| file.to_string_lossy().contains(".damaged-"));
    assert_eq!(kept.count(), 1, "a copy of the damaged file is kept");
    // It is sound from now on, so the needless flag is not mentioned.
    assert!(!env.expect(0, &["up", "--accept-journal"]).stderr.contains("accepted"));
    env.expect(0, &["down", "--yes"]);
    let left = env.request_log().iter().rfind(|line| line["method"] == "DELETE").unwrap()["path"].to_string();
    assert!(left.to_lowercase().contains("resourcegroups"), "{left}");
}

#[test]
fn a_journal_without_checksums_is_continued() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    env.unseal_journal();
    let plain = std::fs::read_to_string(env.state().join("journal.jsonl")).unwrap();
    assert_eq!(env.expect(0, &["up", "--format", "json"]).summary()["found"], 19);
    let sealed = std::fs::read_to_string(env.state().join("journal.jsonl")).unwrap();
    assert!(sealed.starts_with(&plain), "what was there is not rewritten");
    assert!(sealed[plain.len()..].lines().all(|line| line.contains("\"sum\":")), "what follows is sealed");
    env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("DELETE", "/managedClusters/"), 1, "it was ours");
}
