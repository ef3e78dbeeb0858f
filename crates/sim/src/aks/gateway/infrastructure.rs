//! The infrastructure of one gateway; the controller reverts changes to it.

use serde_json::{Map, Value, json};

use crate::aks::gateway_api::CONTROLLER;
use crate::aks::mesh;
use crate::aks::object::{list, merge_into, name, namespace, number, owned_by, text};
use crate::aks::reconcile_context::ReconcileContext;

const NAME_OVERRIDE: &str = "/metadata/annotations/gateway.istio.io~1name-override";
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
const CLASS_NAME: &str = "gateway.networking.k8s.io/gateway-class-name";
const MANAGED: &str = "gateway.istio.io/managed";
/// The readiness port of a gateway proxy.
const STATUS_PORT: i64 = 15_021;

/// Returns the name of all objects of a gateway.
pub(super) fn name_of(gateway: &Value) -> String {
    match text(gateway, NAME_OVERRIDE) {
        "" => format!("{}-{}", name(gateway), text(gateway, "/spec/gatewayClassName")),
        other => other.to_owned(),
    }
}

/// Creates the missing objects of a gateway.
pub(super) fn ensure(cx: &mut ReconcileContext<'_>, gateway: &Value) {
    let metadata = metadata(gateway);
    let own_name = name_of(gateway);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata,
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {GATEWAY_NAME: name(gateway)}}},
    });
    let wanted = [
        ("serviceaccounts", "serviceAccount", account),
        ("deployments.apps", "deployment", deployment(cx, gateway, &metadata)),
        ("services", "service", service(gateway, &metadata)),
        (
            "horizontalpodautoscalers.autoscaling",
            "horizontalPodAutoscaler",
            mesh::autoscaler(&metadata, &own_name),
        ),
        ("poddisruptionbudgets.policy", "podDisruptionBudget", budget),
    ];
    let patches = patches(cx, gateway);
    for (resource, key, mut object) in wanted {
        for patch in patches.iter().filter_map(|patches| patches.get(key)) {
            merge_into(&mut object, patch);
        }
        drop_foreign_ports(cx, resource, &object);
        drop_stale_annotations(cx, resource, &object);
        cx.ensure(resource, object, mesh::MANAGER);
    }
}

/// Returns the patches from the class's defaults, then those from the gateway's own parameters.
fn patches(cx: &ReconcileContext<'_>, gateway: &Value) -> Vec<Map<String, Value>> {
    let defaults = cx.store.get("configmaps", mesh::NAMESPACE, mesh::CLASS_DEFAULTS);
    let reference = &gateway["spec"]["infrastructure"]["parametersRef"];
    let own = (text(reference, "/kind") == "ConfigMap")
        .then(|| cx.store.get("configmaps", namespace(gateway), text(reference, "/name")))
        .flatten();
    [defaults, own]
        .into_iter()
        .flatten()
        .map(|config| {
            let data = config["data"].as_object().into_iter().flatten();
            data.filter_map(|(key, patch)| {
                let patch: Value = serde_saphyr::from_str(patch.as_str()?).ok()?;
                Some((key.clone(), patch))
            })
            .collect()
        })
        .collect()
}

/// Replaces the list of ports. Server-side apply merges ports by key, so omitted ports would stay.
fn drop_foreign_ports(cx: &mut ReconcileContext<'_>, resource: &str, wanted: &Value) {
    if resource != "services" {
        return;
    }
    let Some(live) = cx.get(resource, namespace(wanted), name(wanted)) else { return };
    let key = |port: &Value| (number(port, "/port"), text(port, "/name").to_owned());
    let wanted_ports = list(wanted, "/spec/ports");
    let same = list(&live, "/spec/ports").iter().map(key).eq(wanted_ports.iter().map(key));
    if !same {
        let known = list(&live, "/spec/ports").to_vec();
        let ports: Vec<Value> = wanted_ports
            .iter()
            .map(|port| known.iter().find(|known| key(known) == key(port)).unwrap_or(port).clone())
            .collect();
        let mut updated = Value::clone(&live);
        updated["spec"]["ports"] = Value::Array(ports);
        cx.put(resource, updated, mesh::MANAGER);
    }
}

/// Removes annotations that the controller set before and no longer sets, like server-side apply; annotations
/// of other managers stay.
fn drop_stale_annotations(cx: &mut ReconcileContext<'_>, resource: &str, wanted: &Value) {
    let Some(live) = cx.get(resource, namespace(wanted), name(wanted)) else { return };
    let entries = list(&live, "/metadata/managedFields").iter();
    let stale: Vec<&str> = entries
        .filter(|entry| text(entry, "/manager") == mesh::MANAGER)
        .filter_map(|entry| entry.pointer("/fieldsV1/f:metadata/f:annotations")?.as_object())
        .flat_map(|fields| fields.keys().filter_map(|field| field.strip_prefix("f:")))
        .filter(|key| wanted["metadata"]["annotations"].get(key).is_none())
        .filter(|key| live["metadata"]["annotations"].get(key).is_some())
        .collect();
    if stale.is_empty() {
        return;
    }
    let mut updated = Value::clone(&live);
    if let Some(annotations) = updated["metadata"]["annotations"].as_object_mut() {
        annotations.retain(|key, _| !stale.contains(&key.as_str()));
    }
    cx.put(resource, updated, mesh::MANAGER);
}

fn labels(gateway: &Value) -> Value {
    let mut labels = gateway.pointer("/spec/infrastructure/labels").cloned().unwrap_or_else(|| json!({}));
    labels[GATEWAY_NAME] = json!(name(gateway));
    labels[CLASS_NAME] = gateway["spec"]["gatewayClassName"].clone();
    labels
}

fn metadata(gateway: &Value) -> Value {
    let mut metadata = json!({
        "name": name_of(gateway),
        "namespace": namespace(gateway),
        "labels": labels(gateway),
        "ownerReferences": [owned_by(gateway)],
    });
    if let Some(annotations) = gateway.pointer("/spec/infrastructure/annotations").filter(|a| a.is_object()) {
        metadata["annotations"] = annotations.clone();
    }
    metadata
}

fn service(gateway: &Value, metadata: &Value) -> Value {
    let mut ports = vec![json!({
        "name": "status-port", "port": STATUS_PORT, "protocol": "TCP", "targetPort": STATUS_PORT,
        "appProtocol": "tcp",
    })];
    for (index, listener) in list(gateway, "/spec/listeners").iter().enumerate() {
        let Some(port) = number(listener, "/port") else { continue };
        if ports.iter().any(|known| number(known, "/port") == Some(port)) {
            continue;
        }
        let protocol = text(listener, "/protocol").to_lowercase();
        let listener_name = text(listener, "/name");
        let port_name =
            if listener_name.is_empty() { format!("{protocol}-{index}") } else { listener_name.to_owned() };
        ports.push(json!({
            "name": port_name, "port": port, "protocol": "TCP", "targetPort": port, "appProtocol": protocol,
        }));
    }
    let mut spec = json!({
        "type": "LoadBalancer",
        "ipFamilyPolicy": "PreferDualStack",
        "selector": {GATEWAY_NAME: name(gateway)},
        "ports": ports,
    });
    let fixed = list(gateway, "/spec/addresses")
        .iter()
        .find(|address| address.get("type").and_then(Value::as_str).is_none_or(|kind| kind == "IPAddress"));
    if let Some(address) = fixed {
        spec["loadBalancerIP"] = address["value"].clone();
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

fn deployment(cx: &ReconcileContext<'_>, gateway: &Value, metadata: &Value) -> Value {
    let managed = CONTROLLER.replace('/', "-");
    let mut metadata = metadata.clone();
    metadata["labels"][MANAGED] = json!(managed);
    let mut pod_labels = metadata["labels"].clone();
    pod_labels["service.istio.io/canonical-name"] = metadata["name"].clone();
    pod_labels["service.istio.io/canonical-revision"] = json!("latest");
    pod_labels["sidecar.istio.io/inject"] = json!("false");
    let probe = |first: u32, failures: u32| {
        json!({
            "httpGet": {"path": "/healthz/ready", "port": STATUS_PORT, "scheme": "HTTP"},
            "initialDelaySeconds": first, "periodSeconds": 1, "timeoutSeconds": 1,
            "successThreshold": 1, "failureThreshold": failures,
        })
    };
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": {GATEWAY_NAME: name(gateway)}},
            "template": {
                "metadata": {"labels": pod_labels},
                "spec": {
                    "serviceAccountName": metadata["name"],
                    "containers": [{
                        "name": "istio-proxy",
                        "image": format!(
                            "mcr.microsoft.com/oss/v2/istio/proxyv2:{}", mesh::release(cx.cluster_info.minor())
                        ),
                        "args": ["proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local"],
                        "ports": [
                            {"containerPort": 15020, "name": "metrics", "protocol": "TCP"},
                            {"containerPort": STATUS_PORT, "name": "status-port", "protocol": "TCP"},
                            {"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"},
                        ],
                        "startupProbe": probe(1, 30),
                        "readinessProbe": probe(0, 4),
                        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"},
                            "limits": {"cpu": "2", "memory": "1Gi"}},
                    }],
                },
            },
        },
    })
}
