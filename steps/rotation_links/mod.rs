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

pub(crate) use events::gist;
pub(crate) use holder::why;
pub(crate) use source::{add_on, answer, rotation};

use crate::{certificate::HeldCertificate, clouds::Opened, key_vault::Vault};
use landfall_cloud::{
    ApiError,
    kubernetes::{DynamicObject, Kind},
    vault::{StoredVersion, Vaults},
};
use serde_json::Value;

/// The input of the diagnosis: both ends of the sync, and the names between them.
pub struct Links<'a> {
    /// The cluster as Resource Manager shows it.
    pub cluster: &'a Value,
    /// The vault.
    pub vault: &'a Vault,
    /// The vault as Resource Manager shows it, if that could be read.
    pub vault_body: Option<&'a Value>,
    /// The data planes.
    pub vaults: &'a Vaults,
    /// The desired content of the Secret.
    pub certificate: &'a HeldCertificate,
    /// The namespace of the Secret.
    pub namespace: &'a str,
    /// Its name.
    pub secret: &'a str,
}

/// A failed stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The machine-readable code, such as `ROTATION_OFF`.
    pub code: &'static str,
    /// The cause, in one sentence.
    pub cause: String,
    /// The evidence: fields, events.
    pub evidence: Vec<String>,
    /// The remedy.
    pub mend: String,
    /// The chance that the fault passes.
    pub outlook: Outlook,
}

/// The chance that a fault passes without intervention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// The fault may pass, like a role assignment that is not effective yet.
    MayPass,
    /// The fault does not pass by itself, but may be a momentary state, like that between two pods.
    Unlikely,
    /// The fault is configured and never passes.
    Never,
}

impl Finding {
    /// Returns a finding without evidence; `cause` is a lowercase fragment, `mend` the remedy.
    pub fn new(code: &'static str, cause: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            code,
            cause: cause.into(),
            evidence: Vec::new(),
            mend: mend.into(),
            outlook: Outlook::Unlikely,
        }
    }

    pub(crate) fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    pub(crate) fn outlook(mut self, outlook: Outlook) -> Self {
        self.outlook = outlook;
        self
    }
}

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
