//! Services and their ready pods, as Endpoints and as EndpointSlices.

use std::sync::Arc;

use serde_json::{Value, json};

use super::MANAGER;
use crate::aks::condition;
use crate::aks::object::{
    controlled_by, holds, is_ending, list, name, namespace, number, owned_by, selects_plain, suffix, text,
    uid,
};
use crate::aks::reconcile_context::ReconcileContext;

/// The resource of EndpointSlices.
pub(super) const SLICES: &str = "endpointslices.discovery.k8s.io";

/// Reconciles all Services with a selector.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for service in cx.all("services") {
        let selects_pods = service["spec"]["selector"].as_object().is_some_and(|labels| !labels.is_empty());
        if !is_ending(&service) && selects_pods {
            let pods = pods_of(cx, &service);
            let ports = list(&service, "/spec/ports").iter().map(|port| resolve(port, &pods)).collect();
            publish(cx, &service, &pods, &ports);
            slice(cx, &service, &pods, &ports);
        }
    }
}

/// Returns the pods of a Service that have an address, and whether each is ready.
fn pods_of(cx: &ReconcileContext<'_>, service: &Value) -> Vec<(Arc<Value>, bool)> {
    cx.store
        .shared("pods", Some(namespace(service)))
        .filter(|pod| selects_plain(&service["spec"]["selector"], pod))
        .filter(|pod| !is_ending(pod) && !text(pod, "/status/podIP").is_empty())
        .map(|pod| (Arc::clone(pod), condition::is_true(pod, "Ready")))
        .collect()
}

/// Returns whether a Service has a ready pod.
pub(in crate::aks) fn has_ready_pod(cx: &ReconcileContext<'_>, service: &Value) -> bool {
    pods_of(cx, service).iter().any(|(_, ready)| *ready)
}

fn target(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)})
}

fn publish(cx: &mut ReconcileContext<'_>, service: &Value, pods: &[(Arc<Value>, bool)], ports: &Value) {
    let addresses = |ready: bool| -> Vec<Value> {
        pods.iter()
            .filter(|(_, is)| *is == ready)
            .map(|(pod, _)| {
                json!({"ip": text(pod, "/status/podIP"), "nodeName": text(pod, "/spec/nodeName"),
                    "targetRef": target(pod)})
            })
            .collect()
    };
    let mut subset = json!({});
    for (field, addresses) in [("addresses", addresses(true)), ("notReadyAddresses", addresses(false))] {
        if !addresses.is_empty() {
            subset[field] = Value::Array(addresses);
        }
    }
    subset["ports"] = ports.clone();
    let subsets = if pods.is_empty() { json!([]) } else { json!([subset]) };
    let live = cx.store.get("endpoints", namespace(service), name(service));
    let none = json!([]);
    if live.is_some_and(|live| holds(live.get("subsets").unwrap_or(&none), &subsets)) {
        return;
    }
    let wanted = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": name(service), "namespace": namespace(service),
            "labels": service["metadata"]["labels"].as_object().cloned().unwrap_or_default(),
            "ownerReferences": [owned_by(service)]},
        "subsets": subsets,
    });
    cx.put("endpoints", wanted, MANAGER);
}

/// Writes the EndpointSlice of a Service; one slice is enough for the pods here.
fn slice(cx: &mut ReconcileContext<'_>, service: &Value, pods: &[(Arc<Value>, bool)], ports: &Value) {
    let endpoints: Value = pods
        .iter()
        .map(|(pod, ready)| {
            json!({
                "addresses": [text(pod, "/status/podIP")],
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "nodeName": text(pod, "/spec/nodeName"),
                "targetRef": target(pod),
            })
        })
        .collect();
    let slice_name = format!("{}-{}", name(service), suffix(uid(service), 5));
    let live = cx.store.get(SLICES, namespace(service), &slice_name);
    if live.is_some_and(|live| holds(&live["endpoints"], &endpoints) && holds(&live["ports"], ports)) {
        return;
    }
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert("endpointslice.kubernetes.io/managed-by".into(), json!("endpointslice-controller.k8s.io"));
    labels.insert("kubernetes.io/service-name".into(), json!(name(service)));
    let wanted = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": slice_name, "generateName": format!("{}-", name(service)),
            "namespace": namespace(service), "labels": labels, "ownerReferences": [controlled_by(service)]},
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    });
    cx.put(SLICES, wanted, MANAGER);
}

/// Resolves the target of a port, which may be the name of a container port.
fn resolve(port: &Value, pods: &[(Arc<Value>, bool)]) -> Value {
    let target = &port["targetPort"];
    let by_name = target.as_str().and_then(|wanted| {
        pods.iter()
            .flat_map(|(pod, _)| list(pod, "/spec/containers"))
            .flat_map(|container| list(container, "/ports"))
            .find(|port| text(port, "/name") == wanted)
            .and_then(|port| number(port, "/containerPort"))
    });
    let number = by_name.or_else(|| target.as_i64()).or_else(|| number(port, "/port")).unwrap_or(0);
    let mut resolved =
        json!({"port": number, "protocol": port.get("protocol").cloned().unwrap_or(json!("TCP"))});
    for field in ["name", "appProtocol"] {
        if let Some(value) = port.get(field) {
            resolved[field] = value.clone();
        }
    }
    resolved
}
