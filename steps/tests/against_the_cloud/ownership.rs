//! Objects that landfall's requests created are owned, after failures and kills, also those without managed
//! fields.

use crate::{bench::Bench, settings};
use landfall_engine::{How, Undone};
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

async fn with(manifests: &str, faults: &[&str]) -> Bench {
    let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
    let mut bench = Bench::with(Options { speed: Speed::Instant, faults, ..Options::default() }).await;
    bench.wish.manifests = settings::manifests(manifests);
    bench
}

/// Checks that everything is deleted, the cluster too, and that nothing counted as foreign.
async fn goes_down(bench: &Bench) {
    assert_eq!(bench.survey().await.in_cluster, [""; 0]);
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted), "{:?}", told.report.undone);
    assert_eq!(told.undone("resource-group"), Some(&Undone::Deleted), "{:?}", told.report.undone);
    assert!(bench.down_ready().await.report.undone.is_empty());
}

#[tokio::test]
async fn a_bare_object_of_a_failed_attempt_is_owned_by_the_next_one() {
    let mut bench = with(&manifests("\"x\""), &[]).await;
    bench.up().await.error("apps");
    bench.wish.manifests = settings::manifests(&manifests("8080"));
    assert_eq!(bench.up_ready().await.how("apps"), Some(How::Created));
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
    goes_down(&bench).await;
}

#[tokio::test]
async fn a_bare_object_of_a_failed_attempt_is_owned_by_down() {
    let bench = with(&manifests("\"x\""), &[]).await;
    bench.up().await.error("apps");
    goes_down(&bench).await;
}

#[tokio::test]
async fn a_bare_object_whose_answers_were_lost_is_owned() {
    // Each request is sent at most six times: the object is created and no attempt gets the answer.
    let bench =
        with(BARE, &["reset-after@PATCH namespaces/shop*6", "reset-after@PATCH serviceaccounts/shop*1"])
            .await;
    bench.up().await.error("apps");
    bench.up_ready().await;
    goes_down(&bench).await;
}

#[tokio::test]
async fn an_object_of_a_failed_attempt_that_left_the_manifests_is_deleted() {
    let mut bench = with(&manifests("\"x\""), &[]).await;
    bench.up().await.error("apps");
    bench.wish.manifests = None;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    assert_eq!(kubectl.get(ACCOUNT).await, Value::Null);
    assert_eq!(kubectl.get(NAMESPACE).await, Value::Null);
    goes_down(&bench).await;
}

#[tokio::test]
async fn an_object_that_existed_before_a_failed_attempt_stays_foreign() {
    let mut bench = with(&manifests("\"x\""), &[]).await;
    bench.up_until(|step| step == "apps").await;
    let kubectl = bench.kubectl().await;
    kubectl
        .apply(NAMESPACE, &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }))
        .await;
    bench.up().await.error("apps");
    bench.wish.manifests = settings::manifests(&manifests("8080"));
    bench.up_ready().await;
    bench.down().await;
    assert_ne!(kubectl.get(NAMESPACE).await, Value::Null, "it was not ours");
    assert_ne!(bench.get(&bench.cluster_id()).await, Value::Null, "what is foreign keeps the cluster");
}

#[tokio::test]
async fn an_object_of_another_environment_in_our_namespace_is_foreign() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    // From now on the cluster is foreign.
    std::fs::remove_dir_all(bench.home.path().join("state")).unwrap();
    bench.wish.manifests = settings::manifests(BARE);
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let theirs = "/api/v1/namespaces/shop/configmaps/theirs";
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "theirs", "namespace": "shop" }, "data": { "a": "b" } });
    kubectl.apply_as("landfall", theirs, &object).await;
    let told = bench.down_ready().await;
    let Some(Undone::Kept { why }) = told.undone("apps") else { panic!("{:?}", told.report.undone) };
    assert!(why.contains("theirs"), "{why}");
    assert_ne!(kubectl.get(theirs).await, Value::Null);
}
