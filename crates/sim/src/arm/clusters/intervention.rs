//! Test hooks for clusters: writes by other clients and failures of the cloud, through the same code as
//! ordinary writes.

use serde_json::json;

use super::put::{self, Named};
use super::{Fate, ManagedCluster, Pending, Work, power, refusal};
use crate::aks::Controllers;
use crate::arm::error::ArmError;
use crate::arm::id;
use crate::arm::operation::{Outcome, Style};
use crate::clock::{Moment, Timing};
use crate::durations;
use crate::kubernetes::Store;
use crate::world::World;

fn by_id<'a>(world: &'a mut World, cluster: &str) -> Option<&'a mut ManagedCluster> {
    world.clusters.all.get_mut(&id::key(cluster))
}

fn by_uid<'a>(world: &'a mut World, uid: &str) -> Option<&'a mut ManagedCluster> {
    let mut all = world.clusters.all.values_mut();
    all.find(|cluster| cluster.uid() == uid && cluster.facts.is_some() && !power::is_stopped(cluster))
}

/// Sets how the write in progress ends; returns whether one is in progress.
pub(crate) fn decide(world: &mut World, cluster: &str, fate: Fate) -> bool {
    let pending = by_id(world, cluster).and_then(|cluster| cluster.pending.as_mut());
    pending.map(|pending| pending.fate = fate).is_some()
}

/// Starts a write by another client on an idle cluster: it is `Updating` for a while, and only its etag
/// changes. Returns whether the cluster exists and was idle.
pub(crate) fn occupy(world: &mut World, cluster: &str, now: Moment, timing: &Timing) -> bool {
    let found =
        by_id(world, cluster).filter(|cluster| cluster.pending.is_none() && !power::is_stopped(cluster));
    let Some(found) = found else { return false };
    let (id, location) = (found.id().to_owned(), found.location().to_owned());
    let due = timing.after(now, durations::CLUSTER_UPDATE).max(now.plus_ms(1));
    let named = Named { id: &id, location: &location, work: Work::Update };
    let operation = put::operation(world, &named, Style::AsyncOperation, now, due);
    if let Some(cluster) = by_id(world, &id) {
        cluster.pending = Some(Pending { kind: Work::Update, due, fate: Fate::Succeeds });
        cluster.latest = operation.id;
        cluster.set_state(Work::Update.state());
    }
    true
}

/// Lets a write by another client preempt the one in progress. The preempted operation fails; the other one
/// completes the same work at the same time. Returns whether a write was in progress.
pub(crate) fn preempt(world: &mut World, cluster: &str, now: Moment) -> bool {
    let Some(found) = by_id(world, cluster) else { return false };
    let running = found.pending.as_ref().filter(|pending| pending.kind != Work::Delete);
    let Some((work, due)) = running.map(|pending| (pending.kind, pending.due)) else { return false };
    let (id, location, before) = (found.id().to_owned(), found.location().to_owned(), found.latest.clone());
    let named = Named { id: &id, location: &location, work };
    let theirs = put::operation(world, &named, Style::AsyncOperation, now, due);
    if let Some(ours) = world.operations.get_mut(&before) {
        let message =
            format!("This operation has been preempted by another operation with ID {}.", theirs.id);
        let error = json!({"code": "AKSOperationPreempted", "message": message});
        ours.end(now, Outcome::Failed { status: 409, error });
    }
    if let Some(cluster) = by_id(world, &id) {
        cluster.latest = theirs.id;
    }
    true
}

/// Gives a cluster a new etag, as any write by another client does; returns whether the cluster exists.
pub(crate) fn touch(world: &mut World, cluster: &str) -> bool {
    let etag = world.uuid("cluster-etag");
    by_id(world, cluster).map(|cluster| cluster.resource["eTag"] = json!(etag)).is_some()
}

/// Stops an idle cluster, as another client does to save money at night; returns whether it was running.
pub(crate) fn stop(world: &mut World, cluster: &str) -> bool {
    let rests = |cluster: &&mut ManagedCluster| {
        cluster.pending.is_none() && cluster.facts.is_some() && !power::is_stopped(cluster)
    };
    by_id(world, cluster).filter(rests).map(|cluster| power::set(cluster, "Stopped")).is_some()
}

/// Passes the controllers of a cluster to `steer`, also before its creation completes. Returns whether the
/// cluster exists.
pub(crate) fn steer(world: &mut World, cluster: &str, steer: impl FnOnce(&mut Controllers)) -> bool {
    by_id(world, cluster).map(|cluster| steer(&mut cluster.controllers)).is_some()
}

/// Passes the controllers of a cluster to `steer`; finds it by the resource UID in the URL of its API.
/// Returns whether the cluster exists and its API is available.
pub(crate) fn steer_inside(world: &mut World, uid: &str, steer: impl FnOnce(&mut Controllers)) -> bool {
    by_uid(world, uid).map(|cluster| steer(&mut cluster.controllers)).is_some()
}

/// Returns the objects of the cluster with that UID, for changes as by a client inside the cluster.
pub(crate) fn store_mut<'a>(world: &'a mut World, uid: &str) -> Option<&'a mut Store> {
    by_uid(world, uid).map(|cluster| &mut cluster.store)
}

/// Returns the error of a write that conflicts with another one in the provider's own store.
pub(crate) fn etag_mismatch() -> ArmError {
    refusal::etag_mismatch()
}

/// Returns the error of a write during a creation that is not visible yet.
pub(crate) fn busy() -> ArmError {
    refusal::busy(Work::Create.state())
}
