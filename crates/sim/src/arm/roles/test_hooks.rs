//! Test hooks for role assignments: changes by other clients, and the delay before an assignment takes
//! effect.

use serde_json::Value;

use super::{Assignment, Right, builtin};
use crate::arm::id;
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::state::CloudState;

/// Creates the assignment in the body of a PUT under another name, as another client. Returns whether it is
/// new: no assignment of that scope, role and principal existed.
pub(crate) fn create_competing(
    state: &mut CloudState,
    scope: &str,
    body: &Value,
    now: SimTime,
    timing: &Timing,
) -> bool {
    let text = |name: &str| body["properties"][name].as_str().unwrap_or_default().to_owned();
    let (role, principal_id) =
        (id::name(&text("roleDefinitionId")).to_ascii_lowercase(), text("principalId"));
    let is_same = |other: &Assignment| {
        id::same(&other.scope, scope)
            && other.role == role
            && other.principal_id.eq_ignore_ascii_case(&principal_id)
    };
    let is_known = builtin::by_id(&role).is_some() && !principal_id.is_empty();
    if !is_known || state.roles.assignments.values().any(is_same) {
        return false;
    }
    let given = text("principalType");
    let assignment = Assignment {
        name: state.uuid("forestalled-assignment"),
        scope: scope.to_owned(),
        role,
        principal_id,
        principal_type: if given.is_empty() { "ServicePrincipal".to_owned() } else { given },
        description: None,
        condition: None,
        created: now,
        updated: now,
        by: state.directory.user().object_id.clone(),
        effective: timing.after(now, durations::ROLE_EFFECT),
    };
    state.roles.assignments.insert(assignment.name.clone(), assignment);
    true
}

/// Moves the effective time of a principal's assignments that grant read or import in a vault to `from`.
/// Returns their names.
pub(crate) fn delay_grants(
    state: &mut CloudState,
    principal: &str,
    vault: &str,
    now: SimTime,
    from: SimTime,
) -> Vec<String> {
    let rights = [
        "Microsoft.KeyVault/vaults/certificates/import/action",
        "Microsoft.KeyVault/vaults/certificates/read",
        "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    ];
    let gives = |assignment: &Assignment| {
        let role = builtin::by_id(&assignment.role);
        role.is_some_and(|role| rights.iter().any(|right| role.gives(Right::Data(right))))
    };
    let counting = state.roles.assignments.values_mut().filter(|assignment| {
        assignment.principal_id.eq_ignore_ascii_case(principal)
            && assignment.effective <= now
            && id::within(vault, &assignment.scope)
            && gives(assignment)
    });
    let mut names = Vec::new();
    for assignment in counting {
        assignment.effective = from;
        names.push(assignment.name.clone());
    }
    names
}

/// Replaces Owner with Contributor in every assignment of a principal; returns whether there was one.
pub(crate) fn demote(state: &mut CloudState, principal: &str) -> bool {
    let mut owned = false;
    for assignment in state.roles.assignments.values_mut() {
        if assignment.principal_id.eq_ignore_ascii_case(principal) && assignment.role == builtin::OWNER {
            builtin::CONTRIBUTOR.clone_into(&mut assignment.role);
            owned = true;
        }
    }
    owned
}
