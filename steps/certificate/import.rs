//! The import into the vault, despite a role assignment that takes effect late, a lost answer, or a deleted
//! certificate of the same name.

use super::Certificate;
use crate::{
    doing::{Doing, Written},
    key_vault::Vault,
    names, operation,
};
use landfall_cloud::{ApiError, ApiErrorKind, Sent, certificate::Material, vault::Stored};
use landfall_engine::{Context, Kind, Look, Residue, StepError, Wait};
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
    pub(super) async fn once_granted<T, F>(
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
        cx.wait_until(wait, async || match call().await {
            Err(error) if error.inner_code.as_deref() == Some("ForbiddenByRbac") => {
                cx.retrying("ForbiddenByRbac", Duration::ZERO);
                Ok(Look::not_yet("waiting for role propagation, usually 5 min, at most 10"))
            }
            // landfall may know a vault's name before the resolver does.
            Err(error) if error.kind == ApiErrorKind::Transport && !error.is("UntrustedCertificate") => {
                Ok(Look::not_yet(format!("cannot reach the vault: {}", error.message)))
            }
            Err(error) if error.inner_code.as_deref() == Some("ObjectIsBeingDeleted") => {
                Ok(Look::not_yet("the certificate of that name is being deleted"))
            }
            Err(error) if operation::passes(&error) => Ok(operation::unanswered(&error, None)),
            answered => Ok(Look::There(answered.doing(what)?)),
        })
        .await
    }

    /// Returns the user's certificate, or generates one. An RSA key takes some processor time.
    pub(super) async fn material(&self) -> Result<Arc<Material>, StepError> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let domain = self.domain.clone();
        let made =
            tokio::task::spawn_blocking(move || Material::self_signed(&domain, SELF_SIGNED_DAYS)).await;
        let what = "create a self-signed certificate";
        let bug = |cause: String| StepError::new(Kind::Bug, what).cause(cause).residue(Residue::Nothing);
        made.map_err(|error| bug(error.to_string()))?.map(Arc::new).map_err(|error| bug(error.to_string()))
    }

    pub(super) async fn import(
        &self,
        cx: &Context,
        vault: &Vault,
        material: &Material,
    ) -> Result<Stored, StepError> {
        let what = format!("import certificate {} into {}", self.name, vault.name);
        let client = self.vaults.at(&vault.uri).doing(&what)?;
        let mut recovered = false;
        // An import whose answer was lost may have arrived; a second one would create a second version.
        let unsure = AtomicBool::new(false);
        // An earlier attempt, or another party, has already started its recovery.
        let coming_back = AtomicBool::new(false);
        let tags = BTreeMap::from([(names::OWNER.to_owned(), self.mark.clone())]);
        loop {
            let imported = self
                .once_granted(cx, &what, || async {
                    if unsure.load(Ordering::Relaxed)
                        && let Some(stored) = client.certificate(&self.name).await?
                        && stored.thumbprint_sha1_hex.eq_ignore_ascii_case(&material.leaf().thumbprint_sha1)
                    {
                        return Ok(Some(stored));
                    }
                    let (pfx, password) = (material.pfx().expose(), material.password().expose());
                    match client.import_with(&self.name, pfx, password, &tags).await.written(cx) {
                        Err(error) if is_soft_deleted(&error) && !recovered => Ok(None),
                        Err(error) if is_being_recovered(&error) && !recovered => {
                            coming_back.store(true, Ordering::Relaxed);
                            Ok(None)
                        }
                        Err(error) => {
                            unsure.fetch_or(error.sent >= Sent::Unknown, Ordering::Relaxed);
                            Err(error)
                        }
                        Ok(stored) => Ok(Some(stored)),
                    }
                })
                .await?;
            if let Some(stored) = imported {
                return Ok(stored);
            }
            if !coming_back.load(Ordering::Relaxed) {
                self.may_bring_back(cx, vault).await?;
                cx.note("recovering it from soft delete");
                client.recover_certificate(&self.name).await.written(cx).doing(&what)?;
            }
            recovered = true;
            let back = self.wait_until_recovered(cx, vault).await?;
            if !self.made(cx, &back) {
                return Err(self.not_ours(vault, &what));
            }
            // The recovered certificate may be the one to import.
            unsure.store(true, Ordering::Relaxed);
        }
    }

    /// Checks whether a deleted certificate that holds the name may be recovered: only if it is owned.
    async fn may_bring_back(&self, cx: &Context, vault: &Vault) -> Result<(), StepError> {
        let what = format!("read deleted certificate {} in {}", self.name, vault.name);
        let client = self.vaults.at(&vault.uri).doing(&what)?;
        let deleted =
            self.once_granted(cx, &what, || async { client.deleted_certificate(&self.name).await }).await?;
        match deleted {
            Some(deleted) if !self.is_ours(cx, &deleted.tags) => Err(self.not_ours(vault, &what)),
            _ => Ok(()),
        }
    }

    fn not_ours(&self, vault: &Vault, what: &str) -> StepError {
        StepError::new(Kind::Foreign, what)
            .cause(format!(
                "{} contains a deleted certificate of this name that landfall does not own",
                vault.name
            ))
            .hint(format!(
                "set certificate.name to another name; or, if it is not needed, purge it: az keyvault \
                 certificate purge --vault-name {} --name {}",
                vault.name, self.name
            ))
            .residue(Residue::Nothing)
    }

    async fn wait_until_recovered(&self, cx: &Context, vault: &Vault) -> Result<Stored, StepError> {
        let wait =
            Wait::new("the certificate to be recovered", Duration::from_secs(5), Duration::from_secs(300));
        cx.wait_until(wait, async || {
            Ok(match self.look(cx, vault).await? {
                Some(stored) => Look::There(stored),
                None => Look::not_yet("being recovered"),
            })
        })
        .await
    }
}

fn is_being_recovered(error: &ApiError) -> bool {
    error.inner_code.as_deref() == Some("ObjectIsBeingRecovered")
}

fn is_soft_deleted(error: &ApiError) -> bool {
    error.inner_code.as_deref() == Some("ObjectIsDeletedButRecoverable")
}
