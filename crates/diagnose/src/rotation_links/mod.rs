//! Diagnosis of the certificate's sync from the vault to the cluster's Secret, stage by stage: the failed
//! stage and its remedy.
//!
//! The driver polls the vault with the add-on's identity, for every running pod that mounts a
//! SecretProviderClass. It writes a new version to the pod's files and to the Secret. After a failure the old
//! certificate stays in place and is still served, so only these stages show why a new one does not arrive.
//! Contract: learn.microsoft.com/azure/aks/csi-secrets-store-driver, secrets-store-csi-driver.sigs.k8s.io.

mod class;
mod events;
mod holder;
mod source;

pub(crate) use holder::why;
pub(crate) use source::{add_on, answer, rotation};

pub use landfall_cloud::secret_sync::{Finding, Links, Outlook, gist};

use async_trait::async_trait;
use landfall_cloud::{
    ApiError, Opened,
    kubernetes::{DynamicObject, Kind},
    secret_sync::SyncDiagnosis,
    vault::StoredVersion,
};

/// The data that the cluster and the vault return.
pub(crate) struct Reading<'a> {
    /// The classes of the namespace.
    pub(crate) classes: &'a [DynamicObject],
    /// Its pods.
    pub(crate) pods: &'a [DynamicObject],
    /// Its events.
    pub(crate) events: &'a [DynamicObject],
    /// The version in the vault; `None` if it could not be read, or the finding that the vault's response
    /// indicates.
    pub(crate) version: Result<Option<StoredVersion>, Finding>,
}

/// The diagnosis of the sync, for the step that waits for it.
pub struct RotationDiagnosis;

#[async_trait]
impl SyncDiagnosis for RotationDiagnosis {
    async fn find(&self, opened: &Opened, links: &Links<'_>) -> Result<Option<Finding>, ApiError> {
        find(opened, links).await
    }
}

/// Checks all stages in order and returns the first failed one. Returns `None` if all are sound and the
/// driver has only not polled yet.
///
/// # Errors
/// Returns the error of reading the class, the pods or their events.
pub async fn find(opened: &Opened, links: &Links<'_>) -> Result<Option<Finding>, ApiError> {
    if let Some(stuck) = source::add_on(links.cluster).or_else(|| source::rotation(links.cluster)) {
        return Ok(Some(stuck));
    }
    let (api, space) = (&opened.api, Some(links.namespace));
    let list = async |kind: Kind| api.list(&kind, space, None).await;
    let (classes, pods, events, version) = futures::join!(
        list(Kind::SECRET_PROVIDER_CLASS),
        list(Kind::POD),
        list(Kind::EVENT),
        source::version(links),
    );
    Ok(judge(&Reading { classes: &classes?, pods: &pods?, events: &events?, version }, links))
}

/// Checks the stages in the cluster and the vault, in order.
pub(crate) fn judge(reading: &Reading<'_>, links: &Links<'_>) -> Option<Finding> {
    let class = match class::of_secret(reading.classes, links) {
        Ok(class) => class,
        Err(stuck) => return Some(stuck),
    };
    let version = match &reading.version {
        Ok(version) => version.as_ref(),
        Err(stuck) => return Some(stuck.clone()),
    };
    let holders = holder::of_class(reading.pods, class);
    let trouble = events::latest(reading.events, &holders, version.and_then(|version| version.created));
    match trouble {
        Some(trouble) => Some(events::judge(&trouble, links)),
        None => holder::none_running(&holders, class, links),
    }
}
