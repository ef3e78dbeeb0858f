//! Facts about a real API server 1.36 that clients rely on.

use http::Method;
use serde_json::{Value, json};

use crate::kubernetes::fixture::{
    CONFIG_MAPS, Cluster, DEPLOYMENTS, GATEWAYS, ROUTES, config_map, deployment, gateway,
};
use crate::request::Reply;

const SERVICES: &str = "/api/v1/namespaces/demo/services";

fn message(reply: &Reply) -> (u16, String) {
    let message = reply.value()["message"].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), message)
}

fn owned(object: &Value) -> Vec<(Value, Value, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries
        .map(|entry| (entry["manager"].clone(), entry["subresource"].clone(), entry["fieldsV1"].clone()))
        .collect()
}

#[test]
fn a_failed_precondition_of_a_deletion_names_the_kind_and_both_ids() {
    let mut cluster = Cluster::new();
    let uid = cluster.post(DEPLOYMENTS, &deployment()).value()["metadata"]["uid"].clone();
    let body = json!({"preconditions": {"uid": "other"}});
    let refused = cluster.send(Method::DELETE, &format!("{DEPLOYMENTS}/web"), "application/json", &body);
    let uid = uid.as_str().unwrap();
    let wanted = format!(
        "Operation cannot be fulfilled on Deployment.apps \"web\": the UID in the precondition (other) does not match \
         the UID in record ({uid}). The object might have been deleted and then recreated"
    );
    assert_eq!(message(&refused), (409, wanted));
    assert_eq!(refused.value()["details"]["kind"], "Deployment");
}

#[test]
fn the_deletion_of_a_service_returns_it_and_that_of_others_a_status() {
    let mut cluster = Cluster::new();
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    cluster.post(SERVICES, &service);
    cluster.post(CONFIG_MAPS, &config_map("a", json!({})));
    for (target, kind) in [(format!("{SERVICES}/web"), "Service"), (format!("{CONFIG_MAPS}/a"), "Status")] {
        let deleted = cluster.send(Method::DELETE, &target, "", &Value::Null).value();
        assert_eq!(deleted["kind"], kind, "{target}");
    }
    cluster.store.put("namespaces", json!({"metadata": {"name": "default"}}), "boot", cluster.now);
    let refused = cluster.send(Method::DELETE, "/api/v1/namespaces/default", "", &Value::Null);
    assert_eq!(refused.status, 403);
}

#[test]
fn an_apply_of_another_uid_is_invalid() {
    let mut cluster = Cluster::new();
    let target = format!("{CONFIG_MAPS}/a");
    let mut object = config_map("a", json!({}));
    cluster.apply(&target, "me", &object);
    object["metadata"]["uid"] = json!("other");
    let refused = cluster.apply(&target, "me", &object);
    let (status, message) = message(&refused);
    assert_eq!(status, 422);
    assert!(message.ends_with("metadata.uid: Invalid value: \"other\": field is immutable"), "{message}");
}

#[test]
fn a_null_of_an_apply_is_a_value_in_a_built_in_kind_and_invalid_in_a_custom_one() {
    let mut cluster = Cluster::new();
    let target = format!("{DEPLOYMENTS}/web");
    let mut object = deployment();
    cluster.apply(&target, "other", &object);
    object["spec"]["replicas"] = Value::Null;
    assert_eq!(cluster.apply(&target, "me", &object).status, 409);
    let mut object = gateway(json!([{"name": "http", "port": 80, "protocol": "HTTP"}]));
    object["spec"]["infrastructure"] = Value::Null;
    let (status, message) = message(&cluster.apply(&format!("{GATEWAYS}/gw"), "me", &object));
    assert_eq!(status, 422);
    assert!(message.contains("spec.infrastructure in body must be of type object: \"null\""), "{message}");
    let created = cluster.post(GATEWAYS, &object);
    assert_eq!((created.status.as_u16(), created.value()["spec"].get("infrastructure")), (201, None));
}

#[test]
fn rules_run_only_on_an_object_that_satisfies_its_schema() {
    let mut cluster = Cluster::new();
    let route = |rule: Value| {
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
            "spec": {"rules": [rule]}})
    };
    let target = format!("{ROUTES}/web");
    let portless = json!({"name": "web"});
    let (status, why) = message(&cluster.apply(&target, "me", &route(json!({"backendRefs": [portless]}))));
    assert_eq!(status, 422);
    assert!(why.ends_with("backendRefs[0]: Invalid value: Must have port for Service reference"), "{why}");
    let matches = json!([{"method": "get"}]);
    let rule = json!({"matches": matches, "backendRefs": [portless]});
    let (_, why) = message(&cluster.apply(&target, "me", &route(rule)));
    assert!(!why.contains("Must have port"), "{why}");
    assert!(why.contains("<nil>: Invalid value: null: some validation rules were not checked"), "{why}");
}

#[test]
fn a_value_of_the_wrong_format_fails_the_conversion_of_an_apply() {
    let mut cluster = Cluster::new();
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "!!"}});
    let target = "/api/v1/namespaces/demo/secrets";
    let refused = cluster.apply(&format!("{target}/s"), "me", &secret);
    let (status, why) = message(&refused);
    assert_eq!((status, refused.value().get("reason")), (500, None));
    assert!(why.starts_with("failed to convert new object (demo/s; /v1, Kind=Secret)"), "{why}");
    assert!(why.ends_with("illegal base64 data at input byte 0"), "{why}");
    let (status, why) = message(&cluster.post(target, &secret));
    assert_eq!(status, 400);
    assert!(why.ends_with("illegal base64 data at input byte 0"), "{why}");
}

#[test]
fn a_create_owns_neither_the_structures_of_its_type_nor_allocated_values() {
    let mut cluster = Cluster::new();
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    let created = cluster.post(SERVICES, &service).value();
    let (_, _, fields) = &owned(&created)[0];
    let names: Vec<&String> = fields["f:spec"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["f:internalTrafficPolicy", "f:ports", "f:sessionAffinity", "f:type"]);
    let created = cluster.post(DEPLOYMENTS, &deployment()).value();
    let (_, _, fields) = &owned(&created)[0];
    let template = &fields["f:spec"]["f:template"]["f:spec"];
    assert_eq!(template["f:containers"].get("."), None);
    assert!(template["f:containers"]["k:{\"name\":\"web\"}"]["f:ports"].get(".").is_some());
}

#[test]
fn a_scaled_workload_has_an_owner_of_its_replicas() {
    let mut cluster = Cluster::new();
    let target = format!("{DEPLOYMENTS}/web");
    cluster.apply(&target, "me", &deployment());
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"},
        "spec": {"replicas": 5}});
    let path = format!("{target}/scale?fieldManager=scaler");
    assert_eq!(cluster.send(Method::PUT, &path, "application/json", &scale).status, 200);
    let owner = (json!("scaler"), json!("scale"), json!({"f:spec": {"f:replicas": {}}}));
    assert!(owned(&cluster.get(&target).value()).contains(&owner));
    let (status, why) = message(&cluster.apply(&target, "me", &deployment()));
    assert_eq!(status, 409);
    assert!(why.contains("\"scaler\" with subresource \"scale\" using apps/v1: .spec.replicas"), "{why}");
}

#[test]
fn a_zero_takes_the_default_and_a_name_with_dots_is_a_warning() {
    let mut cluster = Cluster::new();
    let mut object = deployment();
    object["metadata"]["name"] = json!("web.v1");
    object["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["periodSeconds"] = json!(0);
    let created = cluster.post(DEPLOYMENTS, &object);
    assert_eq!(created.status, 201);
    let container = &created.value()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["livenessProbe"]["periodSeconds"], 10);
    let warning = created.headers["warning"].to_str().unwrap();
    assert!(warning.contains("a DNS label is recommended: [must not contain dots]"), "{warning}");
}
