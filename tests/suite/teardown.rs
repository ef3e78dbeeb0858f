//! `down` deletes everything that `up` created, and nothing else; then `up` works again.

use crate::environment::TestEnvironment;

#[test]
fn up_down_up_recovers_the_vault_and_grants_its_roles_again() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let granted = env.count("PUT", "/vaults/") - env.count("PUT", "/secrets/");
    env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("DELETE", "/managedClusters/"), 1);
    assert_eq!(env.count("POST", "/purge"), 0);

    let summary = env.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    // The refused creation, the recovery, and as many role assignments as the first time.
    assert!(env.count("PUT", "/vaults/") > 2 * granted, "the roles were not granted anew");
}

#[test]
fn a_second_down_reports_nothing_to_delete() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    env.expect(0, &["down", "--yes"]);
    let before = env.count("DELETE", "/");
    let output = env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("DELETE", "/"), before);
    assert!(output.stderr.to_lowercase().contains("nothing"), "{}", output.stderr);
}

#[test]
fn after_down_the_journal_contains_nothing_of_the_cluster() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    env.expect(0, &["down", "--yes"]);
    let status: serde_json::Value =
        serde_json::from_str(&env.expect(0, &["status", "--format", "json"]).stdout).unwrap();
    let ready: Vec<&str> = status["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["state"] == "ready")
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(ready, ["preflight", "features"]);
    assert_eq!(status["gateways"], serde_json::json!({}));
}

#[test]
fn purge_ends_the_recoverable_state_too() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    env.expect(0, &["down", "--yes", "--purge"]);
    assert_eq!(env.count("POST", "/purge"), 1);
}

#[test]
fn down_without_a_terminal_and_without_yes_is_refused_and_changes_nothing() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    env.expect(2, &["down"]);
    assert_eq!(env.count("DELETE", "/"), 0);
}

#[test]
fn the_kubeconfig_is_restored_byte_for_byte() {
    let before = "# mine\napiVersion: v1\nkind: Config\ncontexts:\n- context:\n    cluster: prod\n    user: me\n  name: prod\nclusters:\n- cluster:\n    server: https://prod.example.com\n  name: prod\nusers:\n- name: me\n  user:\n    token: secret\ncurrent-context: prod\n";
    let env = TestEnvironment::instant();
    let file = env.write("kube/config", before);
    let env = env.with("KUBECONFIG", file.to_str().unwrap());
    env.expect(0, &["up"]);
    let merged = std::fs::read_to_string(&file).unwrap();
    assert!(merged.contains("aks-istio-gateway-demo") && merged.contains("https://prod.example.com"));
    env.expect(0, &["down", "--yes"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn a_user_context_with_the_clusters_name_is_kept() {
    let before = "apiVersion: v1\nkind: Config\ncontexts:\n- context:\n    cluster: prod\n    user: me\n  name: aks-istio-gateway-demo\nclusters:\n- cluster:\n    server: https://prod.example.com\n  name: prod\nusers:\n- name: me\n  user:\n    token: secret\ncurrent-context: aks-istio-gateway-demo\n";
    let env = TestEnvironment::instant();
    let file = env.write("kube/config", before);
    let env = env.with("KUBECONFIG", file.to_str().unwrap());
    env.expect(0, &["up"]);
    let merged = std::fs::read_to_string(&file).unwrap();
    assert!(merged.contains("name: aks-istio-gateway-demo-default"), "{merged}");
    env.expect(0, &["up"]);
    env.expect(0, &["down", "--yes"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn with_another_kubeconfig_the_entries_move() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up", "--kubeconfig", "first"]);
    env.expect(0, &["up", "--kubeconfig", "second"]);
    assert!(!env.path().join("first").exists());
    assert!(env.path().join("second").exists());
    env.expect(0, &["down", "--yes"]);
    assert!(!env.path().join("second").exists());
}

#[test]
fn an_unknown_step_cannot_be_kept_and_nothing_changes() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let before = env.request_log().len();
    let output = env.expect(2, &["down", "--yes", "--keep", "clutser"]).stderr;
    assert!(output.contains("there is no such step") && output.contains("cluster-ready"), "{output}");
    assert_eq!(env.request_log().len(), before);
}

#[test]
fn a_kept_resource_stays_owned_and_is_deleted_by_the_next_down() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let output = env.expect(0, &["down", "--yes", "--keep", "cluster"]).stderr;
    assert!(output.contains("cluster aks-istio-gateway-demo: kept by --keep"), "{output}");
    assert_eq!(env.count("DELETE", "/managedClusters/"), 0);
    assert_eq!(env.count("DELETE", "/vaults/"), 1);
    env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("DELETE", "/managedClusters/"), 1);
    let output = env.expect(0, &["down", "--yes"]).stderr;
    assert!(output.contains("Nothing to delete"), "{output}");
}

#[test]
fn no_wait_returns_early_and_the_next_down_completes() {
    let env = TestEnvironment::at_speed("2000");
    env.expect(0, &["up"]);
    let output = env.expect(0, &["down", "--yes", "--no-wait"]).stderr;
    assert!(
        output.contains("Being deleted: cluster")
            && output.contains("until it is deleted, run landfall down"),
        "{output}"
    );
    assert_eq!(env.count("DELETE", "/virtualNetworks/"), 0, "what the cluster is in waits");
    let summary = env.expect(0, &["down", "--yes", "--format", "json"]).summary();
    assert_eq!((&summary["outcome"], &summary["kept"]), (&"gone".into(), &0.into()));
    assert_eq!(env.count("DELETE", "/managedClusters/"), 1);
}

#[test]
fn a_lock_is_reported_before_any_deletion_and_its_removal_suffices() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    // A lock is set on the group during the run: later writes are refused with the lock's own error.
    let env = env.with("LANDFALL_SIM_FAULTS", "group-locked");
    let output = env.expect(3, &["down", "--yes"]).stderr;
    assert!(output.contains("ScopeLocked") && output.contains("az lock list"), "{output}");
    let before = env.count("DELETE", "/");
    let output = env.expect(3, &["down", "--yes"]).stderr;
    let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(output.contains("locked by keep (CanNotDelete) at rg-aks-istio-gateway-demo"), "{output}");
    assert!(output.contains("ask the platform team") && output.contains("az lock delete --ids"), "{output}");
    assert_eq!(env.count("DELETE", "/"), before, "nothing was changed");
    let output = env.expect(3, &["down", "--yes", "--format", "json"]);
    let plan = output.events().into_iter().find(|event| event["event"] == "plan").unwrap();
    assert_eq!(plan["locks"][0]["name"], "keep");
}

#[test]
fn foreign_resources_stay_until_adopted() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    // Without the journal the ownership is unknown.
    std::fs::remove_file(env.state().join("journal.jsonl")).unwrap();
    std::fs::remove_file(env.state().join("journal.lock")).unwrap();
    env.expect(0, &["up"]);
    let output = env.expect(0, &["down", "--yes"]).stderr;
    assert!(output.contains("Nothing to delete"), "{output}");
    let output = env.expect(0, &["down", "--yes", "--adopt"]).stderr;
    assert!(output.contains("Will also be deleted (--adopt), though landfall only found it"), "{output}");
    assert_eq!(env.count("DELETE", "/managedClusters/"), 1);
    assert_eq!(
        env.count("DELETE", "/resourcegroups/rg-aks-istio-gateway-demo"),
        5,
        "each thing, and the group"
    );
    assert!(env.expect(0, &["down", "--yes"]).stderr.contains("Nothing to delete"));
}

#[test]
fn adopting_without_a_journal_deletes_what_the_checks_find() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    for file in ["journal.jsonl", "journal.lock"] {
        std::fs::remove_file(env.state().join(file)).unwrap();
    }
    let output = env.expect(0, &["down", "--yes"]).stderr;
    assert!(output.contains("this environment has no journal"), "{output}");
    let output = env.expect(0, &["down", "--yes", "--adopt"]).stderr;
    assert!(output.contains("Will also be deleted (--adopt), though landfall only found it"), "{output}");
    assert_eq!(env.count("DELETE", "/managedClusters/"), 1);
    assert_eq!(env.count("DELETE", "/resourcegroups/rg-aks-istio-gateway-demo"), 5);
    let output = env.expect(0, &["down", "--yes", "--adopt"]).stderr;
    assert!(output.contains("Nothing to delete"), "{output}");
}

#[test]
fn a_cluster_that_cannot_be_examined_keeps_the_whole_environment() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let env = env.with("LANDFALL_SIM_FAULTS", "cluster-stopped");
    let output = env.expect(0, &["down", "--yes"]).stderr;
    let flat = output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("Nothing will be deleted."), "{output}");
    assert!(flat.contains("it could not be examined for foreign objects: it is stopped"), "{output}");
    assert!(flat.contains("--with-strangers deletes it"), "{output}");
    assert_eq!(env.count("DELETE", "/"), 0, "vault, records and gateways stay with it");
    let output = env.expect(0, &["down", "--yes", "--with-strangers"]).stderr;
    let flat = output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("the cluster, which is deleted with its contents: it is stopped"), "{output}");
    assert_eq!(env.count("DELETE", "/managedClusters/"), 1);
}

#[test]
fn unreadable_locks_are_refused_and_nothing_is_deleted() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let env = env.with("LANDFALL_SIM_FAULTS", "server-error@GET microsoft.authorization/locks*99");
    let output = env.expect(1, &["down", "--yes"]).stderr;
    assert!(output.contains("list the locks") && output.contains("nothing was changed"), "{output}");
    assert_eq!(env.count("DELETE", "/"), 0);
}
