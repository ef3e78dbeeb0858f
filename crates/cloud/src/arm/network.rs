//! Virtual networks and their subnets.

use super::{Azure, Begun, Condition};
use crate::error::ApiError;
use serde_json::Value;

/// The api-version of virtual networks. From 2023-09-01 on an omitted `subnets` keeps them.
pub const API: &str = "2025-07-01";

impl Azure {
    /// Returns a network's id.
    #[must_use]
    pub fn network_id(&self, group: &str, name: &str) -> String {
        self.resource(group, "Microsoft.Network/virtualNetworks", name)
    }

    /// Reads a network with its subnets; `None` when there is none.
    ///
    /// # Errors
    /// Whatever the request ran into.
    pub async fn network(&self, group: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.network_id(group, name), API).await
    }

    /// Lists the networks of the subscription, as far as the caller may see them.
    ///
    /// # Errors
    /// Whatever the request ran into.
    pub async fn networks(&self) -> Result<Vec<Value>, ApiError> {
        self.arm().list(&self.path("/providers/Microsoft.Network/virtualNetworks"), API, &[]).await
    }

    /// Puts a whole network. A list of subnets is taken as *exactly* this list, so what is there
    /// must be read and carried along.
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
    ) -> Result<Begun, ApiError> {
        self.arm().put(&self.network_id(group, name), API, body, condition).await
    }

    /// Begins to delete a network.
    ///
    /// # Errors
    /// 400 `InUseSubnetCannotBeDeleted` while something is connected to it.
    pub async fn delete_network(&self, group: &str, name: &str) -> Result<Begun, ApiError> {
        self.arm().delete(&self.network_id(group, name), API).await
    }
}
