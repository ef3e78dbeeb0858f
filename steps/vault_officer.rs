//! Key Vault Certificates Officer for the signed-in principal, so that the certificate can be imported.

use crate::{
    Clouds,
    grant::{self, Granted, Principal},
    key_vault::Vault,
};
use landfall_cloud::arm::{Azure, Role};
use landfall_engine::{Check, Context, Step, StepError, Undone};
use std::time::Duration;

const ROLES: &[Role] = &[Role::CERTIFICATES_OFFICER];

/// Key Vault Certificates Officer for the signed-in principal, so that the certificate can be imported.
pub struct VaultOfficer {
    azure: Azure,
}

impl VaultOfficer {
    /// Returns the step.
    #[must_use]
    pub fn new(c: &Clouds) -> Self {
        Self { azure: c.azure.clone() }
    }

    async fn wanted(&self, vault: &Vault) -> Result<(String, Principal), StepError> {
        Ok((vault.id.clone(), grant::caller(&self.azure).await?))
    }
}

impl Step for VaultOfficer {
    type Input = Vault;
    type Output = Granted;

    fn title(&self) -> String {
        "Certificates Officer for the caller".to_owned()
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn usual(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(&self, _: &Context, input: &Self::Input) -> Result<Check<Granted>, StepError> {
        let (scope, principal) = self.wanted(input).await?;
        grant::check(&self.azure, &scope, &principal, ROLES).await
    }

    async fn apply(&self, cx: &Context, input: &Self::Input) -> Result<Granted, StepError> {
        let (scope, principal) = self.wanted(input).await?;
        grant::apply(cx, &self.azure, &scope, &principal, ROLES).await
    }

    fn part_of(&self) -> Option<&'static str> {
        Some("key-vault")
    }

    async fn recover(&self, _: &Context, input: &Self::Input) -> Result<Option<Granted>, StepError> {
        let (scope, principal) = self.wanted(input).await?;
        grant::recover(&self.azure, &scope, &principal, ROLES).await
    }

    async fn undo(&self, cx: &Context, granted: Granted) -> Result<Undone, StepError> {
        // Azure deletes the assignments at a scope together with the resource.
        if cx.is_ours("key-vault") {
            return Ok(Undone::GoesWithParent);
        }
        grant::undo(cx, &self.azure, &granted, ROLES).await
    }
}
