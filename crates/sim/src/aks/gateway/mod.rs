//! The gateway controller of the mesh: reconciles gateways and routes, creates their infrastructure, and
//! writes their status.
//!
//! Conditions follow Istio 1.28 to 1.30. One peculiarity to keep: a Gateway stays programmed if one of its
//! listeners is invalid; only the listener's own conditions show the error.

mod address;
mod grant;
mod infrastructure;
mod listener;
mod route;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::agenda::Task;
use super::condition::{self, Condition};
use super::object::{generation, is_ending, list, name, namespace, text};
use super::turn::Turn;
use super::{gateway_api, mesh};
use listener::Listener;

const GROUP: &str = "gateway.networking.k8s.io";
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";
/// The delay between a change and the updated status, in seconds of cloud time: debounce and write
/// (inferred).
const REACTION: f64 = 1.0;

/// A gateway of this controller with its parsed listeners.
struct Gateway {
    object: Value,
    listeners: Vec<Listener>,
}

/// Schedules a reconciliation of gateways and routes after a change.
pub(super) fn notice(turn: &mut Turn<'_>) {
    let concerned = [GATEWAYS, ROUTES].iter().any(|resource| !turn.store.list(resource, None).is_empty());
    if concerned && turn.facts.istio {
        turn.later_once(REACTION, Task::LookAtGateways);
    }
}

/// Reconciles all gateways and routes. Without a ready control plane it does nothing, and their status stays.
pub(super) fn reconcile(turn: &mut Turn<'_>) {
    if !turn.facts.istio || !mesh::is_ready(turn) {
        return;
    }
    let gateways: Vec<Gateway> = turn
        .all(GATEWAYS)
        .into_iter()
        .filter(|gateway| {
            !is_ending(gateway) && gateway_api::is_ours(turn, text(gateway, "/spec/gatewayClassName"))
        })
        .map(|object| Gateway { listeners: listener::read(turn, &object), object })
        .collect();
    let attached = route::reconcile(turn, &gateways);
    for gateway in &gateways {
        report(turn, gateway, &attached);
        infrastructure::ensure(turn, &gateway.object);
        // The second report includes the infrastructure that was just created.
        report(turn, gateway, &attached);
    }
}

/// The number of routes of a listener, by namespace and name of the gateway and name of the listener.
type Attached = BTreeMap<(String, String, String), u32>;

fn report(turn: &mut Turn<'_>, gateway: &Gateway, attached: &Attached) {
    let Some(object) = turn.get(GATEWAYS, namespace(&gateway.object), name(&gateway.object)) else { return };
    let resolved = address::resolve(turn, &object);
    let mut conditions = list(&object, "/status/conditions").to_vec();
    let said = [Condition::yes("Accepted", "Accepted", "Resource accepted"), resolved.programmed];
    condition::observe(&mut conditions, &said, generation(&object), turn.at);
    let listeners: Vec<Value> = gateway
        .listeners
        .iter()
        .map(|listener| {
            let key = (namespace(&object).to_owned(), name(&object).to_owned(), listener.name.clone());
            let before =
                list(&object, "/status/listeners").iter().find(|b| text(b, "/name") == listener.name);
            let mut conditions =
                before.map(|before| list(before, "/conditions").to_vec()).unwrap_or_default();
            condition::observe(&mut conditions, &listener.said, generation(&object), turn.at);
            json!({
                "attachedRoutes": attached.get(&key).copied().unwrap_or(0),
                "conditions": conditions,
                "name": listener.name,
                "supportedKinds": listener.kinds_shown(),
            })
        })
        .collect();
    let mut status = json!({"conditions": conditions, "listeners": listeners});
    // A reported address stays, even while the gateway has none.
    let known = list(&object, "/status/addresses").to_vec();
    let addresses: Vec<Value> =
        resolved.addresses.iter().map(|address| json!({"type": "IPAddress", "value": address})).collect();
    let addresses = if addresses.is_empty() { known } else { addresses };
    if !addresses.is_empty() {
        status["addresses"] = Value::Array(addresses);
    }
    turn.status(GATEWAYS, &object, status, mesh::MANAGER);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::bench::{Bench, gateway, http, https};

    const SERVICE: &str = "web-approuting-istio";

    fn web(bench: &Bench) -> Value {
        bench.get(GATEWAYS, "default", "web").expect("the gateway is there").clone()
    }

    fn programmed(bench: &Bench) -> (String, String, String) {
        Bench::condition(&web(bench), "/status/conditions", "Programmed")
    }

    #[test]
    fn a_gateway_lives_from_put_to_programmed_with_true_times() {
        let mut bench = Bench::grown();
        bench.request(GATEWAYS, gateway(json!([http()])));
        let made = bench.now;
        bench.pass(0.9);
        assert!(bench.get("services", "default", SERVICE).is_none(), "the controller has not looked yet");
        bench.pass(1.1);
        let no_pods = format!(
            "Failed to assign to any requested addresses: no instances found for hostname \"{SERVICE}.default.svc.cluster.local\""
        );
        assert_eq!(programmed(&bench), ("False".into(), "AddressNotAssigned".into(), no_pods));
        bench.pass(15.0);
        let pending = format!(
            "Assigned to service(s) {SERVICE}.default.svc.cluster.local:80, but failed to assign to all requested addresses: address pending for hostname \"{SERVICE}.default.svc.cluster.local\""
        );
        assert_eq!(programmed(&bench), ("False".into(), "AddressNotAssigned".into(), pending));
        bench.pass(3_600.0);
        assert_eq!(bench.due(), None, "the controllers came to rest");
        let done =
            format!("Resource programmed, assigned to service(s) {SERVICE}.default.svc.cluster.local:80");
        assert_eq!(programmed(&bench), ("True".into(), "Programmed".into(), done));
        let object = web(&bench);
        assert_eq!(object["status"]["addresses"], json!([{"type": "IPAddress", "value": "127.0.0.11"}]));
        // Reconciled 1 s after the PUT, address assigned 30 s after that, seen another second later.
        let line =
            list(&object, "/status/conditions").iter().find(|line| text(line, "/type") == "Programmed");
        assert_eq!(
            line.map(|line| text(line, "/lastTransitionTime")),
            Some(made.plus_ms(32_000).rfc3339().as_str())
        );
        assert_eq!(
            text(bench.events("EnsuredLoadBalancer")[0], "/lastTimestamp"),
            made.plus_ms(31_000).rfc3339()
        );
    }

    #[test]
    fn everything_made_for_a_gateway_is_named_labelled_and_owned() {
        let mut bench = Bench::grown();
        bench.request(GATEWAYS, gateway(json!([http(), https("none")])));
        bench.pass(60.0);
        let uid = text(&web(&bench), "/metadata/uid").to_owned();
        for resource in [
            "serviceaccounts",
            "deployments.apps",
            "services",
            "horizontalpodautoscalers.autoscaling",
            "poddisruptionbudgets.policy",
        ] {
            let object = bench.get(resource, "default", SERVICE).expect(resource);
            assert_eq!(text(object, "/metadata/ownerReferences/0/uid"), uid, "{resource}");
            assert_eq!(text(object, "/metadata/labels/gateway.networking.k8s.io~1gateway-name"), "web");
            assert_eq!(text(object, "/metadata/annotations/example.test~1note"), "copied");
        }
        let service = bench.get("services", "default", SERVICE).expect("a Service");
        let ports: Vec<(i64, &str)> = list(service, "/spec/ports")
            .iter()
            .map(|port| (port["port"].as_i64().unwrap_or(0), text(port, "/appProtocol")))
            .collect();
        assert_eq!(ports, [(15_021, "tcp"), (80, "http"), (443, "https")]);
        assert_eq!(
            bench.get("deployments.apps", "default", SERVICE).expect("it")["status"]["readyReplicas"],
            2
        );

        bench.delete("services", "default", SERVICE);
        bench.pass(30.0);
        assert!(bench.get("services", "default", SERVICE).is_some(), "it is put back");
        bench.delete(GATEWAYS, "default", "web");
        bench.pass(5.0);
        let service = bench.get("services", "default", SERVICE).expect("its load balancer holds it");
        assert_ne!(text(service, "/metadata/deletionTimestamp"), "");
        bench.pass(20.0);
        for resource in ["deployments.apps", "services", "serviceaccounts"] {
            assert!(bench.get(resource, "default", SERVICE).is_none(), "{resource} went with it");
        }
        assert!(!bench.is_ready("web-"));
    }

    #[test]
    fn a_bad_listener_leaves_its_gateway_programmed() {
        let mut bench = Bench::grown();
        bench.request(GATEWAYS, gateway(json!([http(), https("none")])));
        bench.pass(60.0);
        assert_eq!(programmed(&bench).0, "True");
        let object = web(&bench);
        let listener = "/status/listeners/1/conditions";
        assert_eq!(
            Bench::condition(&object, listener, "ResolvedRefs"),
            (
                "False".into(),
                "InvalidCertificateRef".into(),
                "invalid certificate reference /Secret/none., secret default/none not found".into()
            )
        );
        assert_eq!(
            Bench::condition(&object, listener, "Programmed"),
            ("False".into(), "Invalid".into(), "Bad TLS configuration".into())
        );
        assert_eq!(
            Bench::condition(&object, "/status/listeners/0/conditions", "Programmed").2,
            "No errors found"
        );
        assert_eq!(object["status"]["listeners"][0]["supportedKinds"][0]["kind"], "HTTPRoute");
    }

    fn secret(place: &str, certificate: &str, key: &str) -> Value {
        let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "s", "namespace": place},
            "data": {"tls.crt": encode(certificate), "tls.key": encode(key)},
        })
    }

    fn resolved_refs(bench: &Bench) -> (String, String, String) {
        Bench::condition(&web(bench), "/status/listeners/0/conditions", "ResolvedRefs")
    }

    #[test]
    fn a_secret_without_a_certificate_is_malformed() {
        let mut bench = Bench::grown();
        bench.request("secrets", secret("default", "nothing", "nothing"));
        bench.request(GATEWAYS, gateway(json!([https("s")])));
        bench.pass(5.0);
        let message = "invalid certificate reference /Secret/s., the certificate is malformed: tls: failed to find any PEM data in certificate input";
        assert_eq!(resolved_refs(&bench), ("False".into(), "InvalidCertificateRef".into(), message.into()));
    }

    #[test]
    fn a_foreign_secret_needs_a_grant() {
        let mut bench = Bench::grown();
        let key = rcgen::generate_simple_self_signed(["demo.test".to_owned()]).expect("a pair");
        bench.request("secrets", secret("kube-public", &key.cert.pem(), &key.signing_key.serialize_pem()));
        let mut listener = https("s");
        listener["tls"]["certificateRefs"][0]["namespace"] = json!("kube-public");
        bench.request(GATEWAYS, gateway(json!([listener])));
        bench.pass(5.0);
        let message = "certificateRef s/kube-public not accessible to a Gateway in namespace \"default\" (missing a ReferenceGrant?)";
        assert_eq!(resolved_refs(&bench), ("False".into(), "RefNotPermitted".into(), message.into()));
        bench.request(
            "referencegrants.gateway.networking.k8s.io",
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
                "metadata": {"name": "g", "namespace": "kube-public"},
                "spec": {"from": [{"group": GROUP, "kind": "Gateway", "namespace": "default"}],
                    "to": [{"group": "", "kind": "Secret"}]},
            }),
        );
        bench.pass(5.0);
        assert_eq!(resolved_refs(&bench).0, "True");
    }

    #[test]
    fn a_change_is_observed_a_little_later_at_its_generation() {
        let mut bench = Bench::grown();
        bench.request(GATEWAYS, gateway(json!([http()])));
        bench.pass(60.0);
        bench.request(GATEWAYS, gateway(json!([http(), https("none")])));
        let object = web(&bench);
        assert_eq!(object["metadata"]["generation"], 2);
        assert_eq!(object["status"]["conditions"][0]["observedGeneration"], 1, "nobody has looked yet");
        bench.pass(2.0);
        let object = web(&bench);
        assert!(list(&object, "/status/conditions").iter().all(|line| line["observedGeneration"] == 2));
        assert_eq!(list(&object, "/status/listeners").len(), 2);
    }

    #[test]
    fn without_a_free_address_the_service_says_so_until_one_is_released() {
        let mut bench = Bench::grown();
        bench.facts.public_ip_quota = Some(1);
        bench.request(GATEWAYS, gateway(json!([http()])));
        let mut other = gateway(json!([http()]));
        other["metadata"]["name"] = json!("other");
        bench.pass(5.0);
        bench.request(GATEWAYS, other);
        bench.pass(60.0);
        let failed = bench.events("SyncLoadBalancerFailed");
        assert!(text(failed[0], "/message").contains("PublicIPCountLimitReached"));
        assert_eq!(programmed(&bench).0, "True");
        bench.delete(GATEWAYS, "default", "web");
        bench.pass(400.0);
        let other = bench.get(GATEWAYS, "default", "other").expect("it is there");
        assert_eq!(
            other["status"]["addresses"][0]["value"], "127.0.0.12",
            "a released address is not given again"
        );
    }
}
