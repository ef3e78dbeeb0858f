//! Azure RBAC: role assignments, and the built-in roles they grant.

mod assignments;
mod builtin;
mod definitions;
mod permissions;
mod test_hooks;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::arm::provider::Provider;
use crate::arm::{Route, id};
use crate::clock::SimTime;
use crate::entra::PrincipalKind;
use crate::state::CloudState;

pub(crate) use assignments::principal_not_found;
pub use builtin::{BUILTIN, Role};
pub(crate) use test_hooks::{create_competing, delay_grants, demote};

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

/// The resource family of roles. An assignment that takes effect changes nothing in the stored state, so
/// nothing is ever due.
pub const PROVIDER: Provider = Provider::stateless("roles", routes);

fn routes() -> Vec<Route> {
    let mut routes = assignments::routes();
    routes.extend(definitions::routes());
    routes.extend(permissions::routes());
    routes
}

impl CloudState {
    /// Returns whether a principal has a right at a scope at that instant, through any assignment at or above
    /// the scope, of the principal or of one of its groups.
    pub fn allows(&self, principal: &str, right: Right<'_>, scope: &str, at: SimTime) -> bool {
        self.grants_of(principal, at).any(|(role, granted)| id::within(scope, granted) && role.gives(right))
    }

    /// Returns the roles of a principal and of its groups at that instant, each with its scope.
    pub fn grants_of<'a>(
        &'a self,
        principal: &'a str,
        at: SimTime,
    ) -> impl Iterator<Item = (&'static Role, &'a str)> {
        let groups = self.directory.groups_of(principal);
        let effective = self.roles.assignments.values().filter(move |assignment| {
            let is = |id: &str| assignment.principal_id.eq_ignore_ascii_case(id);
            assignment.effective <= at && (is(principal) || groups.iter().any(|group| is(group)))
        });
        effective
            .filter_map(|assignment| Some((builtin::by_id(&assignment.role)?, assignment.scope.as_str())))
    }
}

/// Returns the next instant after `after` at which an assignment takes effect.
pub fn grant_due(state: &CloudState, after: SimTime) -> Option<SimTime> {
    state.roles.assignments.values().map(|assignment| assignment.effective).filter(|at| *at > after).min()
}

/// Removes every assignment at or below a scope, as the deletion of a resource does.
pub fn drop_scope(state: &mut CloudState, scope: &str) {
    state.roles.assignments.retain(|_, assignment| !id::within(&assignment.scope, scope));
}

/// Assigns Owner at the subscription to a principal, effective since the beginning.
pub fn own_subscription(state: &mut CloudState, principal: &str, now: SimTime) {
    let kind = state.directory.by_object_id(principal).map_or(PrincipalKind::User, |found| found.kind);
    let assignment = Assignment {
        name: state.uuid("owner-assignment"),
        scope: format!("/subscriptions/{}", state.subscription),
        role: builtin::OWNER.to_owned(),
        principal_id: principal.to_owned(),
        principal_type: kind.as_str().to_owned(),
        description: None,
        condition: None,
        created: now,
        updated: now,
        by: principal.to_owned(),
        effective: SimTime(0),
    };
    state.roles.assignments.insert(assignment.name.clone(), assignment);
}
