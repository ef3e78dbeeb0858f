//! Long operations that do not go as planned. Each bites the write that begins one, at any speed.

use serde_json::json;

use super::around::{Bite, Scene};
use super::transport::writes;
use super::{Fault, Kind, Row};
use crate::arm::clusters::{Fate, intervention};
use crate::arm::operation::{self, Operation, Outcome, Style};
use crate::arm::{groups, networks};
use crate::request::Reply;
use crate::world::World;

const fn row(
    fault: Fault,
    name: &'static str,
    path: &'static str,
    what: &'static str,
    client: &'static str,
    bite: fn(&mut World, &Scene<'_>, &mut Reply) -> bool,
) -> Row {
    let bite = Bite::After(bite);
    Row { fault, name, kind: Kind::Operation, method: "", path, what, client, heals: true, bite }
}

/// The rows of the topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::OperationFailed,
        "operation-failed",
        "management.",
        "the operation ends `Failed`: of a cluster with `AllocationFailed`, of a network with `AnotherOperationInProgress`, of a group's deletion with `ResourceGroupDeletionBlocked`; the resource shows it",
        "says why; the same write again repairs it",
        |world, scene, reply| end(world, scene, reply, failed),
    ),
    row(
        Fault::OperationCanceled,
        "operation-canceled",
        "/managedclusters/",
        "the operation ends `Canceled`, and so does the resource",
        "writes again, which reconciles what is there",
        |world, scene, reply| end(world, scene, reply, |_| Outcome::Canceled),
    ),
    row(
        Fault::OperationPreempted,
        "operation-preempted",
        "/managedclusters/",
        "somebody else's write takes over: ours ends `Failed` with `AKSOperationPreempted`, the cluster goes on with theirs",
        "reads the cluster, waits for what runs on it, and decides anew",
        preempted,
    ),
    row(
        Fault::OperationStrange,
        "operation-strange",
        "management.",
        "the next three looks at the operation show states that no document names",
        "takes every state but `Succeeded`, `Failed` and `Canceled` for running",
        strange,
    ),
    row(
        Fault::OperationForgotten,
        "operation-forgotten",
        "management.",
        "the operation's URL answers 404; the work goes on",
        "falls back on the state of the resource",
        forgotten,
    ),
];

/// What the next looks at a strange operation show.
const STRANGE: [&str; 3] = ["Accepted", "ReconcilingClusterETCDProxy", "PendingApprovalOfTheMoon"];

/// The operation that the request has just begun.
fn begun(world: &World, scene: &Scene<'_>, reply: &Reply) -> Option<Operation> {
    let found = operation::announced(world, reply).cloned()?;
    (writes(scene.request) && found.started == scene.now).then_some(found)
}

/// The end of an operation, in a code that its provider has for it.
fn failed(operation: &Operation) -> Outcome {
    let (code, message) = match operation.provider.as_str() {
        "Microsoft.ContainerService" => (
            "AllocationFailed",
            "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more \
             about improving likelihood of allocation success at http://aka.ms/allocation-guidance",
        ),
        "Microsoft.Network" => {
            ("AnotherOperationInProgress", "Another operation on this or dependent resource is in progress.")
        }
        "Microsoft.Resources" => (
            "ResourceGroupDeletionBlocked",
            "Deletion of resource group failed as resources in it are still in use or could not be deleted.",
        ),
        _ => ("InternalServerError", "An internal server error has occurred."),
    };
    Outcome::Failed { status: 409, error: json!({ "code": code, "message": message }) }
}

fn end(world: &mut World, scene: &Scene<'_>, reply: &Reply, end: fn(&Operation) -> Outcome) -> bool {
    let Some(operation) = begun(world, scene, reply) else { return false };
    let outcome = end(&operation);
    let (id, resource) = (&operation.id, &operation.resource);
    let took = match operation.provider.as_str() {
        "Microsoft.ContainerService" => intervention::decide(world, resource, fate(&outcome)),
        "Microsoft.Network" => networks::doom(world, resource),
        "Microsoft.Resources" => groups::doom(world, resource),
        "Microsoft.KeyVault" => world.vaults.keep_deleted(&operation),
        _ => false,
    };
    if took && let Some(operation) = world.operations.get_mut(id) {
        operation.outcome = outcome;
    }
    took
}

fn fate(outcome: &Outcome) -> Fate {
    match outcome {
        Outcome::Failed { error, .. } => {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            Fate::Fails(text("code"), text("message"))
        }
        Outcome::Canceled => Fate::IsCanceled,
        Outcome::Succeeded => Fate::Succeeds,
    }
}

fn preempted(world: &mut World, scene: &Scene<'_>, reply: &mut Reply) -> bool {
    let Some(operation) = begun(world, scene, reply) else { return false };
    intervention::preempt(world, &operation.resource, scene.now)
}

fn strange(world: &mut World, scene: &Scene<'_>, reply: &mut Reply) -> bool {
    let Some(operation) = begun(world, scene, reply) else { return false };
    let found = world.operations.get_mut(&operation.id);
    // A `Location` alone has no words for a state.
    let Some(found) = found.filter(|operation| operation.style != Style::Location) else { return false };
    found.odd = STRANGE.map(str::to_owned).to_vec();
    true
}

fn forgotten(world: &mut World, scene: &Scene<'_>, reply: &mut Reply) -> bool {
    let Some(operation) = begun(world, scene, reply) else { return false };
    world.operations.remove(&operation.id).is_some()
}
