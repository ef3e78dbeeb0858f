//! The import into the vault, despite a role assignment that takes effect late, a lost answer, or a deleted
//! certificate of the same name.

use super::Certificate;
use crate::{
    error_context::{ErrorContext, TrackWrite},
    key_vault::Vault,
    names, operation,
};
use landfall_cloud::{ApiError, ApiErrorKind, SendStatus, certificate::Material, vault::StoredCertificate};
use landfall_engine::{Context, Kind, Leftover, Poll, StepError, Wait};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The validity of a self-signed certificate, in days.
pub const SELF_SIGNED_DAYS: u32 = 365;

impl Certificate {
    pub(super) async fn retry_until_granted<T, F>(
        &self,
        cx: &Context,
        what: &str,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, ApiError>> + Send,
    {
        // Ten minutes are documented; half as much is added for clocks and caches.
        let wait = Wait::new(
            "the role assignment to take effect",
            Duration::from_secs(60),
            Duration::from_secs(900),
        );
        let granted = cx.wait_until(wait, async || match call().await {
            Err(error) if error.inner_code.as_deref() == Some("ForbiddenByRbac") => {
                cx.retrying("ForbiddenByRbac", Duration::ZERO);
                Ok(Poll::not_yet("waiting for role propagation, usually 5 min, at most 10"))
            }
            // landfall may know a vault's name before the resolver does.
            Err(error) if error.kind == ApiErrorKind::Transport && !error.is("UntrustedCertificate") => {
                Ok(Poll::not_yet(format!("cannot reach the vault: {}", error.message)))
            }
            Err(error) if error.inner_code.as_deref() == Some("ObjectIsBeingDeleted") => {
                Ok(Poll::not_yet("the certificate of that name is being deleted"))
            }
            Err(error) if operation::is_transient(&error) => Ok(operation::no_response(&error, None)),
            answered => Ok(Poll::Ready(answered.context(what)?)),
        });
        granted.await.map_err(|error| match error.kind {
            Kind::TimedOut if error.code.is_none() => error.code("ForbiddenByRbac"),
            _ => error,
        })
    }

    /// Returns the user's certificate, or generates one. An RSA key takes some processor time.
    pub(super) async fn material(&self) -> Result<Arc<Material>, StepError> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let domain = self.domain.clone();
        let generated =
            tokio::task::spawn_blocking(move || Material::self_signed(&domain, SELF_SIGNED_DAYS)).await;
        let what = "create a self-signed certificate";
        let bug = |cause: String| StepError::new(Kind::Bug, what).cause(cause).leftover(Leftover::Nothing);
        generated
            .map_err(|error| bug(error.to_string()))?
            .map(Arc::new)
            .map_err(|error| bug(error.to_string()))
    }

    pub(super) async fn import(
        &self,
        cx: &Context,
        vault: &Vault,
        material: &Material,
    ) -> Result<StoredCertificate, StepError> {
        self.import_with(cx, vault, material, &BTreeMap::new()).await
    }

    /// Like [`Certificate::import`], with further tags.
    pub(super) async fn import_with(
        &self,
        cx: &Context,
        vault: &Vault,
        material: &Material,
        tags: &BTreeMap<String, String>,
    ) -> Result<StoredCertificate, StepError> {
        let what = format!("import certificate {} into {}", self.name, vault.name);
        let client = self.vaults.at(&vault.uri).context(&what)?;
        let mut recovered = false;
        // An import whose answer was lost may have arrived; a second one would create a second version.
        let may_be_imported = AtomicBool::new(false);
        // An earlier attempt, or another party, has already started its recovery.
        let is_being_recovered_already = AtomicBool::new(false);
        let mut tags = tags.clone();
        tags.insert(names::OWNER.to_owned(), self.mark.clone());
        tags.insert(names::CHAIN.to_owned(), material.chain_digest());
        loop {
            let imported = self
                .retry_until_granted(cx, &what, || async {
                    if may_be_imported.load(Ordering::Relaxed)
                        && let Some(stored) = client.certificate(&self.name).await?
                        && stored.thumbprint_sha1_hex.eq_ignore_ascii_case(&material.leaf().thumbprint_sha1)
                        && has_chain_of(&stored, material) != Some(false)
                    {
                        return Ok(Some(stored));
                    }
                    let (pfx, password) = (material.pfx().expose(), material.password().expose());
                    match client.import_with(&self.name, pfx, password, &tags).await.track_write(cx) {
                        Err(error) if is_soft_deleted(&error) && !recovered => Ok(None),
                        Err(error) if is_being_recovered(&error) && !recovered => {
                            is_being_recovered_already.store(true, Ordering::Relaxed);
                            Ok(None)
                        }
                        Err(error) => {
                            may_be_imported.fetch_or(error.sent >= SendStatus::Unknown, Ordering::Relaxed);
                            Err(error)
                        }
                        Ok(stored) => Ok(Some(stored)),
                    }
                })
                .await?;
            if let Some(stored) = imported {
                return Ok(stored);
            }
            if !is_being_recovered_already.load(Ordering::Relaxed) {
                self.check_recoverable(cx, vault).await?;
                cx.note("recovering it from soft delete");
                client.recover_certificate(&self.name).await.track_write(cx).context(&what)?;
            }
            recovered = true;
            let recovered_version = self.wait_until_recovered(cx, vault).await?;
            if !self.was_created(cx, &recovered_version) {
                return Err(self.not_owned(vault, &what));
            }
            // The recovered certificate may be the one to import.
            may_be_imported.store(true, Ordering::Relaxed);
        }
    }

    /// Checks whether a deleted certificate that holds the name may be recovered: only if it is owned.
    async fn check_recoverable(&self, cx: &Context, vault: &Vault) -> Result<(), StepError> {
        let what = format!("read deleted certificate {} in {}", self.name, vault.name);
        let client = self.vaults.at(&vault.uri).context(&what)?;
        let deleted = self
            .retry_until_granted(cx, &what, || async { client.deleted_certificate(&self.name).await })
            .await?;
        match deleted {
            Some(deleted) if !self.is_owned(cx, &deleted.tags) => Err(self.not_owned(vault, &what)),
            _ => Ok(()),
        }
    }

    /// Recovers a deleted certificate that holds the name, if it is owned.
    pub(super) async fn recover_deleted(
        &self,
        cx: &Context,
        vault: &Vault,
        what: &str,
    ) -> Result<(), StepError> {
        self.check_recoverable(cx, vault).await?;
        cx.note("recovering it from soft delete");
        let client = self.vaults.at(&vault.uri).context(what)?;
        match client.recover_certificate(&self.name).await.track_write(cx) {
            Err(error) if is_being_recovered(&error) => {}
            recovered => recovered.context(what)?,
        }
        let recovered = self.wait_until_recovered(cx, vault).await?;
        if self.was_created(cx, &recovered) { Ok(()) } else { Err(self.not_owned(vault, what)) }
    }

    /// Recovers an owned certificate from soft delete; `None` if there is none.
    pub(super) async fn recover_owned(
        &self,
        cx: &Context,
        vault: &Vault,
    ) -> Result<Option<StoredCertificate>, StepError> {
        let what = format!("read deleted certificate {} in {}", self.name, vault.name);
        let client = self.vaults.at(&vault.uri).context(&what)?;
        let read = || async { client.deleted_certificate(&self.name).await };
        let deleted = self.retry_until_granted(cx, &what, read).await?;
        if !deleted.is_some_and(|deleted| self.is_owned(cx, &deleted.tags)) {
            return Ok(None);
        }
        self.recover_deleted(cx, vault, &what).await?;
        self.read(cx, vault).await
    }

    fn not_owned(&self, vault: &Vault, what: &str) -> StepError {
        StepError::new(Kind::Foreign, what)
            .cause(format!(
                "key vault {} contains a deleted certificate {}, which landfall does not own",
                vault.name, self.name
            ))
            .hint(format!(
                "set certificate.name to another name; or, if it is not needed and the vault has no purge \
                 protection, purge it: az keyvault certificate purge --vault-name {} --name {}",
                vault.name, self.name
            ))
            .leftover(Leftover::Nothing)
    }

    async fn wait_until_recovered(
        &self,
        cx: &Context,
        vault: &Vault,
    ) -> Result<StoredCertificate, StepError> {
        let wait =
            Wait::new("the certificate to be recovered", Duration::from_secs(5), Duration::from_secs(300));
        cx.wait_until(wait, async || {
            Ok(match self.read(cx, vault).await? {
                Some(stored) => Poll::Ready(stored),
                None => Poll::not_yet("being recovered"),
            })
        })
        .await
    }
}

/// Returns whether a stored version has the chain of a file; `None` if its chain is not known, because another
/// program or an earlier landfall imported it. The vault returns only the leaf.
pub(super) fn has_chain_of(stored: &StoredCertificate, material: &Material) -> Option<bool> {
    stored.tags.get(names::CHAIN).map(|digest| *digest == material.chain_digest())
}

fn is_being_recovered(error: &ApiError) -> bool {
    error.inner_code.as_deref() == Some("ObjectIsBeingRecovered")
}

fn is_soft_deleted(error: &ApiError) -> bool {
    error.inner_code.as_deref() == Some("ObjectIsDeletedButRecoverable")
}
