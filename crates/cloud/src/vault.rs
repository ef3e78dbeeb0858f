//! The data plane of Key Vault: certificates, their pending operations, and secrets.
//!
//! The requests are the SDK's (`azure_security_keyvault_certificates` and `…_secrets`), over the HTTP client and retries of
//! this crate. The SDK still verifies the challenge, in which the vault names the audience of the required
//! token. A token is sent only if that audience is the vault's own domain *and* the one configured for this
//! cloud.

mod pending;
mod secrets;

pub use pending::{KeyKind, NewRequest, PendingCertificate};
pub use secrets::StoredSecret;

use crate::{
    ApiError, ApiErrorKind, Credential, Endpoints, RequestCounter, SendStatus,
    error::from_sdk,
    http_client::HttpClient,
    pipeline::{self, AuthorityPolicy, OriginPolicy, RetryPolicy, TokenInvalidation},
};
use aws_lc_rs::digest;
use azure_core::http::Response;
use azure_security_keyvault_certificates::{
    CertificateClient, CertificateClientOptions,
    models::{
        Certificate, CertificateClientUpdateCertificatePropertiesOptions, ImportCertificateParameters,
        UpdateCertificatePropertiesParameters,
    },
};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::TryStreamExt;
use std::{collections::BTreeMap, sync::Arc};
use url::Url;
use x509_parser::{extensions::GeneralName, prelude::FromDer};

/// All vaults of one cloud.
#[derive(Clone)]
pub struct Vaults {
    login: Url,
    suffix: String,
    time_scale: f64,
    http_client: HttpClient,
    credential: Credential,
}

/// One vault.
#[derive(Clone)]
pub struct Vault {
    client: Arc<CertificateClient>,
    secrets: Arc<SecretClient>,
}

/// A certificate as the vault stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCertificate {
    /// The SHA-1 of the leaf, 40 lowercase hex digits; it identifies the certificate.
    pub thumbprint_sha1_hex: String,
    /// The version, 32 hex digits.
    pub version: String,
    /// The id of the secret with key and chain, version included.
    pub secret_id: String,
    /// The start of the leaf's validity.
    pub not_before: jiff::Timestamp,
    /// The end of the leaf's validity.
    pub not_after: jiff::Timestamp,
    /// The DNS names of the leaf.
    pub names: Vec<String>,
    /// The leaf, DER.
    pub cer: Vec<u8>,
    /// The tags that the importer set on this version.
    pub tags: BTreeMap<String, String>,
}

/// One version in the list of a certificate's versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateVersion {
    /// The version, 32 hex digits.
    pub version: String,
    /// SHA-1 of the leaf, 40 lowercase hex digits.
    pub thumbprint_sha1_hex: String,
    /// True if it may be used.
    pub enabled: bool,
    /// The time of its creation.
    pub created: Option<jiff::Timestamp>,
}

/// A deleted certificate that can still be recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedCertificate {
    /// The time at which the vault purges it.
    pub purged_at: Option<jiff::Timestamp>,
    /// The tags that the importer set on its newest version.
    pub tags: BTreeMap<String, String>,
}

impl Vaults {
    /// Prepares clients for vaults below `endpoints.vault_suffix`.
    /// Fails when the HTTPS client cannot be set up from `endpoints`.
    pub fn new(
        endpoints: &Endpoints,
        credential: &Credential,
        request_counter: &RequestCounter,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            login: endpoints.login.clone(),
            suffix: endpoints.vault_suffix.to_ascii_lowercase(),
            time_scale: endpoints.time_scale,
            http_client: HttpClient::new(endpoints, request_counter)?,
            credential: credential.clone(),
        })
    }

    /// Returns the vault at `vault_uri`, as Resource Manager reports it, with or without a trailing slash.
    ///
    /// Fails with [`Invalid`](ApiErrorKind::Invalid) if the address is not HTTPS or not of this cloud.
    pub fn at(&self, vault_uri: &str) -> Result<Vault, ApiError> {
        let refused = |why: &str| {
            let message = format!("use {vault_uri} as a vault: {why}");
            ApiError::new(ApiErrorKind::Invalid, message).with_sent(SendStatus::Never)
        };
        let url = Url::parse(vault_uri).map_err(|error| refused("it is not a URL").with_source(error))?;
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let label = host.strip_suffix(&self.suffix).and_then(|rest| rest.strip_suffix('.'));
        if url.scheme() != "https" || !url.username().is_empty() {
            return Err(refused("it must be https without a user"));
        }
        if label.is_none_or(|label| label.is_empty() || label.contains('.')) {
            return Err(refused(&format!("it is not below {}", self.suffix)));
        }
        let client_options = || {
            pipeline::options(
                &self.http_client,
                vec![
                    OriginPolicy::new(&url),
                    Arc::new(RetryPolicy::new(&self.http_client, self.time_scale, host.len() as u64)),
                ],
                vec![Arc::new(TokenInvalidation(self.credential.clone())), AuthorityPolicy::new(&self.login)],
            )
        };
        let unusable = |error| from_sdk(error, "", "");
        let endpoint = url.origin().ascii_serialization();
        let credential = || Arc::new(self.credential.clone());
        let options = CertificateClientOptions {
            client_options: client_options(),
            ..CertificateClientOptions::default()
        };
        let client = CertificateClient::new(&endpoint, credential(), Some(options)).map_err(unusable)?;
        let options =
            SecretClientOptions { client_options: client_options(), ..SecretClientOptions::default() };
        let secrets = SecretClient::new(&endpoint, credential(), Some(options)).map_err(unusable)?;
        Ok(Vault { client: Arc::new(client), secrets: Arc::new(secrets) })
    }
}

impl Vault {
    /// Returns the newest version of a certificate; `None` if none has this name.
    ///
    /// Without a role in the vault this fails with [`Forbidden`](ApiErrorKind::Forbidden) and the inner code
    /// `ForbiddenByRbac`, whether or not the certificate exists.
    pub async fn certificate(&self, name: &str) -> Result<Option<StoredCertificate>, ApiError> {
        let path = format!("/certificates/{name}/");
        match self.client.get_certificate(name, None).await {
            Ok(response) => stored(response, "GET", &path).map(Some),
            Err(error) => absent(from_sdk(error, "GET", &path)),
        }
    }

    /// Imports a PFX under a name; the vault creates a new version each time, even for the same bytes.
    ///
    /// Retried only if the service cannot have carried it out. `Forbidden` with the inner code
    /// `ForbiddenByRbac` may pass within minutes of a role assignment. `Conflict` with
    /// `ObjectIsDeletedButRecoverable` means that the name must be recovered first.
    pub async fn import(
        &self,
        name: &str,
        pfx: &[u8],
        password: &str,
    ) -> Result<StoredCertificate, ApiError> {
        self.import_with(name, pfx, password, &BTreeMap::new()).await
    }

    /// Like [`import`](Self::import), with tags on the new version.
    pub async fn import_with(
        &self,
        name: &str,
        pfx: &[u8],
        password: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<StoredCertificate, ApiError> {
        let path = format!("/certificates/{name}/import");
        let body = ImportCertificateParameters {
            base64_encoded_certificate: Some(STANDARD.encode(pfx)),
            password: (!password.is_empty()).then(|| password.to_owned()),
            tags: (!tags.is_empty()).then(|| tags.clone().into_iter().collect()),
            ..ImportCertificateParameters::default()
        };
        let body =
            body.try_into().map_err(|error| from_sdk(error, "POST", &path).with_sent(SendStatus::Never))?;
        match self.client.import_certificate(name, body, None).await {
            Ok(response) => stored(response, "POST", &path),
            Err(error) => Err(from_sdk(error, "POST", &path)),
        }
    }

    /// Replaces the tags of a version.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn set_certificate_tags(
        &self,
        name: &str,
        version: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), ApiError> {
        let path = format!("/certificates/{name}/{version}");
        let failed = |error| from_sdk(error, "PATCH", &path);
        let body = UpdateCertificatePropertiesParameters {
            tags: Some(tags.clone().into_iter().collect()),
            ..UpdateCertificatePropertiesParameters::default()
        };
        let body = body.try_into().map_err(|error| failed(error).with_sent(SendStatus::Never))?;
        let options = CertificateClientUpdateCertificatePropertiesOptions {
            certificate_version: Some(version.to_owned()),
            ..CertificateClientUpdateCertificatePropertiesOptions::default()
        };
        let sent = self.client.update_certificate_properties(name, body, Some(options)).await;
        sent.map(drop).map_err(failed)
    }

    /// Returns all versions of a certificate in the vault's order; empty if none has this name.
    pub async fn versions(&self, name: &str) -> Result<Vec<CertificateVersion>, ApiError> {
        let path = format!("/certificates/{name}/versions");
        let failed = |error| from_sdk(error, "GET", &path);
        let mut pages = self.client.list_certificate_properties_versions(name, None).map_err(failed)?;
        let mut versions = Vec::new();
        loop {
            let item = match pages.try_next().await {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(versions),
                Err(error) => return absent(failed(error)).map(|none: Option<_>| none.unwrap_or_default()),
            };
            let attributes = item.attributes.unwrap_or_default();
            versions.push(CertificateVersion {
                version: last_segment(item.id.as_deref().unwrap_or_default()),
                thumbprint_sha1_hex: hex(&item.x509_thumbprint.unwrap_or_default()),
                enabled: attributes.enabled.unwrap_or(true),
                created: attributes.created.and_then(timestamp),
            });
        }
    }

    /// Returns a deleted certificate that can be recovered or purged; `None` if the name is free.
    pub async fn deleted_certificate(&self, name: &str) -> Result<Option<DeletedCertificate>, ApiError> {
        let path = format!("/deletedcertificates/{name}");
        let response = match self.client.get_deleted_certificate(name, None).await {
            Ok(response) => response,
            Err(error) => return absent(from_sdk(error, "GET", &path)),
        };
        let deleted = response.into_model().map_err(|error| from_sdk(error, "GET", &path))?;
        Ok(Some(DeletedCertificate {
            purged_at: deleted.scheduled_purge_date.and_then(timestamp),
            tags: deleted.tags.unwrap_or_default().into_iter().collect(),
        }))
    }

    /// Deletes all versions of a certificate; returns whether there was one. Within the vault's retention
    /// period it can be [recovered](Self::recover_certificate).
    pub async fn delete_certificate(&self, name: &str) -> Result<bool, ApiError> {
        let path = format!("/certificates/{name}");
        match self.client.delete_certificate(name, None).await {
            Ok(_) => Ok(true),
            Err(error) => absent(from_sdk(error, "DELETE", &path)).map(|none: Option<()>| none.is_some()),
        }
    }

    /// Starts the recovery of a deleted certificate, which ends when [`certificate`](Self::certificate) finds
    /// it.
    pub async fn recover_certificate(&self, name: &str) -> Result<(), ApiError> {
        let path = format!("/deletedcertificates/{name}/recover");
        let response = self.client.recover_deleted_certificate(name, None).await;
        response.map(drop).map_err(|error| from_sdk(error, "POST", &path))
    }
}

/// Converts "not found" into `None`.
fn absent<T>(error: ApiError) -> Result<Option<T>, ApiError> {
    if error.kind == ApiErrorKind::NotFound { Ok(None) } else { Err(error) }
}

/// Parses a certificate bundle: names and dates come from the certificate itself.
fn stored(
    response: Response<Certificate>,
    method: &'static str,
    path: &str,
) -> Result<StoredCertificate, ApiError> {
    // The status means that the import was accepted, whatever the rest of the answer contains.
    let status = u16::from(response.status());
    let protocol_error = |what: &str| {
        ApiError::new(ApiErrorKind::Protocol, what).with_request(method, path).with_response_status(status)
    };
    let bundle =
        response.into_model().map_err(|error| from_sdk(error, method, path).with_response_status(status))?;
    let cer = bundle.cer.ok_or_else(|| protocol_error("read a certificate that has no content"))?;
    let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&cer)
        .map_err(|error| protocol_error("read the certificate in the vault").with_source(error))?;
    let instant = |time: x509_parser::time::ASN1Time| {
        jiff::Timestamp::from_second(time.timestamp())
            .map_err(|error| protocol_error("read its validity dates").with_source(error))
    };
    let mut names = Vec::new();
    if let Ok(Some(extension)) = leaf.subject_alternative_name() {
        names.extend(extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        }));
    }
    let sha1 = bundle.x509_thumbprint.filter(|thumbprint| thumbprint.len() == digest::SHA1_OUTPUT_LEN);
    let sha1 =
        sha1.unwrap_or_else(|| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &cer).as_ref().to_vec());
    Ok(StoredCertificate {
        thumbprint_sha1_hex: hex(&sha1),
        version: last_segment(bundle.id.as_deref().unwrap_or_default()),
        secret_id: bundle.sid.unwrap_or_default(),
        not_before: instant(leaf.validity().not_before)?,
        not_after: instant(leaf.validity().not_after)?,
        names,
        cer,
        tags: bundle.tags.unwrap_or_default().into_iter().collect(),
    })
}

fn last_segment(id: &str) -> String {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn timestamp(time: azure_core::time::OffsetDateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(time.unix_timestamp()).ok()
}
