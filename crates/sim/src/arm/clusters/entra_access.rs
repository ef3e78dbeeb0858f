//! Entra integration of a cluster: the tokens that its API accepts, the rights of their principals, and the
//! kubeconfig that signs in with `kubelogin`.
//!
//! Source: "AKS-managed Microsoft Entra integration", "Use Azure RBAC for Kubernetes authorization" and "Manage
//! local accounts" of the AKS documentation.

use serde_json::Value;

use super::ManagedCluster;
use crate::arm::id;
use crate::arm::roles::{Right, Role};
use crate::clock::SimTime;
use crate::entra::{self, AKS_CLIENT, AKS_SERVER, PrincipalKind};
use crate::kubernetes::authorization::{AzureRbac, MASTERS, User};
use crate::request::Request;
use crate::state::CloudState;

/// The prefix of data actions below a cluster.
const DATA: &str = "Microsoft.ContainerService/managedClusters";

/// Returns whether the cluster accepts Entra tokens.
pub(super) fn is_integrated(properties: &Value) -> bool {
    properties["aadProfile"]["managed"] == true
}

/// Returns whether the cluster has no local accounts: its certificates and static tokens are refused. (AKS
/// revokes those of before at the next rotation of the certificates; the simulated cloud does so at once.)
pub(super) fn has_no_local_accounts(properties: &Value) -> bool {
    properties["disableLocalAccounts"] == true
}

/// Returns the user of a request with an Entra token for the AKS server; `None` for every other token.
pub(super) fn user(
    state: &CloudState,
    cluster: &ManagedCluster,
    request: &Request,
    now: SimTime,
) -> Option<User> {
    let profile = &cluster.properties()["aadProfile"];
    if !is_integrated(cluster.properties()) {
        return None;
    }
    let caller = entra::bearer(state, request, AKS_SERVER, now).ok()?;
    let principal = state.directory.by_object_id(&caller.object_id)?;
    let name = match principal.kind {
        PrincipalKind::User => principal.sign_in_name.clone().unwrap_or_default(),
        PrincipalKind::ServicePrincipal => principal.object_id.clone(),
    };
    let mut groups = state.directory.groups_of(&principal.object_id);
    let admins = profile["adminGroupObjectIDs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let is_admin =
        admins.into_iter().any(|admin| groups.iter().any(|group| group.eq_ignore_ascii_case(admin)));
    groups.push("system:authenticated".to_owned());
    if is_admin {
        groups.push(MASTERS.to_owned());
    }
    let azure =
        (profile["enableAzureRBAC"] == true).then(|| azure_rbac(state, cluster, &caller.object_id, now));
    Some(User { name, groups, azure })
}

/// Returns the authorization by the principal's roles at the cluster, and at its namespaces.
fn azure_rbac(state: &CloudState, cluster: &ManagedCluster, principal: &str, now: SimTime) -> AzureRbac {
    let grants: Vec<(&'static Role, String)> =
        state.grants_of(principal, now).map(|(role, scope)| (role, scope.to_owned())).collect();
    let cluster = cluster.id().to_owned();
    Box::new(move |action, namespace| {
        let scope = match namespace {
            Some(namespace) => format!("{cluster}/namespaces/{namespace}"),
            None => cluster.clone(),
        };
        let action = format!("{DATA}/{action}");
        grants.iter().any(|(role, granted)| id::within(&scope, granted) && role.gives(Right::Data(&action)))
    })
}

/// Returns the user of the kubeconfig: a program that signs in.
pub(super) fn kubelogin(tenant: &str) -> String {
    format!(
        "    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n      args:\n      - get-token\n      - \
         --environment\n      - AzurePublicCloud\n      - --server-id\n      - {AKS_SERVER}\n      - --client-id\n      \
         - {AKS_CLIENT}\n      - --tenant-id\n      - {tenant}\n      - --login\n      - devicecode\n      command: \
         kubelogin\n      env: null\n      interactiveMode: IfAvailable\n      provideClusterInfo: false\n"
    )
}
