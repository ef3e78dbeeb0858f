//! The objects of one cluster.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The objects of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Store {}

impl Store {
    /// Makes an empty store.
    pub fn new(_identity: &str) -> Self {
        Self {}
    }

    /// Returns the objects of a resource.
    pub fn list(&self, _resource: &str, _namespace: Option<&str>) -> Vec<&Value> {
        Vec::new()
    }
}
