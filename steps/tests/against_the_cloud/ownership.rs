//! Objects that landfall's requests created are owned, after failures and kills, also those without managed
//! fields.

use crate::{fixture::Fixture, settings};
use landfall_engine::{How, UndoOutcome};
use landfall_sim::{Options, Speed};
use serde_json::{Value, json};

const NAMESPACE: &str = "/api/v1/namespaces/shop";
const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/shop";
const BARE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n\
                    {apiVersion: v1, kind: ServiceAccount, metadata: {name: shop, namespace: default}}\n---\n";

/// Objects without fields of their own, and a workload.
fn manifests(port: &str) -> String {
    format!(
        "{BARE}{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: shop, namespace: default}}, spec: {{replicas: 1, \
         selector: {{matchLabels: {{app: shop}}}}, template: {{metadata: {{labels: {{app: shop}}}}, spec: {{containers: \
         [{{name: shop, image: shop, ports: [{{containerPort: {port}}}]}}]}}}}}}}}"
    )
}

async fn with(manifests: &str, faults: &[&str]) -> Fixture {
    let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
    let mut fixture = Fixture::with(Options { speed: Speed::Instant, faults, ..Options::default() }).await;
    fixture.settings.manifests = settings::manifests(manifests);
    fixture
}

/// Checks that everything is deleted, the cluster too, and that nothing counted as foreign.
async fn assert_all_deleted(fixture: &Fixture) {
    assert_eq!(fixture.preconditions().await.in_cluster, [""; 0]);
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted), "{:?}", result.report.undone);
    assert_eq!(result.undone("resource-group"), Some(&UndoOutcome::Deleted), "{:?}", result.report.undone);
    assert!(fixture.down_ready().await.report.undone.is_empty());
}

#[tokio::test]
async fn a_bare_object_of_a_failed_attempt_is_owned_by_the_next_run() {
    let mut fixture = with(&manifests("\"x\""), &[]).await;
    fixture.up().await.error("apps");
    fixture.settings.manifests = settings::manifests(&manifests("8080"));
    assert_eq!(fixture.up_ready().await.how("apps"), Some(How::Created));
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
    assert_all_deleted(&fixture).await;
}

#[tokio::test]
async fn a_bare_object_of_a_failed_attempt_is_owned_by_down() {
    let fixture = with(&manifests("\"x\""), &[]).await;
    fixture.up().await.error("apps");
    assert_all_deleted(&fixture).await;
}

#[tokio::test]
async fn a_bare_object_whose_responses_were_lost_is_owned() {
    // Each request is sent at most six times: the object is created and no attempt gets the answer.
    let fixture =
        with(BARE, &["reset-after@PATCH namespaces/shop*6", "reset-after@PATCH serviceaccounts/shop*1"])
            .await;
    fixture.up().await.error("apps");
    fixture.up_ready().await;
    assert_all_deleted(&fixture).await;
}

#[tokio::test]
async fn an_object_of_a_failed_attempt_that_left_the_manifests_is_deleted() {
    let mut fixture = with(&manifests("\"x\""), &[]).await;
    fixture.up().await.error("apps");
    fixture.settings.manifests = None;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    assert_eq!(kubectl.get(ACCOUNT).await, Value::Null);
    assert_eq!(kubectl.get(NAMESPACE).await, Value::Null);
    assert_all_deleted(&fixture).await;
}

#[tokio::test]
async fn an_object_that_existed_before_a_failed_attempt_stays_foreign() {
    let mut fixture = with(&manifests("\"x\""), &[]).await;
    fixture.up_until(|step| step == "apps").await;
    let kubectl = fixture.kubectl().await;
    kubectl
        .apply(NAMESPACE, &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }))
        .await;
    fixture.up().await.error("apps");
    fixture.settings.manifests = settings::manifests(&manifests("8080"));
    fixture.up_ready().await;
    fixture.down().await;
    assert_ne!(kubectl.get(NAMESPACE).await, Value::Null, "it was not ours");
    assert_ne!(fixture.get(&fixture.cluster_id()).await, Value::Null, "what is foreign keeps the cluster");
}

#[tokio::test]
async fn an_object_of_another_environment_in_an_owned_namespace_is_foreign() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    // From now on the cluster is foreign.
    std::fs::remove_dir_all(fixture.home.path().join("state")).unwrap();
    fixture.settings.manifests = settings::manifests(BARE);
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let foreign = "/api/v1/namespaces/shop/configmaps/theirs";
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "theirs", "namespace": "shop" }, "data": { "a": "b" } });
    kubectl.apply_as("landfall", foreign, &object).await;
    let result = fixture.down_ready().await;
    let Some(UndoOutcome::Kept { why }) = result.undone("apps") else { panic!("{:?}", result.report.undone) };
    assert!(why.contains("theirs"), "{why}");
    assert_ne!(kubectl.get(foreign).await, Value::Null);
}
