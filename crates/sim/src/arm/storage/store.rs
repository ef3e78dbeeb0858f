//! The settings of the blob services: the part of the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The settings of the blob services, by account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobServices(pub(super) BTreeMap<String, Value>);

impl BlobServices {
    /// Removes the settings of an account.
    pub(super) fn remove(&mut self, account: &str) {
        self.0.remove(account);
    }

    pub(super) fn properties(&self, account: &str) -> Value {
        let new = || {
            json!({
                "cors": { "corsRules": [] }, "isVersioningEnabled": false,
                "deleteRetentionPolicy": { "enabled": false, "allowPermanentDelete": false },
                "containerDeleteRetentionPolicy": { "enabled": false },
            })
        };
        self.0.get(account).cloned().unwrap_or_else(new)
    }
}
