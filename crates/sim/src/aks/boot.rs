//! Bootstrap of a new cluster, and its adaptation to changed facts.

use serde_json::json;

use super::agenda::Task;
use super::facts::{VaultObject, VaultRefusal, Vaults};
use super::turn::Turn;
use super::{gateway_api, mesh, node, system};
use crate::clock::Moment;
use crate::kubernetes::schema;

/// The delay between the cluster's success and the Gateway API kinds, in seconds of cloud time (inferred).
const GATEWAY_API_SERVED: f64 = 10.0;

const MANAGER: &str = "kube-apiserver";

/// The namespaces of every cluster.
const NAMESPACES: [&str; 4] = ["kube-system", "default", "kube-public", "kube-node-lease"];

/// Writes the objects of a cluster that has just become `Succeeded`.
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

/// Applies changed facts: adds and removes nodes, enables and disables add-ons.
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
