//! Soft-deleted certificates: deletion and recovery both take time, and reserve the name meanwhile.

use serde_json::{Value, json};

use super::certificate::{DeletedCertificate, VaultInfo};
use super::error::VaultError;
use super::{VaultCall, page, vault};
use crate::arm::vaults::Vault;
use crate::clock::SimTime;
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Checks that a name can be written.
///
/// # Errors
/// 409 while a deleted certificate reserves it.
pub(super) fn free(vault: &Vault, name: &str, now: SimTime) -> Result<(), VaultError> {
    let Some(deleted) = vault.certificates.deleted.get(&name.to_ascii_lowercase()) else { return Ok(()) };
    let (inner, what) = if deleted.recovered.is_some() {
        ("ObjectIsBeingRecovered", "currently being recovered, and its name cannot be reused; retry later.")
    } else if now < deleted.done {
        ("ObjectIsBeingDeleted", "currently being deleted, and its name cannot be reused; retry later.")
    } else {
        (
            "ObjectIsDeletedButRecoverable",
            "currently in a deleted but recoverable state, and its name cannot be reused; in this state, the certificate \
             can only be recovered or purged.",
        )
    };
    Err(VaultError::inner(409, "Conflict", inner, format!("Certificate {name} is {what}")))
}

/// Soft-deletes a certificate.
pub(super) fn delete(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let uri = state.vault_uri(call.vault);
    free(vault(state, call), name, call.now)?;
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("the request is for a vault that is there");
    let key = name.to_ascii_lowercase();
    let certificate =
        vault.certificates.live.remove(&key).ok_or_else(|| VaultError::not_found("certificate", name))?;
    let had_operation = vault.certificates.pending.remove(&key).is_some();
    let deleted = DeletedCertificate {
        certificate,
        at: call.now,
        done: call.timing.after(call.now, durations::CERTIFICATE_DELETE),
        purge: call.now.plus_ms(vault.retention_days() * DAY_MS),
        recovered: None,
    };
    let mut body = deleted.bundle(&vault.vault_info(&uri));
    if had_operation {
        body["pending"] = json!({"id": format!("{uri}certificates/{name}/pending")});
    }
    vault.certificates.deleted.insert(key, deleted);
    Ok(Reply::json(200, &body))
}

/// Lists the deleted certificates.
pub(super) fn list(state: &CloudState, call: &VaultCall<'_>) -> Result<Reply, VaultError> {
    let uri = state.vault_uri(call.vault);
    let vault = vault(state, call);
    let vault_info = vault.vault_info(&uri);
    let all = vault.certificates.deleted.values().filter(|deleted| listed(deleted, call.now));
    let items: Vec<Value> = all.map(|deleted| deleted.item(&vault_info)).collect();
    page::reply(state, call, &items)
}

fn listed(deleted: &DeletedCertificate, now: SimTime) -> bool {
    deleted.done <= now && deleted.recovered.is_none()
}

fn find<'a>(vault: &'a Vault, name: &str, now: SimTime) -> Result<&'a DeletedCertificate, VaultError> {
    let found = vault.certificates.deleted.get(&name.to_ascii_lowercase());
    found.filter(|deleted| listed(deleted, now)).ok_or_else(|| {
        let message = format!(
            "Deleted Certificate not found: {name}. For help resolving this issue, please see \
             https://go.microsoft.com/fwlink/?linkid=2125182"
        );
        VaultError::new(404, "CertificateNotFound", message)
    })
}

/// Returns a deleted certificate.
pub(super) fn get(state: &CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let uri = state.vault_uri(call.vault);
    let vault = vault(state, call);
    let vault_info: VaultInfo<'_> = vault.vault_info(&uri);
    Ok(Reply::json(200, &find(vault, name, call.now)?.bundle(&vault_info)))
}

/// Starts a recovery; it responds at once, and the certificate exists shortly after.
pub(super) fn recover(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let uri = state.vault_uri(call.vault);
    find(vault(state, call), name, call.now)?;
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("its certificate has just been found");
    let deleted =
        vault.certificates.deleted.get_mut(&name.to_ascii_lowercase()).expect("it has just been found");
    deleted.recovered = Some(call.timing.after(call.now, durations::CERTIFICATE_RECOVER));
    let certificate = deleted.certificate.clone();
    let body = certificate.bundle(certificate.newest(), &vault.vault_info(&uri));
    Ok(Reply::json(200, &body))
}

/// Checks that an object of a vault can be purged.
///
/// # Errors
/// 403 if the vault has purge protection.
pub(super) fn check_purge(vault: &Vault) -> Result<(), VaultError> {
    if !vault.purge_protected() {
        return Ok(());
    }
    let message = "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault \
                   service will automatically purge it after the retention period has passed.";
    Err(VaultError::inner(403, "Forbidden", "ForbiddenByPolicy", message))
}

/// Purges a deleted certificate.
pub(super) fn purge(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let vault = vault(state, call);
    find(vault, name, call.now)?;
    check_purge(vault)?;
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("its certificate has just been found");
    vault.certificates.deleted.remove(&name.to_ascii_lowercase());
    Ok(Reply::empty(204))
}
