//! Teardown deletes exactly the owned resources, in foreign or owned surroundings.

use crate::{bench::Bench, objects::OWN, settings};
use landfall_engine::Undone;
use serde_json::{Value, json};

/// Runs `up`, then removes the ownership of the cluster and its content from the journal: it is foreign now.
async fn somebodys_cluster() -> Bench {
    let mut bench = Bench::instant().await;
    bench.wish.manifests = settings::manifests("{apiVersion: v1, kind: ConfigMap, metadata: {name: first}}");
    bench.up_ready().await;
    std::fs::remove_dir_all(bench.home.path().join("state")).unwrap();
    bench
}

#[tokio::test]
async fn down_leaves_nothing_and_a_second_one_has_nothing_to_do() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let told = bench.down_ready().await;
    for step in ["tls-secret", "apps", "gateways"] {
        assert_eq!(told.undone(step), Some(&Undone::Deleted), "{step}");
    }
    for step in ["subnet-role", "vault-access", "certificate"] {
        assert_eq!(told.undone(step), Some(&Undone::GoesWithParent), "{step}");
    }
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo-nodes")).await, Value::Null);
    assert!(!bench.wish.kubeconfig.exists());
    let mark = bench.mark();
    assert!(bench.down_ready().await.report.undone.is_empty());
    assert_eq!(bench.sim.ledger().len(), mark, "not even a look");
}

#[tokio::test]
async fn what_is_in_our_cluster_goes_with_it_whoever_owns_the_vault() {
    let bench = Bench::instant().await;
    // The group is owned, and a foreign vault in it keeps it.
    bench.up_until(|step| step == "resource-group").await;
    bench.make_group("eastus").await;
    let properties = json!({
        "tenantId": bench.sim.facts().tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": true, "accessPolicies": [],
    });
    bench.put(&bench.vault_id(), json!({ "location": "eastus", "properties": properties })).await;
    bench.up_ready().await;
    let told = bench.down_ready().await;
    assert_eq!(told.undone("tls-secret"), Some(&Undone::Deleted));
    assert_eq!(told.undone("apps"), Some(&Undone::Deleted));
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted));
    assert_eq!(told.undone("vault-access"), Some(&Undone::Deleted));
    assert_eq!(told.undone("certificate"), Some(&Undone::Deleted));
    assert!(matches!(told.undone("resource-group"), Some(Undone::Kept { .. })), "{:?}", told.report.undone);
    let mark = bench.mark();
    let told = bench.down_ready().await;
    let left: Vec<_> = told.report.undone.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!(left, ["resource-group"], "it is kept, and says so again");
    assert_eq!(bench.writes(mark), [""; 0]);
}

#[tokio::test]
async fn in_somebody_elses_cluster_only_the_objects_we_made_go() {
    let mut bench = somebodys_cluster().await;
    let kubectl = bench.kubectl().await;
    let shared = "/api/v1/namespaces/default/configmaps/shared";
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shared", "namespace": "default" },
        "data": { "colour": "red" },
    });
    let before = kubectl.apply(shared, &theirs).await;
    bench.wish.manifests = settings::manifests(OWN);
    bench.up_ready().await;
    assert_eq!(kubectl.get(shared).await["data"]["colour"], "blue", "what the person asked for wins");
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), None);
    assert_eq!(told.undone("apps"), Some(&Undone::Deleted));
    assert_eq!(kubectl.get("/api/v1/namespaces/default/configmaps/shop").await, Value::Null);
    assert_eq!(kubectl.get(shared).await["metadata"]["uid"], before["metadata"]["uid"]);
    assert_ne!(kubectl.get("/api/v1/namespaces/default/configmaps/first").await, Value::Null);
    let deleted = bench.writes_at(mark, "/configmaps/");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(bench.down_ready().await.report.undone.is_empty());
}

#[tokio::test]
async fn a_run_that_died_among_the_objects_of_somebody_elses_cluster_leaves_none_of_ours() {
    let mut bench = somebodys_cluster().await;
    let kubectl = bench.kubectl().await;
    let shared = "/api/v1/namespaces/default/configmaps/shared";
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shared", "namespace": "default" },
        "data": { "colour": "blue" },
    });
    kubectl.apply(shared, &theirs).await;
    bench.wish.manifests = settings::manifests(OWN);
    // The objects are applied, and the run crashes before it can record that: only the ticket shows it.
    let broken = bench.sim.change(|world, _| {
        let fault = landfall_sim::fault::Armed::read("server-error@PATCH configmaps/shop*9").unwrap();
        world.faults.armed.push(fault);
    });
    broken.unwrap();
    let told = bench.up().await;
    assert!(told.report.failed > 0, "{:?}", told.report);
    bench.sim.change(|world, _| world.faults.armed.clear()).unwrap();
    bench.up_until(|step| step == "apps").await;
    let told = bench.down_ready().await;
    assert!(told.undone("apps").is_some(), "{:?}", told.report.undone);
    assert_eq!(kubectl.get("/api/v1/namespaces/default/configmaps/shop").await, Value::Null);
    assert_ne!(kubectl.get(shared).await, Value::Null);
}

#[tokio::test]
async fn a_kubeconfig_that_was_there_gets_its_own_back() {
    let bench = Bench::instant().await;
    let before =
        "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n";
    std::fs::write(&bench.wish.kubeconfig, before).unwrap();
    bench.up_ready().await;
    assert!(std::fs::read_to_string(&bench.wish.kubeconfig).unwrap().contains(settings::CLUSTER));
    bench.down_ready().await;
    assert!(!std::fs::read_to_string(&bench.wish.kubeconfig).unwrap().contains(settings::CLUSTER));
}
