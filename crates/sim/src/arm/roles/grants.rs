//! Effective rights: the roles that assignments grant at a time.

use crate::arm::id;
use crate::clock::SimTime;
use crate::entra::PrincipalKind;
use crate::state::CloudState;

use super::builtin::{self, Role};
use super::store::{Assignment, Right};

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
