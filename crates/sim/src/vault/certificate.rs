//! Certificates of a vault: each version is a certificate, a key and a secret under one id.
//!
//! Source: "About Azure Key Vault certificates" and the `CertificateBundle`, `CertificateItem` and
//! `DeletedCertificateBundle` of the data plane, api-version 7.4 and later.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::material::Material;
use super::policy::CertificateInfo;
use crate::clock::SimTime;

/// One certificate with all its versions.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Certificate {
    /// The name in its original case.
    pub(crate) name: String,
    /// The versions, the newest last; never empty.
    pub(crate) versions: Vec<Version>,
    /// The policy of the newest version.
    pub(crate) policy: Value,
}

/// A version of a certificate.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Version {
    /// The version id, 32 hexadecimal digits.
    pub(crate) id: String,
    /// The key and the certificates.
    pub(crate) material: Material,
    pub(crate) enabled: bool,
    /// Seconds since the epoch.
    pub(crate) created: i64,
    /// Seconds since the epoch.
    pub(crate) updated: i64,
    not_before: i64,
    not_after: i64,
    pub(crate) tags: Option<Value>,
    pub(crate) keep_order: bool,
}

/// A soft-deleted certificate.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DeletedCertificate {
    /// The recoverable certificate.
    pub(crate) certificate: Certificate,
    /// The time of the delete request.
    pub(crate) at: SimTime,
    /// The time from which it is listed as deleted.
    pub(crate) done: SimTime,
    /// The time of its final deletion.
    pub(crate) purge: SimTime,
    /// The time at which a requested recovery completes.
    pub(crate) recovered: Option<SimTime>,
}

/// The settings of a vault that its certificates show.
pub(crate) struct VaultInfo<'a> {
    /// The vault's URI with a trailing slash.
    pub(crate) uri: &'a str,
    /// The retention of deleted objects in days.
    pub(crate) days: i64,
    /// True if purge protection is enabled.
    pub(crate) protected: bool,
}

impl Version {
    /// Creates a version from imported material; returns `None` if the vault does not support the type of the
    /// leaf's key.
    pub(crate) fn new(
        id: String,
        material: Material,
        enabled: bool,
        tags: Option<Value>,
        at: SimTime,
    ) -> Option<Self> {
        let certificate_info = CertificateInfo::of(material.leaf())?;
        let created = at.unix_seconds();
        let CertificateInfo { not_before, not_after, .. } = certificate_info;
        let version = Self {
            id,
            material,
            enabled,
            created,
            updated: created,
            not_before,
            not_after,
            tags,
            keep_order: false,
        };
        Some(version)
    }

    /// Returns the attributes of the key behind the version; a key of a standard vault is in no HSM.
    pub(crate) fn key_attributes(&self, vault_info: &VaultInfo<'_>) -> Value {
        let mut attributes = self.attributes(vault_info);
        attributes["hsmPlatform"] = json!("0");
        attributes
    }

    fn attributes(&self, vault_info: &VaultInfo<'_>) -> Value {
        json!({
            "enabled": self.enabled,
            "nbf": self.not_before,
            "exp": self.not_after,
            "created": self.created,
            "updated": self.updated,
            "recoveryLevel": vault_info.level(),
            "recoverableDays": vault_info.days,
        })
    }
}

impl VaultInfo<'_> {
    /// Returns the `DeletionRecoveryLevel`: customized if the retention is shorter than the default of 90
    /// days.
    fn level(&self) -> &'static str {
        match (self.days < 90, self.protected) {
            (false, false) => "Recoverable+Purgeable",
            (false, true) => "Recoverable",
            (true, false) => "CustomizedRecoverable+Purgeable",
            (true, true) => "CustomizedRecoverable",
        }
    }

    fn at(&self, collection: &str, name: &str, version: &str) -> String {
        format!("{}{collection}/{name}/{version}", self.uri)
    }
}

impl Certificate {
    /// Returns the newest version.
    pub(crate) fn newest(&self) -> &Version {
        self.versions.last().expect("a certificate has a version from its import on")
    }

    /// Returns the version with that id, or the newest for `None`.
    pub(crate) fn version(&self, id: Option<&str>) -> Option<&Version> {
        match id {
            None => self.versions.last(),
            Some(id) => self.versions.iter().find(|version| version.id.eq_ignore_ascii_case(id)),
        }
    }

    /// Returns the `CertificateBundle` of a version.
    pub(crate) fn bundle(&self, version: &Version, vault_info: &VaultInfo<'_>) -> Value {
        let mut bundle = json!({
            "id": vault_info.at("certificates", &self.name, &version.id),
            "kid": vault_info.at("keys", &self.name, &version.id),
            "sid": vault_info.at("secrets", &self.name, &version.id),
            "x5t": version.material.x5t(),
            "cer": STANDARD.encode(version.material.leaf()),
            "attributes": version.attributes(vault_info),
        });
        if let Some(tags) = &version.tags {
            bundle["tags"] = tags.clone();
        }
        if version.keep_order {
            bundle["preserveCertOrder"] = json!(true);
        }
        bundle["policy"] = self.policy.clone();
        bundle
    }

    /// Returns the `CertificateItem` of a version; without its id in the list of certificates.
    pub(crate) fn item(&self, version: &Version, vault_info: &VaultInfo<'_>, versioned: bool) -> Value {
        let id = if versioned { format!("/{}", version.id) } else { String::new() };
        let mut item = json!({
            "id": format!("{}certificates/{}{id}", vault_info.uri, self.name),
            "x5t": version.material.x5t(),
            "attributes": version.attributes(vault_info),
            "subject": self.policy["x509_props"]["subject"],
        });
        if let Some(tags) = &version.tags {
            item["tags"] = tags.clone();
        }
        item
    }

    /// Returns the `SecretBundle` behind a version.
    pub(crate) fn secret(&self, version: &Version, vault_info: &VaultInfo<'_>) -> Value {
        json!({
            "value": version.material.secret,
            "contentType": version.material.content_type,
            "id": vault_info.at("secrets", &self.name, &version.id),
            "managed": true,
            "attributes": version.attributes(vault_info),
            "kid": vault_info.at("keys", &self.name, &version.id),
        })
    }

    /// Returns the `KeyBundle` behind a version: only the public key.
    pub(crate) fn key(&self, version: &Version, vault_info: &VaultInfo<'_>) -> Value {
        let mut jwk = Map::new();
        jwk.insert("kid".into(), json!(vault_info.at("keys", &self.name, &version.id)));
        let public = CertificateInfo::of(version.material.leaf())
            .map(|certificate_info| certificate_info.jwk)
            .unwrap_or_default();
        let operations: &[&str] = if public.get("kty") == Some(&json!("RSA")) {
            &["sign", "verify", "wrapKey", "unwrapKey", "encrypt", "decrypt"]
        } else {
            &["sign", "verify"]
        };
        jwk.extend(public);
        jwk.insert("key_ops".into(), json!(operations));
        json!({"key": jwk, "attributes": version.key_attributes(vault_info), "managed": true})
    }
}

impl DeletedCertificate {
    /// Returns the `DeletedCertificateBundle`.
    pub(crate) fn bundle(&self, vault_info: &VaultInfo<'_>) -> Value {
        let mut bundle = self.certificate.bundle(self.certificate.newest(), vault_info);
        self.mark(&mut bundle, vault_info);
        bundle
    }

    /// Returns the `DeletedCertificateItem`.
    pub(crate) fn item(&self, vault_info: &VaultInfo<'_>) -> Value {
        let mut item = self.certificate.item(self.certificate.newest(), vault_info, false);
        self.mark(&mut item, vault_info);
        item
    }

    fn mark(&self, value: &mut Value, vault_info: &VaultInfo<'_>) {
        value["recoveryId"] =
            json!(format!("{}deletedcertificates/{}", vault_info.uri, self.certificate.name));
        value["deletedDate"] = json!(self.at.unix_seconds());
        value["scheduledPurgeDate"] = json!(self.purge.unix_seconds());
    }
}
