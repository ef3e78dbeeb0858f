//! The operations of writes, and the writes that a cluster admits.

use serde_json::{Value, json};

use super::error;
use super::store::{ManagedCluster, Work};
use crate::arm::error::ArmError;
use crate::arm::id;
use crate::arm::operation::{self, Operation, Outcome, Plan, Style};
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

/// Fails the write in progress of a cluster, as when a region has no capacity left; returns whether one was
/// in progress.
///
/// The cluster stays `Failed` with what was created so far, and the same PUT repairs it.
pub fn fail(state: &mut CloudState, cluster: &str, code: &str, message: &str, now: SimTime) -> bool {
    let running =
        |cluster: &&mut ManagedCluster| cluster.pending.as_ref().is_some_and(|own| own.kind != Work::Delete);
    let Some(cluster) = state.clusters.all.get_mut(&id::key(cluster)).filter(running) else { return false };
    cluster.pending = None;
    cluster.set_state("Failed");
    let error = note_failure(cluster, code, message);
    if let Some(operation) = state.operations.get_mut(&cluster.latest) {
        operation.end(now, Outcome::Failed { status: 409, error });
    }
    true
}

/// Writes the error of a failed write to the property where newer api-versions show it, and returns it.
pub(super) fn note_failure(cluster: &mut ManagedCluster, code: &str, message: &str) -> Value {
    let error = json!({"code": code, "message": message});
    cluster.resource["properties"]["status"] = json!({"provisioningError": error});
    error
}
