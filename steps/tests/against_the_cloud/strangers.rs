//! Foreign resources beside, in and around owned ones outlive `down`; and the options that change this.

use crate::{bench::Bench, kubectl::Kubectl, settings};
use landfall_engine::{Outcome, Undone};
use serde_json::{Value, json};

const THEIR_DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

fn why<'a>(told: &'a crate::bench::Told, step: &str) -> &'a str {
    match told.undone(step) {
        Some(Undone::Kept { why }) => why,
        other => panic!("{step} was not kept: {other:?}"),
    }
}

/// Creates a foreign namespace with a workload in it.
async fn move_in(kubectl: &Kubectl) {
    let space = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } });
    kubectl.apply("/api/v1/namespaces/shop", &space).await;
    let labels = json!({ "app": "web" });
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "web", "image": "nginx" }] },
            },
        },
    });
    kubectl.apply(THEIR_DEPLOYMENT, &web).await;
}

#[tokio::test]
async fn a_cluster_of_ours_with_somebodys_workload_stays_with_all_it_stands_on() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    let survey = bench.survey().await;
    let vault = landfall_steps::Retention { protected: false, days: Some(90) };
    let nothing = landfall_steps::Survey { vault, ..Default::default() };
    assert_eq!(survey, nothing, "a cluster of ours alone is ours");
    let kubectl = bench.kubectl().await;
    move_in(&kubectl).await;
    assert_eq!(bench.survey().await.in_cluster, ["Deployment shop/web", "Namespace shop"]);
    bench.up_ready().await;
    let told = bench.down_ready().await;
    assert_eq!(why(&told, "cluster"), "it contains foreign resources: Deployment shop/web, Namespace shop");
    assert!(why(&told, "network").contains("in use by"), "{:?}", told.report.undone);
    assert!(
        why(&told, "resource-group").starts_with("it contains kept resources"),
        "{:?}",
        told.report.undone
    );
    assert_eq!(told.undone("gateways"), Some(&Undone::Deleted));
    assert_ne!(kubectl.get(THEIR_DEPLOYMENT).await, Value::Null);
    assert_eq!(
        kubectl.get("/api/v1/namespaces/default/services").await["items"].as_array().unwrap().len(),
        1
    );

    bench.teardown.with_strangers = true;
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted));
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn an_object_in_our_own_namespace_keeps_the_cluster_until_it_is_gone() {
    let mut bench = Bench::instant().await;
    bench.wish.manifests = settings::manifests(
        "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n\
         {apiVersion: v1, kind: ConfigMap, metadata: {name: ours, namespace: shop}}",
    );
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let theirs = "/api/v1/namespaces/shop/configmaps/theirs";
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "theirs", "namespace": "shop" } });
    kubectl.apply(theirs, &object).await;
    let told = bench.down_ready().await;
    assert_eq!(why(&told, "cluster"), "it contains foreign resources: ConfigMap shop/theirs");
    assert!(why(&told, "apps").contains("which is kept"));
    assert_ne!(kubectl.get(theirs).await, Value::Null);
    assert_eq!(kubectl.get("/api/v1/namespaces/shop/configmaps/ours").await, Value::Null);
    kubectl.delete(theirs).await;
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted));
    assert!(bench.down_ready().await.report.undone.is_empty());
}

#[tokio::test]
async fn load_balancers_are_gone_before_what_holds_them() {
    let bench = Bench::at_speed(100.0).await;
    bench.up_ready().await;
    let mark = bench.mark();
    let told = bench.down_ready().await;
    let looks = bench.sim.ledger().into_iter().skip(mark);
    let looks =
        looks.filter(|line| line.method == "GET" && line.path.ends_with("/namespaces/default/services"));
    assert!(looks.count() > 2, "it looked once and went on");
    assert_eq!(told.undone("gateways"), Some(&Undone::Deleted));
}

#[tokio::test]
async fn neighbours_in_group_network_zone_and_kubeconfig_are_left_alone() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } });
    let beside = bench.id("Microsoft.Network/virtualNetworks/vnet-beside");
    bench.put(&beside, json!({ "location": "eastus", "properties": space })).await;
    let subnet = format!("{}/subnets/snet-theirs", bench.network_id());
    bench.put(&subnet, json!({ "properties": { "addressPrefix": "10.0.32.0/24" } })).await;
    assert_eq!(bench.survey().await.in_group, ["vnet-beside"]);
    bench.up_ready().await;
    let told = bench.down_ready().await;
    assert!(why(&told, "resource-group").contains("vnet-beside"));
    assert!(why(&told, "network").contains("snet-theirs"));
    assert_ne!(bench.get(&beside).await, Value::Null);
    assert_ne!(bench.get(&subnet).await, Value::Null);
    assert_eq!(bench.get(&bench.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn what_is_locked_is_named_before_and_stays_until_the_lock_is_gone() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let lock = bench.lock(&bench.network_id()).await;
    let survey = bench.survey().await;
    let locked: Vec<_> = survey.locks.iter().map(|one| (one.lock.id.as_str(), one.steps.clone())).collect();
    assert_eq!(locked, [(lock.as_str(), vec!["network".to_owned(), "resource-group".to_owned()])]);
    assert_eq!(survey.locks[0].lock.notes.as_deref(), Some("until the audit"));
    let told = bench.down().await;
    assert_eq!(told.report.outcome, Outcome::Failed);
    assert_eq!(told.error("network").code.as_deref(), Some("ScopeLocked"));
    bench.delete(&lock).await;
    bench.down_ready().await;
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn what_is_to_be_kept_stays_and_stays_ours() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let told = bench.down_but(&["cluster"]).await;
    assert_eq!(told.report.outcome, Outcome::Ready);
    assert_eq!(why(&told, "cluster"), "as asked");
    assert!(why(&told, "subnet-role").contains("depends on it"));
    assert_eq!(told.undone("key-vault"), Some(&Undone::Deleted));
    assert_ne!(bench.get(&bench.cluster_id()).await, Value::Null);
    assert_ne!(bench.get(&bench.network_id()).await, Value::Null);
    bench.down_ready().await;
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn nobody_waits_who_does_not_want_to_and_the_next_run_sees_to_the_end() {
    let mut bench = Bench::at_speed(3000.0).await;
    bench.up_ready().await;
    bench.teardown.no_wait = true;
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), Some(&Undone::Underway));
    assert!(told.report.waiting.contains(&"resource-group".to_owned()), "{:?}", told.report.waiting);
    assert!(bench.memory().past("cluster").unwrap().ticket.is_some());
    bench.teardown.no_wait = false;
    let mark = bench.mark();
    bench.down_ready().await;
    assert_eq!(bench.writes_at(mark, "/managedclusters/"), [""; 0], "it is attached to, not begun again");
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
    assert!(bench.down_ready().await.report.undone.is_empty());
}

#[tokio::test]
async fn what_was_only_found_goes_when_it_is_adopted_and_no_strangers_does() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    // No record is left: the environment counts as a colleague's.
    std::fs::remove_dir_all(bench.home.path().join("state")).unwrap();
    bench.up_ready().await;
    let told = bench.down_ready().await;
    assert!(told.report.undone.is_empty(), "{:?}", told.report.undone);
    bench.up_ready().await;
    let beside = bench.id("Microsoft.Network/virtualNetworks/vnet-beside");
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } });
    bench.put(&beside, json!({ "location": "eastus", "properties": space })).await;
    bench.adopt().await;
    let told = bench.down_ready().await;
    for step in ["apps", "gateways", "cluster", "network", "key-vault", "kubeconfig"] {
        assert_eq!(told.undone(step), Some(&Undone::Deleted), "{step}: {:?}", told.report.undone);
    }
    assert!(why(&told, "resource-group").contains("vnet-beside"));
    assert_ne!(bench.get(&beside).await, Value::Null);
}
