//! The program's reaction to a damaged journal, and to names that changed after a kill.

use crate::environment::TestEnvironment;
use serde_json::Value;
use std::io::{BufRead, BufReader};

/// Runs `up` until a step starts a change, and kills the run there.
fn killed_at(here: &TestEnvironment, step: &str, arguments: &[&str]) {
    let mut run = here.spawn(&[&["up", "--format", "json"], arguments].concat());
    let lines = BufReader::new(run.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let begun = |line: &String| {
        let said: Value = serde_json::from_str(line).unwrap();
        said["event"] == "started" && said["step"] == step
    };
    assert!(lines.into_iter().any(|line| begun(&line)), "the run ended before {step}");
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn names_are_held_to_from_the_first_write_though_the_run_was_killed_before_it_had_anything() {
    for (step, given, told) in [
        ("resource-group", ["--resource-group", "rg-foo"], "resource_group"),
        ("cluster", ["--cluster", "mine"], "cluster.name"),
    ] {
        let here = TestEnvironment::at_speed("400");
        killed_at(&here, step, &given);
        let started =
            here.journal().into_iter().find(|line| line["entry"] == "started" && line["step"] == step);
        assert_eq!(started.unwrap()["named"]["name"], given[1]);
        let before = here.ledger().len();
        let said = here.expect(2, &["up"]);
        assert!(said.stderr.contains(told) && said.stderr.contains(given[1]), "{}", said.stderr);
        assert_eq!(here.ledger().len(), before, "{step}: nothing was asked under the other name");
        assert!(here.expect(0, &["status", "--format", "json"]).stdout.contains(given[1]));
        here.expect(0, &["down", "--yes"]);
        assert!(here.journal().iter().any(|line| line["entry"] == "undone" && line["step"] == step));
        // No recorded name applies now.
        here.expect(0, &["up"]);
    }
}

#[test]
fn an_emptied_journal_is_told_with_the_way_on_and_is_not_taken_for_a_new_environment() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let path = here.state().join("journal.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let before = here.ledger().len();
    for left in [Some(&whole[..0]), Some(&whole[..40]), None] {
        match left {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        for command in [&["up"][..], &["down", "--yes"], &["status"]] {
            let said = here.expect(1, command);
            assert!(
                said.stderr.contains("journal.jsonl") && said.stderr.contains("hint:"),
                "{}",
                said.stderr
            );
        }
    }
    assert_eq!(here.ledger().len(), before, "no cloud was asked");
    std::fs::write(&path, whole).unwrap();
    here.expect(0, &["down", "--yes"]);
}

#[test]
fn the_journal_of_another_cloud_is_refused_before_anything_is_touched() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let path = here.state().join("journal.jsonl");
    let (whole, before) = (std::fs::read_to_string(&path).unwrap(), here.ledger().len());
    let other = whole.replace("\"cloud\":\"sim\"", "\"cloud\":\"azure\"");
    std::fs::write(&path, &other).unwrap();
    let said = here.expect(2, &["up"]);
    assert!(said.stderr.contains("--environment"), "{}", said.stderr);
    assert_eq!(here.ledger().len(), before);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
}

#[test]
fn what_this_version_has_no_step_for_is_named_by_status_and_down() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    here.unseal_journal();
    let path = here.state().join("journal.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let at = "2026-11-23T09:00:00.000Z";
    text += &format!(
        "{{\"at\":\"{at}\",\"entry\":\"started\",\"step\":\"old-thing\",\"attempt\":1,\"making\":true}}\n"
    );
    text += &format!(
        "{{\"at\":\"{at}\",\"entry\":\"finished\",\"step\":\"old-thing\",\"how\":\"created\",\"output\":\"/old/7\"}}\n"
    );
    std::fs::write(&path, text).unwrap();
    assert!(here.expect(0, &["status"]).stdout.contains("/old/7"));
    let said = here.expect(0, &["down", "--yes"]);
    assert!(said.stderr.contains("old thing") && said.stderr.contains("/old/7"), "{}", said.stderr);
    let again = here.expect(0, &["down", "--yes", "--format", "json"]);
    assert_eq!(again.summary()["left_behind"][0]["output"], "/old/7", "it is kept in mind");
}

#[cfg(unix)]
#[test]
fn a_state_folder_that_others_can_read_is_closed_and_one_they_can_swap_is_refused() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let rights =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    rights(&here.state(), 0o755);
    rights(&here.state().join("journal.jsonl"), 0o644);
    let said = here.expect(0, &["up"]);
    assert!(said.stderr.contains("accessible to other users"), "{}", said.stderr);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&here.state()), mode(&here.state().join("journal.jsonl"))), (0o700, 0o600));
    assert!(!here.expect(0, &["up"]).stderr.contains("accessible to other users"), "said once");

    rights(&here.path().join(".landfall"), 0o777);
    let said = here.expect(2, &["up"]);
    assert!(said.stderr.contains("every user may write to it"), "{}", said.stderr);
    std::os::unix::fs::symlink("/nowhere/at/all", here.path().join("link")).unwrap();
    let said = here.expect(2, &["up", "--state-dir", "link"]);
    assert!(said.stderr.contains("/nowhere/at/all, which does not exist"), "{}", said.stderr);
}

#[test]
fn a_journal_that_was_cut_or_edited_is_refused_until_it_is_restored_or_accepted() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let path = here.state().join("journal.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let half = lines.len() / 2;
    let swapped = [&lines[..half], &[lines[half + 1], lines[half]], &lines[half + 2..]].concat().concat();
    let before = here.ledger().len();
    for (damaged, said) in [
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
            let told = here.expect(1, command);
            let text =
                told.stderr.replace("\n             ", " ").replace("\n  ", " ").replace("      ", " ");
            assert!(
                text.contains("--accept-journal") && text.contains("hint:"),
                "{command:?}: {}",
                told.stderr
            );
            let words: Vec<&str> = told.stderr.split_whitespace().collect();
            assert!(words.join(" ").contains(&said), "{said}: {}", told.stderr);
        }
        // The readable part is still printed.
        let shown = here.expect(1, &["status", "--format", "json"]).stdout;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert!(shown["damage"].as_str().is_some_and(|damage| damage.contains("journal.jsonl")), "{shown}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "it was not touched");
    }
    assert_eq!(here.ledger().len(), before, "no cloud was asked");

    let said = here.expect(0, &["up", "--accept-journal"]).stderr;
    assert!(said.contains("accepted") && said.contains("damaged"), "{said}");
    let kept = here.files().into_iter().filter(|file| file.to_string_lossy().contains(".damaged-"));
    assert_eq!(kept.count(), 1, "a copy of the damaged file is kept");
    // It is sound from now on, so the needless flag is not mentioned.
    assert!(!here.expect(0, &["up", "--accept-journal"]).stderr.contains("accepted"));
    here.expect(0, &["down", "--yes"]);
    let left = here.ledger().iter().rfind(|line| line["method"] == "DELETE").unwrap()["path"].to_string();
    assert!(left.to_lowercase().contains("resourcegroups"), "{left}");
}

#[test]
fn a_journal_of_the_version_before_the_seals_is_gone_on_with() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    here.unseal_journal();
    let plain = std::fs::read_to_string(here.state().join("journal.jsonl")).unwrap();
    assert_eq!(here.expect(0, &["up", "--format", "json"]).summary()["found"], 17);
    let sealed = std::fs::read_to_string(here.state().join("journal.jsonl")).unwrap();
    assert!(sealed.starts_with(&plain), "what was there is not rewritten");
    assert!(sealed[plain.len()..].lines().all(|line| line.contains("\"sum\":")), "what follows is sealed");
    here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("DELETE", "/managedClusters/"), 1, "it was ours");
}
