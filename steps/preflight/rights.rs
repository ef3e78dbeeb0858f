//! Check that the signed-in principal may create the resources and role assignments.

use super::{Concern, finding::Finding};
use crate::resource::{Declared, RESOURCE_GROUP, ROLE_ASSIGNMENT, Resources, Right};
use landfall_cloud::arm::Permissions;

const GRANTS: &str = "Microsoft.Authorization/roleAssignments/write";

/// Returns the rights that the creation of the resources needs, except those for role assignments.
pub(super) fn needed(resources: &Resources, makes_group: bool) -> Vec<Right> {
    let of_type = |one: &&Declared, kind| one.spec.resource_type == Some(kind);
    let all = resources.all().iter().filter(|one| !of_type(one, ROLE_ASSIGNMENT));
    let all = all.filter(|one| makes_group || !of_type(one, RESOURCE_GROUP));
    all.flat_map(|one| one.spec.rights).copied().collect()
}

/// The principal and scope of the check.
pub(super) struct Place<'a> {
    /// The signed-in principal as display text.
    pub(super) who: &'a str,
    /// The group's id if it exists, else the subscription's.
    pub(super) scope: &'a str,
    /// The needed rights.
    pub(super) needed: Vec<Right>,
}

/// Checks the rights to create resources.
pub(super) fn to_make(rights: &Permissions, place: &Place<'_>) -> Option<Finding> {
    let lacking = place.needed.iter().filter(|right| !rights.allow(right.action));
    let lacking: Vec<&str> = lacking.map(|right| right.act).collect();
    (!lacking.is_empty()).then(|| {
        Finding::refused(Concern::Rights, format!("use the rights of {}", place.who))
            .code("AuthorizationFailed")
            .cause(format!("{} may not {} at {}", place.who, in_words(&lacking), place.scope))
            .mend(
                "request the role Contributor at this scope; a new role may need some minutes to take effect",
            )
    })
}

/// Checks the right to create role assignments, which Contributor does not include.
pub(super) fn to_grant(rights: &Permissions, place: &Place<'_>) -> Option<Finding> {
    (!rights.allow(GRANTS)).then(|| {
        Finding::refused(Concern::RoleGrants, format!("grant roles as {}", place.who))
            .code("AuthorizationFailed")
            .cause(format!("{} may not create role assignments at {}", place.who, place.scope))
            .mend(
                "request Owner, User Access Administrator or Role Based Access Control Administrator at this \
                 scope; Contributor is not enough",
            )
            .for_a_new_cluster()
    })
}

/// Joins words: `a`, `a or b`, `a, b or c`.
fn in_words(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_role_everything_that_is_lacking_is_named() {
        let right = |act| Right { act, action: "Microsoft.Network/virtualNetworks/write" };
        let needed = ["create resource groups", "create virtual networks", "sign in to clusters"].map(right);
        let place = Place { who: "ada", scope: "/subscriptions/s", needed: needed.to_vec() };
        let finding = to_make(&Permissions::default(), &place).unwrap();
        assert!(finding.causes[0].starts_with("ada may not create resource groups, create virtual networks"));
        assert!(finding.causes[0].ends_with("or sign in to clusters at /subscriptions/s"), "{:?}", finding);
        assert!(to_grant(&Permissions::default(), &place).unwrap().mend.starts_with("request Owner, User"));
    }
}
