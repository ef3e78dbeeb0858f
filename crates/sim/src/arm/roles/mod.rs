//! Who may do what where: role assignments, and the built-in roles they give.

mod assignments;
mod builtin;
mod definitions;
mod intervention;
mod permissions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::arm::family::Family;
use crate::arm::{Route, id};
use crate::clock::Moment;
use crate::entra::PrincipalKind;
use crate::world::World;

pub(crate) use assignments::principal_not_found;
pub use builtin::{BUILTIN, Role};
pub(crate) use intervention::{demote, forestall, postpone};

/// A right somebody needs, as role definitions spell it. Compared without case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right<'a> {
    /// Of the control plane, `Microsoft.KeyVault/vaults/write`.
    Action(&'a str),
    /// Of the data plane, `Microsoft.KeyVault/vaults/secrets/getSecret/action`.
    Data(&'a str),
}

/// One role given to one principal at one scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its name, a UUID in the case it was given; unique in the tenant.
    pub name: String,
    /// The scope, in the case it was given.
    pub scope: String,
    /// The GUID of the role, lower case.
    pub role: String,
    /// The object id.
    pub principal_id: String,
    /// `User`, `ServicePrincipal`, `Group`.
    pub principal_type: String,
    /// What its maker wrote.
    pub description: Option<String>,
    /// When it was made.
    pub created: Moment,
    /// When it was last written.
    pub updated: Moment,
    /// The object id of its maker.
    pub by: String,
    /// From when on it counts.
    pub effective: Moment,
}

/// All role assignments, by lower-case name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Roles {
    /// By lower-case name.
    pub assignments: BTreeMap<String, Assignment>,
}

/// The family of roles. An assignment's taking effect changes nothing that is stored, so nothing is ever due.
pub const FAMILY: Family = Family::still("roles", routes);

fn routes() -> Vec<Route> {
    let mut routes = assignments::routes();
    routes.extend(definitions::routes());
    routes.extend(permissions::routes());
    routes
}

impl World {
    /// Whether a principal has a right at a scope at that instant, through any assignment at or above it.
    pub fn allows(&self, principal: &str, right: Right<'_>, scope: &str, at: Moment) -> bool {
        self.roles.assignments.values().any(|assignment| {
            assignment.principal_id.eq_ignore_ascii_case(principal)
                && assignment.effective <= at
                && id::within(scope, &assignment.scope)
                && builtin::by_id(&assignment.role).is_some_and(|role| role.gives(right))
        })
    }
}

/// Returns the next instant after `after` at which an assignment begins to count.
pub fn grant_due(world: &World, after: Moment) -> Option<Moment> {
    world.roles.assignments.values().map(|assignment| assignment.effective).filter(|at| *at > after).min()
}

/// Forgets every assignment at or below a scope, as happens when the resource goes.
pub fn drop_scope(world: &mut World, scope: &str) {
    world.roles.assignments.retain(|_, assignment| !id::within(&assignment.scope, scope));
}

/// Makes a principal the owner of the subscription, in effect since ever.
pub fn own_subscription(world: &mut World, principal: &str, now: Moment) {
    let kind = world.directory.by_object_id(principal).map_or(PrincipalKind::User, |found| found.kind);
    let assignment = Assignment {
        name: world.uuid("owner-assignment"),
        scope: format!("/subscriptions/{}", world.subscription),
        role: builtin::OWNER.to_owned(),
        principal_id: principal.to_owned(),
        principal_type: kind.as_str().to_owned(),
        description: None,
        created: now,
        updated: now,
        by: principal.to_owned(),
        effective: Moment(0),
    };
    world.roles.assignments.insert(assignment.name.clone(), assignment);
}
