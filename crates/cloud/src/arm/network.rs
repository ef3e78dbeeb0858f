//! Virtual networks and their subnets.

use super::{Condition, SubscriptionClient, WriteResult};
use crate::error::ApiError;
use serde_json::Value;

/// The api-version of virtual networks. From 2023-09-01 on an omitted `subnets` keeps them.
pub const API: &str = "2025-07-01";

impl SubscriptionClient {
    /// Returns a network's id.
    #[must_use]
    pub fn network_id(&self, group: &str, name: &str) -> String {
        self.resource(group, "Microsoft.Network/virtualNetworks", name)
    }

    /// Reads a network with its subnets; `None` if it does not exist.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn network(&self, group: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.network_id(group, name), API).await
    }

    /// Lists the networks of the subscription that the caller may read.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn networks(&self) -> Result<Vec<Value>, ApiError> {
        self.arm().list(&self.path("/providers/Microsoft.Network/virtualNetworks"), API, &[]).await
    }

    /// Puts a whole network. The service takes a list of subnets as *exactly* this list, so the body must
    /// include the existing ones.
    /// <https://learn.microsoft.com/rest/api/virtualnetwork/virtual-networks/create-or-update>
    ///
    /// # Errors
    /// 400 for ranges that do not fit, 429 `RetryableError` while another write runs.
    pub async fn put_network(
        &self,
        group: &str,
        name: &str,
        body: &Value,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        self.arm().put(&self.network_id(group, name), API, body, condition).await
    }

    /// Starts the deletion of a network.
    ///
    /// # Errors
    /// 400 `InUseSubnetCannotBeDeleted` while a device is connected to it.
    pub async fn delete_network(&self, group: &str, name: &str) -> Result<WriteResult, ApiError> {
        self.arm().delete(&self.network_id(group, name), API).await
    }
}
