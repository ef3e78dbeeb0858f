//! Faults of the identity with which the sync workload reads the vault.

use super::{Case, case, out_of_band::SYNC};
use serde_json::json;

const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/tls-secret-sync";

pub const CASES: &[Case] = &[
    case!("the credential is gone, and nothing was mounted", "FEDERATED_CREDENTIAL_MISSING", "subject system:serviceaccount:default:tls-secret-sync", h => {
        h.fixture.delete(&h.credential()).await;
        h.recreate(SYNC, |_| {}).await;
    }),
    case!("the credential is gone", "FEDERATED_CREDENTIAL_MISSING", "has no credential", h => {
        h.fixture.delete(&h.credential()).await;
    }),
    case!("the credential trusts the issuer of an earlier cluster", "FEDERATED_CREDENTIAL_MISSING", "has issuer https://issuer.example.com/gone/", h => {
        let properties = json!({
            "issuer": "https://issuer.example.com/gone/", "subject": "system:serviceaccount:default:tls-secret-sync",
            "audiences": ["api://AzureADTokenExchange"],
        });
        h.fixture.put(&h.credential(), json!({ "properties": properties })).await;
    }),
    case!("the workload has another service account", "FEDERATED_CREDENTIAL_MISSING", "subject system:serviceaccount:default:default", h => {
        h.recreate(SYNC, |spec| {
            spec["template"]["spec"]["serviceAccountName"] = json!("default");
        }).await;
    }),
    case!("the identity is gone, and nothing was mounted", "IDENTITY_MISSING", "FailedMount", h => {
        h.fixture.delete(&h.identity()).await;
        h.recreate(SYNC, |_| {}).await;
    }),
    case!("the identity is gone", "IDENTITY_MISSING", "in sync now", h => {
        h.fixture.delete(&h.identity()).await;
    }),
    case!("the service account is gone", "SERVICE_ACCOUNT_MISSING", "serviceaccounts \"tls-secret-sync\" not found", h => {
        h.kubectl.delete(ACCOUNT).await;
        h.recreate(SYNC, |_| {}).await;
    }),
];
