//! Resources that the journal records as created, for which checks are unnecessary.

use crate::resource_spec::{
    Declared, KEY_VAULT, MANAGED_CLUSTER, PROVIDER, RESOURCE_GROUP, ROLE_ASSIGNMENT, Resources,
    VIRTUAL_NETWORK,
};
use landfall_engine::Context;

/// The resources that an earlier run created or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AlreadyCreated {
    /// The resource group.
    pub(super) group: bool,
    /// The registration of the resource providers.
    pub(super) providers: bool,
    /// The network with its subnet.
    pub(super) network: bool,
    /// The vault.
    pub(super) vault: bool,
    /// The cluster, at least accepted.
    pub(super) cluster: bool,
    /// Every role assignment.
    pub(super) grants: bool,
    /// Every resource whose creation needs a right, except role assignments.
    has_all_resources: bool,
}

impl AlreadyCreated {
    /// Reads the state from the journal.
    pub(super) fn of(cx: &Context, resources: &Resources) -> Self {
        let has = |resource_type: &str| resources.is_recorded(cx, resource_type);
        let with_rights = || resources.enabled().filter(|one| !one.spec.rights.is_empty());
        let grants = |one: &&Declared| one.spec.resource_type == Some(ROLE_ASSIGNMENT);
        let mut types = with_rights().filter(|one| !grants(one)).filter_map(|one| one.spec.resource_type);
        Self {
            group: has(RESOURCE_GROUP),
            providers: has(PROVIDER),
            network: has(VIRTUAL_NETWORK),
            vault: has(KEY_VAULT),
            cluster: has(MANAGED_CLUSTER),
            grants: with_rights().filter(grants).all(|one| cx.past_of(one.id).output.is_some()),
            has_all_resources: types.all(has),
        }
    }

    /// Returns whether every resource exists whose creation needs a right.
    pub(super) fn has_all_resources(&self) -> bool {
        self.has_all_resources
    }
}
