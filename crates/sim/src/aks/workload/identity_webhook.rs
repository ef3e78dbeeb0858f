//! The workload identity webhook: gives labelled pods the client id of their service account's identity, and a token of
//! the account that the identity's federated credential trusts.
//!
//! Source: azure.github.io/azure-workload-identity, "Mutating Admission Webhook".

use serde_json::{Value, json};

use crate::aks::csi::AUDIENCE;
use crate::aks::object::{label, list, namespace, text};
use crate::aks::reconcile_context::ReconcileContext;

const USE: &str = "azure.workload.identity/use";
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const ANNOTATION: &str = "/metadata/annotations/azure.workload.identity~1client-id";
const TENANT_ANNOTATION: &str = "/metadata/annotations/azure.workload.identity~1tenant-id";
/// The volume with the token, its mount path, and the file in it.
const VOLUME: &str = "azure-identity-token";
const FOLDER: &str = "/var/run/secrets/azure/tokens";
const FILE: &str = "azure-identity-token";
/// The lifetime of the token in seconds.
const LIFETIME: i64 = 3_600;

/// Adds the token and the variables of the identity to a new pod with the label. What the pod has itself stays.
pub(super) fn inject(cx: &mut ReconcileContext<'_>, pod: &mut Value) {
    if !cx.cluster_info.workload_identity || label(pod, USE) != "true" {
        return;
    }
    if cx.state.missed_by_webhook > 0 {
        cx.state.missed_by_webhook -= 1;
        return;
    }
    let account_name = match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        name => name,
    };
    let account = cx.store.get("serviceaccounts", namespace(pod), account_name);
    let annotation =
        |pointer: &str| account.map(|account| text(account, pointer)).unwrap_or_default().to_owned();
    let tenant = Some(annotation(TENANT_ANNOTATION)).filter(|tenant| !tenant.is_empty());
    let variables = [
        (CLIENT_ID, annotation(ANNOTATION)),
        ("AZURE_TENANT_ID", tenant.unwrap_or_else(|| cx.cluster_info.tenant.clone())),
        ("AZURE_FEDERATED_TOKEN_FILE", format!("{FOLDER}/{FILE}")),
        ("AZURE_AUTHORITY_HOST", cx.cluster_info.authority_host.clone()),
    ];
    let token =
        json!({"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": LIFETIME, "path": FILE}});
    add(&mut pod["spec"], "volumes", "name", json!({"name": VOLUME, "projected": {"sources": [token]}}));
    for containers in ["initContainers", "containers"] {
        let all = pod["spec"].get_mut(containers).and_then(Value::as_array_mut);
        for container in all.into_iter().flatten() {
            for (name, value) in &variables {
                add(container, "env", "name", json!({"name": name, "value": value}));
            }
            let mount = json!({"name": VOLUME, "mountPath": FOLDER, "readOnly": true});
            add(container, "volumeMounts", "mountPath", mount);
        }
    }
}

/// Appends an item to a list, unless the list has one with the same key.
fn add(object: &mut Value, field: &str, key: &str, item: Value) {
    let mut all = list(object, &format!("/{field}")).to_vec();
    if !all.iter().any(|known| known[key] == item[key]) {
        all.push(item);
        object[field] = Value::Array(all);
    }
}

/// Returns the client id of a pod's identity; `None` if the webhook did not add one.
pub(in crate::aks) fn client_id(pod: &Value) -> Option<&str> {
    let variables = pod.pointer("/spec/containers/0/env")?.as_array()?;
    let own = variables.iter().find(|variable| variable["name"] == CLIENT_ID)?;
    own["value"].as_str().filter(|client_id| !client_id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture::ClusterFixture;

    #[test]
    fn a_labelled_pod_gets_the_token_and_the_variables_of_its_identity() {
        let mut fixture = ClusterFixture::running();
        fixture.cluster_info.workload_identity = true;
        fixture.cluster_info.tenant = "tenant-1".into();
        fixture.cluster_info.authority_host = "https://login.test/".into();
        let annotations = json!({"azure.workload.identity/client-id": "client-1"});
        let account =
            json!({"metadata": {"name": "fleet", "namespace": "default", "annotations": annotations}});
        fixture.request("serviceaccounts", account);
        let container =
            json!({"name": "main", "image": "a:1", "env": [{"name": "AZURE_TENANT_ID", "value": "own"}]});
        fixture.request("jobs.batch", json!({
            "metadata": {"name": "once", "namespace": "default"},
            "spec": {"template": {
                "metadata": {"labels": {"azure.workload.identity/use": "true"}},
                "spec": {"restartPolicy": "Never", "serviceAccountName": "fleet", "containers": [container]},
            }},
        }));
        fixture.advance(1.0);
        let pod = fixture.store.list("pods", Some("default"))[0];
        let container = &pod["spec"]["containers"][0];
        let variables: Vec<(&str, &str)> =
            list(container, "/env").iter().map(|one| (text(one, "/name"), text(one, "/value"))).collect();
        assert_eq!(
            variables,
            [
                ("AZURE_TENANT_ID", "own"),
                ("AZURE_CLIENT_ID", "client-1"),
                ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/azure-identity-token"),
                ("AZURE_AUTHORITY_HOST", "https://login.test/"),
            ]
        );
        assert_eq!(text(container, "/volumeMounts/0/mountPath"), "/var/run/secrets/azure/tokens");
        let token = &pod["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
        assert_eq!((text(token, "/audience"), text(token, "/path")), (AUDIENCE, "azure-identity-token"));
        assert_eq!(client_id(pod), Some("client-1"));
    }
}
