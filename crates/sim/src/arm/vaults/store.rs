//! Key vaults in the state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arm::id;
use crate::clock::SimTime;
use crate::vault::certificate::VaultInfo;
use crate::vault::store::Certificates;

/// The vaults, live and soft-deleted, by lower-case name.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Vaults {
    pub(super) live: BTreeMap<String, Vault>,
    pub(super) deleted: BTreeMap<String, DeletedVault>,
    #[serde(rename = "elsewhere")]
    pub(super) foreign_names: BTreeSet<String>,
}

impl std::fmt::Debug for Vaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The contents of vaults are secret, so only their names are shown.
        f.debug_struct("Vaults")
            .field("live", &self.live.keys())
            .field("deleted", &self.deleted.keys())
            .finish_non_exhaustive()
    }
}

/// One vault.
#[derive(Clone, Serialize, Deserialize)]
pub struct Vault {
    /// The ARM body without `vaultUri` and `provisioningState`, which follow from the clock.
    pub(super) resource: Value,
    /// The time of its DNS registration; from then on it is `Succeeded` and reachable.
    pub(super) ready: SimTime,
    /// The time at which the deletion of its group deletes it.
    #[serde(rename = "doomed")]
    pub(super) deletion_due: Option<SimTime>,
    /// The certificates in it.
    pub(crate) certificates: Certificates,
}

/// A soft-deleted vault.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DeletedVault {
    pub(super) vault: Vault,
    pub(super) at: SimTime,
    /// The time of its final deletion: after its retention, or earlier during a purge.
    pub(super) purge: SimTime,
    pub(super) purging: bool,
}

impl Vault {
    /// The name in its original case.
    pub(crate) fn name(&self) -> &str {
        self.resource["name"].as_str().unwrap_or_default()
    }

    /// The full id.
    pub(crate) fn id(&self) -> &str {
        self.resource["id"].as_str().unwrap_or_default()
    }

    /// The region.
    pub(crate) fn location(&self) -> &str {
        self.resource["location"].as_str().unwrap_or_default()
    }

    pub(super) fn group(&self) -> &str {
        id::part(self.id(), "resourceGroups").unwrap_or_default()
    }

    pub(super) fn properties(&self) -> &Value {
        &self.resource["properties"]
    }

    /// Returns whether it uses RBAC authorization instead of its own access policies.
    pub(crate) fn uses_rbac(&self) -> bool {
        self.properties()["enableRbacAuthorization"] == true
    }

    /// Returns whether its data plane is reachable from outside a private link.
    pub(crate) fn public_access(&self) -> bool {
        !self.properties()["publicNetworkAccess"]
            .as_str()
            .is_some_and(|it| it.eq_ignore_ascii_case("disabled"))
    }

    /// The firewall rules; null if there are none.
    pub(crate) fn network_rules(&self) -> &Value {
        &self.properties()["networkAcls"]
    }

    /// Returns whether an access policy grants that permission on a collection (`certificates`, `secrets`,
    /// `keys`).
    pub(crate) fn policy_grants(&self, object_id: &str, collection: &str, permission: &str) -> bool {
        let policies = self.properties()["accessPolicies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |policy: &&Value| {
            policy["objectId"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(object_id))
        };
        policies.iter().filter(of).any(|policy| {
            let granted = policy["permissions"][collection].as_array().map(Vec::as_slice).unwrap_or_default();
            let fits = |text: &str| text.eq_ignore_ascii_case(permission) || text.eq_ignore_ascii_case("all");
            granted.iter().filter_map(Value::as_str).any(fits)
        })
    }

    /// Returns the retention of deleted objects in days.
    pub(crate) fn retention_days(&self) -> i64 {
        self.properties()["softDeleteRetentionInDays"].as_i64().unwrap_or(90)
    }

    /// Returns whether purge protection is enabled.
    pub(crate) fn purge_protected(&self) -> bool {
        self.properties()["enablePurgeProtection"] == true
    }

    /// Returns the settings that its certificates show; `uri` is its data plane.
    pub(crate) fn vault_info<'a>(&self, uri: &'a str) -> VaultInfo<'a> {
        VaultInfo { uri, days: self.retention_days(), protected: self.purge_protected() }
    }

    /// Returns the ARM body at an instant. Before the DNS registration the URI has no trailing slash.
    pub(super) fn view(&self, uri: &str, now: SimTime) -> Value {
        let ready = now >= self.ready;
        let mut body = self.resource.clone();
        let uri = if ready { uri } else { uri.trim_end_matches('/') };
        body["properties"]["vaultUri"] = json!(uri);
        body["properties"]["provisioningState"] = json!(if ready { "Succeeded" } else { "RegisteringDns" });
        body
    }
}

impl Vaults {
    /// Returns the vault behind a host name, once its DNS name is registered.
    pub(crate) fn reachable(&self, name: &str, at: SimTime) -> Option<&Vault> {
        self.live.get(name).filter(|vault| vault.ready <= at)
    }

    /// Like `reachable`, but mutable.
    pub(crate) fn reachable_mut(&mut self, name: &str, at: SimTime) -> Option<&mut Vault> {
        self.live.get_mut(name).filter(|vault| vault.ready <= at)
    }

    /// Frees the names of the vaults of other tenants, as after their purge.
    pub fn release_names(&mut self) {
        self.foreign_names.clear();
    }

    /// Assigns a name to a vault of another tenant.
    pub fn reserve_name(&mut self, name: &str) {
        self.foreign_names.insert(name.to_ascii_lowercase());
    }

    pub(super) fn soft_delete(&mut self, name: &str, at: SimTime) -> Option<String> {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let mut vault = self.live.remove(name)?;
        vault.deletion_due = None;
        let (id, purge) = (vault.id().to_owned(), at.plus_ms(vault.retention_days() * DAY_MS));
        self.deleted.insert(name.to_owned(), DeletedVault { vault, at, purge, purging: false });
        Some(id)
    }
}
