//! Role assignments: principal, role and scope.

use super::{Condition, ResourceId, SubscriptionClient, WriteResult};
use crate::error::{ApiError, ApiErrorKind};
use serde_json::{Value, json};
use uuid::Uuid;

/// The api-version of role assignments.
pub const API: &str = "2022-04-01";

/// A built-in role. The ids are the same in every tenant:
/// <https://learn.microsoft.com/azure/role-based-access-control/built-in-roles>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// The role's display name.
    pub name: &'static str,
    /// The role definition's GUID.
    pub id: &'static str,
}

impl Role {
    /// Imports and manages certificates of a vault.
    pub const CERTIFICATES_OFFICER: Self =
        Self { name: "Key Vault Certificates Officer", id: "a4417e6f-fecd-4de8-b567-7b0420556985" };
    /// Sets and reads secrets of a vault: the account key of an ACME server.
    pub const SECRETS_OFFICER: Self =
        Self { name: "Key Vault Secrets Officer", id: "b86a8fe4-44ce-4948-aee5-eccb2c155cd7" };
    /// Reads a vault's secrets, and therefore a certificate's private key.
    pub const SECRETS_USER: Self =
        Self { name: "Key Vault Secrets User", id: "4633458b-17de-408a-b874-0445c86b69e6" };
    /// Reads a vault's certificates.
    pub const CERTIFICATE_USER: Self =
        Self { name: "Key Vault Certificate User", id: "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba" };
    /// Writes the record sets of a DNS zone.
    pub const DNS_ZONE_CONTRIBUTOR: Self =
        Self { name: "DNS Zone Contributor", id: "befefa01-2a29-4197-83a8-272ff33ce314" };
    /// Reads and writes the blobs of a storage account, and their leases.
    pub const BLOB_CONTRIBUTOR: Self =
        Self { name: "Storage Blob Data Contributor", id: "ba92f5b4-2d11-453d-a403-e96b0029c9fe" };
    /// Joins load balancers and nodes to a subnet.
    pub const NETWORK_CONTRIBUTOR: Self =
        Self { name: "Network Contributor", id: "4d97b98b-1d4f-4787-a291-c67834d212e7" };
}

/// A role assignment, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Its resource id.
    pub id: String,
    /// Its scope; everything below inherits it.
    pub scope: String,
    /// The principal, an object id.
    pub principal: String,
    /// The role definition's GUID, without a path prefix.
    pub role: String,
}

impl Assignment {
    fn from_body(body: &Value) -> Option<Self> {
        let properties = &body["properties"];
        Some(Self {
            id: body["id"].as_str()?.to_owned(),
            scope: properties["scope"].as_str().unwrap_or_default().to_owned(),
            principal: properties["principalId"].as_str()?.to_owned(),
            role: properties["roleDefinitionId"].as_str()?.rsplit('/').next()?.to_ascii_lowercase(),
        })
    }

    /// Returns whether this applies at a scope: it is assigned there or above. Management groups are above every
    /// subscription that lists them.
    fn applies_at(&self, scope: &ResourceId) -> bool {
        scope.is_within(&self.scope) || ResourceId::new(&self.scope).subscription().is_none()
    }

    /// Returns whether this assigns the role to `principal`. Ids compare without case.
    #[must_use]
    pub fn grants(&self, principal: &str, role: Role) -> bool {
        self.principal.eq_ignore_ascii_case(principal) && self.role.eq_ignore_ascii_case(role.id)
    }
}

impl SubscriptionClient {
    /// Returns the id of our assignment: a UUIDv5 of scope, principal and role, so that the request is
    /// idempotent.
    #[must_use]
    pub fn assignment_id(&self, scope: &str, principal: &str, role: Role) -> String {
        let key = format!("{scope}|{principal}|{}", role.id).to_ascii_lowercase();
        let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, key.as_bytes());
        format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}")
    }

    /// Lists the assignments that apply at a scope: its own and the inherited ones.
    /// <https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope>
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn assignments_at(&self, scope: &str) -> Result<Vec<Assignment>, ApiError> {
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments");
        let listed = self.arm().list(&path, API, &[("$filter", "atScope()")]).await?;
        Ok(listed.iter().filter_map(Assignment::from_body).collect())
    }

    /// Like [`SubscriptionClient::assignments_at`], for a check, see
    /// [`ArmClient::get_recent`](super::ArmClient::get_recent). Scopes in one group share a list: without a filter, that
    /// of the group includes what is below it. An identity that may read only at the scope itself gets its own list.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn recent_assignments_at(&self, scope: &str) -> Result<Vec<Assignment>, ApiError> {
        let list = async |at: &str, query: &[(&str, &str)]| {
            let path = format!("{at}/providers/Microsoft.Authorization/roleAssignments");
            let listed = self.arm().list_recent(&path, API, query).await?;
            Ok::<_, ApiError>(listed.iter().filter_map(Assignment::from_body).collect::<Vec<_>>())
        };
        let id = ResourceId::new(scope);
        if let Some(group) = id.resource_group().filter(|_| id.is_within(&self.path(""))) {
            match list(&self.group_id(group), &[]).await {
                Err(error) if error.kind == ApiErrorKind::Forbidden => {}
                listed => {
                    return Ok(listed?.into_iter().filter(|one| one.applies_at(&id)).collect());
                }
            }
        }
        list(scope, &[("$filter", "atScope()")]).await
    }

    /// Creates a role assignment. `principal_type` is always sent, so that the service skips its directory
    /// lookup, which may not find a new principal yet.
    ///
    /// # Errors
    /// 409 `RoleAssignmentExists` if it exists under another name, 400 `PrincipalNotFound`, 403
    /// `AuthorizationFailed` without the right to create it.
    pub async fn grant(
        &self,
        scope: &str,
        principal: &str,
        principal_type: &str,
        role: Role,
    ) -> Result<WriteResult, ApiError> {
        let definition =
            self.path(&format!("/providers/Microsoft.Authorization/roleDefinitions/{}", role.id));
        let body = json!({ "properties": {
            "roleDefinitionId": definition,
            "principalId": principal,
            "principalType": principal_type,
        }});
        let id = self.assignment_id(scope, principal, role);
        self.arm().put(&id, API, &body, Condition::None).await
    }

    /// Deletes an assignment by its id.
    ///
    /// # Errors
    /// Returns the error of the request; a missing assignment is no error.
    pub async fn revoke(&self, assignment: &str) -> Result<WriteResult, ApiError> {
        self.arm().delete(assignment, API).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_applies_at_its_scope_and_below() {
        let vault =
            ResourceId::new("/subscriptions/S/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv");
        let assigned = |scope: &str| Assignment {
            id: String::new(),
            scope: scope.to_owned(),
            principal: String::new(),
            role: String::new(),
        };
        for above in [
            "/",
            "/providers/Microsoft.Management/managementGroups/all",
            "/subscriptions/s",
            "/subscriptions/s/resourcegroups/RG",
            "/subscriptions/S/resourceGroups/rg/providers/microsoft.keyvault/vaults/KV",
        ] {
            assert!(assigned(above).applies_at(&vault), "{above}");
        }
        for elsewhere in [
            "/subscriptions/other",
            "/subscriptions/S/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv2",
            "/subscriptions/S/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv/secrets/one",
        ] {
            assert!(!assigned(elsewhere).applies_at(&vault), "{elsewhere}");
        }
    }
}
