//! The default objects of a namespace: the default ServiceAccount and the cluster's root certificate.

use serde_json::json;

use super::MANAGER;
use crate::aks::object::{is_ending, name};
use crate::aks::reconcile_context::ReconcileContext;

/// Creates the missing default objects of all namespaces.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for namespace in cx.all("namespaces") {
        let namespace_name = name(&namespace);
        if is_ending(&namespace) {
            continue;
        }
        if cx.store.get("serviceaccounts", namespace_name, "default").is_none() {
            let account = json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": namespace_name},
            });
            cx.put("serviceaccounts", account, MANAGER);
        }
        if cx.store.get("configmaps", namespace_name, "kube-root-ca.crt").is_none() {
            let root = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "kube-root-ca.crt", "namespace": namespace_name},
                "data": {"ca.crt": ""},
            });
            cx.put("configmaps", root, MANAGER);
        }
    }
}
