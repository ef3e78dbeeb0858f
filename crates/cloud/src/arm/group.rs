//! Resource groups.

use super::{Azure, Begun, Condition};
use crate::error::ApiError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The api-version of resource groups and of the list of what is in one.
pub const API: &str = "2024-11-01";

impl Azure {
    /// Returns a group's id.
    #[must_use]
    pub fn group_id(&self, name: &str) -> String {
        self.path(&format!("/resourcegroups/{name}"))
    }

    /// Reads a group; `None` when there is none.
    ///
    /// # Errors
    /// Whatever the request ran into.
    pub async fn group(&self, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.group_id(name), API).await
    }

    /// Makes a group, or sets all the tags of one that is there. Synchronous in ARM.
    /// <https://learn.microsoft.com/rest/api/resources/resource-groups/create-or-update>
    ///
    /// # Errors
    /// 409 `InvalidResourceGroupLocation` when it is there in another region, 409
    /// `ResourceGroupBeingDeleted` while it is going away.
    pub async fn put_group(
        &self,
        name: &str,
        location: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<Begun, ApiError> {
        let body = json!({ "location": location, "tags": tags });
        self.arm().put(&self.group_id(name), API, &body, Condition::None).await
    }

    /// Begins to delete a group with everything in it.
    ///
    /// # Errors
    /// 409 `ScopeLocked` under a lock, and whatever the request ran into.
    pub async fn delete_group(&self, name: &str) -> Result<Begun, ApiError> {
        self.arm().delete(&self.group_id(name), API).await
    }

    /// Lists what is in a group, as `{id, name, type, …}`.
    ///
    /// # Errors
    /// Whatever the request ran into.
    pub async fn resources_in(&self, group: &str) -> Result<Vec<Value>, ApiError> {
        self.arm().list(&self.path(&format!("/resourceGroups/{group}/resources")), API, &[]).await
    }
}
