//! Resource groups.

use super::{Condition, SubscriptionClient, WriteResult};
use crate::error::ApiError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The api-version of resource groups and of the list of their resources.
pub const API: &str = "2024-11-01";

impl SubscriptionClient {
    /// Returns a group's id.
    #[must_use]
    pub fn group_id(&self, name: &str) -> String {
        self.path(&format!("/resourcegroups/{name}"))
    }

    /// Reads a group; `None` if it does not exist.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn group(&self, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.group_id(name), API).await
    }

    /// Creates a group, or replaces all tags of an existing one. Synchronous in ARM.
    /// <https://learn.microsoft.com/rest/api/resources/resource-groups/create-or-update>
    ///
    /// # Errors
    /// 409 `InvalidResourceGroupLocation` if it exists in another region, 409 `ResourceGroupBeingDeleted`
    /// during its deletion.
    pub async fn put_group(
        &self,
        name: &str,
        location: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<WriteResult, ApiError> {
        let body = json!({ "location": location, "tags": tags });
        self.arm().put(&self.group_id(name), API, &body, Condition::None).await
    }

    /// Starts the deletion of a group with all its resources.
    ///
    /// # Errors
    /// 409 `ScopeLocked` if it is locked, otherwise the error of the request.
    pub async fn delete_group(&self, name: &str) -> Result<WriteResult, ApiError> {
        self.arm().delete(&self.group_id(name), API).await
    }

    /// Lists the resources in a group, as `{id, name, type, …}`.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn resources_in(&self, group: &str) -> Result<Vec<Value>, ApiError> {
        self.arm().list(&self.path(&format!("/resourceGroups/{group}/resources")), API, &[]).await
    }
}
