//! Diagnosis of the certificate's sync from the vault to the cluster's Secret, stage by stage: the failed
//! stage and its remedy.
//!
//! The driver polls the vault with the identity that the class selects, for every running pod that mounts a
//! SecretProviderClass. It writes a new version to the pod's files and to the Secret. After a failure the old
//! certificate stays in place and is still served, so only these stages show why a new one does not arrive.
//! Contract: learn.microsoft.com/azure/aks/csi-secrets-store-driver, secrets-store-csi-driver.sigs.k8s.io.

mod class;
mod events;
pub(crate) mod identity;
mod mounting_pod;
mod vault;

pub(crate) use mounting_pod::not_ready_reason;
pub(crate) use vault::{add_on, evaluate_versions, rotation};

pub use landfall_cloud::sync_diagnosis::{Finding, RotationContext, SelfRecovery, message_summary};

use async_trait::async_trait;
use identity::ClassIdentity;
use landfall_cloud::{
    ApiError, ClusterSession,
    kubernetes::{DynamicObject, Kind},
    sync_diagnosis::SyncDiagnosis,
    vault::CertificateVersion,
};

/// The data that the cluster and the vault return.
pub(crate) struct SyncData<'a> {
    /// The classes of the namespace.
    pub(crate) classes: &'a [DynamicObject],
    /// Its pods.
    pub(crate) pods: &'a [DynamicObject],
    /// Its events.
    pub(crate) events: &'a [DynamicObject],
    /// The version in the vault; `None` if it could not be read, or the finding that the vault's response
    /// indicates.
    pub(crate) version: Result<Option<CertificateVersion>, Finding>,
}

/// The diagnosis of the sync, for the step that waits for it.
pub struct RotationDiagnosis;

#[async_trait]
impl SyncDiagnosis for RotationDiagnosis {
    async fn diagnose(
        &self,
        session: &ClusterSession,
        context: &RotationContext<'_>,
    ) -> Result<Option<Finding>, ApiError> {
        diagnose(session, context).await
    }
}

/// Checks all stages in order and returns the first failed one. Returns `None` if all are sound and the
/// driver has only not polled yet.
///
/// # Errors
/// Returns the error of reading the class, the pods or their events.
pub async fn diagnose(
    session: &ClusterSession,
    context: &RotationContext<'_>,
) -> Result<Option<Finding>, ApiError> {
    if let Some(finding) = vault::add_on(context.cluster).or_else(|| vault::rotation(context.cluster)) {
        return Ok(Some(finding));
    }
    let (api, space) = (&session.api, Some(context.namespace));
    let list = async |kind: Kind| api.list(&kind, space, None).await;
    let (classes, pods, events, version) = futures::join!(
        list(Kind::SECRET_PROVIDER_CLASS),
        list(Kind::POD),
        list(Kind::EVENT),
        vault::version(context),
    );
    Ok(evaluate(&SyncData { classes: &classes?, pods: &pods?, events: &events?, version }, context))
}

/// Checks the stages in the cluster and the vault, in order.
pub(crate) fn evaluate(sync_data: &SyncData<'_>, context: &RotationContext<'_>) -> Option<Finding> {
    let class = match class::class_of_secret(sync_data.classes, context) {
        Ok(class) => class,
        Err(finding) => return Some(finding),
    };
    let version = match &sync_data.version {
        Ok(version) => version.as_ref(),
        Err(finding) => return Some(finding.clone()),
    };
    let mounting_pods = mounting_pod::pods_mounting(sync_data.pods, class);
    let failure =
        events::latest(sync_data.events, &mounting_pods, version.and_then(|version| version.created));
    match failure {
        Some(failure) => {
            let selected = sync_data.classes.iter().find(|one| one.metadata.name.as_deref() == Some(class));
            let identity = selected.map_or(ClassIdentity::Node, ClassIdentity::of);
            Some(events::evaluate(&failure, identity, context))
        }
        None => mounting_pod::none_running(&mounting_pods, class, context),
    }
}
