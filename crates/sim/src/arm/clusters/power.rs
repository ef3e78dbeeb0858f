//! Stopping and starting a cluster (managedClusters `stop` and `start`). A stopped cluster does not respond,
//! and accepts no write except start and delete.

use serde_json::json;

use super::operations::{self, OperationTarget};
use super::{ManagedCluster, PendingWrite, Work, WriteOutcome, error, find};
use crate::arm::error::ArmError;
use crate::arm::operation::Style;
use crate::arm::{Call, id};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

/// Writes the power state of the cluster and of all its pools.
pub(super) fn set(cluster: &mut ManagedCluster, code: &str) {
    let properties = &mut cluster.resource["properties"];
    properties["powerState"] = json!({"code": code});
    for pool in properties["agentPoolProfiles"].as_array_mut().into_iter().flatten() {
        pool["powerState"] = json!({"code": code});
    }
}

/// Starts the start operation: 202 with both headers, or 204 if the cluster is running.
pub(super) fn start(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    turn(state, call, Work::Start, true)
}

/// Starts the stop operation: 202 with both headers, or 204 if the cluster is stopped.
pub(super) fn stop(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    turn(state, call, Work::Stop, false)
}

fn turn(state: &mut CloudState, call: &Call<'_>, work: Work, from_stopped: bool) -> Result<Reply, ArmError> {
    let cluster = find(state, call)?;
    if let Some(pending) = &cluster.pending {
        return Err(error::busy(pending.kind.state()));
    }
    if operations::is_stopped(cluster) != from_stopped {
        return Ok(Reply::empty(204));
    }
    let (id, location) = (cluster.id().to_owned(), cluster.location().to_owned());
    let due = call.timing.after(call.now, durations::CLUSTER_UPDATE);
    let named = OperationTarget { id: &id, location: &location, work };
    let operation = operations::operation(state, &named, Style::Both, call.now, due);
    if let Some(own) = state.operations.get_mut(&operation.id) {
        own.result = (204, None);
    }
    if let Some(cluster) = state.clusters.all.get_mut(&id::key(&id)) {
        cluster.pending = Some(PendingWrite { kind: work, due, outcome: WriteOutcome::Succeeds });
        cluster.latest.clone_from(&operation.id);
        cluster.set_state(work.state());
    }
    Ok(operation.announce(state, &call.timing, Reply::empty(202)))
}
