//! Ctrl-C and similar signals: the first lets requests complete and prints how to continue, the second exits
//! at once. After a stop at any point, `up` continues to ready and `down` to nothing.

use crate::{
    environment::{Said, TestEnvironment},
    running::{Running, signal},
};
use std::io::{BufRead, BufReader, Read};

/// Stops a run at a given event and returns its output.
fn stopped(here: &TestEnvironment, arguments: &[&str], moment: (&str, &str), name: &str) -> Said {
    let mut run = Running::start(here, arguments);
    run.until_step(moment.0, moment.1);
    run.signal(name);
    let said = run.end();
    assert_eq!(said.status.code(), Some(130), "{name} at {moment:?}\n{}\n{}", said.stdout, said.stderr);
    assert!(said.stderr.contains(&format!("landfall {}", arguments[0])), "{}", said.stderr);
    assert_eq!(said.summary()["outcome"], "interrupted");
    said
}

/// Returns the signal of a closing terminal. If the test runner ignores it, as `nohup` does, the program does
/// too.
#[cfg(unix)]
fn hangup() -> &'static str {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    if ignored & 1 == 0 { "HUP" } else { "TERM" }
}

/// Checks that no path was created twice.
fn nothing_was_made_twice(here: &TestEnvironment) {
    let created = |line: &serde_json::Value| {
        matches!(line["method"].as_str(), Some("PUT" | "PATCH")) && line["status"] == 201
    };
    let ledger = here.ledger();
    let mut made: Vec<String> = ledger
        .iter()
        .filter(|line| created(line))
        .map(|line| line["path"].to_string().to_lowercase())
        .collect();
    let all = made.len();
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), all, "{ledger:#?}");
    assert!(here.count("POST", "/import") <= 2, "the challenge and one import");
}

/// Checks that the journal records no owned resource, and that the cloud contains no owned group.
fn nothing_is_left(here: &TestEnvironment) {
    let status = here.expect(0, &["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let ours: Vec<_> =
        status["steps"].as_array().unwrap().iter().filter(|step| step["ours"] == true).collect();
    assert!(ours.is_empty(), "{ours:#?}");
    let last = here.ledger().into_iter().rfind(|line| {
        let path = line["path"].as_str().unwrap().to_lowercase();
        line["method"] == "GET" && path.ends_with("/resourcegroups/rg-aks-istio-gateway-demo")
    });
    assert_eq!(last.unwrap()["status"], 404);
}

#[cfg(unix)]
#[test]
fn stopped_again_and_again_a_run_comes_to_ready_and_then_to_nothing() {
    let here = TestEnvironment::at_speed("400");
    stopped(&here, &["up"], ("started", "network"), "TERM");
    stopped(&here, &["up"], ("started", "cluster-ready"), hangup());
    stopped(&here, &["up"], ("started", "gateways"), "INT");
    let summary = here.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    nothing_was_made_twice(&here);

    stopped(&here, &["down", "--yes"], ("note", "cluster"), "INT");
    stopped(&here, &["down", "--yes"], ("undone", "cluster"), "TERM");
    assert_eq!(here.expect(0, &["down", "--yes", "--format", "json"]).summary()["outcome"], "gone");
    assert_eq!(here.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
    nothing_is_left(&here);
}

#[cfg(unix)]
#[test]
fn what_was_stopped_on_its_way_up_can_be_taken_down() {
    let here = TestEnvironment::at_speed("400");
    stopped(&here, &["up"], ("started", "cluster-ready"), "INT");
    here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
    nothing_is_left(&here);
}

#[cfg(unix)]
#[test]
fn the_second_signal_does_not_wait_for_an_answer() {
    let here = TestEnvironment::at_speed("1");
    // The response takes half a minute; a program that waits for it fails this test by the duration alone.
    let began = std::time::Instant::now();
    let mut run = Running::start(&here, &["up", "--fault", "slow@PUT resourcegroups"]);
    run.until_step("started", "resource-group");
    run.signal("INT");
    run.until(|event| event["event"] == "message");
    run.signal("INT");
    let said = run.end();
    assert_eq!(said.status.code(), Some(130), "{}", said.stderr);
    assert!(began.elapsed().as_secs() < 20, "it waited for the answer");
    assert!(said.stderr.contains("landfall up"), "{}", said.stderr);

    let up = here.command(&["up"]).env("LANDFALL_SIM_SPEED", "instant").output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    nothing_was_made_twice(&here);
}

#[cfg(unix)]
#[test]
fn the_words_at_the_end_fit_a_terminal_and_claim_no_more_than_is_so() {
    let here = TestEnvironment::at_speed("20");
    let mut run = here.spawn(&["up"]);
    let mut stderr = BufReader::new(run.stderr.take().unwrap());
    let mut said = String::new();
    // The cluster is in progress and the certificate waits for its role, and no run continues them.
    while !said.contains("start    cluster-ready") || !said.contains("retry    certificate") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    signal(&run, "INT");
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130), "{said}");
    let (_, stopping) = said.split_once("note ").unwrap();
    let (rows, closing) = stopping.split_once("\n\n").unwrap();
    let mut rows: Vec<&str> = rows.lines().filter_map(|line| line.get(10..)).collect();
    rows.retain(|row| row.starts_with("stopped  cluster-ready") || row.starts_with("stopped  certificate"));
    rows.sort_unstable();
    assert!(closing.lines().all(|line| line.chars().count() <= 80), "{closing}");
    insta::with_settings!({filters => vec![(r"\d+ steps", "<n> steps")]}, {
        insta::assert_snapshot!(format!("{}\n---\n{closing}", rows.join("\n")), @r"
        stopped  certificate     interrupted before it started
        stopped  cluster-ready   interrupted in progress; the next run resumes
        ---
        <n> steps are complete and stay complete. Operations in flight continue in the
        cloud. To resume, run `landfall up` again.
        ");
    });
}
