//! Restrictions of the machine: proxies, file systems, limits of the process, and its clock. Each has a message that
//! names the cause.

use crate::environment::{CommandOutput, TestEnvironment};
use crate::screens::shows;

fn assert_said(output: &CommandOutput, words: &[&str]) {
    let text = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(text.contains(word), "{word:?} is not said:\n{}", output.stderr);
    }
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn a_proxy_that_is_none_is_named_before_anything_is_sent() {
    for (value, words) in [
        ("http://ada:hunter2@ju nk:1", ["HTTPS_PROXY: \"…@ju nk:1\" is not the address of a proxy", "unset"]),
        (
            "http://ada:hunter2@127.0.0.1:1",
            ["failed to reach the proxy 127.0.0.1:1 of HTTPS_PROXY", "NO_PROXY"],
        ),
    ] {
        let env = TestEnvironment::instant().with("HTTPS_PROXY", value);
        for command in ["plan", "up"] {
            let output = env.expect(2, &["--cloud", "azure", command]);
            assert_said(&output, &words);
            assert!(
                !output.stderr.contains("hunter2") && !output.stderr.contains("sign in"),
                "{}",
                output.stderr
            );
        }
        assert!(!env.state().join("journal.jsonl").exists());
        // The simulated cloud is on this machine, and no proxy leads there.
        env.expect(0, &["plan"]);
    }
}

#[test]
fn a_refusal_of_the_file_system_has_its_own_remedy() {
    let env = TestEnvironment::instant();
    env.write("file", "no folder");
    let long = "x".repeat(300);
    for (folder, of_kubeconfig, code, of_state) in [
        ("file/state", "a part of the path is a file", 2, "it is a file, but a folder is required"),
        (long.as_str(), "the path is too long", 1, "the path is too long"),
    ] {
        // The default kubeconfig is in that folder too.
        assert_said(&env.expect(2, &["--state-dir", folder, "up"]), &[of_kubeconfig]);
        let output = env.expect(code, &["--state-dir", folder, "up", "--kubeconfig", "kubeconfig"]);
        assert_said(&output, &[of_state, "--state-dir"]);
        assert!(!output.stderr.contains("free space"), "{}", output.stderr);
    }
}

#[cfg(unix)]
#[test]
fn too_few_open_files_are_named_as_the_cause() {
    let env = TestEnvironment::instant();
    let landfall = env.command(&[]).get_program().to_owned();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 5; exec \"$0\" up"]).arg(&landfall);
    command.current_dir(env.path()).env("HOME", env.path()).env("LANDFALL_SIM_SPEED", "instant");
    let output = command.output().unwrap();
    let output = CommandOutput {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        status: output.status,
    };
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    assert_said(&output, &["Too many open files", "ulimit -n"]);
}

#[test]
fn a_clock_behind_the_journal_is_reported() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    env.unseal_journal();
    let path = env.state().join("journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let year = text.find("\"at\":\"").map(|at| text[at + 6..at + 10].to_owned()).unwrap();
    std::fs::write(&path, text.replace(&format!("\"at\":\"{year}"), "\"at\":\"2199")).unwrap();
    for command in ["plan", "up"] {
        let output = env.expect(0, &[command]);
        assert_said(&output, &["Warning: this machine's clock says", "an entry of 2199-", "Set the clock"]);
    }
}

#[test]
fn doctor_after_a_failed_run_names_its_cause_and_not_the_command_that_failed() {
    let env = TestEnvironment::instant().with("NODE_SIZE", "Standard_D99_nope");
    env.expect(3, &["up", "--skip-preflight", "node-size"]);
    let output = env.expect(1, &["doctor"]).stdout;
    let text = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "✗ The last run failed at step cluster: failed to create cluster aks-istio-gateway-demo.",
        "returned 400 VMSizeNotSupported",
        "fix set cluster.node_size to a size that this subscription may use in the region; then landfall up Also seen: \
         · the cluster aks-istio-gateway-demo does not exist",
    ] {
        assert!(text.contains(words), "{words}: {output}");
    }
    assert!(!text.contains("landfall up: "), "{output}");
}

#[test]
fn a_plan_without_a_journal_lists_what_it_found() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    for file in ["journal.jsonl", "journal.lock", "journal.length"] {
        std::fs::remove_file(env.state().join(file)).unwrap();
    }
    shows("plan_found", &env.expect(0, &["plan"]).stdout);
}
