//! The operations of writes, and the writes that a cluster admits.

use super::error;
use super::store::{ManagedCluster, Work};
use crate::arm::error::ArmError;
use crate::arm::operation::{self, Operation, Plan, Style};
use crate::clock::SimTime;
use crate::state::CloudState;

/// The api-version in the operation URLs of the provider, independent of the write's.
const OPERATION_VERSION: &str = "2025-03-01";

/// Checks that no other write is in progress and that the cluster is not stopped.
///
/// # Errors
/// 409, in one of the two forms of the provider.
pub(super) fn free(existing: &ManagedCluster) -> Result<(), ArmError> {
    if existing.pending.is_none() && is_stopped(existing) {
        return Err(stopped_error(existing));
    }
    match existing.pending.as_ref().map(|pending| pending.kind) {
        None => Ok(()),
        Some(Work::Create) => Err(error::etag_mismatch()),
        Some(running) => Err(error::busy(running.state())),
    }
}

/// Returns the day in UTC, which selects the versions in the calendar.
pub(super) fn today(now: SimTime) -> jiff::civil::Date {
    now.timestamp().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Starts the operation of a write. The provider sends no `Retry-After`.
pub(super) fn operation(
    state: &mut CloudState,
    cluster: &OperationTarget<'_>,
    style: Style,
    now: SimTime,
    ends: SimTime,
) -> Operation {
    let plan = Plan {
        resource: cluster.id,
        provider: "Microsoft.ContainerService",
        location: cluster.location,
        name: cluster.work.state(),
        style,
        api_version: OPERATION_VERSION,
        retry_after: None,
        signed: true,
    };
    operation::begin(state, &plan, now, ends)
}

/// The target of an operation.
pub(super) struct OperationTarget<'a> {
    /// The id of the cluster.
    pub(super) id: &'a str,
    /// The region of the cluster.
    pub(super) location: &'a str,
    /// The kind of the write.
    pub(super) work: Work,
}

/// Returns whether a cluster is stopped.
pub(super) fn is_stopped(cluster: &ManagedCluster) -> bool {
    cluster.text("/properties/powerState/code") == "Stopped"
}

/// Returns the error of a write on a stopped cluster.
pub(super) fn stopped_error(cluster: &ManagedCluster) -> ArmError {
    let message = format!(
        "Operation is not allowed: managed cluster {} is in the stopped power state. Start it before any other operation.",
        cluster.name()
    );
    ArmError::aks(409, "OperationNotAllowed", message)
}
