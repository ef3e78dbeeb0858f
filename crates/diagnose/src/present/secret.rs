//! Content of the TLS Secret.

use super::object::{Object, text};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use landfall_cloud::certificate::Leaf;

/// The certificate in a Secret. Its private key is never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// SHA-1 of the leaf, 40 lower-case hex digits.
    pub thumbprint: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Every DNS name it covers.
    pub names: Vec<String>,
}

impl Carried {
    pub(super) fn read(secret: &Object) -> Option<Self> {
        let pem = STANDARD.decode(text(&secret.data, "/data/tls.crt")).ok()?;
        let leaf = Leaf::from_pem(&pem).ok()?;
        Some(Self {
            thumbprint: leaf.thumbprint_sha1.to_ascii_lowercase(),
            not_after: leaf.not_after,
            names: leaf.names,
        })
    }
}
