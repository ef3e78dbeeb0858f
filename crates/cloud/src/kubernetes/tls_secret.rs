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
    let pem = STANDARD.decode(secret.data["data"]["tls.crt"].as_str()?).ok()?;
    Some(Leaf::from_pem(&pem).ok()?.thumbprint_sha1.to_ascii_lowercase())
}
