//! Key Vault Secrets User and Certificate User for the add-on's identity, so that the CSI driver can read.

use crate::{
    Clouds,
    cluster_ready::ReadyCluster,
    grant::{self, Granted, Principal},
    key_vault::Vault,
};
use landfall_cloud::arm::{Azure, Role};
use landfall_engine::{Check, Context, Step, StepError, Undone};
use std::time::Duration;

const ROLES: &[Role] = &[Role::SECRETS_USER, Role::CERTIFICATE_USER];

/// Key Vault Secrets User and Certificate User for the add-on's identity, so that the CSI driver can read.
pub struct VaultAccess {
    azure: Azure,
}

impl VaultAccess {
    /// Returns the step.
    #[must_use]
    pub fn new(c: &Clouds) -> Self {
        Self { azure: c.azure.clone() }
    }

    async fn wanted(
        &self,
        (cluster, vault): &(ReadyCluster, Vault),
    ) -> Result<(String, Principal), StepError> {
        let principal = Principal { object_id: cluster.secrets.object_id.clone(), kind: "ServicePrincipal" };
        Ok((vault.id.clone(), principal))
    }
}

impl Step for VaultAccess {
    type Input = (ReadyCluster, Vault);
    type Output = Granted;

    fn title(&self) -> String {
        "Secrets and Certificate User for the add-on".to_owned()
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
        grant::sweep(cx, &self.azure, "vault-access", &principal, ROLES).await?;
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
