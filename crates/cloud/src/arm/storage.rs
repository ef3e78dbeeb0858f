//! Control plane of storage accounts and their blob containers.

use super::{Condition, SubscriptionClient, WriteResult};
use crate::error::{ApiError, ApiErrorKind};
use serde_json::{Value, json};

/// The api-version of storage accounts.
pub const API: &str = "2024-01-01";

impl SubscriptionClient {
    /// Returns the id of a storage account.
    #[must_use]
    pub fn storage_account_id(&self, group: &str, name: &str) -> String {
        self.resource(group, "Microsoft.Storage/storageAccounts", name)
    }

    /// Reads a storage account; `None` if it does not exist in this group.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn storage_account(&self, group: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.storage_account_id(group, name), API).await
    }

    /// Returns the message of the service if a name for a storage account is invalid or taken; `None` if it is free.
    /// <https://learn.microsoft.com/rest/api/storagerp/storage-accounts/check-name-availability>
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn storage_name_taken(&self, name: &str) -> Result<Option<String>, ApiError> {
        let path = self.path("/providers/Microsoft.Storage/checkNameAvailability");
        let query = json!({ "name": name, "type": "Microsoft.Storage/storageAccounts" });
        let Some(response) = self.arm().query(&path, API, Some(&query)).await? else {
            return Err(ApiError::new(ApiErrorKind::Protocol, "read the availability of the name"));
        };
        let taken = response["nameAvailable"] != true;
        Ok(taken.then(|| response["message"].as_str().unwrap_or_default().to_owned()))
    }

    /// Creates or updates a storage account.
    /// <https://learn.microsoft.com/rest/api/storagerp/storage-accounts/create>
    ///
    /// # Errors
    /// 409 `StorageAccountAlreadyTaken` for a name that is in use anywhere.
    pub async fn put_storage_account(
        &self,
        group: &str,
        name: &str,
        body: &Value,
    ) -> Result<WriteResult, ApiError> {
        self.arm().put(&self.storage_account_id(group, name), API, body, Condition::None).await
    }

    /// Creates a blob container; an existing one stays as it is.
    /// <https://learn.microsoft.com/rest/api/storagerp/blob-containers/create>
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn put_blob_container(&self, group: &str, account: &str, name: &str) -> Result<(), ApiError> {
        let body = json!({ "properties": { "publicAccess": "None" } });
        self.arm()
            .put(&self.blob_container_id(group, account, name), API, &body, Condition::None)
            .await
            .map(drop)
    }

    /// Reads a blob container; `None` if it does not exist.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn blob_container(
        &self,
        group: &str,
        account: &str,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.blob_container_id(group, account, name), API).await
    }

    /// Reads the settings of the blob service of an account; `None` if the account does not exist.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn blob_service(&self, group: &str, account: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.blob_service_id(group, account), API).await
    }

    /// Changes settings of the blob service of an account.
    /// <https://learn.microsoft.com/rest/api/storagerp/blob-services/set-service-properties>
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn put_blob_service(
        &self,
        group: &str,
        account: &str,
        properties: &Value,
    ) -> Result<(), ApiError> {
        let (id, body) = (self.blob_service_id(group, account), json!({ "properties": properties }));
        self.arm().put(&id, API, &body, Condition::None).await.map(drop)
    }

    fn blob_service_id(&self, group: &str, account: &str) -> String {
        format!("{}/blobServices/default", self.storage_account_id(group, account))
    }

    fn blob_container_id(&self, group: &str, account: &str, name: &str) -> String {
        format!("{}/containers/{name}", self.blob_service_id(group, account))
    }
}
