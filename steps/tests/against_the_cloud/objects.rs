//! Kubernetes objects: built in, the user's own, and those that others change.

use crate::{bench::Bench, settings};
use landfall_engine::{How, Kind, Undone};
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const CLASSES: &str = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses";
const SECRET: &str = "/api/v1/namespaces/default/secrets/gateway-tls-secret";
const CONFIG: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_deployment_edited_out_of_band_is_changed_back() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let edited = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "httpbin", "namespace": "default" },
        "spec": { "replicas": 3 },
    });
    kubectl.apply(&format!("{DEPLOYMENTS}/httpbin"), &edited).await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("apps"), Some(How::Changed));
    assert!(told.notes("apps").iter().any(|note| note.contains("replicas")), "{:?}", told.notes("apps"));
    assert_eq!(kubectl.get(&format!("{DEPLOYMENTS}/httpbin")).await["spec"]["replicas"], 1);
    assert_eq!(told.report.changed, 1);
}

#[tokio::test]
async fn a_deleted_deployment_is_made_again() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    kubectl.delete(&format!("{DEPLOYMENTS}/echo-v2")).await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("apps"), Some(How::Created));
    assert_ne!(kubectl.get(&format!("{DEPLOYMENTS}/echo-v2")).await, Value::Null);
}

#[tokio::test]
async fn the_weights_follow_the_settings() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    bench.wish.canary.stable = 50;
    bench.wish.canary.canary = 50;
    let told = bench.up_ready().await;
    assert_eq!(told.how("gateways"), Some(How::Changed));
    assert_eq!((told.report.created, told.report.changed), (0, 1));
}

#[tokio::test]
async fn a_class_of_the_users_own_replaces_ours() {
    let mut bench = Bench::instant().await;
    bench.wish.manifests = settings::manifests(OWN);
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let class = kubectl.get(&format!("{CLASSES}/gateway-tls-cert-spc")).await;
    assert_eq!(class["metadata"]["labels"], json!({ "theirs": "yes" }));
    // Only the class is replaced: the workload that mounts it is still the built-in one.
    assert_ne!(kubectl.get(&format!("{DEPLOYMENTS}/tls-secret-sync")).await, Value::Null);
    assert_eq!(kubectl.get(&format!("{DEPLOYMENTS}/httpbin")).await, Value::Null);
    let shop = kubectl.get(&format!("{CONFIG}/shop")).await;
    assert_eq!(shop["data"]["host"], "shop.demo.example.com");
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
}

#[tokio::test]
async fn what_kubectl_has_applied_before_is_taken_over() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "httpbin", "namespace": "default" },
        "spec": { "ports": [{ "name": "http", "port": 8000, "targetPort": 9999, "protocol": "TCP" }] },
    });
    let service = "/api/v1/namespaces/default/services/httpbin";
    kubectl.apply(service, &theirs).await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("apps"), Some(How::Changed));
    let back = kubectl.get(service).await;
    assert_eq!(back["spec"]["ports"][0]["targetPort"], "http");
    let fields = back["metadata"]["managedFields"].as_array().unwrap();
    let ours = fields.iter().find(|entry| entry["manager"] == "landfall").unwrap();
    assert!(ours["fieldsV1"].to_string().contains("targetPort"), "{ours}");
}

#[tokio::test]
async fn a_field_that_another_tool_applies_is_not_taken_from_it() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "httpbin", "namespace": "default" },
        "spec": { "replicas": 3 },
    });
    kubectl.apply_as("argocd-controller", &format!("{DEPLOYMENTS}/httpbin"), &theirs).await;
    let told = bench.up().await;
    let error = told.error("apps");
    assert_eq!(error.kind, Kind::Foreign);
    let causes = error.causes.join("; ");
    assert!(causes.contains("argocd-controller") && causes.contains(".spec.replicas"), "{causes}");
    assert!(error.hint.is_some());
    assert_eq!(kubectl.get(&format!("{DEPLOYMENTS}/httpbin")).await["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_secret_that_vanished_with_its_holder_comes_back() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    kubectl.delete(&format!("{DEPLOYMENTS}/tls-secret-sync")).await;
    bench.up_ready().await;
    assert_ne!(kubectl.get(SECRET).await, Value::Null);
    // Another user deletes only the Secret, and the pod that mounts the class keeps running.
    kubectl.delete(SECRET).await;
    bench.up_ready().await;
    assert_ne!(kubectl.get(SECRET).await, Value::Null);
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
}

#[tokio::test]
async fn a_namespace_of_ours_with_somebody_elses_object_in_it_is_kept() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    // The cluster is foreign from now on.
    std::fs::remove_dir_all(bench.home.path().join("state")).unwrap();
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
    let Some(Undone::Kept { why }) = told.undone("apps") else { panic!("{:?}", told.report.undone) };
    assert!(why.contains("shop") && why.contains("theirs"), "{why}");
    assert_ne!(kubectl.get(theirs).await, Value::Null);
    assert_eq!(kubectl.get("/api/v1/namespaces/shop/configmaps/ours").await, Value::Null);
    kubectl.delete(theirs).await;
    assert_eq!(bench.down_ready().await.undone("apps"), Some(&Undone::Deleted));
}

/// A configuration and a class of the user's own, and a gateway so that there is a DNS record to publish.
pub const OWN: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  name: shop
data:
  host: shop.__DOMAIN_NAME__
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: shared
data:
  colour: blue
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: gateway-tls-cert-spc
  namespace: default
  labels:
    theirs: \"yes\"
spec:
  provider: azure
  parameters:
    usePodIdentity: \"false\"
    useVMManagedIdentity: \"true\"
    userAssignedIdentityID: \"__IDENTITY_CLIENT_ID__\"
    keyvaultName: kv-demo-4711
    tenantId: \"__TENANT_ID__\"
    objects: |
      array:
        - |
          objectName: gateway-tls-cert
          objectType: secret
  secretObjects:
    - secretName: gateway-tls-secret
      type: kubernetes.io/tls
      data:
        - objectName: gateway-tls-cert
          key: tls.key
        - objectName: gateway-tls-cert
          key: tls.crt
";
