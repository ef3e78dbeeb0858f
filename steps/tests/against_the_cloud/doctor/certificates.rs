//! Faults between the vault's certificate and the listener's Secret.

use super::{
    Case, case,
    out_of_band::{SYNC, gateway},
};
use serde_json::json;

pub const CASES: &[Case] = &[
    case!("the sync workload is gone", "SYNC_WORKLOAD_MISSING", "InvalidCertificateRef", h => {
        h.kubectl.delete(SYNC).await;
    }),
    case!("a listener names another Secret", "TLS_SECRET_MISSING", "Secret default/other-tls does not exist", h => {
        h.edit(&gateway("httpbin-gateway"), |spec| {
            spec["listeners"][1]["tls"]["certificateRefs"][0]["name"] = json!("other-tls");
        }).await;
    }),
    case!("the class asks for the private key as cert", "CLASS_OBJECT_TYPE", "tls.key", h => {
        let objects = "array:\n  - |\n    objectName: gateway-tls-cert\n    objectType: cert\n";
        h.class(json!({ "objects": objects })).await;
    }),
    case!("the class was copied with mappings", "CLASS_OBJECTS_MALFORMED", "not YAML strings", h => {
        let objects = "array:\n  - objectName: gateway-tls-cert\n    objectType: secret\n";
        h.class(json!({ "objects": objects })).await;
        h.recreate(SYNC, |_| {}).await;
    }),
    case!("the class names another vault", "CLASS_OTHER_VAULT", "kv-other", h => {
        h.class(json!({ "keyvaultName": "kv-other" })).await;
    }),
    case!("the class names another tenant", "CLASS_OTHER_TENANT", "00000000", h => {
        h.class(json!({ "tenantId": "00000000-0000-4000-8000-000000000000" })).await;
    }),
    case!("the class names another certificate", "CLASS_OTHER_OBJECT", "another", h => {
        h.class(json!({ "objects": "array:\n  - |\n    objectName: another\n    objectType: secret\n" })).await;
    }),
    case!("the class names an identity that the nodes do not carry", "IDENTITY_UNKNOWN", "FailedMount", h => {
        let identity = "00000000-0000-4000-8000-00000000000a";
        h.class(json!({ "useVMManagedIdentity": "true", "userAssignedIdentityID": identity, "clientID": null })).await;
        h.recreate(SYNC, |_| {}).await;
    }),
    case!("the class is gone", "CLASS_MISSING", "existing SecretProviderClasses: 0", h => {
        h.kubectl.delete(super::out_of_band::CLASS).await;
    }),
    case!("the identity may not read the vault, and nothing was mounted", "VAULT_ACCESS_MISSING", "403 ForbiddenByRbac", h => {
        h.revoke().await;
        h.recreate(SYNC, |_| {}).await;
    }),
    case!("the identity may not read the vault any more", "VAULT_ACCESS_MISSING", "in sync now", h => {
        h.revoke().await;
    }),
    case!("the vault's firewall keeps the nodes out", "VAULT_FIREWALL", "defaultAction is Deny", h => {
        h.vault(|vault| {
            let rules = json!([{ "value": "127.0.0.1" }]);
            vault["networkAcls"] = json!({ "defaultAction": "Deny", "bypass": "AzureServices", "ipRules": rules });
        }).await;
        h.recreate(SYNC, |_| {}).await;
    }),
    case!("the vault's firewall keeps everybody out", "VAULT_FIREWALL", "InvalidCertificateRef", h => {
        h.vault(|vault| {
            vault["networkAcls"] = json!({ "defaultAction": "Deny", "bypass": "AzureServices", "ipRules": [] });
        }).await;
        h.recreate(SYNC, |_| {}).await;
    }),
    case!("the certificate was deleted from the vault", "CERTIFICATE_MISSING", "404", h => {
        h.arm("certificate-soft-deleted");
    }),
    case!("the certificate is disabled", "CERTIFICATE_DISABLED", "enabled = false", h => {
        h.disable().await;
    }),
    case!("the certificate is for other names", "CERTIFICATE_NAMES", "its names are", h => {
        h.import("wrong-domain.pfx").await;
    }),
    case!("the sync pod has an image that nobody can pull", "SYNC_POD_NOT_RUNNING", "InvalidImageName", h => {
        h.recreate(SYNC, |spec| spec["template"]["spec"]["containers"][0]["image"] = json!("mcr.microsoft.com/Pause:3.10")).await;
    }),
    // Azure refuses to disable the add-on while there is a class.
    case!("the driver's add-on is off", "ADD_ON_OFF", "enabled is false", h => {
        h.kubectl.delete(super::out_of_band::CLASS).await;
        h.cluster(|cluster| {
            cluster["addonProfiles"]["azureKeyvaultSecretsProvider"] = json!({ "enabled": false });
        }).await;
    }),
    case!("rotation is off, and nothing is to be rotated", "ROTATION_OFF", "in sync now", h => {
        h.cluster(|cluster| {
            cluster["addonProfiles"]["azureKeyvaultSecretsProvider"]["config"]["enableSecretRotation"] = json!("false");
        }).await;
    }),
    case!("rotation is off, and a new certificate does not come", "ROTATION_OFF", "not the vault's newest", h => {
        h.cluster(|cluster| {
            cluster["addonProfiles"]["azureKeyvaultSecretsProvider"]["config"]["enableSecretRotation"] = json!("false");
        }).await;
        h.import("ec.pfx").await;
    }),
];
