//! Certificates of Gateway listeners: a SecretProviderClass and a placeholder Deployment per listener, and the
//! reference to the Secret.
//!
//! The reference is written before the Secret exists. An error in the options of one listener ends the pass, so that
//! neither later listeners nor any reference are written.

use serde_json::{Value, json};

use super::{
    AccountError, CLASSES, DEPLOYMENTS, GATEWAYS, OPERATOR, client_id, is_own, labels, owner, system_nodes,
};
use crate::aks::gateway_api;
use crate::aks::object::{is_ending, list, name, namespace, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};

const CERTIFICATE: &str = "/tls/options/kubernetes.azure.com~1tls-cert-keyvault-uri";
const ACCOUNT: &str = "/tls/options/kubernetes.azure.com~1tls-cert-service-account";
/// The maximum length of a name.
const NAME_MAX: usize = 253;

/// Reconciles the certificates of all gateways, then the placeholders of all classes.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for gateway in cx.all(GATEWAYS) {
        if !is_ending(&gateway) && gateway_api::is_managed(cx, text(&gateway, "/spec/gatewayClassName")) {
            reconcile(cx, &gateway);
        }
    }
    for class in cx.list_where(CLASSES, is_own) {
        reconcile_placeholder(cx, &class);
    }
}

/// Returns the name of the class, the Deployment and the Secret of a listener.
fn name_of(gateway: &Value, listener: &Value) -> String {
    let mut all = format!("kv-gw-cert-{}-{}", name(gateway), text(listener, "/name"));
    all.truncate(NAME_MAX);
    all
}

fn reconcile(cx: &mut ReconcileContext<'_>, gateway: &Value) {
    let mut updated = gateway.clone();
    for (index, listener) in list(gateway, "/spec/listeners").iter().enumerate() {
        let own_name = name_of(gateway, listener);
        if text(listener, CERTIFICATE).is_empty() {
            let class = cx.get(CLASSES, namespace(gateway), &own_name).filter(|class| is_own(class));
            if let Some(class) = class {
                cx.remove(CLASSES, &class);
            }
            continue;
        }
        match class(cx, gateway, listener, &own_name) {
            Ok(class) => cx.ensure(CLASSES, class, OPERATOR),
            Err(why) => {
                let message = format!("error while processing Keyvault reference: {why}");
                return cx.event(gateway, &EventSpec::warning(OPERATOR, "InvalidInput", message));
            }
        }
        updated["spec"]["listeners"][index]["tls"]["certificateRefs"] =
            json!([{"group": "", "kind": "Secret", "name": own_name, "namespace": namespace(gateway)}]);
    }
    if updated != *gateway {
        cx.put(GATEWAYS, updated, OPERATOR);
    }
}

/// Returns the class of a listener.
///
/// # Errors
/// The mistake in the options.
fn class(
    cx: &ReconcileContext<'_>,
    gateway: &Value,
    listener: &Value,
    own_name: &str,
) -> Result<Value, String> {
    let (uri, account) = (text(listener, CERTIFICATE), text(listener, ACCOUNT));
    if account.is_empty() {
        return Err(
            "KeyVault Cert URI provided, but the required ServiceAccount option was not. Please provide a \
                    ServiceAccount via the TLS option kubernetes.azure.com/tls-cert-service-account"
                .into(),
        );
    }
    let space = namespace(gateway);
    let client_id = client_id(cx, space, account).map_err(|error| match error {
        AccountError::Missing => format!("service account {account} does not exist in namespace {space}"),
        AccountError::NotAnnotated => format!(
            "service account {account} was specified but does not include necessary annotation for workload identity"
        ),
    })?;
    let (vault, object, version) = parts(uri).ok_or_else(|| format!("invalid secret uri: {uri}"))?;
    let mut item = json!({"objectName": object, "objectType": "secret"});
    if let Some(version) = version {
        item["objectVersion"] = json!(version);
    }
    Ok(json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {
            "name": own_name, "namespace": space, "labels": labels(), "ownerReferences": [owner(gateway)],
        },
        "spec": {
            "provider": "azure",
            "parameters": {
                "keyvaultName": vault,
                "tenantId": cx.cluster_info.tenant,
                "clientID": client_id,
                "cloudName": "AzurePublicCloud",
                "objects": json!({"array": [item.to_string()]}).to_string(),
            },
            "secretObjects": [{
                "secretName": own_name,
                "type": "kubernetes.io/tls",
                "data": [{"objectName": object, "key": "tls.key"}, {"objectName": object, "key": "tls.crt"}],
            }],
        },
    }))
}

/// Returns the vault, the object and its version in a URI: the first label of the host, and the third and the fourth
/// part of the path.
fn parts(uri: &str) -> Option<(String, String, Option<String>)> {
    let (_, rest) = uri.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    let path: Vec<&str> = path.split('/').collect();
    let object = *path.get(1)?;
    let vault = host.split('.').next()?;
    Some((vault.to_owned(), object.to_owned(), path.get(2).map(|version| (*version).to_owned())))
}

/// Ensures the Deployment whose pod mounts the class of a listener.
fn reconcile_placeholder(cx: &mut ReconcileContext<'_>, class: &Value) {
    let Some(reference) =
        list(class, "/metadata/ownerReferences").iter().find(|one| text(one, "/kind") == "Gateway")
    else {
        return;
    };
    let Some(gateway) = cx.get(GATEWAYS, namespace(class), text(reference, "/name")) else { return };
    let own =
        list(&gateway, "/spec/listeners").iter().find(|listener| name_of(&gateway, listener) == name(class));
    let Some(listener) = own.filter(|_| uid(&gateway) == text(reference, "/uid")) else { return };
    let account = text(listener, ACCOUNT);
    if client_id(cx, namespace(class), account).is_err() {
        let message = format!(
            "error while building placeholder pod Deployment needed to pull Keyvault reference: service account \
             {account} is not usable"
        );
        let event_spec =
            EventSpec::warning(OPERATOR, "FailedUpdateOrCreatePlaceholderPodDeployment", message);
        return cx.event(class, &event_spec);
    }
    let wanted = placeholder(cx, class, &gateway, account);
    cx.ensure(DEPLOYMENTS, wanted, OPERATOR);
}

fn placeholder(cx: &ReconcileContext<'_>, class: &Value, gateway: &Value, account: &str) -> Value {
    let own_name = name(class);
    // The selector of a Deployment is immutable.
    let existing = cx.store.get(DEPLOYMENTS, namespace(class), own_name);
    let selected = existing.and_then(|live| live.pointer("/spec/selector/matchLabels").cloned());
    let selected = selected.unwrap_or_else(|| json!({"app": own_name}));
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": own_name, "namespace": namespace(class), "labels": labels(), "ownerReferences": [owner(class)],
        },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": selected},
            "template": {
                "metadata": {
                    "labels": selected,
                    "annotations": {
                        "kubernetes.azure.com/gateway-owner": name(gateway),
                        "kubernetes.azure.com/observed-generation":
                            class["metadata"]["generation"].as_i64().unwrap_or(1).to_string(),
                        "kubernetes.azure.com/purpose":
                            "hold CSI mount to enable keyvault-to-k8s secret mirroring",
                        "openservicemesh.io/sidecar-injection": "disabled",
                    },
                },
                "spec": {
                    "affinity": system_nodes(),
                    "automountServiceAccountToken": true,
                    "serviceAccountName": account,
                    "containers": [{
                        "name": "placeholder",
                        "image": "mcr.microsoft.com/oss/kubernetes/pause:3.10",
                        "resources": {"limits": {"cpu": "20m", "memory": "24Mi"}},
                        "securityContext": {
                            "privileged": false, "allowPrivilegeEscalation": false,
                            "capabilities": {"drop": ["ALL"]},
                            "runAsNonRoot": true, "runAsUser": 65535, "runAsGroup": 65535,
                            "readOnlyRootFilesystem": true,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "volumeMounts": [{"name": "secrets", "mountPath": "/mnt/secrets", "readOnly": true}],
                    }],
                    "volumes": [{"name": "secrets", "csi": {
                        "driver": "secrets-store.csi.k8s.io", "readOnly": true,
                        "volumeAttributes": {"secretProviderClass": own_name},
                    }}],
                },
            },
        },
    })
}
