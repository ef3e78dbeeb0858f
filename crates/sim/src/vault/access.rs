//! Authorization on the data plane: role assignments if the vault uses Azure RBAC, otherwise its access
//! policies.

use super::error::VaultError;
use crate::arm::roles::Right;
use crate::arm::vaults::Vault;
use crate::clock::SimTime;
use crate::entra::Caller;
use crate::state::CloudState;

/// The access to an object: an action of role definitions and a permission of access policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataOperation {
    /// Reads one object.
    Get,
    /// Lists all names or versions.
    List,
    /// Creates a certificate in the vault.
    Create,
    /// Imports a certificate.
    Import,
    /// Sets a secret.
    Set,
    /// Updates attributes, tags or the policy.
    Update,
    /// Soft-deletes an object.
    Delete,
    /// Recovers a soft-deleted object.
    Recover,
    /// Purges a soft-deleted object.
    Purge,
}

impl DataOperation {
    fn permission(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Import => "import",
            Self::Set => "set",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Recover => "recover",
            Self::Purge => "purge",
        }
    }

    /// Returns the last segments of the data action for a collection.
    fn action(self, collection: &str) -> &'static str {
        match (self, collection) {
            (Self::Get, "secrets") => "getSecret/action",
            (Self::List, "secrets") => "readMetadata/action",
            (Self::Get | Self::List, _) => "read",
            (Self::Create, _) => "create/action",
            (Self::Import, _) => "import/action",
            (Self::Set, _) => "setSecret/action",
            (Self::Update, _) => "update/action",
            (Self::Delete, _) => "delete",
            (Self::Recover, _) => "recover/action",
            (Self::Purge, _) => "purge/action",
        }
    }
}

/// Authorizes a request, before any check that the object exists.
///
/// # Errors
/// 403 in the form of Azure RBAC or of access policies, whichever the vault uses.
pub(crate) fn decide(
    state: &CloudState,
    vault: &Vault,
    caller: &Caller,
    operation: DataOperation,
    collection: &str,
    name: Option<&str>,
    at: SimTime,
) -> Result<(), VaultError> {
    let (id, label, location) = (vault.id(), vault.name(), vault.location());
    if !vault.uses_rbac() {
        return match vault.policy_grants(&caller.object_id, collection, operation.permission()) {
            true => Ok(()),
            false => Err(VaultError::by_policy(caller, collection, operation.permission(), label, location)),
        };
    }
    let action = format!("Microsoft.KeyVault/vaults/{collection}/{}", operation.action(collection));
    let resource = match name {
        Some(name) => format!("{id}/{collection}/{name}"),
        None => id.to_owned(),
    };
    if state.allows(&caller.object_id, Right::Data(&action), &resource, at) {
        return Ok(());
    }
    Err(VaultError::by_roles(caller, &action, &resource.to_ascii_lowercase(), label, location))
}
