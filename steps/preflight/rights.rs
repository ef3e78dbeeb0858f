//! Check that the signed-in principal may create the resources and role assignments.

use super::{PreflightCheckId, finding::Finding};
use crate::resource_spec::{Declared, RESOURCE_GROUP, ROLE_ASSIGNMENT, Resources, Right};
use landfall_cloud::arm::Permissions;

const GRANTS: &str = "Microsoft.Authorization/roleAssignments/write";

/// Returns the rights that the creation of the resources needs, except those for role assignments.
pub(super) fn needed(resources: &Resources, creates_group: bool) -> Vec<Right> {
    let of_type = |one: &&Declared, kind| one.spec.resource_type == Some(kind);
    let all = resources.enabled().filter(|one| !of_type(one, ROLE_ASSIGNMENT));
    let all = all.filter(|one| creates_group || !of_type(one, RESOURCE_GROUP));
    all.flat_map(|one| one.spec.rights).copied().collect()
}

/// The principal and scope of the check.
pub(super) struct RightsScope<'a> {
    /// The signed-in principal as display text.
    pub(super) who: &'a str,
    /// The group's id if it exists, else the subscription's.
    pub(super) scope: &'a str,
    /// The needed rights.
    pub(super) needed: Vec<Right>,
}

/// Checks the rights to create resources.
pub(super) fn check_create(rights: &Permissions, rights_scope: &RightsScope<'_>) -> Option<Finding> {
    let missing = rights_scope.needed.iter().filter(|right| !rights.allow(right.action));
    let missing: Vec<&str> = missing.map(|right| right.act).collect();
    (!missing.is_empty()).then(|| {
        Finding::refused(PreflightCheckId::Rights, format!("use the rights of {}", rights_scope.who))
            .code("AuthorizationFailed")
            .cause(format!("{} may not {} at {}", rights_scope.who, join_words(&missing), rights_scope.scope))
            .fix(
                "request the role Contributor at this scope; a new role may need some minutes to take effect",
            )
    })
}

/// Checks the right to create role assignments, which Contributor does not include.
pub(super) fn check_role_grants(rights: &Permissions, rights_scope: &RightsScope<'_>) -> Option<Finding> {
    (!rights.allow(GRANTS)).then(|| {
        Finding::refused(PreflightCheckId::RoleGrants, format!("grant roles as {}", rights_scope.who))
            .code("AuthorizationFailed")
            .cause(format!("{} may not create role assignments at {}", rights_scope.who, rights_scope.scope))
            .fix(
                "request Owner, User Access Administrator or Role Based Access Control Administrator at this \
                 scope; Contributor is not enough",
            )
            .for_a_new_cluster()
    })
}

/// Joins words: `a`, `a or b`, `a, b or c`.
fn join_words(phrases: &[&str]) -> String {
    match phrases {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_role_every_missing_right_is_named() {
        let right = |act| Right { act, action: "Microsoft.Network/virtualNetworks/write" };
        let needed = ["create resource groups", "create virtual networks", "sign in to clusters"].map(right);
        let rights_scope = RightsScope { who: "ada", scope: "/subscriptions/s", needed: needed.to_vec() };
        let finding = check_create(&Permissions::default(), &rights_scope).unwrap();
        assert!(finding.causes[0].starts_with("ada may not create resource groups, create virtual networks"));
        assert!(finding.causes[0].ends_with("or sign in to clusters at /subscriptions/s"), "{:?}", finding);
        assert!(
            check_role_grants(&Permissions::default(), &rights_scope)
                .unwrap()
                .fix
                .starts_with("request Owner, User")
        );
    }
}
