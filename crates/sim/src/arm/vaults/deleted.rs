//! Deletion of a vault, and requests for soft-deleted vaults.

use serde_json::{Value, json};

use super::{DELETED_KIND, Deleted, find};
use crate::arm::error::ArmError;
use crate::arm::operation::{self, Plan, Style};
use crate::arm::{Call, roles};
use crate::durations;
use crate::request::Reply;
use crate::world::World;

/// Soft-deletes a vault: 200, or 204 if it does not exist.
pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    if find(world, call).is_err() {
        return Ok(Reply::empty(204));
    }
    if let Some(id) = world.vaults.soft_delete(&call.param("vault").to_ascii_lowercase(), call.now) {
        roles::drop_scope(world, &id);
    }
    Ok(Reply::empty(200))
}

fn body(world: &World, deleted: &Deleted) -> Value {
    let vault = &deleted.vault;
    let mut properties = json!({
        "vaultId": vault.id(),
        "location": vault.location(),
        "deletionDate": deleted.at.rfc3339(),
        "scheduledPurgeDate": deleted.purge.rfc3339(),
        "tags": vault.resource["tags"],
    });
    if vault.purge_protected() {
        properties["purgeProtectionEnabled"] = json!(true);
    }
    json!({
        "id": format!(
            "/subscriptions/{}/providers/Microsoft.KeyVault/locations/{}/deletedVaults/{}",
            world.subscription, vault.location(), vault.name()
        ),
        "name": vault.name(),
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": properties,
    })
}

/// Lists the deleted managed HSMs; there are none, because the simulated cloud cannot create one.
pub(super) fn no_modules(_world: &mut World, _call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &json!({"value": []})))
}

fn find_deleted<'a>(world: &'a World, call: &Call<'_>) -> Result<&'a Deleted, ArmError> {
    let (name, location) = (call.param("vault"), call.param("location"));
    let found = world.vaults.deleted.get(&name.to_ascii_lowercase());
    found.filter(|deleted| deleted.vault.location().eq_ignore_ascii_case(location)).ok_or_else(|| {
        let message = format!("The specified deleted vault '{name}' was not found in location '{location}'.");
        ArmError::new(404, "DeletedVaultNotFound", message)
    })
}

/// Returns one deleted vault.
pub(super) fn get(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &body(world, find_deleted(world, call)?)))
}

/// Lists the deleted vaults of the subscription.
pub(super) fn list(world: &mut World, _call: &Call<'_>) -> Result<Reply, ArmError> {
    let value: Vec<Value> = world.vaults.deleted.values().map(|deleted| body(world, deleted)).collect();
    Ok(Reply::json(200, &json!({"value": value})))
}

/// Purges a vault: 202 and a `Location`.
pub(super) fn purge(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    let deleted = find_deleted(world, call)?;
    let (name, location) = (deleted.vault.name().to_owned(), deleted.vault.location().to_owned());
    if deleted.vault.purge_protected() {
        let message = format!(
            "Operation 'DeletedVaultPurge' is not allowed: vault '{name}' has purge protection enabled. It is purged \
             automatically after its retention period has passed."
        );
        return Err(ArmError::new(409, "MethodNotAllowed", message));
    }
    let ends =
        if deleted.purging { deleted.purge } else { call.timing.after(call.now, durations::VAULT_PURGE) };
    let resource = format!("/subscriptions/{}/providers/{DELETED_KIND}/{name}", world.subscription);
    let plan = Plan {
        resource: &resource,
        provider: "Microsoft.KeyVault",
        location: &location,
        name: "PurgeDeletedVault",
        style: Style::Location,
        api_version: &call.api_version,
        retry_after: Some(5.0),
        signed: false,
    };
    let operation = operation::begin(world, &plan, call.now, ends);
    if let Some(deleted) = world.vaults.deleted.get_mut(&name.to_ascii_lowercase()) {
        deleted.purge = ends;
        deleted.purging = true;
    }
    Ok(operation.announce(world, &call.timing, Reply::empty(202)))
}
