//! Test hooks for clusters: writes by other clients and failures of the cloud, through the same code as
//! ordinary writes.

use serde_json::json;

use super::operations::{self, OperationTarget};
use super::{ManagedCluster, PendingWrite, Work, WriteOutcome, error, power};
use crate::aks::Controllers;
use crate::arm::error::ArmError;
use crate::arm::id;
use crate::arm::operation::{Outcome, Style};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::kubernetes::Store;
use crate::state::CloudState;

fn by_id<'a>(state: &'a mut CloudState, cluster: &str) -> Option<&'a mut ManagedCluster> {
    state.clusters.all.get_mut(&id::key(cluster))
}

fn by_uid<'a>(state: &'a mut CloudState, uid: &str) -> Option<&'a mut ManagedCluster> {
    let mut all = state.clusters.all.values_mut();
    all.find(|cluster| {
        cluster.uid() == uid && cluster.cluster_info.is_some() && !operations::is_stopped(cluster)
    })
}

/// Sets how the write in progress ends; returns whether one is in progress.
pub(crate) fn set_outcome(state: &mut CloudState, cluster: &str, outcome: WriteOutcome) -> bool {
    let pending = by_id(state, cluster).and_then(|cluster| cluster.pending.as_mut());
    pending.map(|pending| pending.outcome = outcome).is_some()
}

/// Starts a write by another client on an idle cluster: it is `Updating` for a while, and only its etag
/// changes. Returns whether the cluster exists and was idle.
pub(crate) fn start_noop_write(state: &mut CloudState, cluster: &str, now: SimTime, timing: &Timing) -> bool {
    let found =
        by_id(state, cluster).filter(|cluster| cluster.pending.is_none() && !operations::is_stopped(cluster));
    let Some(found) = found else { return false };
    let (id, location) = (found.id().to_owned(), found.location().to_owned());
    let due = timing.after(now, durations::CLUSTER_UPDATE).max(now.plus_ms(1));
    let named = OperationTarget { id: &id, location: &location, work: Work::Update };
    let operation = operations::operation(state, &named, Style::AsyncOperation, now, due);
    if let Some(cluster) = by_id(state, &id) {
        cluster.pending = Some(PendingWrite { kind: Work::Update, due, outcome: WriteOutcome::Succeeds });
        cluster.latest = operation.id;
        cluster.set_state(Work::Update.state());
    }
    true
}

/// Lets a write by another client preempt the one in progress. The preempted operation fails; the other one
/// completes the same work at the same time. Returns whether a write was in progress.
pub(crate) fn preempt(state: &mut CloudState, cluster: &str, now: SimTime) -> bool {
    let Some(found) = by_id(state, cluster) else { return false };
    let running = found.pending.as_ref().filter(|pending| pending.kind != Work::Delete);
    let Some((work, due)) = running.map(|pending| (pending.kind, pending.due)) else { return false };
    let (id, location, before) = (found.id().to_owned(), found.location().to_owned(), found.latest.clone());
    let named = OperationTarget { id: &id, location: &location, work };
    let competing = operations::operation(state, &named, Style::AsyncOperation, now, due);
    if let Some(preempted) = state.operations.get_mut(&before) {
        let message =
            format!("This operation has been preempted by another operation with ID {}.", competing.id);
        let error = json!({"code": "AKSOperationPreempted", "message": message});
        preempted.end(now, Outcome::Failed { status: 409, error });
    }
    if let Some(cluster) = by_id(state, &id) {
        cluster.latest = competing.id;
    }
    true
}

/// Gives a cluster a new etag, as any write by another client does; returns whether the cluster exists.
pub(crate) fn touch(state: &mut CloudState, cluster: &str) -> bool {
    let etag = state.uuid("cluster-etag");
    by_id(state, cluster).map(|cluster| cluster.resource["eTag"] = json!(etag)).is_some()
}

/// Stops an idle cluster, as another client does to save money at night; returns whether it was running.
pub(crate) fn stop(state: &mut CloudState, cluster: &str) -> bool {
    let rests = |cluster: &&mut ManagedCluster| {
        cluster.pending.is_none() && cluster.cluster_info.is_some() && !operations::is_stopped(cluster)
    };
    by_id(state, cluster).filter(rests).map(|cluster| power::set(cluster, "Stopped")).is_some()
}

/// Passes the controllers of a cluster to `steer`, also before its creation completes. Returns whether the
/// cluster exists.
pub(crate) fn with_controllers(
    state: &mut CloudState,
    cluster: &str,
    with_controllers: impl FnOnce(&mut Controllers),
) -> bool {
    by_id(state, cluster).map(|cluster| with_controllers(&mut cluster.controllers)).is_some()
}

/// Passes the controllers of a cluster to `steer`; finds it by the resource UID in the URL of its API.
/// Returns whether the cluster exists and its API is available.
pub(crate) fn with_controllers_by_uid(
    state: &mut CloudState,
    uid: &str,
    with_controllers: impl FnOnce(&mut Controllers),
) -> bool {
    by_uid(state, uid).map(|cluster| with_controllers(&mut cluster.controllers)).is_some()
}

/// Returns the objects of the cluster with that UID, for changes as by a client inside the cluster.
pub(crate) fn store_mut<'a>(state: &'a mut CloudState, uid: &str) -> Option<&'a mut Store> {
    by_uid(state, uid).map(|cluster| &mut cluster.store)
}

/// Returns the error of a write that conflicts with another one in the provider's own store.
pub(crate) fn etag_mismatch() -> ArmError {
    error::etag_mismatch()
}

/// Returns the error of a write during a creation that is not visible yet.
pub(crate) fn busy() -> ArmError {
    error::busy(Work::Create.state())
}
