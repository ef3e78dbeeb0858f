//! Every failure message contains the action, the cause, the leftover and the remedy.

use crate::environment::{Said, TestEnvironment};

/// Checks the output of a failed run.
fn told(fault: &str, said: &Said) {
    let Said { stderr, .. } = said;
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
fn fails(fault: &str, code: i32) -> Said {
    let here = TestEnvironment::instant();
    let armed = format!("{fault}*1000");
    let said = here.expect(code, &["up", "--fault", &armed]);
    told(fault, &said);
    assert!(said.stderr.contains("landfall up` again"), "{fault}: {}", said.stderr);
    said
}

#[test]
fn when_signing_in_or_looking_around_fails() {
    fails("server-error@POST /token", 1);
    let said = fails("reset-before@POST /token", 1);
    assert!(said.stderr.contains("left behind: nothing"), "a token leaves nothing: {}", said.stderr);
    fails("unavailable@GET kubernetesVersions", 1);
    let said = fails("token-expired@GET resourcegroups", 3);
    assert!(said.stderr.contains("request id: "), "{}", said.stderr);
}

#[test]
fn when_making_things_in_azure_fails() {
    fails("server-error@PUT resourcegroups/", 1);
    fails("reset-before@PUT virtualNetworks", 1);
    fails("unavailable@PUT Microsoft.KeyVault/vaults", 1);
    fails("throttled@PUT managedClusters", 1);
}

#[test]
fn when_granting_importing_or_publishing_fails() {
    fails("server-error@PUT roleAssignments", 1);
    fails("server-error@POST /import", 1);
    fails("throttled-silently@GET dnszones", 1);
}

#[test]
fn when_the_cluster_does_not_answer() {
    fails("server-error@POST listClusterUserCredential", 1);
    fails("unavailable@/kubernetes/", 1);
    fails("reset-before@PATCH /kubernetes/", 1);
}

#[test]
fn a_refusal_says_what_to_mend_and_whom_to_ask_about_which_request() {
    let here = TestEnvironment::instant().with("NODE_SIZE", "Standard_D99_nope");
    let said = here.expect(3, &["up", "--skip-preflight", "node-size"]);
    told("an unknown size", &said);
    for words in ["left behind: nothing", "request id: ", "cluster.node_size", "Fix this"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
}

#[test]
fn when_taking_away_fails_what_it_stands_on_stays() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let fault = "server-error@DELETE managedClusters*1000";
    let said = here.expect(1, &["down", "--yes", "--fault", fault]);
    told(fault, &said);
    assert!(said.stderr.contains("landfall down` again"), "{}", said.stderr);
    assert_eq!(here.count("DELETE", "/virtualNetworks/vnet-aks-istio-demo"), 0);
}
