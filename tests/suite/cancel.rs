//! Ctrl-C and similar signals: the first lets requests complete and prints how to continue, the second exits
//! at once. After a stop at any point, `up` continues to ready and `down` to nothing.

use crate::{
    environment::{CommandOutput, TestEnvironment},
    running_process::{RunningProcess, signal},
};
use std::io::{BufRead, BufReader, Read};

/// Stops a run at a given event and returns its output.
fn stopped(
    env: &TestEnvironment,
    arguments: &[&str],
    interrupt_at: (&str, &str),
    name: &str,
) -> CommandOutput {
    let mut run = RunningProcess::start(env, arguments);
    run.until_step(interrupt_at.0, interrupt_at.1);
    run.signal(name);
    let output = run.end();
    assert_eq!(
        output.status.code(),
        Some(130),
        "{name} at {interrupt_at:?}\n{}\n{}",
        output.stdout,
        output.stderr
    );
    assert!(output.stderr.contains(&format!("landfall {}", arguments[0])), "{}", output.stderr);
    assert_eq!(output.summary()["outcome"], "interrupted");
    output
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
fn assert_created_once(env: &TestEnvironment) {
    let created = |line: &serde_json::Value| {
        matches!(line["method"].as_str(), Some("PUT" | "PATCH")) && line["status"] == 201
    };
    let request_log = env.request_log();
    let mut paths: Vec<String> = request_log
        .iter()
        .filter(|line| created(line))
        .map(|line| line["path"].to_string().to_lowercase())
        .collect();
    let all = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), all, "{request_log:#?}");
    assert!(env.count("POST", "/import") <= 2, "the challenge and one import");
}

/// Checks that the journal records no owned resource, and that the cloud contains no owned group.
fn assert_nothing_left(env: &TestEnvironment) {
    let status = env.expect(0, &["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let owned: Vec<_> =
        status["steps"].as_array().unwrap().iter().filter(|step| step["ours"] == true).collect();
    assert!(owned.is_empty(), "{owned:#?}");
    let last = env.request_log().into_iter().rfind(|line| {
        let path = line["path"].as_str().unwrap().to_lowercase();
        line["method"] == "GET" && path.ends_with("/resourcegroups/rg-aks-istio-gateway-demo")
    });
    assert_eq!(last.unwrap()["status"], 404);
}

#[cfg(unix)]
#[test]
fn repeatedly_interrupted_runs_complete_up_and_down() {
    let env = TestEnvironment::at_speed("400");
    stopped(&env, &["up"], ("started", "network"), "TERM");
    stopped(&env, &["up"], ("started", "cluster-ready"), hangup());
    stopped(&env, &["up"], ("started", "gateways"), "INT");
    let summary = env.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    assert_created_once(&env);

    stopped(&env, &["down", "--yes"], ("note", "cluster"), "INT");
    stopped(&env, &["down", "--yes"], ("undone", "cluster"), "TERM");
    assert_eq!(env.expect(0, &["down", "--yes", "--format", "json"]).summary()["outcome"], "gone");
    assert_eq!(env.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
    assert_nothing_left(&env);
}

#[cfg(unix)]
#[test]
fn an_interrupted_up_can_be_deleted() {
    let env = TestEnvironment::at_speed("400");
    stopped(&env, &["up"], ("started", "cluster-ready"), "INT");
    env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
    assert_nothing_left(&env);
}

#[cfg(unix)]
#[test]
fn the_second_signal_does_not_wait_for_an_answer() {
    let env = TestEnvironment::at_speed("1");
    // The response takes half a minute; a program that waits for it fails this test by the duration alone.
    let began = std::time::Instant::now();
    let mut run = RunningProcess::start(&env, &["up", "--fault", "slow@PUT resourcegroups"]);
    run.until_step("started", "resource-group");
    run.signal("INT");
    run.until(|event| event["event"] == "message");
    run.signal("INT");
    let output = run.end();
    assert_eq!(output.status.code(), Some(130), "{}", output.stderr);
    assert!(began.elapsed().as_secs() < 20, "it waited for the answer");
    assert!(output.stderr.contains("landfall up"), "{}", output.stderr);

    let up = env.command(&["up"]).env("LANDFALL_SIM_SPEED", "instant").output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    assert_created_once(&env);
}

#[cfg(unix)]
#[test]
fn the_final_messages_fit_a_terminal_and_are_accurate() {
    let env = TestEnvironment::at_speed("20");
    let mut run = env.spawn(&["up"]);
    let mut stderr = BufReader::new(run.stderr.take().unwrap());
    let mut output = String::new();
    // The cluster is in progress and the certificate waits for its role, and no run continues them.
    while !output.contains("start    cluster-ready") || !output.contains("retry    certificate") {
        assert!(stderr.read_line(&mut output).unwrap() > 0, "{output}");
    }
    signal(&run, "INT");
    stderr.read_to_string(&mut output).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130), "{output}");
    let (_, stopping) = output.split_once("note ").unwrap();
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
