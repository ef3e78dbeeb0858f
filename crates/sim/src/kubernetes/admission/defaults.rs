//! Defaults that depend on other fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{batch, storage};
use crate::kubernetes::conversion;
use crate::kubernetes::service_addresses::Addresses;
use crate::kubernetes::store::Store;
use crate::kubernetes::write::Draft;

/// Fills in defaults that depend on other fields; runs before the defaults of the schema.
pub fn defaults(store: &Store, draft: &Draft, addresses: &mut Addresses, object: &mut Value) {
    if draft.definition.custom {
        return;
    }
    match draft.definition.kind.as_str() {
        "Namespace" => namespace(draft, object),
        "Secret" => secret(object),
        "Service" => service(draft, addresses, object),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" => workload(&draft.definition.kind, object),
        "Job" => {
            batch::job_defaults(draft, object);
            object.pointer_mut("/spec/template/spec").into_iter().for_each(pod_spec);
        }
        "CronJob" => {
            let template = object.pointer_mut("/spec/jobTemplate/spec/template/spec");
            template.into_iter().for_each(pod_spec);
        }
        "HorizontalPodAutoscaler" if draft.definition.version == "v2" => autoscaler(object),
        "NetworkPolicy" => network_policy(object),
        "PersistentVolumeClaim" => storage::claim_defaults(store, draft, object),
        "Pod" => object.get_mut("spec").into_iter().for_each(pod_spec),
        "RoleBinding" | "ClusterRoleBinding" => binding(object),
        _ => {}
    }
}

/// Sets a field that is missing or null.
pub(super) fn fill(object: &mut Value, field: &str, value: Value) {
    if object.is_object() && object[field].is_null() {
        object[field] = value;
    }
}

/// Returns the items of an existing list, mutable.
fn items_mut<'v>(object: &'v mut Value, field: &str) -> impl Iterator<Item = &'v mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

fn namespace(draft: &Draft, object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    fill(&mut object["metadata"], "labels", json!({}));
    if object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    }
    if draft.live.is_none() {
        fill(object, "spec", json!({}));
        fill(&mut object["spec"], "finalizers", json!(["kubernetes"]));
        fill(object, "status", json!({"phase": "Active"}));
    }
}

/// Moves the texts of the write-only `stringData` into `data`, encoded in base64.
fn secret(object: &mut Value) {
    let Some(texts) = object.as_object_mut().and_then(|map| map.shift_remove("stringData")) else { return };
    for (key, text) in texts.as_object().into_iter().flatten() {
        if let Some(text) = text.as_str() {
            fill(object, "data", Value::Object(Map::new()));
            object["data"][key] = json!(STANDARD.encode(text));
        }
    }
}

fn service(draft: &Draft, addresses: &mut Addresses, object: &mut Value) {
    fill(object, "spec", json!({}));
    let live = draft.live.as_ref().map(|live| &live["spec"]);
    let spec = &mut object["spec"];
    fill(spec, "type", json!("ClusterIP"));
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
        // An empty address asks for an allocated one, and an update keeps it.
        if spec.get(field).is_some_and(|value| *value == "" || *value == json!([])) {
            spec[field] = Value::Null;
        }
        if let Some(kept) = live.and_then(|live| live.get(field)) {
            fill(spec, field, kept.clone());
        }
    }
    // A new address replaces the kept list, which consists of the old one.
    let kept = live.filter(|live| live["clusterIP"] != spec["clusterIP"]).map(|live| &live["clusterIPs"]);
    if kept.is_some_and(|kept| *kept == spec["clusterIPs"]) {
        spec["clusterIPs"] = json!([spec["clusterIP"]]);
    }
    if spec["clusterIP"].as_str().is_none_or(str::is_empty) {
        spec["clusterIP"] = json!(addresses.next_service());
    }
    let address = spec["clusterIP"].clone();
    fill(spec, "clusterIPs", json!([address]));
    fill(spec, "ipFamilies", json!(["IPv4"]));
    fill(spec, "ipFamilyPolicy", json!("SingleStack"));
    fill(spec, "internalTrafficPolicy", json!("Cluster"));
    let has_node_ports = kind == "LoadBalancer" || kind == "NodePort";
    if has_node_ports {
        fill(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", json!(true));
        if spec["externalTrafficPolicy"] == "Local" {
            fill(spec, "healthCheckNodePort", json!(addresses.next_node_port()));
        }
    }
    let needs_node_port = has_node_ports && spec["allocateLoadBalancerNodePorts"] != json!(false);
    for port in items_mut(spec, "ports") {
        let number = port["port"].clone();
        fill(port, "targetPort", number.clone());
        if needs_node_port && port["nodePort"].as_i64().unwrap_or(0) == 0 {
            let kept = live.and_then(|live| live["ports"].as_array()).into_iter().flatten();
            let kept = kept.filter(|old| old["port"] == number).find_map(|old| old["nodePort"].as_i64());
            port["nodePort"] = kept.map_or_else(|| json!(addresses.next_node_port()), |kept| json!(kept));
        }
    }
}

fn workload(kind: &str, object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    let (field, steps) = match kind {
        "Deployment" => ("strategy", json!({"maxUnavailable": "25%", "maxSurge": "25%"})),
        "DaemonSet" => ("updateStrategy", json!({"maxUnavailable": 1, "maxSurge": 0})),
        "StatefulSet" => ("updateStrategy", json!({"partition": 0})),
        _ => ("", Value::Null),
    };
    if !field.is_empty() {
        fill(spec, field, json!({}));
        let strategy = &mut spec[field];
        fill(strategy, "type", json!("RollingUpdate"));
        if strategy["type"] == "RollingUpdate" {
            fill(strategy, "rollingUpdate", json!({}));
            for (name, value) in steps.as_object().into_iter().flatten() {
                fill(&mut strategy["rollingUpdate"], name, value.clone());
            }
        }
    }
    if let Some(template) = spec.pointer_mut("/template/spec") {
        pod_spec(template);
    }
}

fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            let image = container["image"].as_str().unwrap_or_default();
            let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
            let moves = !image.contains('@') && tag.is_none_or(|tag| tag == "latest");
            fill(container, "imagePullPolicy", json!(if moves { "Always" } else { "IfNotPresent" }));
            requests_from_limits(container);
        }
    }
    if let Some(account) = spec["serviceAccountName"].as_str().map(str::to_owned) {
        // The deprecated name of the same field.
        spec["serviceAccount"] = json!(account);
    }
    for volume in items_mut(spec, "volumes") {
        if volume.as_object().is_some_and(|map| map.len() == 1 && map.contains_key("name")) {
            volume["emptyDir"] = json!({});
        }
    }
}

/// Sets missing resource requests to the limits.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container.pointer("/resources/limits").and_then(Value::as_object).cloned() else {
        return;
    };
    let resources = &mut container["resources"];
    fill(resources, "requests", json!({}));
    for (name, limit) in limits {
        fill(&mut resources["requests"], &name, limit);
    }
}

fn autoscaler(object: &mut Value) {
    if object["spec"].is_object() && object["spec"]["metrics"].as_array().is_none_or(Vec::is_empty) {
        object["spec"]["metrics"] = conversion::default_metrics();
    }
}

/// A policy without types restricts ingress, and egress if it has rules for it.
fn network_policy(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    if spec["policyTypes"].as_array().is_none_or(Vec::is_empty) {
        let has_egress = spec["egress"].as_array().is_some_and(|rules| !rules.is_empty());
        spec["policyTypes"] = if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
}

fn binding(object: &mut Value) {
    for subject in items_mut(object, "subjects") {
        if subject["kind"] == "User" || subject["kind"] == "Group" {
            fill(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
        }
    }
}
