//! Snapshots of the exact output: eighty columns, no colour, a pipe.

use crate::environment::{CommandOutput, TestEnvironment};

/// Returns filters that replace values which differ between runs by placeholders.
pub fn settings() -> insta::Settings {
    let mut settings = insta::Settings::new();
    for (pattern, replacement) in [
        (r"\d\d:\d\d:\d\dZ", "<time>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\dZ", "<date and time>"),
        (r"valid until \d{4}-\d\d-\d\d", "valid until <date>"),
        (r"until \d{4}-\d\d-\d\d, \d+ days", "until <date>, <n> days"),
        (r"seed \d+", "seed <seed>"),
        (r"\b\d+(\.\d)? (ms|s|min)\b", "<duration>"),
        (r"\d+ requests", "<n> requests"),
        (r"overhead \d+ %", "overhead <n> %"),
        (r"[0-9A-F]{40}", "<thumbprint>"),
        (r"\b[0-9a-f]{32}\b", "<version>"),
        (r"on \d{4}-\d\d-\d\d\.", "on <date>."),
        (r"127\.0\.0\.1[12]", "<address>"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
        (r"kv-aks-istio-gate-[0-9a-f]{6}", "kv-aks-istio-gate-<digits>"),
        // The offered versions depend on the day, and so do the ends of their lines.
        (r"offers 1\.\d+,[^;]*?\n  caused", "offers <versions>\n  caused"),
        (r"[ \t]+\n", "\n"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings
}

/// Returns the lines of a run, sorted where concurrent steps may end in either order.
pub fn normalized(output: &CommandOutput) -> String {
    let (lines, rest): (Vec<&str>, Vec<&str>) = output
        .stderr
        .lines()
        .partition(|line| line.len() > 10 && line.as_bytes()[2] == b':' && line.as_bytes()[8] == b'Z');
    let mut lines: Vec<&str> = lines
        .into_iter()
        .map(|line| line[10..].trim_end())
        .filter(|line| ["done", "gone", "fail"].iter().any(|word| line.starts_with(word)))
        .collect();
    lines.sort_unstable();
    format!("{}\n---\n{}", lines.join("\n"), rest.join("\n"))
}

/// Compares a screen with its snapshot. Prose is at most eighty columns wide; an event line may be longer.
pub fn shows(name: &str, text: &str) {
    settings().bind(|| insta::assert_snapshot!(name, text));
    let prose = text.split("---\n").last().unwrap();
    let widest = prose.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(widest <= 80, "{name} is {widest} columns wide");
}

#[test]
fn up_status_and_down() {
    let env = TestEnvironment::instant();
    shows("up", &normalized(&env.expect(0, &["up"])));
    shows("up_again", &normalized(&env.expect(0, &["up"])));
    shows("status", &env.expect(0, &["status"]).stdout);
    shows("down", &normalized(&env.expect(0, &["down", "--yes"])));
    shows("down_again", &normalized(&env.expect(0, &["down", "--yes"])));
}

#[test]
fn down_with_a_kept_and_a_locked_resource() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    shows("down_keep", &normalized(&env.expect(0, &["down", "--yes", "--keep", "cluster"])));
    let env = env.with("LANDFALL_SIM_FAULTS", "group-locked");
    env.expect(3, &["down", "--yes"]);
    let output = env.expect(3, &["down", "--yes"]).stderr;
    // The user copies the command that removes the lock, so it is not wrapped.
    settings().bind(|| insta::assert_snapshot!("down_locked", output));
}

#[test]
fn down_of_found_resources() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    for file in ["journal.jsonl", "journal.lock"] {
        std::fs::remove_file(env.state().join(file)).unwrap();
    }
    env.expect(0, &["up"]);
    shows("down_adopt", &normalized(&env.expect(0, &["down", "--yes", "--adopt"])));
}

#[test]
fn mistakes() {
    let env = TestEnvironment::instant().with("KEYVAULT_NAME", "1--kv").with("DOMAIN_NAME", "nope");
    env.write(
        "landfall.toml",
        "[cluster]\nnode_sise = \"x\"\nnodes = \"two\"\n\n[canary]\nstable = 90\ncanary = 20\n",
    );
    let output = env.expect(2, &["up"]).stderr;
    settings().bind(|| insta::assert_snapshot!("mistakes", output));
}

#[test]
fn a_failure() {
    let env = TestEnvironment::instant().with("K8S_VERSION", "1.12");
    shows("a_failure", &normalized(&env.expect(3, &["up"])));
}

#[test]
fn the_graph() {
    shows("graph", &TestEnvironment::instant().expect(0, &["graph"]).stdout);
}

#[test]
fn help() {
    shows("help", &TestEnvironment::instant().expect(0, &["--help"]).stdout);
}

#[test]
fn init_writes_a_file_that_up_takes() {
    let env = TestEnvironment::instant();
    env.expect(0, &["init"]);
    assert!(env.path().join("landfall.toml").exists());
    env.expect(2, &["init"]);
    env.expect(0, &["up"]);
}

#[test]
fn the_small_commands_print_the_expected_output() {
    let env = TestEnvironment::instant();
    for shell in ["bash", "zsh", "fish"] {
        assert!(env.expect(0, &["completions", shell]).stdout.contains("landfall"));
    }
    assert!(env.expect(0, &["man"]).stdout.contains(".TH landfall"));
    let schema: serde_json::Value = serde_json::from_str(&env.expect(0, &["schema"]).stdout).unwrap();
    assert_eq!(schema["additionalProperties"], false);
}
