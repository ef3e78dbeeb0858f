use serde_json::json;

use super::*;

fn paths(wanted: &Value, live: &Value) -> Vec<String> {
    differences(wanted, live).into_iter().map(|(path, _, _)| path).collect()
}

#[test]
fn server_defaults_are_no_difference() {
    let wanted = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "a", "labels": {"app": "a"}, "creationTimestamp": null},
        "spec": {"replicas": 2, "template": {"spec": {"nodeSelector": {}, "containers": [
            {"name": "web", "image": "i", "env": [], "ports": [{"containerPort": 80}],
             "resources": {"requests": {"cpu": 0.5, "memory": "1024Mi"}, "limits": {"cpu": "1000m"}}}]}}},
        "status": {"replicas": 7}});
    let live = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "a", "uid": "u", "labels": {"app": "a", "more": "x"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicas": 2, "revisionHistoryLimit": 10, "template": {"spec": {"containers": [
            {"name": "sidecar", "image": "s"},
            {"name": "web", "image": "i", "imagePullPolicy": "Always",
             "ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP"}],
             "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1"}}}]}}}});
    assert_eq!(differences(&wanted, &live), []);
}

#[test]
fn lists_with_a_key_are_matched_by_it() {
    let wanted = json!({"spec": {"listeners": [
        {"name": "http", "port": 80}, {"name": "https", "port": 443}, {"name": "more", "port": 8443}]}});
    let live =
        json!({"spec": {"listeners": [{"name": "https", "port": 444}, {"name": "http", "port": 80.0}]}});
    assert_eq!(
        differences(&wanted, &live),
        [
            (".spec.listeners[name=https].port".to_owned(), json!(444), json!(443)),
            (".spec.listeners[name=more]".to_owned(), Value::Null, json!({"name": "more", "port": 8443})),
        ]
    );
}

#[test]
fn lists_without_a_key_are_compared_as_a_whole() {
    let wanted = json!({"spec": {"parentRefs": [{"name": "gw"}]}});
    let filled = json!({"spec": {"parentRefs": [{"name": "gw", "kind": "Gateway", "group": "g"}]}});
    assert_eq!(paths(&wanted, &filled), [""; 0]);
    let more = json!({"spec": {"parentRefs": [{"name": "gw"}, {"name": "other"}]}});
    assert_eq!(paths(&wanted, &more), [".spec.parentRefs"]);
    let other = json!({"spec": {"parentRefs": [{"name": "other"}]}});
    assert_eq!(paths(&wanted, &other), [".spec.parentRefs[0].name"]);
}

#[test]
fn a_services_ports_are_matched_by_port_and_protocol() {
    let wanted = json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}});
    let live = json!({"spec": {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 80, "protocol": "TCP", "targetPort": 80}]}});
    assert_eq!(paths(&wanted, &live), [".spec.ports[port=80].targetPort"]);
}

#[test]
fn text_that_looks_like_a_quantity_is_text_elsewhere() {
    let wanted = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "N", "value": "1000m"}]}]}});
    let live = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "N", "value": "1"}]}]}});
    assert_eq!(paths(&wanted, &live), [".spec.containers[name=a].env[name=N].value"]);
}

#[test]
fn a_secrets_content_is_compared_and_never_shown() {
    let wanted = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "one", "b": "two"}, "data": {"c": "eA=="}});
    let live =
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "b25l", "b": "b3RoZXI=", "c": "eQ=="}});
    let found = differences(&wanted, &live);
    assert_eq!(
        found,
        [
            (".stringData.b".to_owned(), json!(HIDDEN), json!(HIDDEN)),
            (".data.c".to_owned(), json!(HIDDEN), json!(HIDDEN)),
        ]
    );
}

#[test]
fn a_value_of_a_secret_is_hidden_wherever_it_was_written() {
    let planted = "s3cret-value";
    let wanted = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringDat": {"a": planted},
        "metadata": {"labels": {"app": "a"}, "annotations": {LAST_APPLIED: planted, "note": planted}},
        "data": {"a": planted}, "spec": planted});
    let live =
        json!({"apiVersion": "v1", "kind": "Secret", "type": "other", "data": {"a": planted.repeat(2)}});
    for (wanted, live) in [(&wanted, &live), (&live, &wanted), (&wanted, &Value::Null)] {
        let found = differences(wanted, live);
        assert!(!found.is_empty() && !format!("{found:?}").contains(planted), "{found:?}");
    }
    let typed = differences(&wanted, &live);
    assert!(typed.contains(&(".type".to_owned(), json!("other"), json!("Opaque"))), "{typed:?}");
}

#[test]
fn a_secrets_data_is_compared_as_bytes_and_string_data_wins_over_it() {
    let wanted = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "one"},
        "data": {"a": "eA==", "b": "dHdv\n", "c": "dGhy\r\nZWU="}});
    let live = json!({"data": {"a": "b25l", "b": "dHdv", "c": "dGhyZWU="}});
    assert_eq!(
        differences(&wanted, &json!({"apiVersion": "v1", "kind": "Secret", "data": live["data"]})),
        []
    );
}

#[test]
fn a_map_that_the_server_replaces_as_a_whole_is_compared_as_a_whole() {
    let workload = |labels: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"selector": {"matchLabels": labels}}});
    let (wanted, live) = (workload(json!({"app": "a"})), workload(json!({"app": "a", "tier": "web"})));
    assert_eq!(paths(&wanted, &live), [".spec.selector"]);
    assert_eq!(paths(&live, &live), [""; 0]);
    let service =
        |selector: Value| json!({"apiVersion": "v1", "kind": "Service", "spec": {"selector": selector}});
    assert_eq!(paths(&service(json!({"a": "1"})), &service(json!({"a": "1", "b": "2"}))), [".spec.selector"]);
    // A field of this name in a custom kind may be merged key by key.
    let own = |selector: Value| json!({"apiVersion": "example.com/v1", "kind": "Own", "spec": {"selector": selector}});
    assert_eq!(paths(&own(json!({"a": "1"})), &own(json!({"a": "1", "b": "2"}))), [""; 0]);
}

#[test]
fn a_key_with_dots_can_be_read_in_the_path() {
    let wanted = json!({"metadata": {"annotations": {"a.io/b": "1"}, "finalizers": ["x"]}});
    let live = json!({"metadata": {"annotations": {"a.io/b": "2"}, "finalizers": ["y", "x"]}});
    assert_eq!(paths(&wanted, &live), [".metadata.annotations.\"a.io/b\""]);
}

#[test]
fn a_missing_object_differs_in_every_non_empty_field() {
    let wanted = json!({"spec": {"a": 1, "b": {}}});
    assert_eq!(paths(&wanted, &Value::Null), [".spec"]);
    assert_eq!(paths(&json!({"spec": {"b": {"c": []}}}), &json!({})), [""; 0]);
}

#[test]
fn string_data_that_is_no_text_is_a_difference() {
    let wanted = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"pin": 12345, "none": null}});
    let live = json!({"apiVersion": "v1", "kind": "Secret", "data": {}});
    assert_eq!(differences(&wanted, &live), [(".stringData.pin".to_owned(), Value::Null, json!(HIDDEN))]);
}

#[test]
fn zero_values_that_the_server_drops_are_refuted_by_the_dry_run() {
    let wanted = json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "", "loadBalancerIP": "",
        "publishNotReadyAddresses": false, "sessionAffinity": null, "ports": [{"port": 81}]}});
    let live = json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.1.0.7",
        "sessionAffinity": "None", "ports": [{"port": 81, "protocol": "TCP", "targetPort": 81}]}});
    let apparent = differences(&wanted, &live);
    assert_eq!(apparent.len(), 4, "{apparent:?}");
    assert_eq!(confirmed(apparent.clone(), &live, &live), []);
    let mut applied = live.clone();
    applied["spec"]["publishNotReadyAddresses"] = json!(true);
    let real = confirmed(apparent, &applied, &live);
    assert_eq!(real, [(".spec.publishNotReadyAddresses".to_owned(), Value::Null, json!(false))]);
}

#[test]
fn a_removal_by_null_is_confirmed_by_the_dry_run() {
    let object = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "spec": spec});
    let (wanted, live) = (object(json!({"externalName": null})), object(json!({"externalName": "a"})));
    let apparent = differences(&wanted, &live);
    assert_eq!(confirmed(apparent.clone(), &object(json!({})), &live), apparent);
}

#[test]
fn string_data_is_confirmed_by_the_data_of_the_dry_run() {
    let secret =
        |field: &str, value: &str| json!({"apiVersion": "v1", "kind": "Secret", field: {"a": value}});
    let (wanted, live) = (secret("stringData", "one"), secret("data", "dHdv"));
    let apparent = differences(&wanted, &live);
    assert_eq!(confirmed(apparent.clone(), &secret("data", "b25l"), &live), apparent);
    assert_eq!(confirmed(apparent, &live, &live), []);
}

#[test]
fn an_object_without_metadata_has_no_differences_in_it() {
    let live = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"labels": {"kubernetes.io/metadata.name": "a"}, "annotations": {"a": "b"}}});
    assert_eq!(paths(&json!({"apiVersion": "v1", "kind": "Namespace"}), &live), [""; 0]);
    let empty =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": null, "annotations": {}}});
    assert_eq!(confirmed(differences(&empty, &live), &live, &live), []);
}

#[test]
fn resources_are_compared_in_thousandths_as_the_server_stores_them() {
    let limits = |cpu: Value| json!({"limits": {"cpu": cpu}, "sizeLimit": "1"});
    assert_eq!(paths(&limits(json!("0.0001")), &limits(json!("1m"))), [""; 0]);
    assert_eq!(paths(&limits(json!("0.0011")), &limits(json!("1m"))), [".limits.cpu"]);
    assert_eq!(paths(&json!({"sizeLimit": "0.0001"}), &json!({"sizeLimit": "1m"})), [".sizeLimit"]);
}
