//! The control plane of application routing: istiod in its own namespace, which AKS keeps unchanged.

use serde_json::{Value, json};

use super::gateway_api;
use super::object::{self, name, namespace};
use super::reconcile_context::ReconcileContext;
use super::timers::Task;

/// The namespace of the control plane.
pub(super) const NAMESPACE: &str = "aks-istio-system";
/// The field manager of the control plane.
pub(super) const MANAGER: &str = "pilot";
/// The ConfigMap with the defaults of every gateway of the class; users may edit it.
pub(super) const CLASS_DEFAULTS: &str = "istio-gateway-class-defaults";
const ADDON_MANAGER: &str = "aks-addon-manager";
const NAME: &str = "istiod";
/// The delay before AKS reverts a change, in seconds of cloud time (observed).
const REPAIR: f64 = 100.0;

/// Returns the Istio release for a minor version of Kubernetes: the highest supported one (documented).
pub(super) fn release(minor: u32) -> &'static str {
    match minor {
        ..=34 => "v1.28.3",
        35 => "v1.29.1",
        _ => "v1.30.0",
    }
}

/// Writes the control plane.
pub(super) fn install(cx: &mut ReconcileContext<'_>) {
    for (resource, wanted) in members(cx.cluster_info.minor()) {
        cx.ensure(resource, wanted, ADDON_MANAGER);
    }
    if cx.store.get("configmaps", NAMESPACE, CLASS_DEFAULTS).is_none() {
        cx.put("configmaps", class_defaults(), ADDON_MANAGER);
    }
}

/// Removes the control plane; the infrastructure of its gateways stays without a controller.
pub(super) fn remove(cx: &mut ReconcileContext<'_>) {
    for (resource, wanted) in members(cx.cluster_info.minor()) {
        if resource != "namespaces" {
            cx.remove(resource, &wanted);
        }
    }
}

/// Returns whether a replica of the control plane is ready.
pub(super) fn is_ready(cx: &ReconcileContext<'_>) -> bool {
    cx.store
        .get("deployments.apps", NAMESPACE, NAME)
        .and_then(|istiod| object::number(istiod, "/status/availableReplicas"))
        .is_some_and(|available| available > 0)
}

/// Detects changes in the control plane and schedules their revert.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    if cx.state.mesh_since.is_none() {
        return;
    }
    let drifted = members(cx.cluster_info.minor()).iter().any(|(resource, wanted)| {
        !cx.store
            .get(resource, namespace(wanted), name(wanted))
            .is_some_and(|live| object::holds(live, wanted))
    });
    let no_defaults = cx.store.get("configmaps", NAMESPACE, CLASS_DEFAULTS).is_none();
    if drifted || no_defaults || gateway_api::classes_are_missing(cx) {
        cx.schedule_once(REPAIR, Task::RepairMesh);
    }
}

/// Reverts changes in the control plane.
pub(super) fn repair(cx: &mut ReconcileContext<'_>) {
    if cx.state.mesh_since.is_none() {
        return;
    }
    install(cx);
    if cx.state.gateway_api_since.is_some() && gateway_api::classes_are_missing(cx) {
        gateway_api::write_classes(cx);
        gateway_api::accept_classes(cx);
    }
}

fn members(minor: u32) -> Vec<(&'static str, Value)> {
    let labels = json!({"app": NAME, "istio.io/rev": "default", "kubernetes.azure.com/managedby": "aks"});
    let metadata = json!({"name": NAME, "namespace": NAMESPACE, "labels": labels});
    let release = release(minor);
    let probe = json!({"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "initialDelaySeconds": 1,
        "periodSeconds": 3, "timeoutSeconds": 5});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": {"app": NAME, "istio.io/rev": "default"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": NAME,
                    "containers": [{
                        "name": "discovery",
                        "image": format!("mcr.microsoft.com/oss/v2/istio/pilot:{release}"),
                        "args": ["discovery", "--monitoringAddr=:15014", "--log_output_level=default:info"],
                        "ports": [
                            {"containerPort": 8080, "name": "http-debug", "protocol": "TCP"},
                            {"containerPort": 15010, "name": "grpc-xds", "protocol": "TCP"},
                            {"containerPort": 15012, "name": "tls-xds", "protocol": "TCP"},
                            {"containerPort": 15017, "name": "https-webhooks", "protocol": "TCP"},
                        ],
                        "readinessProbe": probe,
                        "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}},
                    }],
                },
            },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": NAME, "istio.io/rev": "default"},
            "ports": [
                {"name": "grpc-xds", "port": 15010, "protocol": "TCP", "targetPort": 15010},
                {"name": "https-dns", "port": 15012, "protocol": "TCP", "targetPort": 15012},
                {"name": "https-webhook", "port": 443, "protocol": "TCP", "targetPort": 15017},
                {"name": "http-monitoring", "port": 15014, "protocol": "TCP", "targetPort": 15014},
            ],
        },
    });
    vec![
        ("namespaces", super::bootstrap::namespace(NAMESPACE)),
        ("serviceaccounts", json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})),
        ("deployments.apps", deployment),
        ("services", service),
        ("horizontalpodautoscalers.autoscaling", autoscaler(&metadata, NAME)),
        (
            "poddisruptionbudgets.policy",
            json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata,
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": NAME, "istio.io/rev": "default"}}},
            }),
        ),
    ]
}

/// Returns an autoscaler with the settings of AKS for the mesh: 2 to 5 replicas at 80 % of the requested CPU
/// (documented).
pub(super) fn autoscaler(metadata: &Value, target: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata,
        "spec": {
            "minReplicas": 2,
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 80}}}],
        },
    })
}

/// Returns the class's defaults, as strategic merge patches in YAML (documented keys).
fn class_defaults() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": CLASS_DEFAULTS, "namespace": NAMESPACE,
            "labels": {"gateway.istio.io/defaults-for-class": gateway_api::CLASS,
                "kubernetes.azure.com/managedby": "aks"},
        },
        "data": {
            "horizontalPodAutoscaler": "spec:\n  minReplicas: 2\n  maxReplicas: 5\n",
            "podDisruptionBudget": "spec:\n  minAvailable: 1\n",
            "service": "metadata:\n  annotations:\n    service.beta.kubernetes.io/port_80_health-probe_port: \"15021\"\n    service.beta.kubernetes.io/port_80_health-probe_protocol: http\n    service.beta.kubernetes.io/port_80_health-probe_request-path: /healthz/ready\n",
        },
    })
}
