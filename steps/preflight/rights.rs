//! Check that the signed-in principal may create the resources and role assignments.

use super::{Concern, finding::Finding};
use landfall_cloud::arm::Permissions;

const GROUPS: &str = "Microsoft.Resources/subscriptions/resourceGroups/write";
const GRANTS: &str = "Microsoft.Authorization/roleAssignments/write";

/// The resources in the group as display text, with the right that each needs.
const MADE: [(&str, &str); 4] = [
    ("create virtual networks", "Microsoft.Network/virtualNetworks/write"),
    ("create key vaults", "Microsoft.KeyVault/vaults/write"),
    ("create clusters", "Microsoft.ContainerService/managedClusters/write"),
    ("sign in to clusters", "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"),
];

/// The principal and scope of the check.
pub(super) struct Place<'a> {
    /// The signed-in principal as display text.
    pub(super) who: &'a str,
    /// The group's id if it exists, else the subscription's.
    pub(super) scope: &'a str,
    /// True if the group does not exist yet.
    pub(super) makes_group: bool,
}

/// Checks the rights to create resources.
pub(super) fn to_make(rights: &Permissions, place: &Place<'_>) -> Option<Finding> {
    let group = place.makes_group.then_some(("create resource groups", GROUPS));
    let needed = group.into_iter().chain(MADE);
    let lacking: Vec<&str> =
        needed.filter(|(_, action)| !rights.allow(action)).map(|(words, _)| words).collect();
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
        let place = Place { who: "ada", scope: "/subscriptions/s", makes_group: true };
        let finding = to_make(&Permissions::default(), &place).unwrap();
        assert!(finding.causes[0].starts_with("ada may not create resource groups, create virtual networks"));
        assert!(finding.causes[0].ends_with("or sign in to clusters at /subscriptions/s"), "{:?}", finding);
        let there = Place { makes_group: false, ..place };
        assert!(!to_make(&Permissions::default(), &there).unwrap().causes[0].contains("resource groups"));
        assert!(to_grant(&Permissions::default(), &there).unwrap().mend.starts_with("request Owner, User"));
    }
}
