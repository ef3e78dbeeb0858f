//! `DELETE` of a cluster. It is always accepted: a write in progress ends as preempted.

use serde_json::json;

use super::operations::{self, OperationTarget};
use super::{PendingWrite, Work, WriteOutcome, etag, find};
use crate::arm::error::ArmError;
use crate::arm::operation::{Outcome, Style};
use crate::arm::{Call, id};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

/// Starts the deletion: 202 with both headers, or 204 if there is no such cluster.
pub(super) fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let Ok(cluster) = find(state, call) else { return Ok(Reply::empty(204)) };
    etag::check(call.request, Some(cluster))?;
    let key = id::key(cluster.id());
    begin(state, &key, call.now, &call.timing);
    let latest = state.clusters.all.get(&key).map(|cluster| cluster.latest.clone()).unwrap_or_default();
    let operation = state.operations.get(&latest).cloned();
    let reply = Reply::empty(202);
    Ok(operation
        .map_or_else(|| Reply::empty(202), |operation| operation.announce(state, &call.timing, reply)))
}

/// Starts or continues the deletion of the cluster with that key; returns the time at which it will be gone.
pub(super) fn begin(state: &mut CloudState, key: &str, now: SimTime, timing: &Timing) -> SimTime {
    let Some(cluster) = state.clusters.all.get(key) else { return now };
    match &cluster.pending {
        Some(pending) if pending.kind == Work::Delete => return pending.due,
        _ => {}
    }
    let (id, location, before) =
        (cluster.id().to_owned(), cluster.location().to_owned(), cluster.latest.clone());
    let due = timing.after(now, durations::CLUSTER_DELETE);
    let named = OperationTarget { id: &id, location: &location, work: Work::Delete };
    let operation = operations::operation(state, &named, Style::Both, now, due);
    if let Some(running) = state.operations.get_mut(&before).filter(|running| !running.is_over(now)) {
        let message =
            format!("This operation has been preempted by another operation with ID {}.", operation.id);
        let error = json!({"code": "AKSOperationPreemptedByDelete", "message": message});
        running.end(now, Outcome::Failed { status: 409, error });
    }
    if let Some(own) = state.operations.get_mut(&operation.id) {
        own.result = (204, None);
    }
    if let Some(cluster) = state.clusters.all.get_mut(key) {
        cluster.pending = Some(PendingWrite { kind: Work::Delete, due, outcome: WriteOutcome::Succeeds });
        cluster.latest = operation.id;
        cluster.set_state(Work::Delete.state());
    }
    due
}
