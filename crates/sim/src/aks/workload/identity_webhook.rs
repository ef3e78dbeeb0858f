//! The workload identity webhook: gives labelled pods the client id of their service account's identity.
//!
//! Source: azure.github.io/azure-workload-identity, "Mutating Admission Webhook".

use serde_json::{Value, json};

use crate::aks::object::{label, namespace, text};
use crate::aks::reconcile_context::ReconcileContext;

const USE: &str = "azure.workload.identity/use";
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const ANNOTATION: &str = "/metadata/annotations/azure.workload.identity~1client-id";

/// Adds the variables of the identity to the containers of a new pod with the label.
pub(super) fn inject(cx: &mut ReconcileContext<'_>, pod: &mut Value) {
    if !cx.cluster_info.workload_identity || label(pod, USE) != "true" {
        return;
    }
    if cx.state.missed_by_webhook > 0 {
        cx.state.missed_by_webhook -= 1;
        return;
    }
    let account = cx.store.get("serviceaccounts", namespace(pod), text(pod, "/spec/serviceAccountName"));
    let client_id = account.map(|account| text(account, ANNOTATION).to_owned()).unwrap_or_default();
    let variables = [
        (CLIENT_ID, client_id),
        ("AZURE_TENANT_ID", cx.cluster_info.tenant.clone()),
        ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/azure-identity-token".to_owned()),
    ];
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let mut all = container["env"].as_array().cloned().unwrap_or_default();
        all.extend(variables.iter().map(|(name, value)| json!({"name": name, "value": value})));
        container["env"] = Value::Array(all);
    }
}

/// Returns the client id of a pod's identity; `None` if the webhook did not add one.
pub(in crate::aks) fn client_id(pod: &Value) -> Option<&str> {
    let variables = pod.pointer("/spec/containers/0/env")?.as_array()?;
    let own = variables.iter().find(|variable| variable["name"] == CLIENT_ID)?;
    own["value"].as_str().filter(|client_id| !client_id.is_empty())
}
