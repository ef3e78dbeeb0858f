//! Tests of the operator in a cluster.

use serde_json::{Value, json};

use super::*;
use crate::aks::cluster_info::AppRouting;
use crate::aks::fixture::{CLIENT, ClusterFixture, gateway, http, https};
use crate::aks::object::{list, name};

const SUBJECT: &str = "system:serviceaccount:default:gateway-identity";
const PLACEHOLDER: &str = "kv-gw-cert-web-https";
const RECORDS: &str = "records-external-dns";

fn fixture() -> ClusterFixture {
    let mut fixture = ClusterFixture::new();
    fixture.cluster_info.app_routing =
        Some(AppRouting { default_nginx: "None".into(), owner_id: "cluster".into() });
    fixture.cluster_info.workload_identity = true;
    fixture.cluster_info.tenant = "tenant".into();
    fixture.vault.trusted_subject = Some(SUBJECT.into());
    fixture.advance(90.0);
    fixture
}

fn account(annotations: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "gateway-identity", "namespace": "default", "annotations": annotations},
    })
}

fn annotated() -> Value {
    account(json!({"azure.workload.identity/client-id": CLIENT}))
}

fn with_options(account: &str) -> Value {
    let mut listener = https("gateway-tls");
    listener["tls"] = json!({"mode": "Terminate", "options": {
        "kubernetes.azure.com/tls-cert-keyvault-uri": "https://kv-demo.vault.azure.net/certificates/tls",
        "kubernetes.azure.com/tls-cert-service-account": account,
    }});
    listener
}

fn references(fixture: &ClusterFixture) -> Value {
    let gateway = fixture.get(GATEWAYS, "default", "web").expect("the gateway is there");
    gateway["spec"]["listeners"][1]["tls"]["certificateRefs"].clone()
}

fn records() -> Value {
    json!({
        "apiVersion": "approuting.kubernetes.azure.com/v1alpha1", "kind": "ExternalDNS",
        "metadata": {"name": "records", "namespace": "default"},
        "spec": {
            "resourceName": "records",
            "dnsZoneResourceIDs": ["/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/dnsZones/demo.test"],
            "resourceTypes": ["gateway"],
            "identity": {"type": "workloadIdentity", "serviceAccount": "gateway-identity"},
        },
    })
}

#[test]
fn a_listener_with_options_gets_its_reference_before_its_secret() {
    let mut fixture = fixture();
    fixture.request("serviceaccounts", annotated());
    fixture.request(GATEWAYS, gateway(json!([http(), with_options("gateway-identity")])));
    fixture.advance(1.5);
    assert_eq!(
        references(&fixture),
        json!([{"group": "", "kind": "Secret", "name": PLACEHOLDER, "namespace": "default"}])
    );
    assert!(fixture.get("secrets", "default", PLACEHOLDER).is_none(), "the Secret is not waited for");
    let class = fixture.get(CLASSES, "default", PLACEHOLDER).expect("the class is made");
    assert_eq!(text(class, "/spec/parameters/clientID"), CLIENT);
    assert_eq!(text(class, "/metadata/ownerReferences/0/kind"), "Gateway");
    fixture.advance(60.0);
    assert!(fixture.get("secrets", "default", PLACEHOLDER).is_some());
    let live = fixture.get(GATEWAYS, "default", "web").expect("it is there");
    let condition = ClusterFixture::condition(live, "/status/listeners/1/conditions", "Programmed");
    assert_eq!(condition.0, "True");
    let managers = list(live, "/metadata/managedFields").iter().map(|entry| text(entry, "/manager"));
    assert!(managers.into_iter().any(|manager| manager == OPERATOR));

    let mut listener = https(PLACEHOLDER);
    listener["tls"]["certificateRefs"] = references(&fixture);
    fixture.request(GATEWAYS, gateway(json!([http(), listener])));
    fixture.advance(10.0);
    for resource in [CLASSES, DEPLOYMENTS, "secrets"] {
        assert!(fixture.get(resource, "default", PLACEHOLDER).is_none(), "{resource} goes with the option");
    }
    assert_eq!(references(&fixture)[0]["name"], PLACEHOLDER, "the reference stays");
}

#[test]
fn an_error_in_one_listener_ends_the_pass_until_its_account_is_usable() {
    let mut fixture = fixture();
    let mut second = with_options("gateway-identity");
    (second["name"], second["hostname"]) = (json!("second"), json!("second.demo.test"));
    fixture.request("serviceaccounts", account(json!({})));
    fixture.request(GATEWAYS, gateway(json!([http(), with_options("gateway-identity"), second])));
    fixture.advance(5.0);
    let event = fixture.events("InvalidInput")[0];
    assert_eq!(
        text(event, "/message"),
        "error while processing Keyvault reference: service account gateway-identity was specified but does not \
         include necessary annotation for workload identity"
    );
    assert!(fixture.store.list(CLASSES, None).is_empty());
    fixture.request("serviceaccounts", annotated());
    fixture.advance(60.0);
    assert_eq!(fixture.store.list(CLASSES, None).len(), 2);
}

#[test]
fn a_failed_sign_in_shows_in_the_events_of_the_placeholder_only() {
    let mut fixture = fixture();
    fixture.vault.trusted_subject = None;
    fixture.request("serviceaccounts", annotated());
    fixture.request(GATEWAYS, gateway(json!([http(), with_options("gateway-identity")])));
    fixture.advance(10.0);
    let event = fixture.events("FailedMount")[0];
    assert!(text(event, "/message").contains("AADSTS70021"), "{event}");
    assert!(text(event, "/involvedObject/name").starts_with(PLACEHOLDER), "{event}");
}

#[test]
fn nginx_comes_unless_it_is_declined_and_goes_with_its_object() {
    let mut fixture = fixture();
    assert!(fixture.get("services", NAMESPACE, "nginx").is_none());
    fixture.cluster_info.app_routing.as_mut().expect("it is on").default_nginx =
        "AnnotationControlled".into();
    fixture.advance(120.0);
    let service = fixture.get("services", NAMESPACE, "nginx").expect("it has a load balancer");
    assert_ne!(text(service, "/status/loadBalancer/ingress/0/ip"), "");
    fixture.cluster_info.app_routing.as_mut().expect("it is on").default_nginx = "None".into();
    fixture.advance(120.0);
    assert!(fixture.get("services", NAMESPACE, "nginx").is_some(), "the type deletes nothing");
    fixture.delete(NGINX_CONTROLLERS, "", "default");
    fixture.advance(120.0);
    assert!(fixture.get("services", NAMESPACE, "nginx").is_none());
}

#[test]
fn external_dns_needs_workload_identity_and_an_annotated_account() {
    let mut without = ClusterFixture::new();
    without.cluster_info.app_routing =
        Some(AppRouting { default_nginx: "None".into(), ..AppRouting::default() });
    without.advance(60.0);
    assert!(without.store.definition(EXTERNAL_DNSES).is_none());
    let mut fixture = fixture();
    fixture.request(EXTERNAL_DNSES, records());
    fixture.advance(5.0);
    let event = fixture.events("FailedUpdateOrCreateExternalDNSResources")[0];
    assert_eq!(
        text(event, "/message"),
        "failed identity verification: serviceAccount gateway-identity does not exist in namespace default"
    );
    fixture.request("serviceaccounts", annotated());
    fixture.advance(30.0);
    assert!(fixture.is_ready(RECORDS));
    let syncs = fixture.controllers.record_syncs.take();
    assert_eq!((syncs.len(), syncs[0].domains.as_slice()), (1, ["demo.test".to_owned()].as_slice()));
    for _ in 0..4 {
        fixture.advance(180.0);
    }
    assert_eq!(fixture.controllers.record_syncs.take().len(), 4, "every three minutes");
    let object = fixture.get(EXTERNAL_DNSES, "default", "records").expect("it is there");
    assert!(object.get("status").is_none(), "no status is written");
    fixture.delete(EXTERNAL_DNSES, "default", "records");
    fixture.advance(10.0);
    assert!(fixture.get(DEPLOYMENTS, "default", RECORDS).is_none());
}

#[test]
fn external_dns_without_an_identity_crash_loops_until_its_pod_is_deleted() {
    let mut fixture = fixture();
    fixture.request("serviceaccounts", annotated());
    fixture.controllers.start_before_webhook();
    fixture.request(EXTERNAL_DNSES, records());
    for _ in 0..60 {
        fixture.advance(5.0);
    }
    assert!(fixture.controllers.record_syncs.take().is_empty());
    let event = fixture.events("BackOff")[0];
    assert!(
        text(event, "/message")
            .starts_with("Back-off restarting failed container controller in pod records-")
    );
    assert!(event["count"].as_i64().is_some_and(|count| count > 2), "{event}");
    let pods = fixture.store.list("pods", Some("default"));
    let pod = pods.into_iter().map(name).find(|pod| pod.starts_with(RECORDS)).expect("its pod").to_owned();
    fixture.delete("pods", "default", &pod);
    fixture.advance(30.0);
    fixture.advance(5.0);
    assert_eq!(fixture.controllers.record_syncs.take().len(), 1);
}
