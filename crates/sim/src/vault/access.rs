//! Authorization on the data plane: role assignments if the vault uses Azure RBAC, otherwise its access
//! policies.

use super::refusal::Refusal;
use crate::arm::roles::Right;
use crate::arm::vaults::Vault;
use crate::clock::Moment;
use crate::entra::Caller;
use crate::world::World;

/// The access to an object: an action of role definitions and a permission of access policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Reads one object.
    Get,
    /// Lists all names or versions.
    List,
    /// Creates a certificate in the vault.
    Create,
    /// Imports a certificate.
    Import,
    /// Updates attributes, tags or the policy.
    Update,
    /// Soft-deletes an object.
    Delete,
    /// Recovers a soft-deleted object.
    Recover,
    /// Purges a soft-deleted object.
    Purge,
}

impl Wish {
    fn permission(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Import => "import",
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
    world: &World,
    vault: &Vault,
    caller: &Caller,
    wish: Wish,
    collection: &str,
    name: Option<&str>,
    at: Moment,
) -> Result<(), Refusal> {
    let (id, label, location) = (vault.id(), vault.name(), vault.location());
    if !vault.asks_roles() {
        return match vault.policy_grants(&caller.object_id, collection, wish.permission()) {
            true => Ok(()),
            false => Err(Refusal::by_policy(caller, collection, wish.permission(), label, location)),
        };
    }
    let action = format!("Microsoft.KeyVault/vaults/{collection}/{}", wish.action(collection));
    let resource = match name {
        Some(name) => format!("{id}/{collection}/{name}"),
        None => id.to_owned(),
    };
    if world.allows(&caller.object_id, Right::Data(&action), &resource, at) {
        return Ok(());
    }
    Err(Refusal::by_roles(caller, &action, &resource.to_ascii_lowercase(), label, location))
}
