//! Every failure message contains the action, the cause, the leftover and the remedy.

use crate::environment::{CommandOutput, TestEnvironment};

/// Checks the output of a failed run.
fn assert_complete(fault: &str, output: &CommandOutput) {
    let CommandOutput { stderr, .. } = output;
    let at = format!("{fault}:\n{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("a bug in landfall"), "{at}");
    let mut errors = stderr.split("error: failed to ").skip(1).peekable();
    assert!(errors.peek().is_some(), "no error is told: {at}");
    for error in errors {
        assert!(error.starts_with(|first: char| first.is_lowercase()), "{at}");
        assert!(error.contains("\nhint: "), "{at}");
        let prose = error.split("\nBlocked by").next().unwrap();
        assert!(prose.contains("left behind: ") && !prose.contains("caused by:\n"), "{at}");
    }
}

/// Runs `up` under a permanent fault.
fn fail_with(fault: &str, code: i32) -> CommandOutput {
    let env = TestEnvironment::instant();
    let armed = format!("{fault}*100000");
    let output = env.expect(code, &["up", "--fault", &armed]);
    assert_complete(fault, &output);
    assert!(output.stderr.contains("landfall up` again"), "{fault}: {}", output.stderr);
    output
}

#[test]
fn when_sign_in_or_reads_fail() {
    fail_with("server-error@POST /token", 1);
    let output = fail_with("reset-before@POST /token", 1);
    assert!(output.stderr.contains("left behind: nothing"), "a token leaves nothing: {}", output.stderr);
    fail_with("unavailable@GET kubernetesVersions", 1);
    let output = fail_with("token-expired@GET resourcegroups", 3);
    assert!(output.stderr.contains("request id: "), "{}", output.stderr);
}

#[test]
fn when_azure_creations_fail() {
    fail_with("server-error@PUT resourcegroups/", 1);
    fail_with("reset-before@PUT virtualNetworks", 1);
    fail_with("unavailable@PUT Microsoft.KeyVault/vaults", 1);
    fail_with("throttled@PUT managedClusters", 1);
}

#[test]
fn when_role_import_or_record_writes_fail() {
    fail_with("server-error@PUT roleAssignments", 1);
    fail_with("server-error@POST /import", 1);
    fail_with("throttled-silently@GET dnszones", 1);
}

#[test]
fn when_the_cluster_does_not_respond() {
    fail_with("server-error@POST listClusterUserCredential", 1);
    fail_with("unavailable@/kubernetes/", 1);
    fail_with("reset-before@PATCH /kubernetes/", 1);
}

#[test]
fn a_refusal_contains_the_fix_and_the_request_id() {
    let env = TestEnvironment::instant().with("NODE_SIZE", "Standard_D99_nope");
    let output = env.expect(3, &["up", "--skip-preflight", "node-size"]);
    assert_complete("an unknown size", &output);
    for fragment in ["left behind: nothing", "request id: ", "cluster.node_size", "Fix this"] {
        assert!(output.stderr.contains(fragment), "{fragment}: {}", output.stderr);
    }
}

#[test]
fn when_a_deletion_fails_its_dependencies_stay() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let fault = "server-error@DELETE managedClusters*100000";
    let output = env.expect(1, &["down", "--yes", "--fault", fault]);
    assert_complete(fault, &output);
    assert!(output.stderr.contains("landfall down` again"), "{}", output.stderr);
    assert_eq!(env.count("DELETE", "/virtualNetworks/vnet-aks-istio-demo"), 0);
}
