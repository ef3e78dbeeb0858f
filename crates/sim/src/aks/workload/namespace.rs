//! The default objects of a namespace: the default ServiceAccount and the cluster's root certificate.

use serde_json::json;

use super::MANAGER;
use crate::aks::object::{is_ending, name};
use crate::aks::turn::Turn;

/// Creates the missing default objects of all namespaces.
pub(super) fn look(turn: &mut Turn<'_>) {
    for namespace in turn.all("namespaces") {
        let namespace_name = name(&namespace);
        if is_ending(&namespace) {
            continue;
        }
        if turn.store.get("serviceaccounts", namespace_name, "default").is_none() {
            let account = json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": namespace_name},
            });
            turn.put("serviceaccounts", account, MANAGER);
        }
        if turn.store.get("configmaps", namespace_name, "kube-root-ca.crt").is_none() {
            let root = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "kube-root-ca.crt", "namespace": namespace_name},
                "data": {"ca.crt": ""},
            });
            turn.put("configmaps", root, MANAGER);
        }
    }
}
