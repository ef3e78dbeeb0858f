//! `PUT` and `PATCH` of a vault: create, update, recover.

use serde_json::{Value, json};

use super::{KIND, Vault, body, find, name_syntax};
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;
use crate::vault::store::Certificates;

/// Creates or updates a vault, or recovers it with `createMode: recover`.
pub(super) fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let desired = call.body()?;
    let name = call.param("vault").to_owned();
    if let Some(invalid_name) = name_syntax::invalid_name(&name) {
        return Err(ArmError::new(400, "VaultNameNotValid", invalid_name));
    }
    let location = location(state, &desired, &name)?;
    let key = name.to_ascii_lowercase();
    let recover =
        desired["properties"]["createMode"].as_str().is_some_and(|mode| mode.eq_ignore_ascii_case("recover"));
    match state.vaults.live.get(&key) {
        Some(vault) if vault.group().eq_ignore_ascii_case(call.param("group")) => {
            return update(state, call, &desired, Some(&location));
        }
        Some(_) => return Err(already_exists(&name)),
        None if recover => return recover_deleted(state, call, &location, &desired),
        None => {}
    }
    if state.vaults.foreign_names.contains(&key) {
        return Err(already_exists(&name));
    }
    if let Some(deleted) = state.vaults.deleted.get(&key) {
        let here = deleted.vault.group().eq_ignore_ascii_case(call.param("group"))
            && deleted.vault.location() == location;
        return Err(if here { in_deleted_state() } else { already_exists(&name) });
    }
    create(state, call, &desired, &location)
}

fn create(
    state: &mut CloudState,
    call: &Call<'_>,
    desired: &Value,
    location: &str,
) -> Result<Reply, ArmError> {
    let name = call.param("vault");
    let properties = body::fresh(&desired["properties"], &state.directory.tenant, &call.api_version)?;
    let stamp = stamp(call);
    let resource = json!({
        "id": format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{KIND}/{name}",
            call.param("subscription"),
            call.param("group")
        ),
        "name": name,
        "type": KIND,
        "location": location,
        "tags": desired.get("tags").filter(|tags| tags.is_object()).cloned().unwrap_or_else(|| json!({})),
        "systemData": {
            "createdBy": stamp["lastModifiedBy"],
            "createdByType": stamp["lastModifiedByType"],
            "createdAt": stamp["lastModifiedAt"],
        },
        "properties": properties,
    });
    let ready = call.timing.after(call.now, durations::VAULT_CREATE);
    let mut vault = Vault { resource, ready, deletion_due: None, certificates: Certificates::default() };
    touch(&mut vault, &stamp);
    Ok(insert(state, call, vault))
}

fn insert(state: &mut CloudState, call: &Call<'_>, vault: Vault) -> Reply {
    let view = vault.view(&state.vault_uri(vault.name()), call.now);
    state.vaults.live.insert(vault.name().to_ascii_lowercase(), vault);
    Reply::json(200, &view)
}

/// Updates an existing vault; only a PUT passes `location`.
pub(super) fn update(
    state: &mut CloudState,
    call: &Call<'_>,
    desired: &Value,
    location: Option<&str>,
) -> Result<Reply, ArmError> {
    let vault = find(state, call)?;
    if let Some(desired) = location.filter(|desired| *desired != vault.location()) {
        let message = format!(
            "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same name \
             cannot be created in location '{desired}'. Please select a new resource name.",
            vault.name(),
            vault.location(),
            vault.group()
        );
        return Err(ArmError::gateway(409, "InvalidResourceLocation", message));
    }
    let properties = body::updated(vault, &desired["properties"], &state.directory.tenant)?;
    let stamp = stamp(call);
    let uri = state.vault_uri(vault.name());
    let key = call.param("vault").to_ascii_lowercase();
    let vault = state.vaults.live.get_mut(&key).expect("it has just been found");
    vault.resource["properties"] = properties;
    if let Some(tags) = desired.get("tags").filter(|tags| tags.is_object()) {
        vault.resource["tags"] = tags.clone();
    } else if location.is_some() {
        vault.resource["tags"] = json!({});
    }
    touch(vault, &stamp);
    Ok(Reply::json(200, &vault.view(&uri, call.now)))
}

/// Handles a PATCH, which changes the properties in the body.
pub(super) fn patch(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let desired = call.body()?;
    update(state, call, &desired, None)
}

/// Recovers a soft-deleted vault with its contents, but without its role assignments.
fn recover_deleted(
    state: &mut CloudState,
    call: &Call<'_>,
    location: &str,
    desired: &Value,
) -> Result<Reply, ArmError> {
    let name = call.param("vault");
    let key = name.to_ascii_lowercase();
    let fits = state.vaults.deleted.get(&key).is_some_and(|deleted| {
        !deleted.purging
            && deleted.vault.location() == location
            && deleted.vault.group().eq_ignore_ascii_case(call.param("group"))
    });
    let Some(deleted) = state.vaults.deleted.remove(&key).filter(|_| fits) else {
        let message = format!(
            "A soft deleted vault with the given name '{name}' does not exist in resource group '{}' and location \
             '{location}'. Ensure that the name, resource group and location for the vault that is being attempted to \
             recover are correct. Follow this link for more information: https://go.microsoft.com/fwlink/?linkid=2149745",
            call.param("group")
        );
        return Err(ArmError::new(404, "SoftDeletedVaultDoesNotExist", message));
    };
    let mut vault = deleted.vault;
    vault.ready = call.timing.after(call.now, durations::VAULT_RECOVER);
    if let Some(tags) = desired.get("tags").filter(|tags| tags.is_object()) {
        vault.resource["tags"] = tags.clone();
    }
    touch(&mut vault, &stamp(call));
    Ok(insert(state, call, vault))
}

fn stamp(call: &Call<'_>) -> Value {
    let caller = &call.caller;
    let (by, kind) = match caller.is_user {
        true => (caller.name.as_str(), "User"),
        false => (caller.app_id.as_str(), "Application"),
    };
    json!({"lastModifiedBy": by, "lastModifiedByType": kind, "lastModifiedAt": call.now.rfc3339()})
}

fn touch(vault: &mut Vault, stamp: &Value) {
    for (key, value) in stamp.as_object().into_iter().flatten() {
        vault.resource["systemData"][key] = value.clone();
    }
}

/// Returns the normalized region.
fn location(state: &CloudState, desired: &Value, name: &str) -> Result<String, ArmError> {
    let Some(given) = desired["location"].as_str().filter(|text| !text.is_empty()) else {
        let message = "The location property is required for this definition.";
        return Err(ArmError::gateway(400, "LocationRequired", message));
    };
    let short: String = given.chars().filter(|c| *c != ' ').collect::<String>().to_ascii_lowercase();
    if state.locations.contains(&short) {
        return Ok(short);
    }
    let message = format!(
        "The provided location '{given}' is not available for resource type '{KIND}' ('{name}'). List of available \
         regions for the resource type is '{}'.",
        state.locations.join(",")
    );
    Err(ArmError::gateway(400, "LocationNotAvailableForResourceType", message))
}

fn in_deleted_state() -> ArmError {
    let message = "A vault with the same name already exists in deleted state. You need to either recover or purge existing \
                   key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on \
                   soft delete.";
    ArmError::new(409, "ConflictError", message)
}

/// Returns the error message for a name in use, including soft-deleted vaults elsewhere.
pub(super) fn name_in_use(name: &str) -> String {
    format!(
        "The vault name '{name}' is already in use. Vault names are globally unique so it is possible that the name is \
         already taken. If you are sure that the vault name was not taken then it is possible that a vault with the same \
         name was recently deleted but not purged after being placed in a recoverable state. If the vault is in a \
         recoverable state then the vault will need to be purged before reusing the name. For more information about \
         VaultAlreadyExists, soft delete and purging a vault follow this link \
         https://go.microsoft.com/fwlink/?linkid=2147740."
    )
}

fn already_exists(name: &str) -> ArmError {
    ArmError::new(409, "VaultAlreadyExists", name_in_use(name))
}
