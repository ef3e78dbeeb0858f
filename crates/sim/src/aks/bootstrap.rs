//! Bootstrap of a new cluster, and its adaptation to changed facts.

use serde_json::json;

use super::cluster_info::{TokenExchange, TokenExchangeError, VaultObject, VaultReadError, VaultReader};
use super::reconcile_context::ReconcileContext;
use super::timers::Task;
use super::{app_routing, csi, gateway_api, mesh, node, storage_classes, system};
use crate::clock::SimTime;
use crate::kubernetes::schema::documents;

/// The delay between the cluster's success and the Gateway API kinds, in seconds of cloud time (inferred).
const GATEWAY_API_SERVED: f64 = 10.0;

const MANAGER: &str = "kube-apiserver";

/// The namespaces of every cluster.
const NAMESPACES: [&str; 4] = ["kube-system", "default", "kube-public", "kube-node-lease"];

/// Writes the objects of a cluster that has just become `Succeeded`.
pub(super) fn create_objects(cx: &mut ReconcileContext<'_>) {
    cx.store.set_version(&cx.cluster_info.kubernetes_version);
    for name in NAMESPACES {
        cx.put("namespaces", namespace(name), MANAGER);
    }
    cx.put(
        "services",
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
                "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 443}],
            },
            "status": {"loadBalancer": {}},
        }),
        MANAGER,
    );
    node::match_count(cx);
    system::install(cx);
    storage_classes::install(cx);
    adapt_addons(cx, None);
}

/// Applies changed facts: adds and removes nodes, enables and disables add-ons.
pub(super) fn adapt(cx: &mut ReconcileContext<'_>) {
    let before = cx.state.cluster_info.clone();
    cx.store.set_version(&cx.cluster_info.kubernetes_version);
    node::match_count(cx);
    adapt_addons(cx, before.as_ref());
}

fn adapt_addons(cx: &mut ReconcileContext<'_>, before: Option<&super::ClusterInfo>) {
    let cluster_info = cx.cluster_info;
    match (before.is_some_and(|before| before.csi.is_some()), cluster_info.csi.is_some()) {
        (false, true) => {
            for document in documents::secrets_store() {
                gateway_api::serve(cx, document, None);
            }
            system::install_secrets_store(cx);
        }
        (true, false) => system::remove_secrets_store(cx),
        _ => {}
    }
    let rotation = |cluster_info: &super::ClusterInfo| cluster_info.csi.as_ref()?.rotation_seconds;
    if before.and_then(rotation) != rotation(cluster_info) {
        csi::restart_rotation(cx);
    }
    if cluster_info.gateway_api && !before.is_some_and(|before| before.gateway_api) {
        cx.schedule_once(GATEWAY_API_SERVED, Task::InstallGatewayApi);
    }
    let operator = &cluster_info.app_routing;
    let is_same = |before: &super::ClusterInfo| {
        before.app_routing == *operator && before.workload_identity == cluster_info.workload_identity
    };
    if operator.is_some() && !before.is_some_and(is_same) {
        app_routing::schedule_start(cx);
    }
    match (before.is_some_and(|before| before.istio), cluster_info.istio) {
        (false, true) => {
            cx.state.mesh_since = Some(cx.at);
            mesh::install(cx);
            gateway_api::schedule_classes(cx);
        }
        // The classes stay behind, as they do on Azure.
        (true, false) => {
            cx.state.mesh_since = None;
            mesh::remove(cx);
        }
        _ => {}
    }
}

/// Returns a namespace in the format of the API server.
pub(super) fn namespace(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}

/// Vaults without objects: during bootstrap no pod mounts vault objects.
pub(super) struct NoVaults;

impl VaultReader for NoVaults {
    fn exchange(&self, _: SimTime, _: TokenExchange<'_>) -> Result<(), TokenExchangeError> {
        Err(TokenExchangeError { url: String::new(), status: 0, body: "no such host".into() })
    }

    fn read(
        &self,
        _: SimTime,
        _: &str,
        _: &str,
        _: &str,
        _: &str,
        _: Option<&str>,
    ) -> Result<VaultObject, VaultReadError> {
        Err(VaultReadError { status: 0, code: String::new(), body: "no such host".into() })
    }

    fn grant_due(&self, _: SimTime) -> Option<SimTime> {
        None
    }
}
