//! The resource family of vaults.

use serde_json::Value;

use super::store::Vault;
use super::{DELETED_KIND, KIND, deleted, policies, read, write};
use crate::arm::versions::VAULTS as VERSIONS;
use crate::arm::{Provider, Route, roles};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::state::CloudState;

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

pub(super) fn delete_members(state: &mut CloudState, group: &str, from: SimTime, timing: &Timing) -> SimTime {
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
