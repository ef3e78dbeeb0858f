//! `If-Match` and `If-None-Match` of a write on a cluster.

use super::{ManagedCluster, error};
use crate::arm::error::ArmError;
use crate::arm::precondition;
use crate::request::Request;

/// Checks the preconditions against the existing cluster.
///
/// # Errors
/// 412, in the body shape of the AKS provider.
pub(super) fn check(request: &Request, existing: Option<&ManagedCluster>) -> Result<(), ArmError> {
    match precondition::failed(request, existing.map(|cluster| cluster.text("/eTag"))) {
        Some((header, value)) => Err(error::precondition(header, value)),
        None => Ok(()),
    }
}
