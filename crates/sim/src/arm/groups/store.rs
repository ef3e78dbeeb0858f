//! Resource groups in the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::clock::SimTime;

/// The resource type of a group, as in rights.
pub const KIND: &str = "Microsoft.Resources/subscriptions/resourceGroups";

/// A resource group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The name, in the case of its creation.
    pub name: String,
    /// The region.
    pub location: String,
    /// The tags by name.
    pub tags: BTreeMap<String, String>,
    /// The resource that owns the group, as a cluster owns its node group.
    pub managed_by: Option<String>,
    /// The time of creation.
    pub created: SimTime,
    /// The time at which it will be gone, once its deletion has started.
    #[serde(rename = "gone")]
    pub deleted_at: Option<SimTime>,
    /// The id of its deletion operation.
    pub deletion: Option<String>,
    /// True if its deletion fails: its members go, and the group stays.
    #[serde(default)]
    #[serde(rename = "doomed")]
    pub fails_on_completion: bool,
}

impl Group {
    /// Refuses writes during the deletion of the group.
    ///
    /// # Errors
    /// 409 `ResourceGroupBeingDeleted`.
    pub fn check_writable(&self) -> Result<(), ArmError> {
        if self.deleted_at.is_none() {
            return Ok(());
        }
        let why = format!(
            "The resource group '{}' is in deprovisioning state and cannot perform this operation.",
            self.name
        );
        Err(ArmError::gateway(409, "ResourceGroupBeingDeleted", why))
    }

    /// Returns the ARM body.
    pub(super) fn body(&self, subscription: &str) -> Value {
        let state = if self.deleted_at.is_some() { "Deleting" } else { "Succeeded" };
        let mut body = json!({
            "id": format!("/subscriptions/{subscription}/resourceGroups/{}", self.name),
            "name": self.name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self.location,
            "tags": self.tags,
            "properties": { "provisioningState": state },
        });
        if let Some(owner) = &self.managed_by {
            body["managedBy"] = json!(owner);
        }
        body
    }
}
