//! Report pages: of finished, failed, killed, running and old runs, and of all environments.

use crate::{environment::TestEnvironment, generated_journals, running_process::RunningProcess};
use serde_json::Value;
use std::{
    fs,
    time::{Duration, Instant},
};

/// The timeout until a followed page shows a state.
const PAGE_MAX: Duration = Duration::from_secs(120);

fn page(env: &TestEnvironment, name: &str) -> String {
    fs::read_to_string(env.path().join(name)).unwrap()
}

/// Checks that a page loads nothing and contains no script.
fn assert_self_contained(page: &str) {
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for word in ["<script", "<link", "<iframe", "@import", "url(", " src=", " href=", "onload"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src &#39;none&#39;"));
}

#[track_caller]
fn assert_contains(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "{word} is not in\n{page}");
    }
}

#[test]
fn a_first_run_is_reported_with_its_path_its_requests_and_its_topology() {
    let env =
        TestEnvironment::at_speed("600").with("LANDFALL_SIM_FAULTS", "throttled@GET /virtualnetworks/*2");
    env.expect(0, &["up"]);
    let output = env.expect(0, &["report", "-o", "run.html"]);
    assert!(output.stderr.contains("Run 1 (up) is in run.html."), "{}", output.stderr);
    let page = page(&env, "run.html");
    assert_self_contained(&page);
    assert_contains(
        &page,
        &[
            "<title>default: up ready</title>",
            "Critical path",
            "cluster ready",
            "on the critical path",
            "HTTP 429",
            "kv-aks-istio-gate-",
            "echo-canary</strong> → echo-v1 90 %, echo-v2 10 %",
            "header version: v2",
            "SecretProviderClass",
            "tls-secret-sync",
            "gateway-tls-secret",
            "echo-headers.demo.example.com",
        ],
    );
    assert!(!page.contains("http-equiv=\"refresh\""));
    // The lines of the journal have what the page shows.
    let journal = env.journal();
    let closed = journal.last().unwrap();
    assert_eq!(closed["entry"], "closed");
    let of_steps = journal.iter().filter_map(|line| line["activity"]["requests"].as_u64()).sum::<u64>();
    assert_eq!(closed["summary"]["requests"], of_steps);
    let path: u64 = closed["summary"]["critical_path"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["cloud_ms"].as_u64().unwrap())
        .sum();
    let whole = closed["summary"]["critical_path_ms"].as_u64().unwrap();
    assert!(path <= whole && path + 17 >= whole, "{path} of {whole}: each step is rounded down");
}

#[test]
fn a_page_replaces_only_a_page_and_a_run_is_selected_by_number() {
    let env = TestEnvironment::instant();
    let nothing = env.expect(2, &["report"]);
    assert!(nothing.stderr.contains("nothing ran yet"), "{}", nothing.stderr);
    env.expect(0, &["up"]);
    env.expect(0, &["down", "--yes"]);
    for _ in 0..2 {
        env.expect(0, &["report"]);
    }
    assert!(page(&env, "landfall-default-run-2.html").contains("<title>default: down deleted</title>"));
    env.expect(0, &["report", "1", "-o", "first.html"]);
    let first = page(&env, "first.html");
    assert_contains(&first, &["<title>default: up ready</title>", "httpbin-gateway", "Run 2"]);

    env.write("notes.html", "<p>mine</p>");
    let refused = env.expect(2, &["report", "-o", "notes.html"]);
    assert!(refused.stderr.contains("is not a report of landfall"), "{}", refused.stderr);
    assert_eq!(page(&env, "notes.html"), "<p>mine</p>");
    let replaced = env.expect(0, &["report", "-o", "notes.html", "--yes"]);
    assert!(replaced.stderr.contains("was not a report"), "{}", replaced.stderr);
    assert_self_contained(&page(&env, "notes.html"));

    let before = env.files().len();
    assert_self_contained(&env.expect(0, &["report", "-o", "-"]).stdout);
    assert_eq!(env.files().len(), before, "no file is written");
    for unknown in ["7", "0", "first"] {
        let refused = env.expect(2, &["report", unknown]).stderr;
        assert!(refused.contains("run 2: down") && refused.contains("run 1: up"), "{refused}");
    }
    env.expect(2, &["report", "-o", "-", "--format", "json"]);
    env.expect(2, &["report", "1", "--follow"]);
    let summary: Value =
        serde_json::from_str(&env.expect(0, &["report", "1", "--format", "json"]).stdout).unwrap();
    assert_eq!((&summary["state"], &summary["run"]), (&"ready".into(), &1.into()));
    assert_eq!(summary["report"], "landfall-default-run-1.html");
}

#[test]
fn a_failed_run_is_reported_with_its_error_and_what_it_blocks() {
    let env = TestEnvironment::at_speed("600")
        .with("LANDFALL_SIM_FAULTS", "size-withheld")
        .with("LANDFALL_SIM_SEED", "77001");
    let failed = env.run(&["up"]);
    assert_ne!(failed.status.code(), Some(0));
    env.expect(0, &["report", "-o", "run.html"]);
    let page = page(&env, "run.html");
    assert_self_contained(&page);
    assert_contains(
        &page,
        &[
            "<title>default: up failed</title>",
            "<h2 id=\"errors-title\">Errors</h2>",
            "Remedy",
            "Left behind",
            "Blocked by this",
            "blocked by preflight",
        ],
    );
}

#[test]
fn a_killed_run_is_reported_up_to_its_last_line() {
    let env = TestEnvironment::at_speed("60");
    let mut run = RunningProcess::start(&env, &["up"]);
    run.until_step("finished", "network");
    run.until_step("started", "cluster-ready");
    run.kill();
    env.expect(0, &["report", "-o", "run.html"]);
    let page = page(&env, "run.html");
    assert_self_contained(&page);
    assert_contains(
        &page,
        &[
            "This run did not end.",
            "<title>default: up did not end</title>",
            "no result",
            "vnet-aks-istio-demo",
            "not reached",
        ],
    );
}

#[test]
fn a_followed_page_reloads_until_the_run_ends() {
    let env = TestEnvironment::at_speed("60");
    let mut up = RunningProcess::start(&env, &["up"]);
    up.until_step("started", "cluster-ready");
    let mut report = env.spawn(&["report", "--follow", "-o", "live.html"]);
    let began = Instant::now();
    let path = env.path().join("live.html");
    let live = loop {
        assert!(began.elapsed() < PAGE_MAX, "no page");
        if let Ok(page) = fs::read_to_string(&path) {
            break page;
        }
        std::thread::sleep(Duration::from_millis(3));
    };
    assert_contains(&live, &["http-equiv=\"refresh\"", "The run is active.", "running"]);
    assert_self_contained(&live);
    assert_eq!(up.end().status.code(), Some(0));
    assert_eq!(report.wait().unwrap().code(), Some(0), "it ends with the run");
    let ended = page(&env, "live.html");
    assert!(!ended.contains("http-equiv=\"refresh\""));
    assert_contains(&ended, &["<title>default: up ready</title>"]);
    env.expect(0, &["report", "--follow", "-o", "live.html"]);
}

#[test]
fn a_journal_of_an_earlier_version_gives_what_it_contains() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    env.unseal_journal();
    let path = env.state().join("journal.jsonl");
    let written = fs::read_to_string(&path).unwrap();
    let old = written.lines().map(|line| {
        let mut line: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        line.retain(|name, _| name != "activity" && name != "summary");
        format!("{}\n", Value::Object(line))
    });
    fs::write(&path, old.collect::<String>()).unwrap();
    env.expect(0, &["report", "-o", "run.html"]);
    let page = page(&env, "run.html");
    assert_contains(&page, &["<title>default: up ready</title>", "echo-gateway", "gateway-tls-cert"]);
    assert!(!page.contains("<dt>Requests</dt>"), "the journal does not have them");
}

#[test]
fn names_and_errors_in_a_journal_cannot_become_markup() {
    let env = TestEnvironment::instant();
    generated_journals::write_injected(&env, "default", "\"><script>alert(1)</script>");
    for arguments in [&["report", "-o", "a.html"][..], &["report", "--all", "-o", "b.html"]] {
        env.expect(0, arguments);
        let page = page(&env, arguments.last().unwrap());
        assert_self_contained(&page);
        assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown as text");
    }
}

#[test]
fn all_environments_are_one_page_with_causes_and_the_slowest() {
    let env = TestEnvironment::instant();
    env.expect(2, &["report", "--all"]);
    generated_journals::write_fleet(&env, 200);
    env.expect(0, &["report", "--all"]);
    let page = page(&env, "landfall-environments.html");
    assert_self_contained(&page);
    assert_contains(&page, &["200 environments", "Failures by cause", "QuotaExceeded", "Remedy", "Slowest"]);
    assert_eq!(page.matches(" data-grade=").count(), 200);
    let json: Value =
        serde_json::from_str(&env.expect(0, &["report", "--all", "--format", "json"]).stdout).unwrap();
    let runs = json["environments"].as_array().unwrap();
    assert_eq!(runs.len(), 200);
    let failed = runs.iter().filter(|run| run["state"] == "failed").count();
    assert!((5..60).contains(&failed), "{failed}");
}
