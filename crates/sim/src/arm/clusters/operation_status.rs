//! Reading a cluster's operations, and aborting the one in progress.

use serde_json::json;

use super::operations::{self, OperationTarget};
use super::{KIND, Work, error, find};
use crate::arm::error::ArmError;
use crate::arm::operation::{Operation, Outcome, Style};
use crate::arm::{Call, id};
use crate::request::Reply;
use crate::state::CloudState;

/// Handles `operations/latest` and `operations/{id}`.
pub(super) fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let cluster = find(state, call)?;
    let requested = call.param("operation").to_ascii_lowercase();
    let wanted = if requested == "latest" { cluster.latest.clone() } else { requested };
    let of_this = |operation: &&Operation| id::same(&operation.resource, cluster.id());
    let Some(operation) = state.operations.get(&wanted).filter(of_this) else {
        let message = format!("The operation {wanted} of managed cluster {} was not found.", cluster.name());
        return Err(ArmError::aks(404, "NotFound", message));
    };
    let mut body = json!({
        "id": format!("{}/operations/{}", cluster.id(), operation.id),
        "name": operation.id,
        "resourceId": cluster.id(),
        "status": operation.state(call.now),
        "startTime": operation.started.rfc3339(),
    });
    if operation.is_over(call.now) {
        body["endTime"] = json!(operation.ends.rfc3339());
        body["percentComplete"] = json!(100.0);
        if let Outcome::Failed { error, .. } = &operation.outcome {
            body["error"] = error.clone();
        }
    }
    Ok(Reply::json(200, &body))
}

/// Aborts a create, update or upgrade in progress: the cluster stays as it is, `Canceled`.
pub(super) fn abort(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let cluster = find(state, call)?;
    let work = cluster.pending.as_ref().map(|pending| pending.kind);
    let Some(work) = work.filter(|work| *work != Work::Delete) else {
        let message = format!("No operation of {KIND} {} is running that can be aborted.", cluster.name());
        return Err(match work {
            Some(running) => error::busy(running.state()),
            None => ArmError::aks(409, "OperationNotAllowed", message),
        });
    };
    let (id, location, running) =
        (cluster.id().to_owned(), cluster.location().to_owned(), cluster.latest.clone());
    if let Some(running) = state.operations.get_mut(&running) {
        running.end(call.now, Outcome::Canceled);
    }
    let named = OperationTarget { id: &id, location: &location, work };
    let operation = operations::operation(state, &named, Style::Both, call.now, call.now);
    if let Some(own) = state.operations.get_mut(&operation.id) {
        own.result = (204, None);
    }
    let mut reply = Reply::empty(202);
    if let Some(cluster) = state.clusters.all.get_mut(&id::key(&id)) {
        // The answer shows the cluster as it was before the abort.
        reply = Reply::json(202, &cluster.resource);
        cluster.pending = None;
        cluster.set_state("Canceled");
    }
    Ok(operation.announce(state, &call.timing, reply))
}
