//! One subscription: where every resource path below starts.

use super::Arm;
use crate::error::ApiError;
use serde_json::Value;

/// The api-version of subscriptions, tenants and locations.
pub const API: &str = "2022-12-01";

/// A subscription as the signed-in caller sees it.
/// <https://learn.microsoft.com/rest/api/resources/subscriptions/list>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The subscription's GUID.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// The tenant it trusts.
    pub tenant: String,
    /// `Enabled`, `Warned`, `PastDue`, `Disabled`, `Deleted`.
    pub state: String,
}

/// Lists the subscriptions that the caller can see.
///
/// # Errors
/// Whatever the request ran into.
pub async fn subscriptions(arm: &Arm) -> Result<Vec<Listed>, ApiError> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Ok(arm
        .list("/subscriptions", API, &[])
        .await?
        .iter()
        .map(|s| Listed {
            id: text(s, "subscriptionId"),
            name: text(s, "displayName"),
            tenant: text(s, "tenantId"),
            state: text(s, "state"),
        })
        .collect())
}

/// An ARM client with a subscription chosen.
#[derive(Clone)]
pub struct Subscription {
    arm: Arm,
    id: String,
}

impl Subscription {
    /// Chooses the subscription with this GUID.
    #[must_use]
    pub fn new(arm: Arm, id: impl Into<String>) -> Self {
        Self { arm, id: id.into() }
    }

    /// Returns the client.
    #[must_use]
    pub fn arm(&self) -> &Arm {
        &self.arm
    }

    /// Returns the subscription's GUID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns `/subscriptions/{id}` followed by `rest`.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/subscriptions/{}{rest}", self.id)
    }

    /// Returns the id of a resource in a group: `provider` is `Microsoft.X/type`.
    #[must_use]
    pub fn resource(&self, group: &str, provider: &str, name: &str) -> String {
        self.path(&format!("/resourceGroups/{group}/providers/{provider}/{name}"))
    }
}
