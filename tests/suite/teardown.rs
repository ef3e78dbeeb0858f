//! `down` deletes everything that `up` created, and nothing else; then `up` works again.

use crate::environment::TestEnvironment;

#[test]
fn up_down_up_recovers_the_vault_and_grants_its_roles_anew() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let granted = here.count("PUT", "/vaults/") - here.count("PUT", "/secrets/");
    here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("DELETE", "/managedClusters/"), 1);
    assert_eq!(here.count("POST", "/purge"), 0);

    let summary = here.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    // The refused creation, the recovery, and as many role assignments as the first time.
    assert!(here.count("PUT", "/vaults/") > 2 * granted, "the roles were not granted anew");
}

#[test]
fn a_second_down_has_nothing_to_do_and_says_so() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    here.expect(0, &["down", "--yes"]);
    let before = here.count("DELETE", "/");
    let said = here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("DELETE", "/"), before);
    assert!(said.stderr.to_lowercase().contains("nothing"), "{}", said.stderr);
}

#[test]
fn after_down_nothing_of_the_cluster_is_remembered() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    here.expect(0, &["down", "--yes"]);
    let status: serde_json::Value =
        serde_json::from_str(&here.expect(0, &["status", "--format", "json"]).stdout).unwrap();
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
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    here.expect(0, &["down", "--yes", "--purge"]);
    assert_eq!(here.count("POST", "/purge"), 1);
}

#[test]
fn down_without_a_terminal_and_without_yes_is_refused_and_touches_nothing() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    here.expect(2, &["down"]);
    assert_eq!(here.count("DELETE", "/"), 0);
}

#[test]
fn the_kubeconfig_is_put_back_byte_for_byte() {
    let before = "# mine\napiVersion: v1\nkind: Config\ncontexts:\n- context:\n    cluster: prod\n    user: me\n  name: prod\nclusters:\n- cluster:\n    server: https://prod.example.com\n  name: prod\nusers:\n- name: me\n  user:\n    token: secret\ncurrent-context: prod\n";
    let here = TestEnvironment::instant();
    let file = here.write("kube/config", before);
    let here = here.with("KUBECONFIG", file.to_str().unwrap());
    here.expect(0, &["up"]);
    let merged = std::fs::read_to_string(&file).unwrap();
    assert!(merged.contains("aks-istio-gateway-demo") && merged.contains("https://prod.example.com"));
    here.expect(0, &["down", "--yes"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn a_context_of_the_users_own_with_the_clusters_name_is_left_alone() {
    let before = "apiVersion: v1\nkind: Config\ncontexts:\n- context:\n    cluster: prod\n    user: me\n  name: aks-istio-gateway-demo\nclusters:\n- cluster:\n    server: https://prod.example.com\n  name: prod\nusers:\n- name: me\n  user:\n    token: secret\ncurrent-context: aks-istio-gateway-demo\n";
    let here = TestEnvironment::instant();
    let file = here.write("kube/config", before);
    let here = here.with("KUBECONFIG", file.to_str().unwrap());
    here.expect(0, &["up"]);
    let merged = std::fs::read_to_string(&file).unwrap();
    assert!(merged.contains("name: aks-istio-gateway-demo-default"), "{merged}");
    here.expect(0, &["up"]);
    here.expect(0, &["down", "--yes"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn with_another_kubeconfig_our_entries_move_and_none_stay_behind() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up", "--kubeconfig", "first"]);
    here.expect(0, &["up", "--kubeconfig", "second"]);
    assert!(!here.path().join("first").exists());
    assert!(here.path().join("second").exists());
    here.expect(0, &["down", "--yes"]);
    assert!(!here.path().join("second").exists());
}

#[test]
fn a_step_that_nobody_knows_cannot_be_kept_and_nothing_is_touched() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let before = here.ledger().len();
    let said = here.expect(2, &["down", "--yes", "--keep", "clutser"]).stderr;
    assert!(said.contains("there is no such step") && said.contains("cluster-ready"), "{said}");
    assert_eq!(here.ledger().len(), before);
}

#[test]
fn what_is_kept_stays_ours_and_goes_the_next_time() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let said = here.expect(0, &["down", "--yes", "--keep", "cluster"]).stderr;
    assert!(said.contains("cluster aks-istio-gateway-demo: kept by --keep"), "{said}");
    assert_eq!(here.count("DELETE", "/managedClusters/"), 0);
    assert_eq!(here.count("DELETE", "/vaults/"), 1);
    here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("DELETE", "/managedClusters/"), 1);
    let said = here.expect(0, &["down", "--yes"]).stderr;
    assert!(said.contains("Nothing to delete"), "{said}");
}

#[test]
fn nobody_waits_who_says_so_and_the_next_down_sees_to_the_end() {
    let here = TestEnvironment::at_speed("2000");
    here.expect(0, &["up"]);
    let said = here.expect(0, &["down", "--yes", "--no-wait"]).stderr;
    assert!(
        said.contains("Being deleted: cluster") && said.contains("until it is deleted, run landfall down"),
        "{said}"
    );
    assert_eq!(here.count("DELETE", "/virtualNetworks/"), 0, "what the cluster is in waits");
    let summary = here.expect(0, &["down", "--yes", "--format", "json"]).summary();
    assert_eq!((&summary["outcome"], &summary["kept"]), (&"gone".into(), &0.into()));
    assert_eq!(here.count("DELETE", "/managedClusters/"), 1);
}

#[test]
fn a_lock_is_named_before_anything_goes_and_removing_it_is_enough() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    // A lock is set on the group during the run: later writes are refused with the lock's own error.
    let here = here.with("LANDFALL_SIM_FAULTS", "group-locked");
    let said = here.expect(3, &["down", "--yes"]).stderr;
    assert!(said.contains("ScopeLocked") && said.contains("az lock list"), "{said}");
    let before = here.count("DELETE", "/");
    let said = here.expect(3, &["down", "--yes"]).stderr;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("locked by keep (CanNotDelete) at rg-aks-istio-gateway-demo"), "{said}");
    assert!(said.contains("ask the platform team") && said.contains("az lock delete --ids"), "{said}");
    assert_eq!(here.count("DELETE", "/"), before, "nothing was changed");
    let said = here.expect(3, &["down", "--yes", "--format", "json"]);
    let plan = said.events().into_iter().find(|event| event["event"] == "plan").unwrap();
    assert_eq!(plan["locks"][0]["name"], "keep");
}

#[test]
fn what_a_colleague_made_stays_until_it_is_adopted() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    // Without the journal the ownership is unknown.
    std::fs::remove_file(here.state().join("journal.jsonl")).unwrap();
    std::fs::remove_file(here.state().join("journal.lock")).unwrap();
    here.expect(0, &["up"]);
    let said = here.expect(0, &["down", "--yes"]).stderr;
    assert!(said.contains("Nothing to delete"), "{said}");
    let said = here.expect(0, &["down", "--yes", "--adopt"]).stderr;
    assert!(said.contains("Will also be deleted (--adopt), though landfall only found it"), "{said}");
    assert_eq!(here.count("DELETE", "/managedClusters/"), 1);
    assert_eq!(
        here.count("DELETE", "/resourcegroups/rg-aks-istio-gateway-demo"),
        4,
        "each thing, and the group"
    );
    assert!(here.expect(0, &["down", "--yes"]).stderr.contains("Nothing to delete"));
}

#[test]
fn adopting_without_a_journal_deletes_what_the_checks_find() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    for file in ["journal.jsonl", "journal.lock"] {
        std::fs::remove_file(here.state().join(file)).unwrap();
    }
    let said = here.expect(0, &["down", "--yes"]).stderr;
    assert!(said.contains("this environment has no journal"), "{said}");
    let said = here.expect(0, &["down", "--yes", "--adopt"]).stderr;
    assert!(said.contains("Will also be deleted (--adopt), though landfall only found it"), "{said}");
    assert_eq!(here.count("DELETE", "/managedClusters/"), 1);
    assert_eq!(here.count("DELETE", "/resourcegroups/rg-aks-istio-gateway-demo"), 4);
    let said = here.expect(0, &["down", "--yes", "--adopt"]).stderr;
    assert!(said.contains("Nothing to delete"), "{said}");
}

#[test]
fn a_cluster_that_cannot_be_examined_keeps_the_whole_environment() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let here = here.with("LANDFALL_SIM_FAULTS", "cluster-stopped");
    let said = here.expect(0, &["down", "--yes"]).stderr;
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("Nothing will be deleted."), "{said}");
    assert!(flat.contains("it could not be examined for foreign objects: it is stopped"), "{said}");
    assert!(flat.contains("--with-strangers deletes it"), "{said}");
    assert_eq!(here.count("DELETE", "/"), 0, "vault, records and gateways stay with it");
    let said = here.expect(0, &["down", "--yes", "--with-strangers"]).stderr;
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("the cluster, which is deleted with its contents: it is stopped"), "{said}");
    assert_eq!(here.count("DELETE", "/managedClusters/"), 1);
}

#[test]
fn locks_that_cannot_be_listed_are_a_refusal_and_nothing_goes() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let here = here.with("LANDFALL_SIM_FAULTS", "server-error@GET microsoft.authorization/locks*99");
    let said = here.expect(1, &["down", "--yes"]).stderr;
    assert!(said.contains("list the locks") && said.contains("nothing was changed"), "{said}");
    assert_eq!(here.count("DELETE", "/"), 0);
}
