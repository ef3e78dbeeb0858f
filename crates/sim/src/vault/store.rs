//! The contents of a vault in the state: certificates, their operations, and secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::certificate::{Certificate, DeletedCertificate, VaultInfo, Version};
use crate::clock::SimTime;

/// The certificates of one vault by lower-case name.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Certificates {
    /// Certificates that can be read.
    pub(crate) live: BTreeMap<String, Certificate>,
    /// Certificates that are deleted, being deleted or being recovered.
    pub(crate) deleted: BTreeMap<String, DeletedCertificate>,
    /// Certificate operations, running or completed.
    #[serde(default)]
    pub(crate) pending: BTreeMap<String, PendingCertificate>,
    /// Secrets that belong to no certificate.
    #[serde(default)]
    pub(crate) plain_secrets: BTreeMap<String, PlainSecret>,
}

impl Certificates {
    /// Returns the time of the earliest timed change.
    pub(crate) fn next_due(&self) -> Option<SimTime> {
        let deletions = self.deleted.values().map(|deleted| deleted.recovered.unwrap_or(deleted.purge));
        let completions = self.pending.values().filter_map(PendingCertificate::due);
        deletions.chain(completions).min()
    }

    /// Applies the changes due by `due`: recoveries, purges and created versions.
    pub(crate) fn advance_to(&mut self, due: SimTime) {
        complete(self, due);
        let is_due = |deleted: &DeletedCertificate| deleted.recovered.unwrap_or(deleted.purge) <= due;
        let names: Vec<_> = self
            .deleted
            .iter()
            .filter(|(_, deleted)| is_due(deleted))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let Some(deleted) = self.deleted.remove(&name) else { continue };
            if deleted.recovered.is_some() {
                self.live.insert(name, deleted.certificate);
            }
        }
    }
}

/// Adds the versions that are complete by `due`.
fn complete(certificates: &mut Certificates, due: SimTime) {
    for (key, pending) in &mut certificates.pending {
        if pending.due().is_none_or(|done| done > due) {
            continue;
        }
        let Some((name, version, policy)) = pending.end() else { continue };
        let entry = certificates.live.entry(key.clone());
        let certificate =
            entry.or_insert_with(|| Certificate { name, versions: Vec::new(), policy: Value::Null });
        certificate.versions.push(version);
        certificate.policy = policy;
    }
}

/// The issuer of a certificate that another authority signs.
pub(super) const UNKNOWN: &str = "Unknown";

/// A certificate operation; it stays readable after its end.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PendingCertificate {
    /// The certificate name in its original case.
    pub(super) name: String,
    /// The completion time.
    pub(crate) done: SimTime,
    pub(super) request_id: String,
    /// The certificate signing request, DER in base64.
    pub(super) csr: String,
    /// The version that the operation adds at its end; `None` afterwards.
    pub(super) version: Option<Version>,
    pub(super) policy: Value,
    /// True if a merge keeps the order of its chain.
    #[serde(default)]
    pub(super) keep_order: bool,
}

impl PendingCertificate {
    /// Returns whether the operation is in progress.
    pub(crate) const fn is_running(&self) -> bool {
        self.version.is_some()
    }

    /// Returns whether a certificate of another authority completes it, by a merge.
    pub(super) fn waits_for_merge(&self) -> bool {
        self.policy["issuer"]["name"] == UNKNOWN
    }

    /// Returns the name of the issuer.
    pub(super) fn issuer(&self) -> &str {
        self.policy["issuer"]["name"].as_str().unwrap_or_default()
    }

    /// Returns the instant at which it completes by itself.
    pub(crate) fn due(&self) -> Option<SimTime> {
        (self.is_running() && !self.waits_for_merge()).then_some(self.done)
    }

    /// Completes the operation; returns the name, the created version and its policy.
    pub(crate) fn end(&mut self) -> Option<(String, Version, Value)> {
        self.version.take().map(|version| (self.name.clone(), version, self.policy.clone()))
    }

    /// Returns the `CertificateOperation`.
    pub(super) fn body(&self, uri: &str) -> Value {
        let mut body = json!({
            "id": format!("{uri}certificates/{}/pending", self.name),
            "issuer": self.policy["issuer"],
            "csr": self.csr,
            "cancellation_requested": false,
            "request_id": self.request_id,
        });
        if self.is_running() && self.waits_for_merge() {
            body["status"] = json!("inProgress");
            body["status_details"] =
                json!("Pending certificate created. Please Perform Merge to complete the request.");
        } else if self.is_running() {
            body["status"] = json!("inProgress");
            body["status_details"] = json!(
                "Pending certificate created. Certificate request is in progress. This may take some time based on the \
                 issuer provider. Please check again later."
            );
        } else {
            body["status"] = json!("completed");
            body["target"] = json!(format!("{uri}certificates/{}", self.name));
        }
        body
    }
}

/// A secret in its newest version.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PlainSecret {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) value: String,
    pub(super) content_type: Option<String>,
    pub(super) tags: Option<Value>,
    pub(super) created: i64,
    pub(super) updated: i64,
    /// True while it can only be recovered or purged.
    pub(super) deleted: bool,
    /// The earlier versions, oldest first; they have none themselves.
    #[serde(default)]
    pub(super) earlier: Vec<PlainSecret>,
}

impl PlainSecret {
    /// Returns an item of a list.
    pub(super) fn item(&self, vault_info: &VaultInfo<'_>, versioned: bool) -> Value {
        let mut item = self.bundle(vault_info, false);
        if !versioned {
            item["id"] = json!(format!("{}secrets/{}", vault_info.uri, self.name));
        }
        if self.deleted {
            item["recoveryId"] = json!(format!("{}deletedsecrets/{}", vault_info.uri, self.name));
        }
        item
    }

    pub(super) fn bundle(&self, vault_info: &VaultInfo<'_>, with_value: bool) -> Value {
        let mut bundle = json!({
            "id": format!("{}secrets/{}/{}", vault_info.uri, self.name, self.version),
            "attributes": {
                "enabled": true, "created": self.created, "updated": self.updated,
                "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": vault_info.days,
            },
        });
        if with_value {
            bundle["value"] = json!(self.value);
        }
        if let Some(content_type) = &self.content_type {
            bundle["contentType"] = json!(content_type);
        }
        if let Some(tags) = &self.tags {
            bundle["tags"] = tags.clone();
        }
        bundle
    }
}
