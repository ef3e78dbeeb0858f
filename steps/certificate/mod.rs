//! The certificate in the vault: imported if its thumbprint is new, replaced on request.

pub mod acme;
mod evaluate;
mod hosts;
mod import;
pub mod renewal;

pub(crate) use hosts::certificate_hosts;
pub use import::SELF_SIGNED_DAYS;

use crate::{
    Clients,
    error_context::ErrorContext,
    expiry,
    graph::Records,
    key_vault::Vault,
    names,
    resource_spec::{Listed, NameSetting, Resource, ResourceSpec},
    settings::{Renewal, Settings},
};
use jiff::Timestamp;
use landfall_cloud::{
    Clock,
    arm::SubscriptionClient,
    certificate::{Leaf, Material},
    environment_description::CertificateRef,
    vault::{StoredCertificate, Vaults},
};
use landfall_engine::{Check, Context, Kind, Leftover, Step, StepError, StepState, UndoOutcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Ensures that the certificate is in the vault.
pub struct Certificate {
    azure: SubscriptionClient,
    group: String,
    vaults: Vaults,
    name: String,
    mark: String,
    domain: String,
    hosts: Vec<String>,
    given: Option<Arc<Material>>,
    issuer: Option<acme::Issuer>,
    renewal: Option<Renewal>,
    clock: Clock,
    /// True if the tags of the certificate keep the progress of an order, for a run without a state folder.
    progress_in_tags: bool,
    records: Records,
}

/// The certificate in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultCertificate {
    /// Its name in the vault.
    pub name: String,
    /// The SHA-1 of the leaf, 40 lower-case hex digits; Key Vault calls it x5t.
    pub thumbprint: String,
    /// The vault's version, 32 hex digits.
    pub version: String,
    /// The id of the secret with the private key and the chain.
    pub secret_id: String,
    /// The start of its validity, since it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Every DNS name it covers.
    pub names: Vec<String>,
    /// True if it is self-signed.
    pub self_signed: bool,
    /// The directory of the ACME server that issued it, as the settings name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<String>,
    /// The digest of its chain, if the version's tags contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The certificate that it replaces, until the cluster is known to serve the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
}

/// A certificate that is being replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// SHA-1 of the leaf, 40 lower-case hex digits.
    pub thumbprint: String,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// A replacing import, saved before it is sent. If a run dies during the import, the next run knows that this
/// version was created, and creates none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ReplacementTicket {
    replaces: Replaced,
    /// The thumbprint of the imported certificate.
    imports: String,
}

impl Certificate {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, records: &Records) -> Self {
        Self {
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            vaults: c.vaults.clone(),
            name: s.certificate.name.clone(),
            mark: names::mark(s, c.azure.id()),
            domain: s.domain.clone(),
            hosts: required_hosts(s),
            given: s.certificate.given.clone(),
            issuer: s.certificate.acme.as_ref().map(|acme| acme::Issuer {
                acme: acme.clone(),
                client: c.acme.clone(),
                planner: acme::Planner::new(&c.azure, c.acme.name_servers(), acme, s),
            }),
            renewal: s.certificate.renewal,
            clock: c.clock().clone(),
            progress_in_tags: false,
            records: *records,
        }
    }

    /// Returns the step of a renewal, which also keeps its progress in the tags of the certificate.
    #[must_use]
    pub(crate) fn with_progress_in_tags(self) -> Self {
        Self { progress_in_tags: true, ..self }
    }

    fn held(&self, stored: &StoredCertificate) -> VaultCertificate {
        VaultCertificate {
            name: self.name.clone(),
            thumbprint: stored.thumbprint_sha1_hex.clone(),
            version: stored.version.clone(),
            secret_id: stored.secret_id.clone(),
            // Only a lifetime that the settings do not determine is of interest.
            not_before: stored.tags.contains_key(acme::DIRECTORY_TAG).then_some(stored.not_before),
            not_after: stored.not_after,
            names: stored.names.clone(),
            self_signed: is_self_signed(stored),
            acme: stored.tags.get(acme::DIRECTORY_TAG).cloned(),
            chain: stored.tags.get(names::CHAIN).cloned(),
            replaces: None,
        }
    }

    /// Returns the certificate, as far as its name identifies it.
    fn placeholder(&self) -> VaultCertificate {
        VaultCertificate {
            name: self.name.clone(),
            thumbprint: String::new(),
            version: String::new(),
            secret_id: String::new(),
            not_before: None,
            not_after: Timestamp::MIN,
            names: Vec::new(),
            self_signed: false,
            acme: None,
            chain: None,
            replaces: None,
        }
    }

    /// Reads the certificate from the vault. A role assignment takes minutes to reach it, and only the call
    /// itself proves that it has. A refusal by role is not final until the bound has passed.
    async fn read(&self, cx: &Context, vault: &Vault) -> Result<Option<StoredCertificate>, StepError> {
        let what = format!("read certificate {} in {}", self.name, vault.name);
        self.retry_until_granted(cx, &what, || async {
            self.vaults.at(&vault.uri)?.certificate(&self.name).await
        })
        .await
    }
}

/// Returns whether a certificate is its own issuer.
pub(crate) fn is_self_signed(stored: &StoredCertificate) -> bool {
    Leaf::from_der(&stored.cer).is_ok_and(|leaf| leaf.issuer == leaf.subject)
}

fn replaced(stored: &StoredCertificate) -> Replaced {
    Replaced { thumbprint: stored.thumbprint_sha1_hex.clone(), not_after: stored.not_after }
}

/// Returns the hosts that the certificate must cover. A self-signed one covers only the domain and its direct
/// subdomains, so other hosts cannot be a reason to create another one.
fn required_hosts(s: &Settings) -> Vec<String> {
    let mut hosts = s.hosts();
    if let Some(acme) = &s.certificate.acme {
        // A host outside the names is a mistake of the settings, which the plan of the order reports.
        hosts.extend(acme.names.iter().filter(|name| !name.starts_with('*')).cloned());
    } else if s.certificate.given.is_none() {
        let parent = |host: &str| host.split_once('.').map(|(_, parent)| parent.to_owned());
        hosts.retain(|host| *host == s.domain || parent(host).as_deref() == Some(&s.domain));
    }
    hosts
}

impl Step for Certificate {
    type Input = (Vault, ());
    type Output = VaultCertificate;

    fn title(&self) -> String {
        match (&self.given, &self.issuer) {
            (Some(_), _) => format!("certificate {}", self.name),
            (None, Some(issuer)) => {
                let server = issuer.directory().host_str().unwrap_or_default();
                format!("certificate {}, by ACME from {server}", self.name)
            }
            (None, None) => format!("certificate {}, self-signed", self.name),
        }
    }

    fn planned_name(&self) -> Option<Value> {
        Some(json!({ "name": self.name }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(if self.issuer.is_some() { 7200 } else { 1800 })
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(if self.issuer.is_some() { 120 } else { 62 })
    }

    async fn check(
        &self,
        cx: &Context,
        (vault, ()): &Self::Input,
    ) -> Result<Check<VaultCertificate>, StepError> {
        let checked = match self.read(cx, vault).await? {
            Some(stored) => self.evaluate(cx, vault, &stored)?,
            None => Check::Missing,
        };
        // The run of an order died after its merge, and before it removed its TXT records.
        let leftovers = acme::leftovers(&cx.past_of(self.records.certificate.id()));
        match (leftovers, &checked) {
            (Some(ticket), Check::InSync(_)) => Ok(Check::Drifted { changes: vec![ticket.change()] }),
            _ => Ok(checked),
        }
    }

    async fn apply(&self, cx: &Context, (vault, ()): &Self::Input) -> Result<VaultCertificate, StepError> {
        let stored = match self.read(cx, vault).await? {
            // An order for a certificate that is only deleted would spend a limit of the authority.
            None if self.issuer.is_some() => self.recover_owned(cx, vault).await?,
            stored => stored,
        };
        if let Some(stored) = &stored {
            match self.evaluate(cx, vault, stored)? {
                Check::InSync(held) => {
                    self.remove_leftovers(cx, &cx.past_of(self.records.certificate.id())).await?;
                    return Ok(held);
                }
                Check::NotOwned { why } => {
                    return Err(StepError::new(Kind::Foreign, format!("import certificate {}", self.name))
                        .cause(why)
                        .leftover(Leftover::Nothing));
                }
                _ => {}
            }
        }
        if let Some(issuer) = &self.issuer {
            let replaces = stored.as_ref().map(replaced);
            let stored = self.issue(cx, vault, issuer, stored.as_ref()).await?;
            // The merge has recorded the replacement; what is left in the zones is removed already.
            return Ok(VaultCertificate { replaces, ..self.held(&stored) });
        }
        self.remove_leftovers(cx, &cx.past_of(self.records.certificate.id())).await?;
        let material = self.material().await?;
        let replaces = stored.as_ref().map(replaced);
        if let Some(replaces) = &replaces {
            let imports = material.leaf().thumbprint_sha1.clone();
            cx.save_ticket(&ReplacementTicket { replaces: replaces.clone(), imports })?;
        }
        let stored = self.import(cx, vault, &material).await?;
        Ok(VaultCertificate { replaces, ..self.held(&stored) })
    }

    fn parent(&self) -> Option<&'static str> {
        Some(self.records.vault.id())
    }

    /// A vault without access has no readable contents; its certificate is deleted with it.
    async fn existing(
        &self,
        cx: &Context,
        (vault, ()): &Self::Input,
    ) -> Result<Option<VaultCertificate>, StepError> {
        match self.read(cx, vault).await {
            Ok(stored) => Ok(stored.map(|stored| self.held(&stored))),
            Err(error) if error.kind == Kind::Interrupted => Err(error),
            Err(error) => {
                cx.note(format!("the vault does not say what it holds: {}", error.message));
                Ok(Some(self.placeholder()))
            }
        }
    }

    /// An owned vault needs no query: the certificate is deleted with it, and the vault may be unreachable.
    /// In a foreign vault a tag marks the certificate as owned.
    async fn recover(
        &self,
        cx: &Context,
        (vault, ()): &Self::Input,
    ) -> Result<Option<VaultCertificate>, StepError> {
        if cx.owns(self.records.vault)
            || acme::leftovers(&cx.past_of(self.records.certificate.id())).is_some()
        {
            return Ok(Some(self.placeholder()));
        }
        let what = format!("read key vault {}", vault.name);
        if self.azure.vault(&self.group, &vault.name).await.context(what)?.is_none() {
            return Ok(None);
        }
        let stored = self.read(cx, vault).await?;
        Ok(stored.filter(|stored| self.was_created(cx, stored)).map(|stored| self.held(&stored)))
    }

    /// In an owned vault the certificate is deleted with the vault. In a foreign one it is deleted alone, if
    /// the version there is the one that landfall imported. That vault retains it for its retention period.
    async fn undo(&self, cx: &Context, held: VaultCertificate) -> Result<UndoOutcome, StepError> {
        self.remove_leftovers(cx, &cx.past_of(self.records.certificate.id())).await?;
        let vault = cx.output_of(self.records.vault);
        if let Some(vault) = vault.as_ref().filter(|_| held.acme.is_some()) {
            self.remove_renewal_leftovers(cx, vault).await?;
        }
        if cx.owns(self.records.vault) {
            return Ok(UndoOutcome::DeletedWithParent);
        }
        let Some(vault) = vault else { return Ok(UndoOutcome::AlreadyDeleted) };
        let what = format!("delete certificate {} from {}", self.name, vault.name);
        if self.azure.vault(&self.group, &vault.name).await.context(&what)?.is_none() {
            return Ok(UndoOutcome::AlreadyDeleted);
        }
        self.delete_account_secrets(cx, &vault).await?;
        match self.read(cx, &vault).await? {
            None => return Ok(UndoOutcome::AlreadyDeleted),
            Some(stored) if stored.thumbprint_sha1_hex != held.thumbprint => {
                cx.note("a foreign certificate has replaced it and is kept");
                return Ok(UndoOutcome::AlreadyDeleted);
            }
            Some(_) => {}
        }
        let client = self.vaults.at(&vault.uri).context(&what)?;
        let delete = || async { client.delete_certificate(&self.name).await };
        let deleted = self.retry_until_granted(cx, &what, delete).await?;
        Ok(if deleted { UndoOutcome::Deleted } else { UndoOutcome::AlreadyDeleted })
    }
}

impl Resource for Certificate {
    const NAMES: &'static [NameSetting] = &[NameSetting {
        setting: "certificate.name",
        key: "name",
        get: |s, _| s.certificate.name.clone(),
        set: |s, name| s.certificate.name = name.unwrap_or_default(),
        recorded: |past| past.read_output::<VaultCertificate>().map(|held| held.name),
        fixed: true,
        optional: false,
    }];

    fn resource(&self) -> ResourceSpec {
        let held = |past: &StepState| past.read_output::<VaultCertificate>();
        ResourceSpec::new("certificate", &self.name)
            .listed(move |past| held(past).map(|held| Listed::Certificate(held.name)))
    }
}

impl VaultCertificate {
    /// Returns the reference for a diagnosis.
    #[must_use]
    pub fn reference(&self) -> CertificateRef {
        CertificateRef { name: self.name.clone(), version: self.version.clone() }
    }

    /// Returns whether less than `days` of its validity are left at that time.
    #[must_use]
    pub fn expires_within(&self, days: i64, now: Timestamp) -> bool {
        expiry::days_left(self.not_after, now) < days
    }

    /// Returns whether landfall itself issues this kind of certificate for this domain, and so can renew it.
    /// Only the owner can replace one that another authority signed, or that covers other names.
    #[must_use]
    pub fn is_renewable_for(&self, domain: &str) -> bool {
        let wildcard = format!("*.{domain}");
        let known = |name: &String| name.eq_ignore_ascii_case(domain) || name.eq_ignore_ascii_case(&wildcard);
        self.self_signed && self.names.len() == 2 && self.names.iter().all(known)
    }
}
