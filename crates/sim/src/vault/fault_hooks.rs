//! Test hook: another client has deleted a certificate.

use super::certificate::{Certificate, DeletedCertificate, Version};
use super::material::Material;
use super::policy::CertificateInfo;
use crate::clock::SimTime;
use crate::state::CloudState;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Soft-deletes a certificate of that name; creates one in the deleted state if there is none. Returns
/// whether the vault exists and the name was not deleted already.
pub(crate) fn soft_delete_certificate(state: &mut CloudState, vault: &str, name: &str, now: SimTime) -> bool {
    let (key, uri) = (name.to_ascii_lowercase(), state.vault_uri(vault));
    let found = state.vaults.reachable(&vault.to_ascii_lowercase(), now);
    if found.is_none_or(|vault| vault.certificates.deleted.contains_key(&key)) {
        return false;
    }
    let id = state.hex("certificate-version");
    let Some(vault) = state.vaults.reachable_mut(&vault.to_ascii_lowercase(), now) else { return false };
    let live = vault.certificates.live.remove(&key);
    let Some(certificate) = live.or_else(|| self_signed_certificate(name, id, &uri, now)) else {
        return false;
    };
    let purge = now.plus_ms(vault.retention_days() * DAY_MS);
    vault
        .certificates
        .deleted
        .insert(key, DeletedCertificate { certificate, at: now, done: now, purge, recovered: None });
    true
}

/// Creates a certificate, as if imported earlier by another client.
fn self_signed_certificate(name: &str, id: String, uri: &str, now: SimTime) -> Option<Certificate> {
    let generated = rcgen::generate_simple_self_signed([format!("{name}.former.invalid")]).ok()?;
    let pem = format!("{}{}", generated.signing_key.serialize_pem(), generated.cert.pem());
    let material = Material::read(&pem, "", false).ok()?;
    let certificate_info = CertificateInfo::of(material.leaf())?;
    let policy_id = format!("{uri}certificates/{name}/policy");
    let policy = certificate_info.policy(&policy_id, &material.content_type, None, now.unix_seconds());
    let version = Version::new(id, material, true, None, now)?;
    Some(Certificate { name: name.to_owned(), versions: vec![version], policy })
}
