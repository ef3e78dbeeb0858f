//! Reading and updating the objects of a vault.

use serde_json::{Value, json};

use super::certificate::{Certificate, Shelf, Version};
use super::refusal::Refusal;
use super::{Asked, page};
use crate::arm::vaults::Vault;
use crate::request::Reply;
use crate::world::World;

/// Lists the newest version of every object.
pub(super) fn list(world: &World, asked: &Asked<'_>, collection: &str) -> Result<Reply, Refusal> {
    let vault = vault(world, asked);
    let uri = world.vault_uri(asked.vault);
    let shelf = vault.shelf(&uri);
    let items: Vec<Value> = vault
        .certificates
        .live
        .values()
        .map(|certificate| listed(certificate, certificate.newest(), &shelf, collection, false))
        .collect();
    page::reply(world, asked, &items)
}

/// Lists all versions of one object; the list is empty if the object does not exist.
pub(super) fn versions(
    world: &World,
    asked: &Asked<'_>,
    collection: &str,
    name: &str,
) -> Result<Reply, Refusal> {
    let vault = vault(world, asked);
    let uri = world.vault_uri(asked.vault);
    let shelf = vault.shelf(&uri);
    let certificate = vault.certificates.live.get(&name.to_ascii_lowercase());
    let items: Vec<Value> = certificate
        .into_iter()
        .flat_map(|certificate| certificate.versions.iter().map(move |version| (certificate, version)))
        .map(|(certificate, version)| listed(certificate, version, &shelf, collection, true))
        .collect();
    page::reply(world, asked, &items)
}

fn listed(
    certificate: &Certificate,
    version: &Version,
    shelf: &Shelf<'_>,
    collection: &str,
    versioned: bool,
) -> Value {
    let item = certificate.item(version, shelf, versioned);
    let of = |id: &str| json!(id.replacen("/certificates/", &format!("/{collection}/"), 1));
    let id = of(item["id"].as_str().unwrap_or_default());
    match collection {
        "secrets" => json!({
            "id": id, "contentType": version.material.content_type, "managed": true, "attributes": item["attributes"],
        }),
        "keys" => json!({"kid": id, "managed": true, "attributes": item["attributes"]}),
        _ => item,
    }
}

/// Returns one object, the newest version by default.
pub(super) fn get(
    world: &World,
    asked: &Asked<'_>,
    collection: &str,
    name: &str,
    version: Option<&str>,
) -> Result<Reply, Refusal> {
    let uri = world.vault_uri(asked.vault);
    let body = read(vault(world, asked), &uri, collection, name, version)?;
    Ok(Reply::json(200, &body))
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
) -> Result<Value, Refusal> {
    let (certificate, found) = find(vault, collection, name, version)?;
    let shelf = vault.shelf(uri);
    match collection {
        "secrets" if !found.enabled => {
            let message = "Operation get is not allowed on a disabled secret.";
            Err(Refusal::inner(403, "Forbidden", "SecretDisabled", message))
        }
        "secrets" => Ok(certificate.secret(found, &shelf)),
        "keys" => Ok(certificate.key(found, &shelf)),
        _ => Ok(certificate.bundle(found, &shelf)),
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
) -> Result<(&'a Certificate, &'a Version), Refusal> {
    let missing = || {
        let shown = version.map_or_else(|| name.to_owned(), |version| format!("{name}/{version}"));
        Refusal::not_found(collection.trim_end_matches('s'), &shown)
    };
    let certificate = vault.certificates.live.get(&name.to_ascii_lowercase()).ok_or_else(missing)?;
    Ok((certificate, certificate.version(version).ok_or_else(missing)?))
}

/// Returns the policy of a certificate.
pub(super) fn policy(world: &World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let (certificate, _) = find(vault(world, asked), "certificates", name, None)?;
    Ok(Reply::json(200, &certificate.policy))
}

/// Updates `attributes.enabled` and the tags of a version.
pub(super) fn update(
    world: &mut World,
    asked: &Asked<'_>,
    name: &str,
    version: Option<&str>,
) -> Result<Reply, Refusal> {
    let body: Value = asked.request.json().map_err(|error| Refusal::parameter(error.to_string()))?;
    find(vault(world, asked), "certificates", name, version)?;
    let uri = world.vault_uri(asked.vault);
    let vault =
        world.vaults.reachable_mut(asked.vault, asked.now).expect("its certificate has just been found");
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
        version.updated = asked.now.unix_seconds();
    }
    let body = read(vault, &uri, "certificates", name, Some(&wanted))?;
    Ok(Reply::json(200, &body))
}

/// Returns the vault of the request, whose existence is already checked.
pub(super) fn vault<'a>(world: &'a World, asked: &Asked<'_>) -> &'a Vault {
    world.vaults.reachable(asked.vault, asked.now).expect("a request is served for a vault that is there")
}
