//! Tests of the store, as controllers use it.

use serde_json::{Value, json};

use super::schema::documents::{NEWEST, gateway_api};
use super::store::Store;
use crate::clock::SimTime;

const T0: SimTime = SimTime(1_795_421_700_000);

fn store() -> Store {
    let mut store = Store::new("cluster-1");
    store.put("namespaces", json!({"metadata": {"name": "demo"}}), "boot", T0);
    store
}

fn deployment(image: &str) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web"}},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    })
}

#[test]
fn a_put_sets_server_fields_and_is_idempotent() {
    let mut store = store();
    assert!(store.put("deployments.apps", deployment("nginx"), "c", T0));
    let first = store.get("deployments.apps", "demo", "web").expect("it was put").clone();
    assert_eq!(first["apiVersion"], "apps/v1");
    assert_eq!(first["metadata"]["generation"], 1);
    assert_eq!(first["metadata"]["creationTimestamp"], T0.rfc3339());
    assert_eq!(first["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
    assert_eq!(first["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
    let revision = store.revision();
    assert!(!store.put("deployments.apps", deployment("nginx"), "c", T0.plus_ms(5)));
    assert_eq!(store.revision(), revision);
    assert!(store.put("deployments.apps", deployment("nginx:2"), "c", T0.plus_ms(9)));
    let second = store.get("deployments.apps", "demo", "web").expect("it is there");
    assert_eq!(second["metadata"]["generation"], 2);
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(second["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
}

#[test]
fn a_status_written_leaves_the_generation_and_survives_the_next_put() {
    let mut store = store();
    store.put("deployments.apps", deployment("nginx"), "c", T0);
    assert!(store.put_status("deployments.apps", "demo", "web", json!({"replicas": 1}), "kcm", T0));
    assert!(!store.put_status("deployments.apps", "demo", "web", json!({"replicas": 1}), "kcm", T0));
    store.put("deployments.apps", deployment("nginx:3"), "c", T0);
    let live = store.get("deployments.apps", "demo", "web").expect("it is there");
    assert_eq!(
        (live["status"]["replicas"].as_i64(), live["metadata"]["generation"].as_i64()),
        (Some(1), Some(2))
    );
    let subresources: Vec<&Value> = live["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| &entry["subresource"])
        .collect();
    assert!(subresources.contains(&&json!("status")), "{subresources:?}");
}

#[test]
fn removing_an_owner_removes_its_exclusive_dependents() {
    let mut store = store();
    store.put("deployments.apps", deployment("nginx"), "c", T0);
    let uid = store.get("deployments.apps", "demo", "web").expect("it is there")["metadata"]["uid"].clone();
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid});
    let other = json!({"apiVersion": "v1", "kind": "Namespace", "name": "demo",
        "uid": store.get("namespaces", "", "demo").expect("it is there")["metadata"]["uid"]});
    let config = |name: &str, owners: Value| json!({"metadata": {"name": name, "namespace": "demo", "ownerReferences": owners}});
    store.put("configmaps", config("only", json!([owner])), "c", T0);
    store.put("configmaps", config("shared", json!([owner, other])), "c", T0);
    store.remove("deployments.apps", "demo", "web", T0);
    let left: Vec<&str> =
        store.list("configmaps", None).iter().filter_map(|it| it["metadata"]["name"].as_str()).collect();
    assert_eq!(left, ["shared"]);
    let shared = store.get("configmaps", "demo", "shared").expect("it is there");
    assert_eq!(shared["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_store_read_back_serves_the_same_kinds_without_writing_their_schemas_out() {
    let mut store = store();
    gateway_api(NEWEST)
        .iter()
        .for_each(|kind| store.serve_document(kind.clone(), NEWEST, "kube-apiserver", T0));
    store.put("gatewayclasses.gateway.networking.k8s.io", json!({"metadata": {"name": "c"}}), "c", T0);
    let crd =
        store.get("customresourcedefinitions.apiextensions.k8s.io", "", "gateways.gateway.networking.k8s.io");
    assert!(crd.is_some());
    let text = serde_json::to_string(&store).expect("a store can be written");
    let read: Store = serde_json::from_str(&text).expect("a store can be read");
    assert_eq!(read.definitions(), store.definitions());
    assert_eq!(read.revision(), store.revision());
    assert!(text.contains(r#"{"Carried":"gateways.gateway.networking.k8s.io"}"#));
}

#[test]
fn a_terminating_namespace_is_emptied_before_it_is_removed() {
    let mut store = store();
    store.put("deployments.apps", deployment("nginx"), "c", T0);
    super::lifecycle::delete(&mut store, "namespaces", "", "demo", super::Propagation::Background, None, T0);
    assert_eq!(store.get("namespaces", "", "demo").expect("it waits")["status"]["phase"], "Terminating");
    let due = store.next_due(T0).expect("something is left to do");
    store.advance_to(due);
    assert!(store.get("namespaces", "", "demo").is_none() && store.list("deployments.apps", None).is_empty());
    assert_eq!(store.next_due(due), None);
}
