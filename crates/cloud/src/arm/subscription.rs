//! The subscriptions visible to the signed-in principal.

use super::{ArmClient, SubscriptionClient};
use crate::{ApiError, ApiErrorKind};
use serde_json::Value;

/// Microsoft.Resources, subscriptions: <https://learn.microsoft.com/rest/api/resources/subscriptions>
const API: &str = "2022-12-01";

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id, a UUID.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// The id of the directory that it trusts.
    pub tenant: String,
    /// `Enabled`, `Warned`, `PastDue`, `Disabled` or `Deleted`.
    pub state: String,
}

impl ArmClient {
    /// Returns the subscriptions that the principal can read.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, ApiError> {
        self.list("/subscriptions", API, &[]).await?.iter().map(read).collect()
    }

    /// Returns one subscription; `None` if it does not exist or is not readable.
    pub async fn subscription(&self, id: &str) -> Result<Option<Subscription>, ApiError> {
        self.get(&format!("/subscriptions/{id}"), API).await?.as_ref().map(read).transpose()
    }
}

impl SubscriptionClient {
    /// Lists the regions that the subscription may use, by their programmatic names, `eastus`.
    /// <https://learn.microsoft.com/rest/api/resources/subscriptions/list-locations>
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn locations(&self) -> Result<Vec<String>, ApiError> {
        let listed = self.arm().list(&self.path("/locations"), API, &[]).await?;
        Ok(listed.iter().filter_map(|body| body["name"].as_str().map(str::to_owned)).collect())
    }
}

fn read(value: &Value) -> Result<Subscription, ApiError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = text("subscriptionId");
    if id.is_empty() {
        return Err(ApiError::new(ApiErrorKind::Protocol, "read a subscription without its id"));
    }
    Ok(Subscription { id, name: text("displayName"), tenant: text("tenantId"), state: text("state") })
}
