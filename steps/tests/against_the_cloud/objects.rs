//! Kubernetes objects: built in, the user's own, and those that others change.

use crate::{fixture::Fixture, settings};
use landfall_engine::{How, Kind, UndoOutcome};
use landfall_steps::identity_mode::IdentityMode;
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const CLASSES: &str = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses";
const SECRET: &str = "/api/v1/namespaces/default/secrets/gateway-tls-secret";
const CONFIG: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_deployment_edited_out_of_band_is_corrected() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let edited = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "httpbin", "namespace": "default" },
        "spec": { "replicas": 3 },
    });
    kubectl.apply(&format!("{DEPLOYMENTS}/httpbin"), &edited).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("apps"), Some(How::Changed));
    assert!(result.notes("apps").iter().any(|note| note.contains("replicas")), "{:?}", result.notes("apps"));
    assert_eq!(kubectl.get(&format!("{DEPLOYMENTS}/httpbin")).await["spec"]["replicas"], 1);
    assert_eq!(result.report.changed, 1);
}

#[tokio::test]
async fn a_deleted_deployment_is_recreated() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    kubectl.delete(&format!("{DEPLOYMENTS}/echo-v2")).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("apps"), Some(How::Created));
    assert_ne!(kubectl.get(&format!("{DEPLOYMENTS}/echo-v2")).await, Value::Null);
}

#[tokio::test]
async fn the_weights_follow_the_settings() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    fixture.settings.canary.stable = 50;
    fixture.settings.canary.canary = 50;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("gateways"), Some(How::Changed));
    assert_eq!((result.report.created, result.report.changed), (0, 1));
}

#[tokio::test]
async fn a_user_class_replaces_the_built_in_one() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(OWN);
    fixture.settings.identity = Some(IdentityMode::AddOn);
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let class = kubectl.get(&format!("{CLASSES}/gateway-tls-cert-spc")).await;
    assert_eq!(class["metadata"]["labels"], json!({ "theirs": "yes" }));
    // Only the class is replaced: the workload that mounts it is still the built-in one.
    assert_ne!(kubectl.get(&format!("{DEPLOYMENTS}/tls-secret-sync")).await, Value::Null);
    assert_eq!(kubectl.get(&format!("{DEPLOYMENTS}/httpbin")).await, Value::Null);
    let shop = kubectl.get(&format!("{CONFIG}/shop")).await;
    assert_eq!(shop["data"]["host"], "shop.demo.example.com");
    assert_eq!(fixture.up_ready().await.counts(), (17, 0, 0));
}

#[tokio::test]
async fn a_field_that_kubectl_applied_is_taken_over() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "httpbin", "namespace": "default" },
        "spec": { "ports": [{ "name": "http", "port": 8000, "targetPort": 9999, "protocol": "TCP" }] },
    });
    let service = "/api/v1/namespaces/default/services/httpbin";
    kubectl.apply(service, &foreign).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("apps"), Some(How::Changed));
    let back = kubectl.get(service).await;
    assert_eq!(back["spec"]["ports"][0]["targetPort"], "http");
    let fields = back["metadata"]["managedFields"].as_array().unwrap();
    let owned = fields.iter().find(|entry| entry["manager"] == "landfall").unwrap();
    assert!(owned["fieldsV1"].to_string().contains("targetPort"), "{owned}");
}

#[tokio::test]
async fn a_field_of_another_manager_is_a_conflict() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let foreign = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "httpbin", "namespace": "default" },
        "spec": { "replicas": 3 },
    });
    kubectl.apply_as("argocd-controller", &format!("{DEPLOYMENTS}/httpbin"), &foreign).await;
    let result = fixture.up().await;
    let error = result.error("apps");
    assert_eq!(error.kind, Kind::Foreign);
    let causes = error.causes.join("; ");
    assert!(causes.contains("argocd-controller") && causes.contains(".spec.replicas"), "{causes}");
    assert!(error.hint.is_some());
    assert_eq!(kubectl.get(&format!("{DEPLOYMENTS}/httpbin")).await["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_secret_deleted_with_its_pod_is_recreated() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    kubectl.delete(&format!("{DEPLOYMENTS}/tls-secret-sync")).await;
    fixture.up_ready().await;
    assert_ne!(kubectl.get(SECRET).await, Value::Null);
    // Another user deletes only the Secret, and the pod that mounts the class keeps running.
    kubectl.delete(SECRET).await;
    fixture.up_ready().await;
    assert_ne!(kubectl.get(SECRET).await, Value::Null);
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
}

#[tokio::test]
async fn an_owned_namespace_with_a_foreign_object_is_kept() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    // The cluster is foreign from now on.
    std::fs::remove_dir_all(fixture.home.path().join("state")).unwrap();
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
    let Some(UndoOutcome::Kept { why }) = result.undone("apps") else { panic!("{:?}", result.report.undone) };
    assert!(why.contains("shop") && why.contains("theirs"), "{why}");
    assert_ne!(kubectl.get(foreign).await, Value::Null);
    assert_eq!(kubectl.get("/api/v1/namespaces/shop/configmaps/ours").await, Value::Null);
    kubectl.delete(foreign).await;
    assert_eq!(fixture.down_ready().await.undone("apps"), Some(&UndoOutcome::Deleted));
}

/// A configuration and a class of the user's own, and a gateway so that there is a DNS record to publish.
const ORDERED: &str = "
apiVersion: shop.example.com/v1
kind: Widget
metadata: {name: one, namespace: shop}
spec: {size: 3}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words, namespace: shop}
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: theirs, namespace: shop}
spec: {provider: azure, parameters: {keyvaultName: kv-demo-4711, tenantId: __TENANT_ID__}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
";

#[tokio::test]
async fn namespaces_and_definitions_are_applied_before_what_needs_them() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(ORDERED);
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let widget = kubectl.get("/apis/shop.example.com/v1/namespaces/shop/widgets/one").await;
    assert_eq!(widget["spec"]["size"], 3);
    let class = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/shop/secretproviderclasses/theirs";
    assert_ne!(kubectl.get(class).await, Value::Null);
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
}

#[tokio::test]
async fn a_definition_with_foreign_objects_is_not_pruned() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(ORDERED);
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let at = |name: &str| format!("/apis/shop.example.com/v1/namespaces/shop/widgets/{name}");
    let metadata = json!({"name": "theirs", "namespace": "shop"});
    let theirs = json!({"apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": metadata});
    kubectl.apply(&at("theirs"), &theirs).await;
    fixture.settings.manifests =
        settings::manifests("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    fixture.up_ready().await;
    assert_eq!(kubectl.get(&at("one")).await, Value::Null, "landfall's own is pruned");
    assert_ne!(kubectl.get(&at("theirs")).await, Value::Null, "the definition would have taken it along");
}

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
