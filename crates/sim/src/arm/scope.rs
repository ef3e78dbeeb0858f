//! Scopes in requests: whether what they name exists.

use crate::arm::error::ArmError;
use crate::arm::id;
use crate::state::CloudState;

pub(super) fn subscription_not_found(subscription: &str) -> ArmError {
    ArmError::gateway(
        404,
        "SubscriptionNotFound",
        format!("The subscription '{subscription}' could not be found."),
    )
}

/// Checks that the scope of a role assignment exists: the subscription, a group, a resource, a subnet.
///
/// # Errors
/// The 404 of Azure for the part that is missing.
pub(super) fn scope_exists(state: &CloudState, scope: &str) -> Result<(), ArmError> {
    let Some(group) = id::part(scope, "resourceGroups") else { return Ok(()) };
    if !state.groups.contains_key(&group.to_lowercase()) {
        return Err(ArmError::group_not_found(group));
    }
    let Some(namespace) = id::part(scope, "providers") else { return Ok(()) };
    let scope = without_namespace(scope);
    let known = state.tracked.get(scope).is_some()
        || is_container(state, scope)
        || state
            .registry
            .members(state, group)
            .any(|member| member["id"].as_str().is_some_and(|member| id::same(member, scope)));
    if known {
        return Ok(());
    }
    let kind = format!("{namespace}/{}", id::part(scope, namespace).unwrap_or_default());
    Err(ArmError::resource_not_found(&kind, id::name(scope), group))
}

/// Returns the cluster of a scope inside of it. Azure RBAC accepts assignments at a cluster's namespaces, which
/// Resource Manager does not know.
fn without_namespace(scope: &str) -> &str {
    let at = scope.to_ascii_lowercase().find("/namespaces/");
    let at = at.filter(|_| id::part(scope, "managedClusters").is_some());
    at.map_or(scope, |at| &scope[..at])
}

/// Returns whether a scope is a container of an account. Only the blob service knows containers.
fn is_container(state: &CloudState, scope: &str) -> bool {
    let (account, container) = (id::part(scope, "storageAccounts"), id::part(scope, "containers"));
    let (Some(account), Some(container)) = (account, container) else { return false };
    state.storage.container(&account.to_lowercase(), container).is_some()
}
