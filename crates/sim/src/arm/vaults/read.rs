//! Reading vaults, and checking the availability of a name.

use serde_json::{Value, json};

use super::{find, name_syntax, write};
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::request::Reply;
use crate::state::CloudState;

/// Returns one vault.
pub(super) fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let vault = find(state, call)?;
    Ok(Reply::json(200, &vault.view(&state.vault_uri(vault.name()), call.now)))
}

/// Lists the vaults of a group, or of the subscription.
pub(super) fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let group = call.param("group");
    let all = state.vaults.live.values();
    let within = all.filter(|vault| group.is_empty() || vault.group().eq_ignore_ascii_case(group));
    let value: Vec<Value> =
        within.map(|vault| vault.view(&state.vault_uri(vault.name()), call.now)).collect();
    Ok(Reply::json(200, &json!({"value": value})))
}

/// Handles `checkNameAvailability`.
pub(super) fn check_name(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let body = call.body()?;
    let Some(desired) = body["name"].as_str() else {
        return Err(ArmError::new(400, "BadRequest", "The parameter name is not specified."));
    };
    let key = desired.to_ascii_lowercase();
    let vaults = &state.vaults;
    let taken = vaults.live.contains_key(&key)
        || vaults.deleted.contains_key(&key)
        || vaults.foreign_names.contains(&key);
    let answer = if let Some(invalid_name) = name_syntax::invalid_name(desired) {
        json!({"nameAvailable": false, "reason": "AccountNameInvalid", "message": invalid_name})
    } else if taken {
        json!({"nameAvailable": false, "reason": "AlreadyExists", "message": write::name_in_use(desired)})
    } else {
        json!({"nameAvailable": true})
    };
    Ok(Reply::json(200, &answer))
}
