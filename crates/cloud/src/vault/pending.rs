//! The pending operation of a certificate that another authority signs: the vault creates the key, and the merge of the
//! signed certificate completes it.
//! <https://learn.microsoft.com/azure/key-vault/certificates/create-certificate-signing-request>

use super::{StoredCertificate, Vault, absent, stored};
use crate::{ApiError, ApiErrorKind, SendStatus, error::from_sdk};
use azure_security_keyvault_certificates::models::{
    CertificateAttributes, CertificateOperation, CertificatePolicy, CertificatePolicyAction,
    CreateCertificateParameters, CurveName, IssuerParameters, KeyProperties, KeyType, KeyUsageType,
    LifetimeAction, LifetimeActionTrigger, LifetimeActionType, MergeCertificateParameters, SecretProperties,
    SubjectAlternativeNames, X509CertificateProperties,
};
use futures::StreamExt as _;
use std::collections::BTreeMap;

/// The issuer of a certificate that another authority signs.
const UNKNOWN: &str = "Unknown";

/// The purpose of a server's certificate, `id-kp-serverAuth`.
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

/// The maximum length of a common name, RFC 5280 appendix A.1 (`ub-common-name`).
const COMMON_NAME_MAX: usize = 64;

/// The kind of a key that the vault creates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with 2048 bits.
    #[default]
    Rsa2048,
    /// ECDSA on the curve P-256.
    P256,
}

/// The content of a new signing request.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// The DNS names.
    pub names: Vec<String>,
    /// The kind of its key.
    pub key: KeyKind,
    /// The tags of the version that the merge creates.
    pub tags: BTreeMap<String, String>,
}

/// A pending operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCertificate {
    /// Its id.
    pub request_id: String,
    /// The signing request, DER.
    pub csr: Vec<u8>,
    /// `inProgress`, `completed`, `canceled` or `failed`.
    pub status: String,
    /// The issuer of the policy: `Unknown` for one that waits for a merge.
    pub issuer: String,
}

impl PendingCertificate {
    fn from_model(operation: CertificateOperation) -> Self {
        Self {
            request_id: operation.request_id.unwrap_or_default(),
            csr: operation.csr.unwrap_or_default(),
            status: operation.status.unwrap_or_default(),
            issuer: operation.issuer_parameters.and_then(|issuer| issuer.name).unwrap_or_default(),
        }
    }

    /// Returns whether it blocks every creation and import under its name.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        self.status.eq_ignore_ascii_case("inProgress")
    }

    /// Returns whether it waits for a merge.
    #[must_use]
    pub fn waits_for_merge(&self) -> bool {
        self.is_in_progress() && self.issuer.eq_ignore_ascii_case(UNKNOWN)
    }
}

impl Vault {
    /// Creates a key in the vault, and a signing request for it. The current version stays as it is.
    ///
    /// The key can be exported, because the secret of the certificate has no private key otherwise.
    ///
    /// # Errors
    /// 409 while another operation of this name is in progress.
    pub async fn create_request(
        &self,
        name: &str,
        request: &NewRequest,
    ) -> Result<PendingCertificate, ApiError> {
        let path = format!("/certificates/{name}/create");
        let body = parameters(request)
            .try_into()
            .map_err(|error| from_sdk(error, "POST", &path).with_sent(SendStatus::Never))?;
        let failed = |error| from_sdk(error, "POST", &path);
        let mut poller = self.client.begin_create_certificate(name, body, None).map_err(failed)?;
        // The first item is the answer to the POST. The poller would poll for a merge that it does not send.
        let Some(first) = poller.next().await else {
            return Err(ApiError::new(ApiErrorKind::Protocol, "the vault sent no operation")
                .with_request("POST", &path));
        };
        let operation = first.map_err(failed)?.into_model().map_err(failed)?;
        Ok(PendingCertificate::from_model(operation))
    }

    /// Returns the pending operation of a certificate; `None` if there is none.
    pub async fn pending(&self, name: &str) -> Result<Option<PendingCertificate>, ApiError> {
        let path = format!("/certificates/{name}/pending");
        let failed = |error| from_sdk(error, "GET", &path);
        match self.client.get_certificate_operation(name, None).await {
            Ok(response) => {
                response.into_model().map_err(failed).map(PendingCertificate::from_model).map(Some)
            }
            Err(error) => absent(failed(error)),
        }
    }

    /// Deletes the pending operation with its key; returns whether there was one.
    pub async fn delete_pending(&self, name: &str) -> Result<bool, ApiError> {
        let path = format!("/certificates/{name}/pending");
        match self.client.delete_certificate_operation(name, None).await {
            Ok(_) => Ok(true),
            Err(error) => absent(from_sdk(error, "DELETE", &path)).map(|none: Option<()>| none.is_some()),
        }
    }

    /// Completes the pending operation with the signed chain, the leaf first, which creates a version.
    ///
    /// The chain is sent from the root to the leaf: with the order preserved, the vault exports a merged chain in
    /// reverse, and a server needs the leaf first.
    ///
    /// # Errors
    /// 400 if the leaf has another key.
    pub async fn merge(
        &self,
        name: &str,
        chain: &[Vec<u8>],
        tags: &BTreeMap<String, String>,
    ) -> Result<StoredCertificate, ApiError> {
        let path = format!("/certificates/{name}/pending/merge");
        let body = MergeCertificateParameters {
            tags: Some(tags.clone().into_iter().collect()),
            x509_certificates: Some(chain.iter().rev().cloned().collect()),
            ..MergeCertificateParameters::default()
        };
        let body =
            body.try_into().map_err(|error| from_sdk(error, "POST", &path).with_sent(SendStatus::Never))?;
        match self.client.merge_certificate(name, body, None).await {
            Ok(response) => stored(response, "POST", &path),
            Err(error) => Err(from_sdk(error, "POST", &path)),
        }
    }
}

fn parameters(request: &NewRequest) -> CreateCertificateParameters {
    let shortest = request.names.iter().min_by_key(|name| name.len());
    let common_name = shortest.filter(|name| name.len() <= COMMON_NAME_MAX);
    let (key_type, key_size, curve) = match request.key {
        KeyKind::Rsa2048 => (KeyType::Rsa, Some(2048), None),
        KeyKind::P256 => (KeyType::Ec, None, Some(CurveName::P256)),
    };
    let policy = CertificatePolicy {
        issuer_parameters: Some(IssuerParameters {
            name: Some(UNKNOWN.to_owned()),
            ..IssuerParameters::default()
        }),
        key_properties: Some(KeyProperties {
            exportable: Some(true),
            key_type: Some(key_type),
            key_size,
            curve,
            reuse_key: Some(false),
        }),
        secret_properties: Some(SecretProperties { content_type: Some("application/x-pkcs12".to_owned()) }),
        x509_certificate_properties: Some(X509CertificateProperties {
            subject: Some(common_name.map_or_else(|| "CN=landfall".to_owned(), |name| format!("CN={name}"))),
            subject_alternative_names: Some(SubjectAlternativeNames {
                dns_names: Some(request.names.clone()),
                ..SubjectAlternativeNames::default()
            }),
            enhanced_key_usage: Some(vec![SERVER_AUTH.to_owned()]),
            key_usage: Some(vec![KeyUsageType::DigitalSignature, KeyUsageType::KeyEncipherment]),
            ..X509CertificateProperties::default()
        }),
        lifetime_actions: Some(vec![LifetimeAction {
            trigger: Some(LifetimeActionTrigger {
                lifetime_percentage: Some(80),
                ..LifetimeActionTrigger::default()
            }),
            action: Some(LifetimeActionType { action_type: Some(CertificatePolicyAction::EmailContacts) }),
        }]),
        ..CertificatePolicy::default()
    };
    CreateCertificateParameters {
        certificate_attributes: Some(CertificateAttributes {
            enabled: Some(true),
            ..CertificateAttributes::default()
        }),
        certificate_policy: Some(policy),
        preserve_cert_order: Some(true),
        tags: Some(request.tags.clone().into_iter().collect()),
    }
}
