//! `If-Match` and `If-None-Match` of a write (RFC 9110 §13.1).

use super::{ManagedCluster, error};
use crate::arm::error::ArmError;
use crate::request::Request;

/// Checks the preconditions against the existing cluster.
///
/// # Errors
/// 412, in the body shape of the AKS provider.
pub(super) fn check(request: &Request, existing: Option<&ManagedCluster>) -> Result<(), ArmError> {
    let tag = existing.map(|cluster| cluster.text("/eTag"));
    let listed = |value: &str| {
        value
            .split(',')
            .map(|one| one.trim().trim_start_matches("W/").trim_matches('"'))
            .any(|one| tag.is_some_and(|tag| one == "*" || one == tag))
    };
    if let Some(value) = request.header("if-none-match").filter(|value| listed(value)) {
        return Err(error::precondition("If-None-Match", value));
    }
    if let Some(value) = request.header("if-match").filter(|value| !listed(value)) {
        return Err(error::precondition("If-Match", value));
    }
    Ok(())
}
