//! Soft-deleted certificates: deletion and recovery both take time, and reserve the name meanwhile.

use serde_json::Value;

use super::certificate::{Deleted, Shelf};
use super::refusal::Refusal;
use super::{Asked, page, shelf};
use crate::arm::vaults::Vault;
use crate::clock::Moment;
use crate::durations;
use crate::request::Reply;
use crate::world::World;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Checks that a name can be written.
///
/// # Errors
/// 409 while a deleted certificate reserves it.
pub(super) fn free(vault: &Vault, name: &str, now: Moment) -> Result<(), Refusal> {
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
    Err(Refusal::inner(409, "Conflict", inner, format!("Certificate {name} is {what}")))
}

/// Soft-deletes a certificate.
pub(super) fn delete(world: &mut World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let uri = world.vault_uri(asked.vault);
    free(shelf::vault(world, asked), name, asked.now)?;
    let vault =
        world.vaults.reachable_mut(asked.vault, asked.now).expect("the request is for a vault that is there");
    let key = name.to_ascii_lowercase();
    let certificate =
        vault.certificates.live.remove(&key).ok_or_else(|| Refusal::not_found("certificate", name))?;
    vault.certificates.pending.remove(&key);
    let deleted = Deleted {
        certificate,
        at: asked.now,
        done: asked.timing.after(asked.now, durations::CERTIFICATE_DELETE),
        purge: asked.now.plus_ms(vault.retention_days() * DAY_MS),
        recovered: None,
    };
    let body = deleted.bundle(&vault.shelf(&uri));
    vault.certificates.deleted.insert(key, deleted);
    Ok(Reply::json(200, &body))
}

/// Lists the deleted certificates.
pub(super) fn list(world: &World, asked: &Asked<'_>) -> Result<Reply, Refusal> {
    let uri = world.vault_uri(asked.vault);
    let vault = shelf::vault(world, asked);
    let shelf = vault.shelf(&uri);
    let all = vault.certificates.deleted.values().filter(|deleted| listed(deleted, asked.now));
    let items: Vec<Value> = all.map(|deleted| deleted.item(&shelf)).collect();
    page::reply(world, asked, &items)
}

fn listed(deleted: &Deleted, now: Moment) -> bool {
    deleted.done <= now && deleted.recovered.is_none()
}

fn find<'a>(vault: &'a Vault, name: &str, now: Moment) -> Result<&'a Deleted, Refusal> {
    let found = vault.certificates.deleted.get(&name.to_ascii_lowercase());
    found.filter(|deleted| listed(deleted, now)).ok_or_else(|| {
        let message = format!(
            "Deleted Certificate not found: {name}. For help resolving this issue, please see \
             https://go.microsoft.com/fwlink/?linkid=2125182"
        );
        Refusal::new(404, "CertificateNotFound", message)
    })
}

/// Returns a deleted certificate.
pub(super) fn get(world: &World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let uri = world.vault_uri(asked.vault);
    let vault = shelf::vault(world, asked);
    let shelf: Shelf<'_> = vault.shelf(&uri);
    Ok(Reply::json(200, &find(vault, name, asked.now)?.bundle(&shelf)))
}

/// Starts a recovery; it responds at once, and the certificate exists shortly after.
pub(super) fn recover(world: &mut World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let uri = world.vault_uri(asked.vault);
    find(shelf::vault(world, asked), name, asked.now)?;
    let vault =
        world.vaults.reachable_mut(asked.vault, asked.now).expect("its certificate has just been found");
    let deleted =
        vault.certificates.deleted.get_mut(&name.to_ascii_lowercase()).expect("it has just been found");
    deleted.recovered = Some(asked.timing.after(asked.now, durations::CERTIFICATE_RECOVER));
    let certificate = deleted.certificate.clone();
    let body = certificate.bundle(certificate.newest(), &vault.shelf(&uri));
    Ok(Reply::json(200, &body))
}

/// Purges a deleted certificate.
pub(super) fn purge(world: &mut World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let vault = shelf::vault(world, asked);
    find(vault, name, asked.now)?;
    if vault.purge_protected() {
        let message = "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault \
                       service will automatically purge it after the retention period has passed.";
        return Err(Refusal::inner(403, "Forbidden", "ForbiddenByPolicy", message));
    }
    let vault =
        world.vaults.reachable_mut(asked.vault, asked.now).expect("its certificate has just been found");
    vault.certificates.deleted.remove(&name.to_ascii_lowercase());
    Ok(Reply::empty(204))
}
