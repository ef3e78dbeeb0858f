//! Reading and updating the objects of a vault.

use serde_json::{Value, json};

use super::certificate::{Certificate, VaultInfo, Version};
use super::error::VaultError;
use super::{VaultCall, page, plain_secret, vault};
use crate::arm::vaults::Vault;
use crate::request::Reply;
use crate::state::CloudState;

/// Lists the newest version of every object.
pub(super) fn list(state: &CloudState, call: &VaultCall<'_>, collection: &str) -> Result<Reply, VaultError> {
    let vault = vault(state, call);
    let uri = state.vault_uri(call.vault);
    let vault_info = vault.vault_info(&uri);
    let mut items: Vec<Value> = vault
        .certificates
        .live
        .values()
        .map(|certificate| listed(certificate, certificate.newest(), &vault_info, collection, false))
        .collect();
    if collection == "secrets" {
        items.extend(plain_secret::items(&vault.certificates, &vault_info));
        items.sort_by(|one, other| one["id"].as_str().cmp(&other["id"].as_str()));
    }
    page::reply(state, call, &items)
}

/// Lists all versions of one object; the list is empty if the object does not exist.
pub(super) fn versions(
    state: &CloudState,
    call: &VaultCall<'_>,
    collection: &str,
    name: &str,
) -> Result<Reply, VaultError> {
    let vault = vault(state, call);
    let uri = state.vault_uri(call.vault);
    let vault_info = vault.vault_info(&uri);
    let certificate = vault.certificates.live.get(&name.to_ascii_lowercase());
    let mut items: Vec<Value> = certificate
        .into_iter()
        .flat_map(|certificate| certificate.versions.iter().map(move |version| (certificate, version)))
        .map(|(certificate, version)| listed(certificate, version, &vault_info, collection, true))
        .collect();
    if collection == "secrets" {
        items.extend(plain_secret::versions(&vault.certificates, &vault_info, name));
    }
    page::reply(state, call, &items)
}

fn listed(
    certificate: &Certificate,
    version: &Version,
    vault_info: &VaultInfo<'_>,
    collection: &str,
    versioned: bool,
) -> Value {
    let item = certificate.item(version, vault_info, versioned);
    let of = |id: &str| json!(id.replacen("/certificates/", &format!("/{collection}/"), 1));
    let id = of(item["id"].as_str().unwrap_or_default());
    match collection {
        "secrets" => json!({
            "id": id, "contentType": version.material.content_type, "managed": true, "attributes": item["attributes"],
        }),
        "keys" => json!({"kid": id, "managed": true, "attributes": version.key_attributes(vault_info)}),
        _ => item,
    }
}

/// Returns one object, the newest version by default.
pub(super) fn get(
    state: &CloudState,
    call: &VaultCall<'_>,
    collection: &str,
    name: &str,
    version: Option<&str>,
) -> Result<Reply, VaultError> {
    let uri = state.vault_uri(call.vault);
    let vault = vault(state, call);
    let mut body = read(vault, &uri, collection, name, version)?;
    if collection == "certificates" && version.is_none() {
        show_pending(vault, &uri, name, &mut body);
    }
    Ok(Reply::json(200, &body))
}

/// Adds the certificate operation of a certificate to its bundle.
pub(super) fn show_pending(vault: &Vault, uri: &str, name: &str, bundle: &mut Value) {
    if vault.certificates.pending.contains_key(&name.to_ascii_lowercase()) {
        bundle["pending"] = json!({"id": format!("{uri}certificates/{name}/pending")});
    }
}

/// Returns a version in the format of the collection. Validity is not checked: an expired secret can still be
/// read.
///
/// # Errors
/// 404, or 403 for a disabled secret.
pub(super) fn read(
    vault: &Vault,
    uri: &str,
    collection: &str,
    name: &str,
    version: Option<&str>,
) -> Result<Value, VaultError> {
    let (certificate, found) = find(vault, collection, name, version)?;
    let vault_info = vault.vault_info(uri);
    match collection {
        "secrets" if !found.enabled => {
            let message = "Operation get is not allowed on a disabled secret.";
            Err(VaultError::inner(403, "Forbidden", "SecretDisabled", message))
        }
        "secrets" => Ok(certificate.secret(found, &vault_info)),
        "keys" => Ok(certificate.key(found, &vault_info)),
        _ => Ok(certificate.bundle(found, &vault_info)),
    }
}

/// Finds a version.
///
/// # Errors
/// 404 with the message of the collection.
pub(super) fn find<'a>(
    vault: &'a Vault,
    collection: &str,
    name: &str,
    version: Option<&str>,
) -> Result<(&'a Certificate, &'a Version), VaultError> {
    let missing = || {
        let shown = version.map_or_else(|| name.to_owned(), |version| format!("{name}/{version}"));
        VaultError::not_found(collection.trim_end_matches('s'), &shown)
    };
    let certificate = vault.certificates.live.get(&name.to_ascii_lowercase()).ok_or_else(missing)?;
    Ok((certificate, certificate.version(version).ok_or_else(missing)?))
}

/// Returns the policy of a certificate.
pub(super) fn policy(state: &CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let (certificate, _) = find(vault(state, call), "certificates", name, None)?;
    Ok(Reply::json(200, &certificate.policy))
}

/// Updates the policy, which applies to the next version. The properties in the body replace those of the policy.
pub(super) fn update_policy(
    state: &mut CloudState,
    call: &VaultCall<'_>,
    name: &str,
) -> Result<Reply, VaultError> {
    const SETTABLE: [&str; 5] = ["key_props", "secret_props", "x509_props", "lifetime_actions", "issuer"];
    let desired: Value = call.request.json().map_err(|error| VaultError::parameter(error.to_string()))?;
    find(vault(state, call), "certificates", name, None)?;
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("its certificate has just been found");
    let certificate =
        vault.certificates.live.get_mut(&name.to_ascii_lowercase()).expect("it has just been found");
    let policy = &mut certificate.policy;
    for (property, value) in desired.as_object().into_iter().flatten() {
        match &mut policy[property.as_str()] {
            _ if !SETTABLE.contains(&property.as_str()) => {}
            Value::Object(old) if value.is_object() => {
                old.extend(
                    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())),
                );
            }
            old => *old = value.clone(),
        }
    }
    if let Some(enabled) = desired["attributes"]["enabled"].as_bool() {
        policy["attributes"]["enabled"] = json!(enabled);
    }
    policy["attributes"]["updated"] = json!(call.now.unix_seconds());
    Ok(Reply::json(200, policy))
}

/// Updates `attributes.enabled` and the tags of a version.
pub(super) fn update(
    state: &mut CloudState,
    call: &VaultCall<'_>,
    name: &str,
    version: Option<&str>,
) -> Result<Reply, VaultError> {
    let body: Value = call.request.json().map_err(|error| VaultError::parameter(error.to_string()))?;
    find(vault(state, call), "certificates", name, version)?;
    let uri = state.vault_uri(call.vault);
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("its certificate has just been found");
    let certificate =
        vault.certificates.live.get_mut(&name.to_ascii_lowercase()).expect("it has just been found");
    let newest = certificate.newest().id.clone();
    let wanted = version.map_or(newest, str::to_ascii_lowercase);
    for version in certificate.versions.iter_mut().filter(|version| version.id == wanted) {
        if let Some(enabled) = body["attributes"]["enabled"].as_bool() {
            version.enabled = enabled;
        }
        if body["tags"].is_object() {
            version.tags = Some(body["tags"].clone());
        }
        version.updated = call.now.unix_seconds();
    }
    let body = read(vault, &uri, "certificates", name, Some(&wanted))?;
    Ok(Reply::json(200, &body))
}
