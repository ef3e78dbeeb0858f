//! Policies in the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The operator of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operator {
    /// The value is in the list.
    In,
    /// The value is not in the list.
    NotIn,
    /// The field has no value.
    Missing,
}

/// A policy with the effect "deny", assigned to the subscription or to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The name of the assignment and of the definition.
    pub name: String,
    /// The group of the assignment; the subscription if empty.
    #[serde(default)]
    pub group: String,
    /// `location`, `type`, `name`, `tags.<name>`, or a path below the resource, `properties.enableRBAC`.
    pub field: String,
    /// The operator of the condition.
    pub operator: Operator,
    /// The operand, compared case-insensitively.
    #[serde(default)]
    pub values: Vec<String>,
}

/// The policies of the subscription.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policies(pub Vec<Policy>);

/// The definitions and assignments that clients created, as the service returns them, by the key of their id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Assigned {
    pub(super) definitions: BTreeMap<String, Value>,
    pub(super) assignments: BTreeMap<String, Value>,
}
