//! A certificate signing request (PKCS#10): its names and its key.

use super::error;
use crate::ApiError;
use aws_lc_rs::digest;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use x509_parser::{
    certificate::X509Certificate,
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

/// A parsed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    /// The requested DNS names, in lower case and sorted.
    pub names: Vec<String>,
    /// The SHA-256 of the public key.
    key: Vec<u8>,
}

impl SigningRequest {
    /// Parses a request in DER; `None` if it is none.
    #[must_use]
    pub fn parse(der: &[u8]) -> Option<Self> {
        let (_, request) = X509CertificationRequest::from_der(der).ok()?;
        let mut names = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(alternatives) = extension {
                names.extend(alternatives.general_names.iter().filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                    _ => None,
                }));
            }
        }
        names.sort();
        let key = request.certification_request_info.subject_pki.raw;
        Some(Self { names, key: sha256(key) })
    }

    /// Returns whether the request is for exactly these names.
    #[must_use]
    pub fn is_for(&self, names: &[String]) -> bool {
        let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.sort();
        names == self.names
    }

    /// Returns whether a certificate in DER has the key of the request.
    #[must_use]
    pub fn has_key_of(&self, certificate: &[u8]) -> bool {
        X509Certificate::from_der(certificate)
            .is_ok_and(|(_, certificate)| sha256(certificate.public_key().raw) == self.key)
    }
}

/// A key on this machine with a signing request, for vaults that create none and for trial orders.
pub struct LocalKey {
    pub(crate) key: KeyPair,
    /// The signing request, DER.
    pub csr: Vec<u8>,
}

impl LocalKey {
    /// Generates an RSA key of 2048 bits and a request for these names.
    ///
    /// # Errors
    /// Fails if a name is no DNS name.
    pub fn generate(names: &[String]) -> Result<Self, ApiError> {
        let failed = |why: rcgen::Error| error::invalid(format!("create a signing request: {why}"));
        let key =
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).map_err(failed)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).map_err(failed)?.der().to_vec();
        Ok(Self { key, csr })
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_back_with_its_names() {
        let names = ["*.Example.com".to_owned(), "example.com".to_owned()];
        let made = LocalKey::generate(&names).unwrap();
        let read = SigningRequest::parse(&made.csr).unwrap();
        assert!(read.is_for(&["example.com".to_owned(), "*.example.com".to_owned()]));
        assert!(!read.is_for(&["example.com".to_owned()]));
        assert_eq!(SigningRequest::parse(b"no request"), None);
    }
}
