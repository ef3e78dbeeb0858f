//! Secrets that belong to no certificate: set, read, listed, tagged, deleted, recovered and purged.
//!
//! Source: the operations of "Secrets" of the data plane, api-version 7.4 and later.

use serde_json::Value;

use super::certificate::VaultInfo;
use super::error::VaultError;
use super::store::{Certificates, PlainSecret};
use super::{VaultCall, page, vault};
use crate::request::Reply;
use crate::state::CloudState;

fn not_found(name: &str) -> VaultError {
    let message = format!("A secret with (name/id) {name} was not found in this key vault.");
    VaultError::new(404, "SecretNotFound", message)
}

/// Returns the secret of that name, unless it is deleted.
pub(super) fn live<'a>(certificates: &'a Certificates, name: &str) -> Option<&'a PlainSecret> {
    certificates.plain_secrets.get(&name.to_ascii_lowercase()).filter(|secret| !secret.deleted)
}

/// Returns a version of a secret, the newest by default; `None` if there is no secret of that name.
///
/// # Errors
/// 404 for an unknown version.
pub(super) fn get(
    state: &CloudState,
    call: &VaultCall<'_>,
    name: &str,
    version: Option<&str>,
) -> Option<Result<Reply, VaultError>> {
    let vault = vault(state, call);
    let uri = state.vault_uri(call.vault);
    let secret = live(&vault.certificates, name)?;
    let mut versions = std::iter::once(secret).chain(&secret.earlier);
    let found = versions.find(|known| version.is_none_or(|version| known.version == version));
    let missing = || not_found(&format!("{name}/{}", version.unwrap_or_default()));
    let bundle = found.map(|found| found.bundle(&vault.vault_info(&uri), true));
    Some(bundle.map(|bundle| Reply::json(200, &bundle)).ok_or_else(missing))
}

/// Returns the items of a list of all secrets.
pub(super) fn items(certificates: &Certificates, vault_info: &VaultInfo<'_>) -> Vec<Value> {
    let live = certificates.plain_secrets.values().filter(|secret| !secret.deleted);
    live.map(|secret| secret.item(vault_info, false)).collect()
}

/// Returns the items of a list of the versions of one secret.
pub(super) fn versions(certificates: &Certificates, vault_info: &VaultInfo<'_>, name: &str) -> Vec<Value> {
    let secret = live(certificates, name);
    let versions = secret.into_iter().flat_map(|secret| secret.earlier.iter().chain([secret]));
    versions.map(|version| version.item(vault_info, true)).collect()
}

/// Lists the deleted secrets.
///
/// # Errors
/// 400 if the page is invalid.
pub(super) fn list_deleted(state: &CloudState, call: &VaultCall<'_>) -> Result<Reply, VaultError> {
    let vault = vault(state, call);
    let uri = state.vault_uri(call.vault);
    let vault_info = vault.vault_info(&uri);
    let deleted = vault.certificates.plain_secrets.values().filter(|secret| secret.deleted);
    let items: Vec<Value> = deleted.map(|secret| secret.item(&vault_info, false)).collect();
    page::reply(state, call, &items)
}

/// Returns a deleted secret, without its value.
///
/// # Errors
/// 404 if none is deleted.
pub(super) fn get_deleted(state: &CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let vault = vault(state, call);
    let uri = state.vault_uri(call.vault);
    let found = vault.certificates.plain_secrets.get(&name.to_ascii_lowercase());
    let found = found.filter(|secret| secret.deleted).ok_or_else(|| not_found(name))?;
    Ok(Reply::json(200, &found.item(&vault.vault_info(&uri), true)))
}

/// Purges a deleted secret.
///
/// # Errors
/// 404 if none is deleted, 403 if the vault has purge protection.
pub(super) fn purge(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    get_deleted(state, call, name)?;
    let vault = state.vaults.reachable_mut(call.vault, call.now).expect("its secret has just been found");
    super::deleted::check_purge(vault)?;
    vault.certificates.plain_secrets.remove(&name.to_ascii_lowercase());
    Ok(Reply::empty(204))
}

/// Sets a secret.
///
/// # Errors
/// 400 without a value, 409 for the name of a certificate or of a deleted secret.
pub(super) fn set(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let body: Value = call.request.json().map_err(|error| VaultError::parameter(error.to_string()))?;
    let Some(value) = body["value"].as_str() else {
        return Err(VaultError::parameter("The parameter value is required."));
    };
    let key = name.to_ascii_lowercase();
    let version = state.hex("secret-version");
    let now = call.now.unix_seconds();
    let uri = state.vault_uri(call.vault);
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("the request is for a vault that is there");
    if vault.certificates.live.contains_key(&key) {
        let message = "Operation is not allowed on a managed secret: it belongs to a certificate.";
        return Err(VaultError::new(409, "Conflict", message));
    }
    let known = vault.certificates.plain_secrets.get(&key);
    if known.is_some_and(|secret| secret.deleted) {
        let message = format!(
            "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the \
             secret can only be recovered or purged."
        );
        return Err(VaultError::inner(409, "Conflict", "ObjectIsDeletedButRecoverable", &message));
    }
    let mut earlier = Vec::new();
    if let Some(mut known) = vault.certificates.plain_secrets.remove(&key) {
        earlier.append(&mut known.earlier);
        earlier.push(known);
    }
    let secret = PlainSecret {
        name: name.to_owned(),
        version,
        value: value.to_owned(),
        content_type: body["contentType"].as_str().map(str::to_owned),
        tags: body.get("tags").filter(|tags| tags.is_object()).cloned(),
        created: now,
        updated: now,
        deleted: false,
        earlier,
    };
    let bundle = secret.bundle(&vault.vault_info(&uri), true);
    vault.certificates.plain_secrets.insert(key, secret);
    Ok(Reply::json(200, &bundle))
}

/// Updates the tags of a secret.
///
/// # Errors
/// 404 if there is none.
pub(super) fn update(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let body: Value = call.request.json().map_err(|error| VaultError::parameter(error.to_string()))?;
    with_secret(state, call, name, |secret| {
        if secret.deleted {
            return false;
        }
        if body["tags"].is_object() {
            secret.tags = Some(body["tags"].clone());
        }
        true
    })
}

/// Soft-deletes a secret.
///
/// # Errors
/// 404 if there is none.
pub(super) fn delete(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    with_secret(state, call, name, |secret| !std::mem::replace(&mut secret.deleted, true))
}

/// Recovers a deleted secret.
///
/// # Errors
/// 404 if none is deleted.
pub(super) fn recover(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    with_secret(state, call, name, |secret| std::mem::replace(&mut secret.deleted, false))
}

fn with_secret(
    state: &mut CloudState,
    call: &VaultCall<'_>,
    name: &str,
    change: impl FnOnce(&mut PlainSecret) -> bool,
) -> Result<Reply, VaultError> {
    let uri = state.vault_uri(call.vault);
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("the request is for a vault that is there");
    let changed = match vault.certificates.plain_secrets.get_mut(&name.to_ascii_lowercase()) {
        Some(secret) => change(secret),
        None => false,
    };
    let vault_info = vault.vault_info(&uri);
    let secret = vault.certificates.plain_secrets.get(&name.to_ascii_lowercase()).filter(|_| changed);
    Ok(Reply::json(200, &secret.ok_or_else(|| not_found(name))?.bundle(&vault_info, false)))
}
