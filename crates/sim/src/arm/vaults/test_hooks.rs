//! Test hooks for vaults: soft-deleted vaults of the same name, and vaults of other owners.

use serde_json::{Value, json};

use super::{DeletedVault, KIND, Vault, Vaults, body};
use crate::arm::operation::Operation;
use crate::clock::SimTime;
use crate::state::CloudState;
use crate::vault::store::Certificates;

/// The age of the planted deletion in milliseconds.
const AGO_MS: i64 = 3_600_000;
/// The default retention of a vault in milliseconds.
const RETENTION_MS: i64 = 90 * 24 * 3_600_000;

impl Vaults {
    /// Returns whether a name is globally available.
    pub(crate) fn is_free(&self, name: &str) -> bool {
        let key = name.to_ascii_lowercase();
        !self.live.contains_key(&key)
            && !self.deleted.contains_key(&key)
            && !self.foreign_names.contains(&key)
    }

    /// Sets whether the vault of that name, also a deleted one, refuses every public network.
    pub fn set_private(&mut self, name: &str, private: bool) {
        let (access, key) = (if private { "Disabled" } else { "Enabled" }, name.to_ascii_lowercase());
        let deleted = self.deleted.get_mut(&key).map(|deleted| &mut deleted.vault);
        for vault in self.live.get_mut(&key).into_iter().chain(deleted) {
            vault.resource["properties"]["publicNetworkAccess"] = json!(access);
        }
    }

    /// Returns the id of an existing vault.
    pub(crate) fn id_of(&self, name: &str, at: SimTime) -> Option<String> {
        self.reachable(&name.to_ascii_lowercase(), at).map(|vault| vault.id().to_owned())
    }

    /// Lets the purge of a vault fail: it stays soft-deleted until the end of its retention.
    pub(crate) fn fail_purge(&mut self, operation: &Operation) -> bool {
        let name = crate::arm::id::name(&operation.resource).to_ascii_lowercase();
        let Some(deleted) = self.deleted.get_mut(&name).filter(|deleted| deleted.purging) else {
            return false;
        };
        deleted.purging = false;
        deleted.purge = deleted.at.plus_ms(RETENTION_MS);
        true
    }
}

/// Adds a soft-deleted vault of that name in a group of the subscription; returns whether the name was
/// available.
pub(crate) fn create_soft_deleted(
    state: &mut CloudState,
    name: &str,
    group: &str,
    location: &str,
    tags: &Value,
    now: SimTime,
) -> bool {
    if !state.vaults.is_free(name) {
        return false;
    }
    let tenant = state.directory.tenant.clone();
    let desired = json!({
        "tenantId": tenant, "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": true,
    });
    let Ok(properties) = body::fresh(&desired, &tenant, crate::arm::versions::VAULTS_USE_ROLES) else {
        return false;
    };
    let resource = json!({
        "id": format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}/{name}", state.subscription),
        "name": name,
        "type": KIND,
        "location": location,
        "tags": tags,
        "properties": properties,
    });
    let key = name.to_ascii_lowercase();
    let at = now.plus_ms(-AGO_MS);
    let vault = Vault { resource, ready: at, deletion_due: None, certificates: Certificates::default() };
    state.vaults.live.insert(key.clone(), vault);
    state.vaults.soft_delete(&key, at);
    debug_assert!(state.vaults.deleted.get(&key).is_some_and(|deleted: &DeletedVault| !deleted.purging));
    true
}
