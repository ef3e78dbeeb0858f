//! The certificates that the operator provides: the Secret of every listener contains the vault's newest version.
//!
//! The operator creates the Secrets, so the step owns nothing. It only waits, after a rotation for the poll of the
//! Secrets Store driver.

use super::listeners::OperatorListener;
use crate::{
    Clients, Clusters,
    certificate::VaultCertificate,
    cluster_ready::ReadyCluster,
    error_context::ErrorContext,
    manifests::Manifests,
    operation,
    operator::listeners,
    resource_spec::{Resource, ResourceSpec},
    settings::Settings,
};
use landfall_cloud::{
    ApiError, ClusterSession,
    kubernetes::{Kind, tls_secret::thumbprint},
};
use landfall_engine::{Check, Context, Poll, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Waits until the Secret of every listener contains the vault's certificate.
pub struct OperatorCertificate {
    clusters: Clusters,
    listeners: Vec<OperatorListener>,
}

/// The provided certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvidedCertificate {
    /// The SHA-1 of its leaf, 40 lower-case hex digits.
    pub thumbprint: String,
}

impl OperatorCertificate {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings) -> Self {
        Self { clusters: c.clusters.clone(), listeners: listeners::of(&Manifests::new(s).gateways) }
    }

    async fn open(&self, cluster: &ReadyCluster) -> Result<ClusterSession, StepError> {
        self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))
    }

    /// Returns the Secrets that do not contain a certificate.
    async fn behind(&self, session: &ClusterSession, wanted: &str) -> Result<Vec<String>, ApiError> {
        let reads = self.listeners.iter().map(|listener| async move {
            let name = listener.secret();
            let secret = session.api.get(&Kind::SECRET, Some(&listener.namespace), &name).await?;
            Ok((name, secret.as_ref().and_then(thumbprint)))
        });
        let secrets: Vec<(String, Option<String>)> = futures::future::try_join_all(reads).await?;
        let behind = secrets.into_iter().filter(|(_, is)| is.as_deref() != Some(wanted));
        Ok(behind.map(|(name, _)| name).collect())
    }
}

impl Resource for OperatorCertificate {
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::undeletable("certificates of the operator")
    }
}

impl Step for OperatorCertificate {
    type Input = (ReadyCluster, VaultCertificate, ());
    type Output = ProvidedCertificate;

    fn title(&self) -> String {
        match self.listeners.len() {
            1 => "certificate of 1 listener, by the operator".to_owned(),
            count => format!("certificates of {count} listeners, by the operator"),
        }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn check(&self, _: &Context, input: &Self::Input) -> Result<Check<ProvidedCertificate>, StepError> {
        let session = self.open(&input.0).await?;
        let thumbprint = input.1.thumbprint.clone();
        let behind = self.behind(&session, &thumbprint).await.context("read the Secrets of the operator")?;
        Ok(match behind.is_empty() {
            true => Check::InSync(ProvidedCertificate { thumbprint }),
            false => Check::InProgress,
        })
    }

    async fn apply(&self, cx: &Context, input: &Self::Input) -> Result<ProvidedCertificate, StepError> {
        let session = self.open(&input.0).await?;
        let thumbprint = input.1.thumbprint.clone();
        // The driver polls every two minutes, and from version 1.6 on it may take four.
        let wait = Wait::new(
            "the driver to sync the new certificate",
            Duration::from_secs(120),
            Duration::from_secs(600),
        );
        let waited = cx.wait_until(wait, async || match self.behind(&session, &thumbprint).await {
            Err(error) if operation::is_transient(&error) => Ok(operation::no_response(&error, None)),
            behind => {
                let behind = behind.context("read the Secrets of the operator")?;
                Ok(match behind.is_empty() {
                    true => Poll::Ready(()),
                    false => Poll::not_yet(format!("not in {} yet", behind.join(", "))),
                })
            }
        });
        waited.await.map_err(|error| {
            error.hint("the events of the pods kv-gw-cert-* show the cause (landfall doctor)")
        })?;
        Ok(ProvidedCertificate { thumbprint })
    }

    async fn undo(&self, _: &Context, _: ProvidedCertificate) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::AlreadyDeleted)
    }
}
