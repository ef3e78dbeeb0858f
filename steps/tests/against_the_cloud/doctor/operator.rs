//! Faults of the operator of application routing, whose only traces are objects and events.

use super::{Case, Template, case, out_of_band::OutOfBand, run_case};
use landfall_steps::{operator::ListenerTls, settings::Publisher};
use serde_json::json;
use std::time::Duration;

const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/gateway-certificate";
const CLASS: &str = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/kv-gw-cert-echo-gateway-https";
const PLACEHOLDER: &str = "/apis/apps/v1/namespaces/default/deployments/kv-gw-cert-echo-gateway-https";

const CASES: &[Case] = &[
    case!("the operator is off", "OPERATOR_OFF", "webAppRouting.enabled", h => {
        h.cluster(|properties| properties["ingressProfile"]["webAppRouting"]["enabled"] = json!(false)).await;
        h.kubectl.delete_if_exists(CLASS).await;
    }),
    case!("the service account has no annotation", "OPERATOR_REFUSES_LISTENER", "InvalidInput", h => {
        let annotations = json!({ "azure.workload.identity/client-id": null });
        h.kubectl.merge(ACCOUNT, &json!({ "metadata": { "annotations": annotations } })).await;
        h.kubectl.delete(CLASS).await;
    }),
    case!("the credential of the certificates is gone", "FEDERATED_CREDENTIAL_MISSING", "gateway-certificate", h => {
        remove_credential(h, "gateway-certificate").await;
        h.kubectl.delete(PLACEHOLDER).await;
    }),
    case!("the identity may not read the vault", "VAULT_ACCESS_MISSING", "", h => {
        h.revoke().await;
        h.kubectl.delete(PLACEHOLDER).await;
    }),
    case!("the credential of ExternalDNS is gone", "EXTERNAL_DNS_FAILS", "BackOff", h => {
        remove_credential(h, "gateway-records").await;
        await_failure(h).await;
    }),
    case!("ExternalDNS may not write the zone", "EXTERNAL_DNS_FAILS", "BackOff", h => {
        for assignment in h.output("zone-access")["assignments"].as_array().unwrap() {
            h.fixture.clients.azure.revoke(assignment.as_str().unwrap()).await.unwrap();
        }
        await_failure(h).await;
    }),
];

async fn remove_credential(h: &OutOfBand<'_>, account: &str) {
    for credential in h.output("identity-trust")["credentials"].as_array().unwrap() {
        let id = credential.as_str().unwrap();
        let credential = h.fixture.get(id).await;
        if credential["properties"]["subject"].as_str().unwrap().ends_with(account) {
            h.fixture.delete(id).await;
        }
    }
}

/// Waits until ExternalDNS has ended with an error.
async fn await_failure(h: &OutOfBand<'_>) {
    for _ in 0..100 {
        let events = h.kubectl.get("/api/v1/namespaces/default/events").await;
        if events["items"].as_array().unwrap().iter().any(|event| event["reason"] == "BackOff") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cause_of_the_operator_is_reported_as_the_root_cause() {
    let template = Template::new(|settings| {
        settings.tables.gateway.tls = ListenerTls::Operator;
        settings.dns.publish = Publisher::Operator;
    })
    .await;
    let mut wrong = Vec::new();
    for case in CASES {
        wrong.extend(run_case(case, &template).await);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n\n"));
}
