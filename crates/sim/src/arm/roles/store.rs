//! Role assignments in the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::SimTime;

/// A required right, in the notation of role definitions. Compared case-insensitively.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right<'a> {
    /// A control plane action, `Microsoft.KeyVault/vaults/write`.
    Action(&'a str),
    /// A data plane action, `Microsoft.KeyVault/vaults/secrets/getSecret/action`.
    Data(&'a str),
}

/// The assignment of one role to one principal at one scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The name, a UUID in its original case; unique in the tenant.
    pub name: String,
    /// The scope, in its original case.
    pub scope: String,
    /// The GUID of the role, lower case.
    pub role: String,
    /// The object id of the principal.
    pub principal_id: String,
    /// The type of the principal: `User`, `ServicePrincipal`, `Group`.
    pub principal_type: String,
    /// The description from its creator.
    pub description: Option<String>,
    /// The condition under which it applies, and the version of its language.
    #[serde(default)]
    pub condition: Option<(String, String)>,
    /// The time of creation.
    pub created: SimTime,
    /// The time of the last write.
    pub updated: SimTime,
    /// The object id of the creator.
    pub by: String,
    /// The time from which it is effective.
    pub effective: SimTime,
}

/// All role assignments, by lower-case name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Roles {
    /// The assignments by lower-case name.
    pub assignments: BTreeMap<String, Assignment>,
}
