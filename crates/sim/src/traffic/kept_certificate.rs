//! Certificates that the proxies of a gateway keep although their Secret has changed, until their Deployment restarts.

use serde_json::{Value, json};

use super::spec::GATEWAYS;
use crate::aks::object::{list, name, namespace, text};
use crate::clock::SimTime;
use crate::kubernetes::store::Store;

/// The namespace of the copies.
const NAMESPACE: &str = "kube-system";
/// The annotation with the last restart at the time of the copy.
const RESTARTED: &str = "landfall.localhost/restarted";
/// The time of a restart in the template of a Deployment, as `kubectl rollout restart` writes it.
const RESTARTED_AT: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";

fn copy_name(gateway: &Value, secret: &str) -> String {
    format!("loaded.{}.{}.{secret}", namespace(gateway), name(gateway))
}

/// Returns the last restart of a gateway's proxies; empty if there was none.
fn last_restart(store: &Store, gateway: &Value) -> String {
    let deployment = format!("{}-{}", name(gateway), text(gateway, "/spec/gatewayClassName"));
    let found = store.get("deployments.apps", namespace(gateway), &deployment);
    found.map(|deployment| text(deployment, RESTARTED_AT).to_owned()).unwrap_or_default()
}

/// Returns the copy of a Secret that the proxies of a gateway keep.
pub(super) fn find<'a>(store: &'a Store, gateway: &Value, secret: &str) -> Option<&'a Value> {
    let copy = store.get("secrets", NAMESPACE, &copy_name(gateway, secret))?;
    let restarted = copy["metadata"]["annotations"][RESTARTED].as_str().unwrap_or_default();
    (restarted == last_restart(store, gateway)).then_some(copy)
}

/// Lets the proxies of all gateways keep the certificates that they have now; returns whether there is one.
pub(crate) fn keep_all(store: &mut Store, now: SimTime) -> bool {
    let mut copies = Vec::new();
    for gateway in store.list(GATEWAYS, None) {
        let listeners = list(gateway, "/spec/listeners").iter();
        for reference in listeners.filter_map(|listener| list(listener, "/tls/certificateRefs").first()) {
            let place = reference["namespace"].as_str().unwrap_or_else(|| namespace(gateway));
            let secret = text(reference, "/name");
            let Some(current) = store.get("secrets", place, secret) else { continue };
            copies.push(json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": current["data"],
                "metadata": {
                    "name": copy_name(gateway, secret), "namespace": NAMESPACE,
                    "annotations": { RESTARTED: last_restart(store, gateway) },
                },
            }));
        }
    }
    let any = !copies.is_empty();
    for copy in copies {
        store.put("secrets", copy, "pilot-agent", now);
    }
    any
}
