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

use std::sync::Arc;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::condition::{self, Condition};
use super::object::{generation, is_ending, list, name, namespace, text};
use super::reconcile_context::ReconcileContext;
use super::timers::Task;
use super::{gateway_api, mesh};
use listener::EvaluatedListener;

const GROUP: &str = "gateway.networking.k8s.io";
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";
/// The delay between a change and the updated status, in seconds of cloud time: debounce and write
/// (inferred).
const RECONCILE_DELAY: f64 = 1.0;

/// A gateway of this controller with its parsed listeners.
struct Gateway {
    object: Arc<Value>,
    listeners: Vec<EvaluatedListener>,
}

/// Schedules a reconciliation of gateways and routes after a change.
pub(super) fn schedule_reconcile(cx: &mut ReconcileContext<'_>) {
    let has_objects = [GATEWAYS, ROUTES].iter().any(|resource| !cx.store.list(resource, None).is_empty());
    if has_objects && cx.cluster_info.istio {
        cx.schedule_once(RECONCILE_DELAY, Task::ReconcileGateways);
    }
}

/// Reconciles all gateways and routes. Without a ready control plane it does nothing, and their status stays.
pub(super) fn reconcile(cx: &mut ReconcileContext<'_>) {
    if !cx.cluster_info.istio || !mesh::is_ready(cx) {
        return;
    }
    let gateways: Vec<Gateway> = cx
        .all(GATEWAYS)
        .into_iter()
        .filter(|gateway| {
            !is_ending(gateway) && gateway_api::is_managed(cx, text(gateway, "/spec/gatewayClassName"))
        })
        .map(|object| Gateway { listeners: listener::read(cx, &object), object })
        .collect();
    let attached = route::reconcile(cx, &gateways);
    for gateway in &gateways {
        update_status(cx, gateway, &attached);
        infrastructure::ensure(cx, &gateway.object);
        // The second report includes the infrastructure that was just created.
        update_status(cx, gateway, &attached);
    }
}

/// The number of routes of a listener, by namespace and name of the gateway and name of the listener.
type AttachedRoutes = BTreeMap<(String, String, String), u32>;

fn update_status(cx: &mut ReconcileContext<'_>, gateway: &Gateway, attached: &AttachedRoutes) {
    let Some(object) = cx.get(GATEWAYS, namespace(&gateway.object), name(&gateway.object)) else { return };
    let resolved = address::resolve(cx, &object);
    let mut conditions = list(&object, "/status/conditions").to_vec();
    let new_conditions = [Condition::yes("Accepted", "Accepted", "Resource accepted"), resolved.programmed];
    condition::observe(&mut conditions, &new_conditions, generation(&object), cx.at);
    let listeners: Vec<Value> = gateway
        .listeners
        .iter()
        .map(|listener| {
            let key = (namespace(&object).to_owned(), name(&object).to_owned(), listener.name.clone());
            let before =
                list(&object, "/status/listeners").iter().find(|b| text(b, "/name") == listener.name);
            let mut conditions =
                before.map(|before| list(before, "/conditions").to_vec()).unwrap_or_default();
            condition::observe(&mut conditions, &listener.new_conditions, generation(&object), cx.at);
            json!({
                "attachedRoutes": attached.get(&key).copied().unwrap_or(0),
                "conditions": conditions,
                "name": listener.name,
                "supportedKinds": listener.supported_kinds(),
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
    cx.status(GATEWAYS, &object, status, mesh::MANAGER);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture::{ClusterFixture, gateway, http, https};

    const SERVICE: &str = "web-approuting-istio";

    fn web(fixture: &ClusterFixture) -> Value {
        fixture.get(GATEWAYS, "default", "web").expect("the gateway is there").clone()
    }

    fn programmed(fixture: &ClusterFixture) -> (String, String, String) {
        ClusterFixture::condition(&web(fixture), "/status/conditions", "Programmed")
    }

    #[test]
    fn a_gateway_becomes_programmed_with_realistic_durations() {
        let mut fixture = ClusterFixture::running();
        fixture.request(GATEWAYS, gateway(json!([http()])));
        let created = fixture.now;
        fixture.advance(0.9);
        assert!(fixture.get("services", "default", SERVICE).is_none(), "the controller has not looked yet");
        fixture.advance(1.1);
        let no_pods = format!(
            "Failed to assign to any requested addresses: no instances found for hostname \"{SERVICE}.default.svc.cluster.local\""
        );
        assert_eq!(programmed(&fixture), ("False".into(), "AddressNotAssigned".into(), no_pods));
        fixture.advance(15.0);
        let pending = format!(
            "Assigned to service(s) {SERVICE}.default.svc.cluster.local:80, but failed to assign to all requested addresses: address pending for hostname \"{SERVICE}.default.svc.cluster.local\""
        );
        assert_eq!(programmed(&fixture), ("False".into(), "AddressNotAssigned".into(), pending));
        fixture.advance(3_600.0);
        assert_eq!(fixture.due(), None, "the controllers came to rest");
        let done =
            format!("Resource programmed, assigned to service(s) {SERVICE}.default.svc.cluster.local:80");
        assert_eq!(programmed(&fixture), ("True".into(), "Programmed".into(), done));
        let object = web(&fixture);
        assert_eq!(object["status"]["addresses"], json!([{"type": "IPAddress", "value": "127.0.0.11"}]));
        // Reconciled 1 s after the PUT, address assigned 30 s after that, seen another second later.
        let line =
            list(&object, "/status/conditions").iter().find(|line| text(line, "/type") == "Programmed");
        assert_eq!(
            line.map(|line| text(line, "/lastTransitionTime")),
            Some(created.plus_ms(32_000).rfc3339().as_str())
        );
        assert_eq!(
            text(fixture.events("EnsuredLoadBalancer")[0], "/lastTimestamp"),
            created.plus_ms(31_000).rfc3339()
        );
    }

    #[test]
    fn gateway_infrastructure_is_named_labelled_and_owned() {
        let mut fixture = ClusterFixture::running();
        fixture.request(GATEWAYS, gateway(json!([http(), https("none")])));
        fixture.advance(60.0);
        let uid = text(&web(&fixture), "/metadata/uid").to_owned();
        for resource in [
            "serviceaccounts",
            "deployments.apps",
            "services",
            "horizontalpodautoscalers.autoscaling",
            "poddisruptionbudgets.policy",
        ] {
            let object = fixture.get(resource, "default", SERVICE).expect(resource);
            assert_eq!(text(object, "/metadata/ownerReferences/0/uid"), uid, "{resource}");
            assert_eq!(text(object, "/metadata/labels/gateway.networking.k8s.io~1gateway-name"), "web");
            assert_eq!(text(object, "/metadata/annotations/example.test~1note"), "copied");
        }
        let service = fixture.get("services", "default", SERVICE).expect("a Service");
        let ports: Vec<(i64, &str)> = list(service, "/spec/ports")
            .iter()
            .map(|port| (port["port"].as_i64().unwrap_or(0), text(port, "/appProtocol")))
            .collect();
        assert_eq!(ports, [(15_021, "tcp"), (80, "http"), (443, "https")]);
        assert_eq!(
            fixture.get("deployments.apps", "default", SERVICE).expect("it")["status"]["readyReplicas"],
            2
        );

        fixture.delete("services", "default", SERVICE);
        fixture.advance(30.0);
        assert!(fixture.get("services", "default", SERVICE).is_some(), "it is put back");
        fixture.delete(GATEWAYS, "default", "web");
        fixture.advance(5.0);
        let service = fixture.get("services", "default", SERVICE).expect("its load balancer holds it");
        assert_ne!(text(service, "/metadata/deletionTimestamp"), "");
        fixture.advance(20.0);
        for resource in ["deployments.apps", "services", "serviceaccounts"] {
            assert!(fixture.get(resource, "default", SERVICE).is_none(), "{resource} went with it");
        }
        assert!(!fixture.is_ready("web-"));
    }

    #[test]
    fn a_bad_listener_leaves_its_gateway_programmed() {
        let mut fixture = ClusterFixture::running();
        fixture.request(GATEWAYS, gateway(json!([http(), https("none")])));
        fixture.advance(60.0);
        assert_eq!(programmed(&fixture).0, "True");
        let object = web(&fixture);
        let listener = "/status/listeners/1/conditions";
        assert_eq!(
            ClusterFixture::condition(&object, listener, "ResolvedRefs"),
            (
                "False".into(),
                "InvalidCertificateRef".into(),
                "invalid certificate reference /Secret/none., secret default/none not found".into()
            )
        );
        assert_eq!(
            ClusterFixture::condition(&object, listener, "Programmed"),
            ("False".into(), "Invalid".into(), "Bad TLS configuration".into())
        );
        assert_eq!(
            ClusterFixture::condition(&object, "/status/listeners/0/conditions", "Programmed").2,
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

    fn resolved_refs(fixture: &ClusterFixture) -> (String, String, String) {
        ClusterFixture::condition(&web(fixture), "/status/listeners/0/conditions", "ResolvedRefs")
    }

    #[test]
    fn a_secret_without_a_certificate_is_malformed() {
        let mut fixture = ClusterFixture::running();
        fixture.request("secrets", secret("default", "nothing", "nothing"));
        fixture.request(GATEWAYS, gateway(json!([https("s")])));
        fixture.advance(5.0);
        let message = "invalid certificate reference /Secret/s., the certificate is malformed: tls: failed to find any PEM data in certificate input";
        assert_eq!(resolved_refs(&fixture), ("False".into(), "InvalidCertificateRef".into(), message.into()));
    }

    #[test]
    fn a_secret_in_another_namespace_needs_a_grant() {
        let mut fixture = ClusterFixture::running();
        let key = rcgen::generate_simple_self_signed(["demo.test".to_owned()]).expect("a pair");
        fixture.request("secrets", secret("kube-public", &key.cert.pem(), &key.signing_key.serialize_pem()));
        let mut listener = https("s");
        listener["tls"]["certificateRefs"][0]["namespace"] = json!("kube-public");
        fixture.request(GATEWAYS, gateway(json!([listener])));
        fixture.advance(5.0);
        let message = "certificateRef s/kube-public not accessible to a Gateway in namespace \"default\" (missing a ReferenceGrant?)";
        assert_eq!(resolved_refs(&fixture), ("False".into(), "RefNotPermitted".into(), message.into()));
        fixture.request(
            "referencegrants.gateway.networking.k8s.io",
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
                "metadata": {"name": "g", "namespace": "kube-public"},
                "spec": {"from": [{"group": GROUP, "kind": "Gateway", "namespace": "default"}],
                    "to": [{"group": "", "kind": "Secret"}]},
            }),
        );
        fixture.advance(5.0);
        assert_eq!(resolved_refs(&fixture).0, "True");
    }

    #[test]
    fn a_change_is_observed_with_a_delay_at_its_generation() {
        let mut fixture = ClusterFixture::running();
        fixture.request(GATEWAYS, gateway(json!([http()])));
        fixture.advance(60.0);
        fixture.request(GATEWAYS, gateway(json!([http(), https("none")])));
        let object = web(&fixture);
        assert_eq!(object["metadata"]["generation"], 2);
        assert_eq!(object["status"]["conditions"][0]["observedGeneration"], 1, "nobody has looked yet");
        fixture.advance(2.0);
        let object = web(&fixture);
        assert!(list(&object, "/status/conditions").iter().all(|line| line["observedGeneration"] == 2));
        assert_eq!(list(&object, "/status/listeners").len(), 2);
    }

    #[test]
    fn without_a_free_address_the_service_reports_it_until_one_is_released() {
        let mut fixture = ClusterFixture::running();
        fixture.cluster_info.public_ip_quota = Some(1);
        fixture.request(GATEWAYS, gateway(json!([http()])));
        let mut other = gateway(json!([http()]));
        other["metadata"]["name"] = json!("other");
        fixture.advance(5.0);
        fixture.request(GATEWAYS, other);
        fixture.advance(60.0);
        let failed = fixture.events("SyncLoadBalancerFailed");
        assert!(text(failed[0], "/message").contains("PublicIPCountLimitReached"));
        assert_eq!(programmed(&fixture).0, "True");
        fixture.delete(GATEWAYS, "default", "web");
        fixture.advance(400.0);
        let other = fixture.get(GATEWAYS, "default", "other").expect("it is there");
        assert_eq!(
            other["status"]["addresses"][0]["value"], "127.0.0.12",
            "a released address is not given again"
        );
    }
}
