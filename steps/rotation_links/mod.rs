//! The way of a certificate from the vault into the cluster's Secret, link by link: which one is stuck, and what mends it.
//!
//! The driver looks at the vault now and then, as the add-on's identity, for every running pod that mounts a
//! SecretProviderClass, and writes what is new into the pod's files and into the Secret. What fails leaves the old
//! certificate in place, served as before, so nothing but this way itself tells why a new one does not come.
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

/// The way to look along: its two ends, and the names in between.
pub struct Links<'a> {
    /// The cluster as Resource Manager shows it.
    pub cluster: &'a Value,
    /// The vault.
    pub vault: &'a Vault,
    /// The vault as Resource Manager shows it, where that could be read.
    pub vault_body: Option<&'a Value>,
    /// The data planes.
    pub vaults: &'a Vaults,
    /// What the Secret is to carry.
    pub certificate: &'a HeldCertificate,
    /// Where the Secret is.
    pub namespace: &'a str,
    /// Its name.
    pub secret: &'a str,
}

/// A link that is stuck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What programs know it by, `ROTATION_OFF`.
    pub code: &'static str,
    /// What is wrong, in one sentence.
    pub cause: String,
    /// What shows it: fields, events.
    pub evidence: Vec<String>,
    /// What a person does about it.
    pub mend: String,
    /// What waiting is good for.
    pub outlook: Outlook,
}

/// What waiting is good for while a link is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// It may pass by itself, as a role that takes its time.
    MayPass,
    /// It does not mend by itself, but may be a moment's state, as between two pods.
    Unlikely,
    /// It is so because somebody has said so: nothing will come of waiting.
    Never,
}

impl Finding {
    /// Makes a finding without evidence; `cause` is a lowercase fragment, `mend` what a person does about it.
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

/// What the cluster and the vault say of the way.
pub(crate) struct Reading<'a> {
    /// The classes of the namespace.
    pub(crate) classes: &'a [DynamicObject],
    /// Its pods.
    pub(crate) pods: &'a [DynamicObject],
    /// Its events.
    pub(crate) events: &'a [DynamicObject],
    /// The version in the vault; none where it could not be read, or the link that the vault's answer names.
    pub(crate) version: Result<Option<StoredVersion>, Finding>,
}

/// Looks along the way, from what is asked for to what came of it, and returns the first link that is stuck; none when
/// every one is sound and the driver has merely not come round.
///
/// # Errors
/// Whatever reading the class, the pods or their events ran into.
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

/// Judges the links that are in the cluster and the vault, in the order of the way.
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
