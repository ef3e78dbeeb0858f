//! Usage and limits of a subscription in a region.

use super::SubscriptionClient;
use crate::error::ApiError;
use serde_json::Value;

/// The api-version of Compute's usages.
pub const API: &str = "2024-07-01";

/// One row of a region's usages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The service's name, `standardDSv5Family`, `cores`, `PublicIPAddresses`.
    pub name: String,
    /// The display name, `Standard DSv5 Family vCPUs`.
    pub label: String,
    /// The current usage.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

impl Usage {
    fn from_body(body: &Value) -> Option<Self> {
        let name = body["name"]["value"].as_str()?.to_owned();
        Some(Self {
            label: body["name"]["localizedValue"].as_str().unwrap_or(&name).to_owned(),
            name,
            used: body["currentValue"].as_u64().unwrap_or_default(),
            // The service writes "no limit" as a negative number.
            limit: body["limit"].as_u64().unwrap_or(u64::MAX),
        })
    }

    /// Returns the unused part of the limit.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl SubscriptionClient {
    /// Lists the usage of cores in a region: the total as `cores`, and one row per VM family.
    /// <https://learn.microsoft.com/rest/api/compute/usage/list>
    ///
    /// # Errors
    /// 400 for an unknown region, otherwise the error of the request.
    pub async fn core_usages(&self, location: &str) -> Result<Vec<Usage>, ApiError> {
        self.usages("Microsoft.Compute", location, API).await
    }

    /// Lists the usage of network resources in a region, including `PublicIPAddresses`.
    /// <https://learn.microsoft.com/rest/api/virtualnetwork/usages/list>
    ///
    /// # Errors
    /// 400 for an unknown region, otherwise the error of the request.
    pub async fn network_usages(&self, location: &str) -> Result<Vec<Usage>, ApiError> {
        self.usages("Microsoft.Network", location, super::network::API).await
    }

    async fn usages(&self, provider: &str, location: &str, api: &str) -> Result<Vec<Usage>, ApiError> {
        let path = self.path(&format!("/providers/{provider}/locations/{location}/usages"));
        Ok(self.arm().list(&path, api, &[]).await?.iter().filter_map(Usage::from_body).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_negative_limit_means_no_limit() {
        let body = json!({ "name": { "value": "cores" }, "currentValue": 8, "limit": -1 });
        let usage = Usage::from_body(&body).unwrap();
        assert_eq!((usage.label.as_str(), usage.limit), ("cores", u64::MAX));
        let full = Usage { used: 12, limit: 10, ..usage };
        assert_eq!(full.remaining(), 0);
    }
}
