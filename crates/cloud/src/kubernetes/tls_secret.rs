//! Content of a TLS Secret. Pure.

use crate::certificate::Leaf;
use base64::{Engine, engine::general_purpose::STANDARD};
use kube::core::DynamicObject;

/// Returns the SHA-1 of the leaf in a TLS Secret, 40 lower-case hex digits; `None` if it is no TLS Secret or
/// contains no certificate.
#[must_use]
pub fn thumbprint(secret: &DynamicObject) -> Option<String> {
    if secret.data["type"].as_str() != Some("kubernetes.io/tls") {
        return None;
    }
    Some(leaf(secret)?.thumbprint_sha1.to_ascii_lowercase())
}

/// Returns the leaf in a Secret of any type; `None` if it contains no certificate. The private key is never
/// read.
#[must_use]
pub fn leaf(secret: &DynamicObject) -> Option<Leaf> {
    let pem = STANDARD.decode(secret.data["data"]["tls.crt"].as_str()?).ok()?;
    Leaf::from_pem(&pem).ok()
}
