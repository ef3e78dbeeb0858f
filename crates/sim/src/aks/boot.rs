//! A new cluster, and what changes in it when its facts do.

use serde_json::json;

use super::agenda::Task;
use super::facts::{VaultObject, VaultRefusal, Vaults};
use super::turn::Turn;
use super::{gateway_api, mesh, node, system};
use crate::clock::Moment;
use crate::kubernetes::schema;

/// From the cluster's success until the Gateway API kinds are served, in cloud seconds (inferred).
const GATEWAY_API_SERVED: f64 = 10.0;

const MANAGER: &str = "kube-apiserver";

/// Namespaces of every cluster.
const NAMESPACES: [&str; 4] = ["kube-system", "default", "kube-public", "kube-node-lease"];

/// Writes what a cluster holds when it becomes `Succeeded`.
pub(super) fn begin(turn: &mut Turn<'_>) {
    turn.store.introduce(&turn.facts.kubernetes_version);
    for name in NAMESPACES {
        turn.put("namespaces", namespace(name), MANAGER);
    }
    turn.put(
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
    node::match_count(turn);
    system::install(turn);
    adapt_addons(turn, None);
}

/// Follows a change of the facts: nodes come and go, add-ons are switched on and off.
pub(super) fn adapt(turn: &mut Turn<'_>) {
    let before = turn.memory.facts.clone();
    turn.store.introduce(&turn.facts.kubernetes_version);
    node::match_count(turn);
    adapt_addons(turn, before.as_ref());
}

fn adapt_addons(turn: &mut Turn<'_>, before: Option<&super::Facts>) {
    let facts = turn.facts;
    match (before.is_some_and(|before| before.csi.is_some()), facts.csi.is_some()) {
        (false, true) => {
            for definition in schema::secrets_store() {
                gateway_api::serve(turn, &definition, None);
            }
            system::install_secrets_store(turn);
        }
        (true, false) => system::remove_secrets_store(turn),
        _ => {}
    }
    if facts.gateway_api && !before.is_some_and(|before| before.gateway_api) {
        turn.later_once(GATEWAY_API_SERVED, Task::InstallGatewayApi);
    }
    match (before.is_some_and(|before| before.istio), facts.istio) {
        (false, true) => {
            turn.memory.mesh_since = Some(turn.at);
            mesh::install(turn);
            gateway_api::plan_classes(turn);
        }
        // The classes stay behind, as they do on Azure.
        (true, false) => {
            turn.memory.mesh_since = None;
            mesh::remove(turn);
        }
        _ => {}
    }
}

/// Makes a namespace as the API server shows it.
pub(super) fn namespace(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}

/// Before its first settling a cluster has no pods that mount anything.
pub(super) struct NoVaults;

impl Vaults for NoVaults {
    fn read(
        &self,
        _: Moment,
        _: &str,
        _: &str,
        _: &str,
        _: &str,
        _: Option<&str>,
    ) -> Result<VaultObject, VaultRefusal> {
        Err(VaultRefusal { status: 0, code: String::new(), body: "no such host".into() })
    }

    fn grant_due(&self, _: Moment) -> Option<Moment> {
        None
    }
}
