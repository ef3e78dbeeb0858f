//! Foreign resources beside, in and around owned ones outlive `down`; and the options that change this.

use crate::{fixture::Fixture, kubectl::Kubectl, settings};
use jiff::{SignedDuration, Timestamp};
use landfall_engine::{Outcome, UndoOutcome};
use landfall_sim::durations;
use serde_json::{Value, json};

const THEIR_DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

fn why<'a>(result: &'a crate::fixture::RunResult, step: &str) -> &'a str {
    match result.undone(step) {
        Some(UndoOutcome::Kept { why }) => why,
        other => panic!("{step} was not kept: {other:?}"),
    }
}

/// Creates a foreign namespace with a workload in it.
async fn create_foreign_workload(kubectl: &Kubectl) {
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
async fn an_owned_cluster_with_a_foreign_workload_is_kept_with_its_dependencies() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let preconditions = fixture.preconditions().await;
    let vault = landfall_steps::Retention { protected: false, days: Some(90) };
    let nothing = landfall_steps::TeardownPreconditions { vault, ..Default::default() };
    assert_eq!(preconditions, nothing, "a cluster of ours alone is ours");
    let kubectl = fixture.kubectl().await;
    create_foreign_workload(&kubectl).await;
    assert_eq!(fixture.preconditions().await.in_cluster, ["Deployment shop/web", "Namespace shop"]);
    fixture.up_ready().await;
    let result = fixture.down_ready().await;
    assert_eq!(why(&result, "cluster"), "it contains foreign resources: Deployment shop/web, Namespace shop");
    assert!(why(&result, "network").contains("in use by"), "{:?}", result.report.undone);
    assert!(
        why(&result, "resource-group").starts_with("it contains kept resources"),
        "{:?}",
        result.report.undone
    );
    assert_eq!(result.undone("gateways"), Some(&UndoOutcome::Deleted));
    assert_ne!(kubectl.get(THEIR_DEPLOYMENT).await, Value::Null);
    assert_eq!(
        kubectl.get("/api/v1/namespaces/default/services").await["items"].as_array().unwrap().len(),
        1
    );

    fixture.teardown.with_foreign = true;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn a_foreign_object_in_an_owned_namespace_keeps_the_cluster_until_it_is_deleted() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(
        "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n\
         {apiVersion: v1, kind: ConfigMap, metadata: {name: ours, namespace: shop}}",
    );
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let foreign = "/api/v1/namespaces/shop/configmaps/theirs";
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "theirs", "namespace": "shop" } });
    kubectl.apply(foreign, &object).await;
    let result = fixture.down_ready().await;
    assert_eq!(why(&result, "cluster"), "it contains foreign resources: ConfigMap shop/theirs");
    assert!(why(&result, "apps").contains("which is kept"));
    assert_ne!(kubectl.get(foreign).await, Value::Null);
    assert_eq!(kubectl.get("/api/v1/namespaces/shop/configmaps/ours").await, Value::Null);
    kubectl.delete(foreign).await;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted));
    assert!(fixture.down_ready().await.report.undone.is_empty());
}

#[tokio::test]
async fn load_balancers_are_deleted_before_their_cluster() {
    const SPEED: f64 = 100.0;
    let fixture = Fixture::at_speed(SPEED).await;
    fixture.up_ready().await;
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    let requests = fixture.sim.request_log().split_off(mark);
    let last_of = |part: &str| {
        let deletions =
            requests.iter().filter(|line| line.method == "DELETE" && line.path.to_lowercase().contains(part));
        deletions.map(|line| line.at.parse::<Timestamp>().unwrap()).max().unwrap()
    };
    let elapsed = last_of("/managedclusters/").duration_since(last_of("/gateways/"));
    let release = SignedDuration::from_secs_f64(durations::LOAD_BALANCER_RELEASE / SPEED);
    assert!(elapsed >= release, "the cluster was deleted {elapsed:#} after the gateways");
    assert_eq!(result.undone("gateways"), Some(&UndoOutcome::Deleted));
}

#[tokio::test]
async fn foreign_resources_in_group_network_zone_and_kubeconfig_are_unchanged() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } });
    let neighbour = fixture.id("Microsoft.Network/virtualNetworks/vnet-beside");
    fixture.put(&neighbour, json!({ "location": "eastus", "properties": space })).await;
    let subnet = format!("{}/subnets/snet-theirs", fixture.network_id());
    fixture.put(&subnet, json!({ "properties": { "addressPrefix": "10.0.32.0/24" } })).await;
    assert_eq!(fixture.preconditions().await.in_group, ["vnet-beside"]);
    fixture.up_ready().await;
    let result = fixture.down_ready().await;
    assert!(why(&result, "resource-group").contains("vnet-beside"));
    assert!(why(&result, "network").contains("snet-theirs"));
    assert_ne!(fixture.get(&neighbour).await, Value::Null);
    assert_ne!(fixture.get(&subnet).await, Value::Null);
    assert_eq!(fixture.get(&fixture.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn a_locked_resource_is_reported_before_and_kept_until_the_lock_is_deleted() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let lock = fixture.lock(&fixture.network_id()).await;
    let preconditions = fixture.preconditions().await;
    let locked: Vec<_> =
        preconditions.locks.iter().map(|one| (one.lock.id.as_str(), one.steps.clone())).collect();
    assert_eq!(locked, [(lock.as_str(), vec!["network".to_owned(), "resource-group".to_owned()])]);
    assert_eq!(preconditions.locks[0].lock.notes.as_deref(), Some("until the audit"));
    let result = fixture.down().await;
    assert_eq!(result.report.outcome, Outcome::Failed);
    assert_eq!(result.error("network").code.as_deref(), Some("ScopeLocked"));
    fixture.delete(&lock).await;
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn kept_resources_stay_owned() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let result = fixture.down_keeping(&["cluster"]).await;
    assert_eq!(result.report.outcome, Outcome::Ready);
    assert_eq!(why(&result, "cluster"), "as asked");
    assert!(why(&result, "subnet-role").contains("depends on it"));
    assert_eq!(result.undone("key-vault"), Some(&UndoOutcome::Deleted));
    assert_ne!(fixture.get(&fixture.cluster_id()).await, Value::Null);
    assert_ne!(fixture.get(&fixture.network_id()).await, Value::Null);
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn with_no_wait_the_next_run_completes_the_deletion() {
    let mut fixture = Fixture::at_speed(3000.0).await;
    fixture.up_ready().await;
    fixture.teardown.no_wait = true;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::InProgress));
    assert!(result.report.waiting.contains(&"resource-group".to_owned()), "{:?}", result.report.waiting);
    assert!(fixture.journal_state().step_state("cluster").unwrap().ticket.is_some());
    fixture.teardown.no_wait = false;
    let mark = fixture.mark();
    fixture.down_ready().await;
    assert_eq!(fixture.writes_at(mark, "/managedclusters/"), [""; 0], "it is attached to, not begun again");
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
    assert!(fixture.down_ready().await.report.undone.is_empty());
}

#[tokio::test]
async fn adopted_resources_are_deleted_and_foreign_ones_are_kept() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    // No record is left: the environment counts as a colleague's.
    std::fs::remove_dir_all(fixture.home.path().join("state")).unwrap();
    fixture.up_ready().await;
    let result = fixture.down_ready().await;
    assert!(result.report.undone.is_empty(), "{:?}", result.report.undone);
    fixture.up_ready().await;
    let neighbour = fixture.id("Microsoft.Network/virtualNetworks/vnet-beside");
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } });
    fixture.put(&neighbour, json!({ "location": "eastus", "properties": space })).await;
    fixture.adopt().await;
    let result = fixture.down_ready().await;
    for step in ["apps", "gateways", "cluster", "network", "key-vault", "kubeconfig"] {
        assert_eq!(result.undone(step), Some(&UndoOutcome::Deleted), "{step}: {:?}", result.report.undone);
    }
    assert!(why(&result, "resource-group").contains("vnet-beside"));
    assert_ne!(fixture.get(&neighbour).await, Value::Null);
}
