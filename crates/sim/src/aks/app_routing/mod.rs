//! The operator of application routing: certificates of Gateway listeners, ExternalDNS, and the default NGINX.
//!
//! AKS runs it outside of the cluster, so no pod of it is visible. It writes no status: only its objects and events
//! show what it did. Contract: Azure/aks-app-routing-operator 0.2, "Application routing with the Gateway API: DNS and
//! TLS" of the AKS documentation.

mod crash_loop;
mod external_dns;
mod listener_certificate;
mod nginx;
mod record_source;
mod record_sync;

use serde_json::{Value, json};

pub(super) use crash_loop::restart;
pub use record_sync::{Endpoint, RecordSync, SyncState};
pub(super) use record_sync::{fail, sync};

use super::gateway_api;
use super::object::{label, namespace, text};
use super::reconcile_context::ReconcileContext;
use super::timers::Task;
use crate::kubernetes::schema::documents;

/// The namespace of the operator's own objects.
const NAMESPACE: &str = "app-routing-system";
/// The name of the operator: field manager, event source and value of the label.
const OPERATOR: &str = "aks-app-routing-operator";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";
const CLASSES: &str = "secretproviderclasses.secrets-store.csi.x-k8s.io";
const DEPLOYMENTS: &str = "deployments.apps";
const EXTERNAL_DNSES: &str = "externaldnses.approuting.kubernetes.azure.com";
const CLUSTER_EXTERNAL_DNSES: &str = "clusterexternaldnses.approuting.kubernetes.azure.com";
const NGINX_CONTROLLERS: &str = "nginxingresscontrollers.approuting.kubernetes.azure.com";
/// The annotation of a service account with the client id of its identity.
const CLIENT_ID: &str = "/metadata/annotations/azure.workload.identity~1client-id";
/// The delay between the enabled add-on and the operator's first objects, in seconds of cloud time (inferred).
const STARTED: f64 = 15.0;
/// The delay between a change and the operator's reaction, in seconds of cloud time (inferred).
const REACTION: f64 = 1.0;
/// The delay of the operator's reaction, if a fault delays it, in seconds of cloud time (inferred).
const LATE: f64 = 120.0;

/// Schedules the start of the operator after its settings were changed.
pub(super) fn schedule_start(cx: &mut ReconcileContext<'_>) {
    cx.schedule_once(STARTED, Task::StartOperator);
}

/// Serves the operator's kinds, and creates its default objects.
pub(super) fn start(cx: &mut ReconcileContext<'_>) {
    let Some(settings) = &cx.cluster_info.app_routing else { return };
    cx.ensure("namespaces", super::bootstrap::namespace(NAMESPACE), OPERATOR);
    for document in documents::app_routing() {
        let resource = text(document, "/metadata/name");
        // ExternalDNS signs in with workload identity only.
        let is_offered = resource == NGINX_CONTROLLERS || cx.cluster_info.workload_identity;
        if is_offered && cx.store.definition(resource).is_none() {
            gateway_api::serve(cx, document, None);
        }
    }
    nginx::create_default(cx, &settings.default_nginx);
    cx.schedule_once(REACTION, Task::ReconcileOperator);
}

/// Schedules a reconciliation after a change of an object that the operator watches.
pub(super) fn schedule_reconcile(cx: &mut ReconcileContext<'_>) {
    if cx.cluster_info.app_routing.is_none() {
        return;
    }
    let watched = [
        GATEWAYS,
        CLASSES,
        DEPLOYMENTS,
        EXTERNAL_DNSES,
        CLUSTER_EXTERNAL_DNSES,
        NGINX_CONTROLLERS,
        "serviceaccounts",
        "configmaps",
    ];
    cx.run_if_changed("app-routing", &watched, |cx| {
        let delay = if std::mem::take(&mut cx.state.operator_late) { LATE } else { REACTION };
        cx.schedule_once(delay, Task::ReconcileOperator);
    });
    record_sync::schedule(cx);
}

/// Reconciles everything once.
pub(super) fn reconcile(cx: &mut ReconcileContext<'_>) {
    if cx.cluster_info.app_routing.is_none() {
        return;
    }
    listener_certificate::reconcile_all(cx);
    external_dns::reconcile_all(cx);
    nginx::reconcile_all(cx);
}

/// Returns the labels of the operator's objects.
fn labels() -> Value {
    json!({MANAGED_BY: OPERATOR, "kubernetes.azure.com/managedby": "aks"})
}

/// Returns whether the operator made an object.
fn is_own(object: &Value) -> bool {
    label(object, MANAGED_BY) == OPERATOR
}

/// An unusable service account.
enum AccountError {
    Missing,
    NotAnnotated,
}

/// Returns the client id of a service account in the namespace of an object.
fn client_id(cx: &ReconcileContext<'_>, space: &str, account: &str) -> Result<String, AccountError> {
    let account = cx.store.get("serviceaccounts", space, account).ok_or(AccountError::Missing)?;
    match text(account, CLIENT_ID) {
        "" => Err(AccountError::NotAnnotated),
        client_id => Ok(client_id.to_owned()),
    }
}

/// Returns the affinity that prefers system nodes.
fn system_nodes() -> Value {
    json!({"nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "preference": {"matchExpressions": [
                {"key": "kubernetes.azure.com/mode", "operator": "In", "values": ["system"]},
            ]},
        }],
    }})
}

/// Returns the owner reference of the operator to an object.
fn owner(object: &Value) -> Value {
    let mut reference = super::object::owned_by(object);
    reference["controller"] = json!(true);
    reference
}

/// Returns whether an object is in a namespace; an empty one stands for all.
fn is_in(object: &Value, space: &str) -> bool {
    space.is_empty() || namespace(object) == space
}

#[cfg(test)]
mod tests;
