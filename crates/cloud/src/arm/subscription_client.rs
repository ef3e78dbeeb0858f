//! Azure Resource Manager with a selected subscription, the root of every resource path in this folder.

use super::ArmClient;

/// An ARM client with a selected subscription.
#[derive(Clone)]
pub struct SubscriptionClient {
    arm: ArmClient,
    id: String,
}

impl SubscriptionClient {
    /// Selects the subscription with this GUID.
    #[must_use]
    pub fn new(arm: ArmClient, id: impl Into<String>) -> Self {
        Self { arm, id: id.into() }
    }

    /// Returns the client.
    #[must_use]
    pub fn arm(&self) -> &ArmClient {
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
