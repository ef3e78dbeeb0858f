//! The kubeconfigs of a cluster, and the tokens in them that its API accepts.
//!
//! Source: `listClusterUserCredential` and `listClusterAdminCredential`. Without Entra integration the user
//! kubeconfig contains a client certificate and a token. It grants the same rights as the admin kubeconfig. With
//! Entra integration the user kubeconfig contains no secret: it names the program that signs in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{ManagedCluster, entra_access, error, find};
use crate::arm::error::ArmError;
use crate::arm::{Call, id};
use crate::request::Reply;
use crate::state::CloudState;

/// Handles `listClusterUserCredential`.
pub(super) fn user(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    list_credential(state, call, false)
}

/// Handles `listClusterAdminCredential`.
pub(super) fn admin(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    list_credential(state, call, true)
}

fn list_credential(state: &CloudState, call: &Call<'_>, admin: bool) -> Result<Reply, ArmError> {
    let cluster = find(state, call)?;
    if admin && entra_access::has_no_local_accounts(cluster.properties()) {
        let message =
            "Getting static credential isn't allowed because this cluster is set to disable local accounts.";
        return Err(error::bad("BadRequest", message));
    }
    if cluster.cluster_info.is_none() {
        return Err(error::busy(cluster.text("/properties/provisioningState")));
    }
    let own = || kubeconfig(state, cluster, call.param("cluster"), admin);
    let text = state.clusters.external_kubeconfig.clone().unwrap_or_else(own);
    let name = if admin { "clusterAdmin" } else { "clusterUser" };
    Ok(Reply::json(200, &json!({"kubeconfigs": [{"name": name, "value": STANDARD.encode(text)}]})))
}

/// Returns the kubeconfig as YAML in the format of the service. Both kinds name their context after the
/// cluster; clients distinguish them by the user.
fn kubeconfig(state: &CloudState, cluster: &ManagedCluster, name: &str, admin: bool) -> String {
    let group = id::part(cluster.id(), "resourceGroups").unwrap_or_default();
    let kind = if admin { "clusterAdmin" } else { "clusterUser" };
    let user = format!("{kind}_{group}_{name}");
    let own = &cluster.credential;
    let token = if admin { &own.admin_token } else { &own.user_token };
    let authority = STANDARD.encode(state.clusters.authority_pem.as_bytes());
    let sign_in = match !admin && entra_access::is_integrated(cluster.properties()) {
        true => entra_access::kubelogin(&state.directory.tenant),
        false => {
            let (certificate, key) = (STANDARD.encode(&own.certificate_pem), STANDARD.encode(&own.key_pem));
            format!(
                "    client-certificate-data: {certificate}\n    client-key-data: {key}\n    token: {token}\n"
            )
        }
    };
    let server = format!("https://127.0.0.1:{}/kubernetes/{}", state.port, cluster.uid());
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {authority}\n    server: {server}\n  \
         name: {name}\ncontexts:\n- context:\n    cluster: {name}\n    user: {user}\n  name: {name}\n\
         current-context: {name}\nkind: Config\npreferences: {{}}\nusers:\n- name: {user}\n  user:\n\
         {sign_in}"
    )
}
