//! Access to the API server of one cluster: the sign-in with landfall's own Entra token, and the explanation of
//! refusals by the restrictions in the cluster's body.
//!
//! A kubeconfig of a cluster with Entra integration names `kubelogin`. This module never starts it: the
//! credential of all other requests requests a token for the AKS server application.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::arm::{ClusterRestrictions, SubscriptionClient, cluster, group_of};
use crate::auth::{Identity, PrincipalKind};
use crate::endpoints::CLUSTER_SCOPE;
use crate::error::{ApiError, ApiErrorKind};

/// The code of an error: the signed-in identity has no Kubernetes role for the request.
pub const ROLE_MISSING: &str = "KubernetesRoleMissing";
/// The code of an error: the API server admits other networks only, and does not answer.
pub const NOT_REACHABLE: &str = "ApiServerNotReachable";

/// The role that Azure RBAC needs for everything that landfall does in a cluster.
const AZURE_ROLE: &str = "Azure Kubernetes Service RBAC Cluster Admin";

/// The cluster behind an API server, as Resource Manager knows it.
#[derive(Clone)]
pub struct ClusterOrigin {
    azure: SubscriptionClient,
    id: String,
    /// True once the API server has answered: a later missing answer is no restriction, but an interruption.
    has_answered: Arc<AtomicBool>,
}

impl ClusterOrigin {
    /// Returns the origin of the cluster with this resource id.
    #[must_use]
    pub fn new(azure: &SubscriptionClient, id: &str) -> Self {
        Self { azure: azure.clone(), id: id.to_owned(), has_answered: Arc::default() }
    }

    /// Returns a token for the API server.
    pub(super) async fn token(&self) -> Result<String, ApiError> {
        let token = self.azure.arm().credential().cluster_token().await?;
        Ok(token.token.secret().to_owned())
    }

    /// Records an answer of the API server.
    pub(super) fn record_answer(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// Drops a token that the API server refused.
    pub(super) async fn invalidate(&self, token: &str) {
        self.azure.arm().credential().invalidate(token).await;
    }

    /// Adds to a refusal or a missing answer what the cluster's body says about it. Reads the cluster for this.
    pub(super) async fn explain(&self, error: ApiError, by_entra: bool) -> ApiError {
        match error.kind {
            ApiErrorKind::Forbidden if by_entra && is_authorization(&error.message) => {}
            ApiErrorKind::Transport if !self.has_answered.load(Ordering::Relaxed) => {}
            _ => return error,
        }
        let body = self.azure.arm().get(&self.id, cluster::API).await;
        let Ok(Some(body)) = body else { return error };
        match error.kind {
            ApiErrorKind::Forbidden => self.without_role(error, &body).await,
            _ => self.not_reachable(error, &body),
        }
    }

    /// Returns why the signed-in identity lacks a Kubernetes role, and the action that grants it; `None` if the
    /// cluster or the identity cannot be read.
    pub async fn missing_role(&self) -> Option<(String, String)> {
        let body = self.azure.arm().get(&self.id, cluster::API).await.ok()??;
        self.missing_role_in(&body).await
    }

    async fn missing_role_in(&self, body: &Value) -> Option<(String, String)> {
        let caller = self.azure.arm().credential().identity(CLUSTER_SCOPE).await.ok()?;
        let restrictions = ClusterRestrictions::of(body);
        let by = if restrictions.azure_rbac { "Azure RBAC" } else { "Kubernetes RBAC" };
        let (who, name) = (display(&caller), text(body, "name"));
        let why = format!(
            "cluster {name} signs in through Microsoft Entra ID, and {by} gives {who} no Kubernetes role for this"
        );
        Some((why, role_remedy(&restrictions, &caller, body)))
    }

    async fn without_role(&self, mut error: ApiError, body: &Value) -> ApiError {
        let Some((why, remedy)) = self.missing_role_in(body).await else { return error };
        error.inner_code = Some(ROLE_MISSING.to_owned());
        error.with_detail("", why).with_remedy(remedy)
    }

    fn not_reachable(&self, mut error: ApiError, body: &Value) -> ApiError {
        let restrictions = ClusterRestrictions::of(body);
        let Some((why, remedy)) = restrictions.network_restriction(body) else { return error };
        error.code = Some(NOT_REACHABLE.to_owned());
        error.with_detail("", why).with_remedy(remedy)
    }
}

/// Returns whether a 403 comes from the authorizer, and not from an admission policy or a quota: `pods is
/// forbidden: User "…" cannot list resource "pods" …`.
fn is_authorization(message: &str) -> bool {
    message.contains("User \"") && message.contains(" cannot ")
}

/// Returns the action that gives the identity its role.
fn role_remedy(restrictions: &ClusterRestrictions, caller: &Identity, body: &Value) -> String {
    let (id, oid) = (text(body, "id"), &caller.object_id);
    if restrictions.azure_rbac {
        return format!(
            "grant the role, which takes effect within minutes: az role assignment create --role \"{AZURE_ROLE}\" \
             --assignee-object-id {oid} --assignee-principal-type {} --scope {id}",
            caller.kind.as_str()
        );
    }
    // Kubernetes names users by their sign-in name, and applications by their object id.
    let user = match caller.kind {
        PrincipalKind::User => caller.name.as_deref().unwrap_or(oid),
        PrincipalKind::ServicePrincipal => oid,
    };
    let bind =
        format!("kubectl create clusterrolebinding landfall --clusterrole=cluster-admin --user={user}");
    match restrictions.admin_groups.first() {
        Some(group) => format!(
            "add it to the cluster's admin group: az ad group member add --group {group} --member-id {oid}; or let a \
             cluster admin bind the role cluster-admin: {bind}"
        ),
        None => format!(
            "let a cluster admin bind the role cluster-admin: {bind}; or set adminGroupObjectIDs: az aks update -g {} -n \
             {} --aad-admin-group-object-ids GROUP_ID",
            group_of(id),
            text(body, "name")
        ),
    }
}

fn display(caller: &Identity) -> String {
    match &caller.name {
        Some(name) if *name != caller.object_id => format!("{name} (object id {})", caller.object_id),
        _ => caller.object_id.clone(),
    }
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}
