//! What the journal remembers as made: what needs no asking is not asked.

use landfall_engine::Context;
use serde_json::Value;

/// Which things an earlier run has made or found.
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
    /// The cluster, accepted at least.
    pub(super) cluster: bool,
    /// Every role.
    pub(super) grants: bool,
}

impl Remembered {
    /// Reads it off the journal.
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

    /// Whether everything is there that takes a right to make.
    pub(super) fn everything(&self) -> bool {
        self.group && self.network && self.vault && self.cluster
    }
}
