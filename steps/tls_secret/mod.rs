//! The TLS Secret: a SecretProviderClass and the sync workload, until the Secret in the cluster contains the
//! vault's certificate.

mod wait;

use crate::{
    Clients, ClusterSession, Clusters,
    certificate::VaultCertificate,
    cluster_ready::ReadyCluster,
    error_context::ErrorContext,
    identity::UserAssignedIdentity,
    identity_mode::IdentityMode,
    key_vault::Vault,
    manifests::{Manifests, TlsNames, UNKNOWN_ID},
    objects::{self, Applied, PreviousApply},
    resource_spec::{Resource, ResourceSpec, Resources},
    settings::Settings,
};
use landfall_cloud::{
    arm::SubscriptionClient,
    kubernetes::{Kind, manifest::Manifest, tls_secret::thumbprint},
    sync_diagnosis::SyncDiagnosis,
    vault::Vaults,
};
use landfall_engine::{Change, Check, Context, Step, StepError, UndoOutcome};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The name of the Secret in the gateways' listeners.
pub const SECRET: &str = "gateway-tls-secret";
/// The namespace of the Secret.
pub const NAMESPACE: &str = "default";

/// Ensures that the Secret exists.
pub struct TlsSecret {
    resources: Resources,
    cluster_name: String,
    azure: SubscriptionClient,
    group: String,
    vaults: Vaults,
    clusters: Clusters,
    diagnosis: Arc<dyn SyncDiagnosis>,
    manifests: Manifests,
    mode: IdentityMode,
    /// True if the given PFX contains more than the leaf, so that the gateway must serve the chain.
    chain_given: bool,
}

/// The existing Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedSecret {
    /// The class and the sync workload.
    #[serde(flatten)]
    pub applied: Applied,
    /// The SHA-1 of its leaf, 40 lower-case hex digits. A new certificate changes this value, so that the
    /// gateways are checked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "carries")]
    pub thumbprint: Option<String>,
    /// The digest of the vault's chain when the Secret was synced; absent if the vault's tags do not contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The identity with which it was synced; absent for that of the add-on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityMode>,
}

impl TlsSecret {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, resources: &Resources) -> Self {
        Self {
            resources: resources.clone(),
            cluster_name: s.cluster.name.clone(),
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            vaults: c.vaults.clone(),
            clusters: c.clusters.clone(),
            diagnosis: c.sync_diagnosis.clone(),
            manifests: Manifests::new(s),
            mode: s.identity.unwrap_or_default(),
            chain_given: s.certificate.given.as_ref().is_some_and(|given| given.leaf().chain_length > 1),
        }
    }

    fn previous(&self, cx: &Context) -> PreviousApply {
        PreviousApply { output: cx.last_output(), unfinished: cx.ticket(), wanted: self.manifests.wanted() }
    }

    /// Returns the mode for the journal, in which the add-on's has no entry.
    fn recorded_mode(&self) -> Option<IdentityMode> {
        Some(self.mode).filter(|mode| *mode != IdentityMode::AddOn)
    }

    async fn open(&self, cluster: &ReadyCluster) -> Result<ClusterSession, StepError> {
        self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))
    }

    fn wanted(&self, (cluster, held, vault, identity, _): &<Self as Step>::Input) -> Vec<Manifest> {
        let client_id = match self.mode {
            IdentityMode::AddOn => &cluster.secrets.client_id,
            IdentityMode::Workload => identity.as_ref().map_or(UNKNOWN_ID, |identity| &identity.client_id),
        };
        self.manifests.tls(&TlsNames {
            client_id,
            vault: &vault.name,
            tenant: &vault.tenant,
            certificate: &held.name,
            // A certificate from another issuer may have a chain even if no PFX was given.
            with_chain: self.chain_given || !held.self_signed,
        })
    }
}

impl Resource for TlsSecret {
    fn resource(&self) -> ResourceSpec {
        objects::spec(&self.cluster_name)
    }
}

impl Step for TlsSecret {
    type Input = (ReadyCluster, VaultCertificate, Vault, Option<UserAssignedIdentity>, ((), (), ()));
    type Output = SyncedSecret;

    fn title(&self) -> String {
        format!("Secret {SECRET}")
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(1200)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(75)
    }

    async fn check(&self, cx: &Context, input: &Self::Input) -> Result<Check<SyncedSecret>, StepError> {
        let session = self.open(&input.0).await?;
        let wanted = self.wanted(input);
        let previous = self.previous(cx);
        let (diff, secret) = futures::join!(objects::diff(&session, &wanted, &previous), async {
            session.api.get(&Kind::SECRET, Some(NAMESPACE), SECRET).await
        },);
        let secret = secret.context(format!("read Secret {SECRET}"))?;
        let diff = diff?;
        diff.note_found(cx);
        let found = match diff.check() {
            Ok(found) => found,
            Err(verdict) => return Ok(objects::verdict(verdict)),
        };
        match secret.as_ref().and_then(thumbprint) {
            Some(synced) if synced == input.1.thumbprint => {}
            Some(synced) => {
                let field = format!("Secret {SECRET}: certificate");
                let change = Change { field, is: json!(synced), wanted: json!(input.1.thumbprint) };
                return Ok(Check::Drifted { changes: vec![change] });
            }
            None => return Ok(Check::InProgress),
        }
        // The same leaf with another chain. The driver may drop certificates that do not belong to it, so the
        // Secret itself is not compared.
        if let Some(wanted) = &input.1.chain
            && let Some(last) =
                cx.last_output().filter(|last: &SyncedSecret| last.chain.as_ref() != Some(wanted))
        {
            let field = format!("Secret {SECRET}: chain");
            let change = Change { field, is: json!(last.chain), wanted: json!(wanted) };
            return Ok(Check::Drifted { changes: vec![change] });
        }
        let applied = objects::references(cx, &session, cx.last_output(), &found).await?;
        Ok(Check::InSync(SyncedSecret {
            applied,
            thumbprint: Some(input.1.thumbprint.clone()),
            chain: input.1.chain.clone(),
            identity: self.recorded_mode(),
        }))
    }

    async fn apply(&self, cx: &Context, input: &Self::Input) -> Result<SyncedSecret, StepError> {
        let session = self.open(&input.0).await?;
        let wanted = self.wanted(input);
        // The apps step creates the namespaces of the user's manifests, at the same time.
        objects::await_namespaces(cx, &session.api, &wanted, &self.manifests.apps).await?;
        let applied = objects::apply(cx, &session, self.previous(cx), &wanted).await?;
        let secret = self.await_secret(cx, &session, input).await?;
        let workload = self.await_rollout(cx, &session, input, &wanted).await?;
        cx.ended_at(workload.map_or(secret, |workload| workload.max(secret)));
        Ok(SyncedSecret {
            applied,
            thumbprint: Some(input.1.thumbprint.clone()),
            chain: input.1.chain.clone(),
            identity: self.recorded_mode(),
        })
    }

    async fn recover(&self, cx: &Context, input: &Self::Input) -> Result<Option<SyncedSecret>, StepError> {
        let recovered =
            objects::recover(cx, &self.clusters, &self.resources, &input.0, &self.wanted(input)).await?;
        Ok(recovered.map(|applied| SyncedSecret {
            applied,
            thumbprint: None,
            chain: None,
            identity: self.recorded_mode(),
        }))
    }

    async fn existing(&self, cx: &Context, input: &Self::Input) -> Result<Option<SyncedSecret>, StepError> {
        let session = self.open(&input.0).await?;
        let existing = objects::existing(cx, &session, &self.wanted(input)).await?;
        Ok(existing.map(|(applied, _)| SyncedSecret {
            applied,
            thumbprint: None,
            chain: None,
            identity: self.recorded_mode(),
        }))
    }

    fn parent(&self) -> Option<&'static str> {
        Some(self.resources.records.cluster.id())
    }

    async fn undo(&self, cx: &Context, secret: SyncedSecret) -> Result<UndoOutcome, StepError> {
        objects::undo(cx, &self.clusters, &self.resources, &secret.applied).await
    }
}
