//! The availability of aggregated APIs, as the aggregator writes it into the status of each APIService.

use serde_json::{Value, json};

use super::condition::{self, Condition};
use super::object::{list, text};
use super::reconcile_context::ReconcileContext;
use crate::kubernetes::aggregation::RESOURCE;
use crate::kubernetes::store::Store;

const MANAGER: &str = "kube-apiserver";
const AKS: &str = "aks-addon-manager";
/// The registration of metrics-server.
const METRICS: &str = "v1beta1.metrics.k8s.io";

/// Writes the availability of every registered API.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for api_service in cx.all(RESOURCE) {
        let condition = availability(cx.store, &api_service);
        let mut status = api_service.get("status").cloned().unwrap_or_else(|| json!({}));
        let mut conditions = list(&status, "/conditions").to_vec();
        condition::set(&mut conditions, &condition, "", cx.at);
        status["conditions"] = json!(conditions);
        cx.status(RESOURCE, &api_service, status, MANAGER);
    }
}

/// Returns the condition of an API's availability, with the aggregator's own reasons.
fn availability(store: &Store, api_service: &Value) -> Condition {
    let spec = &api_service["spec"];
    if !spec["service"].is_object() {
        return Condition::yes("Available", "Local", "Local APIServices are always available");
    }
    let (space, service) = (text(spec, "/service/namespace"), text(spec, "/service/name"));
    if store.get("services", space, service).is_none() {
        let message = format!("service/{service} in {space:?} is not present");
        return Condition::no("Available", "ServiceNotFound", message);
    }
    let endpoints = store.get("endpoints", space, service);
    let ready = endpoints
        .is_some_and(|all| list(all, "/subsets").iter().any(|subset| !list(subset, "/addresses").is_empty()));
    if !ready {
        let message = format!("endpoints for service/{service} in {space:?} have no addresses");
        return Condition::no("Available", "MissingEndpoints", message);
    }
    let (group, version) = (text(spec, "/group"), text(spec, "/version"));
    let message = format!(
        "failing or missing response from https://{service}.{space}.svc:443/apis/{group}/{version}: context deadline exceeded"
    );
    Condition::no("Available", "FailedDiscoveryCheck", message)
}

/// Registers the API of metrics-server, which does not answer; returns whether it was not registered before.
pub(crate) fn register_metrics(store: &mut Store, at: crate::clock::SimTime) -> bool {
    if store.get(RESOURCE, "", METRICS).is_some() {
        return false;
    }
    let registration = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {
            "name": METRICS,
            "labels": {"addonmanager.kubernetes.io/mode": "Reconcile", "kubernetes.io/cluster-service": "true"},
        },
        "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true,
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"name": "metrics-server", "namespace": "kube-system", "port": 443},
        },
    });
    store.put(RESOURCE, registration, AKS, at)
}
