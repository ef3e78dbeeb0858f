//! Test hook: another client has deleted a certificate.

use super::certificate::{Certificate, Deleted, Version};
use super::material::Material;
use super::policy::Reading;
use crate::clock::Moment;
use crate::world::World;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Soft-deletes a certificate of that name; creates one in the deleted state if there is none. Returns
/// whether the vault exists and the name was not deleted already.
pub(crate) fn lose_certificate(world: &mut World, vault: &str, name: &str, now: Moment) -> bool {
    let (key, uri) = (name.to_ascii_lowercase(), world.vault_uri(vault));
    let found = world.vaults.reachable(&vault.to_ascii_lowercase(), now);
    if found.is_none_or(|vault| vault.certificates.deleted.contains_key(&key)) {
        return false;
    }
    let id = world.hex("certificate-version");
    let Some(vault) = world.vaults.reachable_mut(&vault.to_ascii_lowercase(), now) else { return false };
    let live = vault.certificates.live.remove(&key);
    let Some(certificate) = live.or_else(|| former(name, id, &uri, now)) else { return false };
    let purge = now.plus_ms(vault.retention_days() * DAY_MS);
    vault
        .certificates
        .deleted
        .insert(key, Deleted { certificate, at: now, done: now, purge, recovered: None });
    true
}

/// Creates a certificate, as if imported earlier by another client.
fn former(name: &str, id: String, uri: &str, now: Moment) -> Option<Certificate> {
    let made = rcgen::generate_simple_self_signed([format!("{name}.former.invalid")]).ok()?;
    let pem = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
    let material = Material::read(&pem, "", false).ok()?;
    let reading = Reading::of(material.leaf())?;
    let policy_id = format!("{uri}certificates/{name}/policy");
    let policy = reading.policy(&policy_id, &material.content_type, None, now.unix_seconds());
    let version = Version::new(id, material, true, None, now)?;
    Some(Certificate { name: name.to_owned(), versions: vec![version], policy })
}
