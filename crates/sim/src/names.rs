//! The names and ids of the simulated cloud.

use crate::request::Request;

/// The parent domain of all names in the simulated cloud (RFC 6761 keeps `localhost` on the loopback).
pub const DOMAIN: &str = "landfall.localhost";

/// Derives a version 4 UUID from the seed, so that ids have Azure's format and are reproducible.
pub fn uuid_from(seed: u64, purpose: &str, number: u64) -> String {
    let text = format!("{seed}/{purpose}/{number}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// Draws the key of the admin API, 122 random bits. It does not derive from the seed, which is public.
pub(crate) fn new_admin_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Returns the name of a host below the domain.
pub(crate) fn service_name(host: &str) -> Option<&str> {
    host.strip_suffix(DOMAIN)?.strip_suffix('.')
}

/// Returns whether a request is for Resource Manager.
pub(crate) fn is_resource_manager(request: &Request) -> bool {
    service_name(&request.host) == Some("management") && kubernetes_path(&request.path).is_none()
}

/// Splits `/kubernetes/{uid}/below` into the cluster's UID and the path below.
pub(crate) fn kubernetes_path(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix("/kubernetes/")?;
    let (uid, below) = rest.split_once('/').unwrap_or((rest, ""));
    Some((uid.to_owned(), format!("/{below}")))
}
