//! Content of a TLS Secret. Pure.

use crate::certificate::{Leaf, chain_digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use kube_core::DynamicObject;
use x509_parser::pem::Pem;

/// Returns the SHA-1 of the leaf in a TLS Secret, 40 lower-case hex digits; `None` if it is no TLS Secret or
/// contains no certificate.
#[must_use]
pub fn thumbprint(secret: &DynamicObject) -> Option<String> {
    if secret.data["type"].as_str() != Some("kubernetes.io/tls") {
        return None;
    }
    Some(leaf(secret)?.thumbprint_sha1.to_ascii_lowercase())
}

/// Returns the digest of the certificates above the leaf, see [`chain_digest`];
/// `None` if the Secret contains no certificate.
#[must_use]
pub fn chain(secret: &DynamicObject) -> Option<String> {
    let pem = STANDARD.decode(secret.data["data"]["tls.crt"].as_str()?).ok()?;
    let all: Vec<Vec<u8>> =
        Pem::iter_from_buffer(&pem).map_while(Result::ok).map(|pem| pem.contents).collect();
    let (_, others) = all.split_first()?;
    Some(chain_digest(others.iter().map(Vec::as_slice).collect()))
}

/// Returns the leaf in a Secret of any type; `None` if it contains no certificate. The private key is never
/// read.
#[must_use]
pub fn leaf(secret: &DynamicObject) -> Option<Leaf> {
    let pem = STANDARD.decode(secret.data["data"]["tls.crt"].as_str()?).ok()?;
    Leaf::from_pem(&pem).ok()
}
