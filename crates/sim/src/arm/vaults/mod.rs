//! Key vaults in Resource Manager: create, read, soft-delete, recover, purge.
//!
//! Source: Microsoft.KeyVault/vaults, api-version 2026-02-01 and before. A name is globally unique and stays
//! taken while the vault is soft-deleted. A deletion removes the role assignments at and below the vault, and
//! a recovery does not restore them.

mod body;
mod deleted;
mod name_syntax;
mod policies;
mod read;
pub(crate) mod test_hooks;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::provider::Provider;
use crate::arm::versions::VAULTS as VERSIONS;
use crate::arm::{Call, Route, id, roles};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::state::CloudState;
use crate::vault::certificate::{Certificates, VaultInfo};

/// The resource type.
pub(crate) const KIND: &str = "Microsoft.KeyVault/vaults";
/// The resource type of a soft-deleted vault; names the right to purge.
const DELETED_KIND: &str = "Microsoft.KeyVault/locations/deletedVaults";

/// The vaults, live and soft-deleted, by lower-case name.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Vaults {
    live: BTreeMap<String, Vault>,
    deleted: BTreeMap<String, DeletedVault>,
    #[serde(rename = "elsewhere")]
    foreign_names: BTreeSet<String>,
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
pub(crate) struct Vault {
    /// The ARM body without `vaultUri` and `provisioningState`, which follow from the clock.
    resource: Value,
    /// The time of its DNS registration; from then on it is `Succeeded` and reachable.
    ready: SimTime,
    /// The time at which the deletion of its group deletes it.
    #[serde(rename = "doomed")]
    deletion_due: Option<SimTime>,
    /// The certificates in it.
    pub(crate) certificates: Certificates,
}

/// A soft-deleted vault.
#[derive(Clone, Serialize, Deserialize)]
struct DeletedVault {
    vault: Vault,
    at: SimTime,
    /// The time of its final deletion: after its retention, or earlier during a purge.
    purge: SimTime,
    purging: bool,
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

    fn group(&self) -> &str {
        id::part(self.id(), "resourceGroups").unwrap_or_default()
    }

    fn properties(&self) -> &Value {
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
    fn view(&self, uri: &str, now: SimTime) -> Value {
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

    /// Assigns a name to a vault of another tenant.
    pub fn reserve_name(&mut self, name: &str) {
        self.foreign_names.insert(name.to_ascii_lowercase());
    }

    fn soft_delete(&mut self, name: &str, at: SimTime) -> Option<String> {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let mut vault = self.live.remove(name)?;
        vault.deletion_due = None;
        let (id, purge) = (vault.id().to_owned(), at.plus_ms(vault.retention_days() * DAY_MS));
        self.deleted.insert(name.to_owned(), DeletedVault { vault, at, purge, purging: false });
        Some(id)
    }
}

/// Returns the vault in a call's URL, which must be in the group of the URL.
fn find<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a Vault, ArmError> {
    let (name, group) = (call.param("vault"), call.param("group"));
    let found = state.vaults.live.get(&name.to_ascii_lowercase());
    found
        .filter(|vault| vault.group().eq_ignore_ascii_case(group))
        .ok_or_else(|| ArmError::resource_not_found(KIND, name, group))
}

/// The resource family of vaults.
pub const PROVIDER: Provider =
    Provider { members, delete_members, next_due, advance_to, ..Provider::stateless("vaults", routes) };

fn routes() -> Vec<Route> {
    const ONE: &str =
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{vault}";
    const POLICIES: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{vault}/accessPolicies/{change}";
    const IN_GROUP: &str =
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults";
    const ALL: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/vaults";
    const NAME: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/checkNameAvailability";
    const DELETED: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedVaults";
    const DELETED_HSM: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedManagedHSMs";
    const DELETED_ONE: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault}";
    const PURGE: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault}/purge";
    vec![
        Route::new("PUT", ONE, KIND, VERSIONS, write::put),
        Route::new("PATCH", ONE, KIND, VERSIONS, write::patch),
        Route::new("PUT", POLICIES, policies::KIND, VERSIONS, policies::put),
        Route::new("GET", ONE, KIND, VERSIONS, read::get),
        Route::new("DELETE", ONE, KIND, VERSIONS, deleted::delete),
        Route::new("GET", IN_GROUP, KIND, VERSIONS, read::list),
        Route::new("GET", ALL, KIND, VERSIONS, read::list),
        Route::any("POST", NAME, "Microsoft.KeyVault", VERSIONS, read::check_name),
        Route::new("GET", DELETED, "Microsoft.KeyVault/deletedVaults", VERSIONS, deleted::list),
        Route::new(
            "GET",
            DELETED_HSM,
            "Microsoft.KeyVault/deletedManagedHSMs",
            VERSIONS,
            deleted::no_modules,
        ),
        Route::new("GET", DELETED_ONE, DELETED_KIND, VERSIONS, deleted::get),
        Route::new("POST", PURGE, DELETED_KIND, VERSIONS, deleted::purge),
    ]
}

fn members(state: &CloudState, group: &str) -> Vec<Value> {
    let within = |vault: &&Vault| vault.group().eq_ignore_ascii_case(group);
    state.vaults.live.values().filter(within).map(|vault| vault.resource.clone()).collect()
}

fn delete_members(state: &mut CloudState, group: &str, from: SimTime, timing: &Timing) -> SimTime {
    let at = timing.after(from, durations::VAULT_DELETE);
    let mut last = from;
    for vault in state.vaults.live.values_mut().filter(|vault| vault.group().eq_ignore_ascii_case(group)) {
        vault.deletion_due = Some(at);
        last = at;
    }
    last
}

fn next_due(state: &CloudState) -> Option<SimTime> {
    let of_live = |vault: &Vault| vault.deletion_due.into_iter().chain(vault.certificates.next_due()).min();
    let live = state.vaults.live.values().filter_map(of_live);
    live.chain(state.vaults.deleted.values().map(|deleted| deleted.purge)).min()
}

fn advance_to(state: &mut CloudState, due: SimTime, _timing: &Timing) {
    for vault in state.vaults.live.values_mut() {
        vault.certificates.advance_to(due);
    }
    state.vaults.deleted.retain(|_, deleted| deleted.purge > due);
    let deletion_due: Vec<String> = state
        .vaults
        .live
        .iter()
        .filter(|(_, vault)| vault.deletion_due.is_some_and(|at| at <= due))
        .map(|(name, _)| name.clone())
        .collect();
    for name in deletion_due {
        if let Some(id) = state.vaults.soft_delete(&name, due) {
            roles::drop_scope(state, &id);
        }
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
