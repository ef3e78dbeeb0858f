//! Key vaults in Resource Manager: create, read, soft-delete, recover, purge.
//!
//! Source: Microsoft.KeyVault/vaults, api-version 2026-02-01 and before. A name is globally unique and stays
//! taken while the vault is soft-deleted. A deletion removes the role assignments at and below the vault, and
//! a recovery does not restore them.

mod body;
mod deleted;
mod name_syntax;
mod policies;
pub(crate) mod provider;
mod read;
pub(crate) mod store;
pub(crate) mod test_hooks;
mod write;

use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::state::CloudState;

use store::DeletedVault;
pub use store::{Vault, Vaults};

/// The resource type.
pub(crate) const KIND: &str = "Microsoft.KeyVault/vaults";
/// The resource type of a soft-deleted vault; names the right to purge.
const DELETED_KIND: &str = "Microsoft.KeyVault/locations/deletedVaults";

/// Returns the vault in a call's URL, which must be in the group of the URL.
fn find<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a Vault, ArmError> {
    let (name, group) = (call.param("vault"), call.param("group"));
    let found = state.vaults.live.get(&name.to_ascii_lowercase());
    found
        .filter(|vault| vault.group().eq_ignore_ascii_case(group))
        .ok_or_else(|| ArmError::resource_not_found(KIND, name, group))
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
