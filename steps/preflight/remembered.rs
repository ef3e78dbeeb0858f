//! Resources that the journal records as created, for which checks are unnecessary.

use landfall_engine::Context;
use serde_json::Value;

/// The resources that an earlier run created or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remembered {
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
}

impl Remembered {
    /// Reads the state from the journal.
    pub(super) fn of(cx: &Context) -> Self {
        let has = |step: &str| cx.output::<Value>(step).is_some();
        Self {
            group: has("resource-group"),
            providers: has("features"),
            network: has("network"),
            vault: has("key-vault"),
            cluster: has("cluster-ready") || has("cluster"),
            grants: ["vault-officer", "subnet-role", "vault-access"].into_iter().all(has),
        }
    }

    /// Returns whether every resource exists whose creation needs a right.
    pub(super) fn everything(&self) -> bool {
        self.group && self.network && self.vault && self.cluster
    }
}
