//! Control plane of key vaults: existing vaults, and deleted vaults that are recoverable.

use super::{Condition, SubscriptionClient, WriteResult};
use crate::error::{ApiError, ApiErrorKind};
use serde_json::{Value, json};

/// The api-version of vaults: the first in which role-based access is the default.
pub const API: &str = "2026-02-01";

/// The reason why a vault name is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameTaken {
    /// The name breaks the naming rules; with the service's message.
    Invalid(String),
    /// A vault in this tenant or another has the name, existing or deleted and recoverable; with the
    /// service's message.
    InUse(String),
}

impl SubscriptionClient {
    /// Checks whether a vault name is free across all of Azure; `None` if it is. The request is a POST that
    /// changes nothing.
    /// <https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/check-name-availability>
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn vault_name_taken(&self, name: &str) -> Result<Option<NameTaken>, ApiError> {
        let path = self.path("/providers/Microsoft.KeyVault/checkNameAvailability");
        let query = json!({ "name": name, "type": "Microsoft.KeyVault/vaults" });
        let Some(response) = self.arm().query(&path, API, Some(&query)).await? else {
            return Err(ApiError::new(ApiErrorKind::Protocol, "read the availability of the name"));
        };
        if response["nameAvailable"] == true {
            return Ok(None);
        }
        let why = response["message"].as_str().unwrap_or_default().to_owned();
        let is_invalid = response["reason"] == "AccountNameInvalid";
        Ok(Some(if is_invalid { NameTaken::Invalid(why) } else { NameTaken::InUse(why) }))
    }

    /// Returns a vault's id.
    #[must_use]
    pub fn vault_id(&self, group: &str, name: &str) -> String {
        self.resource(group, "Microsoft.KeyVault/vaults", name)
    }

    /// Reads a vault; `None` if it does not exist in this group.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn vault(&self, group: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.vault_id(group, name), API).await
    }

    /// Like [`SubscriptionClient::vault`], for a check, see [`ArmClient::get_recent`](super::ArmClient::get_recent).
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn recent_vault(&self, group: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get_recent(&self.vault_id(group, name), API).await
    }

    /// Lists the vaults of a group; empty if the group does not exist.
    /// <https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/list-by-resource-group>
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn vaults_in(&self, group: &str) -> Result<Vec<Value>, ApiError> {
        let path = self.path(&format!("/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults"));
        match self.arm().list(&path, API, &[]).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// Puts a vault; `createMode: "recover"` in the properties recovers a soft-deleted one.
    /// It is usable after its `provisioningState` has left `RegisteringDns`.
    /// <https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/create-or-update>
    ///
    /// # Errors
    /// 409 `ConflictError` if a soft-deleted vault has the name, 409 `VaultAlreadyExists` for a name in use
    /// anywhere.
    pub async fn put_vault(&self, group: &str, name: &str, body: &Value) -> Result<WriteResult, ApiError> {
        self.arm().put(&self.vault_id(group, name), API, body, Condition::None).await
    }

    /// Soft-deletes a vault.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn delete_vault(&self, group: &str, name: &str) -> Result<WriteResult, ApiError> {
        self.arm().delete(&self.vault_id(group, name), API).await
    }

    /// Reads a deleted vault of this subscription; `None` if none has that name.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn deleted_vault(&self, location: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.deleted_path(location, name), API).await
    }

    /// Starts the purge of a deleted vault, which is irreversible.
    ///
    /// # Errors
    /// Refused under purge protection, and without the right to purge.
    pub async fn purge_vault(&self, location: &str, name: &str) -> Result<WriteResult, ApiError> {
        self.arm().post(&format!("{}/purge", self.deleted_path(location, name)), API, None).await
    }

    fn deleted_path(&self, location: &str, name: &str) -> String {
        self.path(&format!("/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{name}"))
    }
}
