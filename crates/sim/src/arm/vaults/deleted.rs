//! Deletion of a vault, and requests for soft-deleted vaults.

use serde_json::{Value, json};

use super::{DELETED_KIND, DeletedVault, find};
use crate::arm::error::ArmError;
use crate::arm::operation::{self, Plan, Style};
use crate::arm::{Call, roles};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

/// Soft-deletes a vault: 200, or 204 if it does not exist.
pub(super) fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    if find(state, call).is_err() {
        return Ok(Reply::empty(204));
    }
    if let Some(id) = state.vaults.soft_delete(&call.param("vault").to_ascii_lowercase(), call.now) {
        roles::drop_scope(state, &id);
    }
    Ok(Reply::empty(200))
}

fn body(state: &CloudState, deleted: &DeletedVault) -> Value {
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
            state.subscription, vault.location(), vault.name()
        ),
        "name": vault.name(),
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": properties,
    })
}

/// Lists the deleted managed HSMs; there are none, because the simulated cloud cannot create one.
pub(super) fn no_modules(_state: &mut CloudState, _call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &json!({"value": []})))
}

fn find_deleted<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a DeletedVault, ArmError> {
    let (name, location) = (call.param("vault"), call.param("location"));
    let found = state.vaults.deleted.get(&name.to_ascii_lowercase());
    found.filter(|deleted| deleted.vault.location().eq_ignore_ascii_case(location)).ok_or_else(|| {
        let message = format!("The specified deleted vault '{name}' was not found in location '{location}'.");
        ArmError::new(404, "DeletedVaultNotFound", message)
    })
}

/// Returns one deleted vault.
pub(super) fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &body(state, find_deleted(state, call)?)))
}

/// Lists the deleted vaults of the subscription.
pub(super) fn list(state: &mut CloudState, _call: &Call<'_>) -> Result<Reply, ArmError> {
    let value: Vec<Value> = state.vaults.deleted.values().map(|deleted| body(state, deleted)).collect();
    Ok(Reply::json(200, &json!({"value": value})))
}

/// Purges a vault: 202 and a `Location`.
pub(super) fn purge(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let deleted = find_deleted(state, call)?;
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
    let resource = format!("/subscriptions/{}/providers/{DELETED_KIND}/{name}", state.subscription);
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
    let operation = operation::begin(state, &plan, call.now, ends);
    if let Some(deleted) = state.vaults.deleted.get_mut(&name.to_ascii_lowercase()) {
        deleted.purge = ends;
        deleted.purging = true;
    }
    Ok(operation.announce(state, &call.timing, Reply::empty(202)))
}
