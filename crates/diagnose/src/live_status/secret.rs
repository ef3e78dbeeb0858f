//! Content of the TLS Secret.

use jiff::Timestamp;
use landfall_cloud::kubernetes::{DynamicObject, tls_secret};

/// The certificate in a Secret. Its private key is never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretCertificate {
    /// SHA-1 of the leaf, 40 lower-case hex digits.
    pub thumbprint: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Every DNS name it covers.
    pub names: Vec<String>,
}

impl SecretCertificate {
    pub(super) fn read(secret: &DynamicObject) -> Option<Self> {
        let leaf = tls_secret::leaf(secret)?;
        Some(Self {
            thumbprint: leaf.thumbprint_sha1.to_ascii_lowercase(),
            not_after: leaf.not_after,
            names: leaf.names,
        })
    }
}
