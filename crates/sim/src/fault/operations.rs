//! Faults of long-running operations. Each is injected into the write that starts one, at any speed.

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

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::OperationFailed,
        "operation-failed",
        "management.",
        "the operation ends `Failed`: of a cluster with `AllocationFailed`, of a network with `AnotherOperationInProgress`, of a group's deletion with `ResourceGroupDeletionBlocked`; the resource shows it",
        "reports the reason; the same write again repairs it",
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
        "a write of another client preempts the operation: it ends `Failed` with `AKSOperationPreempted`, \
         and the cluster continues with the other one",
        "reads the cluster, waits for running operations, and decides again",
        preempted,
    ),
    row(
        Fault::OperationStrange,
        "operation-strange",
        "management.",
        "the next three polls of the operation return undocumented states",
        "takes every state but `Succeeded`, `Failed` and `Canceled` for running",
        strange,
    ),
    row(
        Fault::OperationForgotten,
        "operation-forgotten",
        "management.",
        "the operation's URL returns 404; the operation continues",
        "falls back on the state of the resource",
        forgotten,
    ),
];

/// The undocumented states for the next polls of an operation.
const STRANGE: [&str; 3] = ["Accepted", "ReconcilingClusterETCDProxy", "PendingApprovalOfTheMoon"];

/// Returns the operation that the request has just started.
fn begun(world: &World, scene: &Scene<'_>, reply: &Reply) -> Option<Operation> {
    let found = operation::announced(world, reply).cloned()?;
    (writes(scene.request) && found.started == scene.now).then_some(found)
}

/// Returns the failed outcome of an operation, with an error code of its provider.
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
    // A `Location` response alone contains no state.
    let Some(found) = found.filter(|operation| operation.style != Style::Location) else { return false };
    found.odd = STRANGE.map(str::to_owned).to_vec();
    true
}

fn forgotten(world: &mut World, scene: &Scene<'_>, reply: &mut Reply) -> bool {
    let Some(operation) = begun(world, scene, reply) else { return false };
    world.operations.remove(&operation.id).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::bench::{
        arm, cluster, follow, group, make_cluster, network, network_body, properties, put_cluster, there,
    };
    use super::*;
    use crate::clock::{Speed, Timing};
    use crate::test_cloud::{TestCloud, code, target};

    fn ends(cloud: &mut TestCloud, fault: &str) -> (String, String, String) {
        arm(cloud, fault);
        let reply = put_cluster(cloud);
        assert!(reply.status.is_success(), "{reply:?}");
        cloud.pass(281.0);
        let looked = follow(cloud, &reply);
        assert_eq!(looked.status, 200, "the state is in the body");
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let state = word(&properties(cloud)["provisioningState"]);
        (word(&looked.value()["status"]), word(&looked.value()["error"]["code"]), state)
    }

    fn told(status: &str, code: &str, state: &str) -> (String, String, String) {
        (status.to_owned(), code.to_owned(), state.to_owned())
    }

    #[test]
    fn a_creation_that_failed_is_repaired_by_the_same_write_at_any_speed() {
        for speed in [Speed::Times(1.0), Speed::Instant] {
            let mut cloud = TestCloud::new();
            cloud.timing = Timing::new(speed);
            let failed = ends(&mut cloud, "operation-failed");
            assert_eq!(failed, told("Failed", "AllocationFailed", "Failed"));
            let error = &properties(&mut cloud)["status"]["provisioningError"]["code"];
            assert_eq!(*error, "AllocationFailed");
            assert_eq!(put_cluster(&mut cloud).status, 200);
            cloud.pass(281.0);
            assert_eq!(properties(&mut cloud)["provisioningState"], "Succeeded");
        }
    }

    #[test]
    fn a_cluster_runs_until_the_end_that_was_decided_for_it() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "operation-failed");
        let reply = put_cluster(&mut cloud);
        cloud.pass(100.0);
        assert_eq!(follow(&mut cloud, &reply).value()["status"], "InProgress");
        assert_eq!(properties(&mut cloud)["provisioningState"], "Creating");
    }

    #[test]
    fn canceled_and_preempted_writes_say_so() {
        for speed in [Speed::Times(1.0), Speed::Instant] {
            let mut cloud = TestCloud::new();
            cloud.timing = Timing::new(speed);
            assert_eq!(ends(&mut cloud, "operation-canceled"), told("Canceled", "Canceled", "Canceled"));
            let preempted = ends(&mut cloud, "operation-preempted");
            assert_eq!(preempted, told("Failed", "AKSOperationPreempted", "Succeeded"), "theirs got there");
        }
    }

    #[test]
    fn a_network_and_the_deletion_of_a_group_fail_in_their_own_codes() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "operation-failed");
        let (at, body) = (network(&cloud), network_body());
        let reply = cloud.put(&at, &body);
        cloud.pass(6.0);
        assert_eq!(follow(&mut cloud, &reply).value()["error"]["code"], "AnotherOperationInProgress");
        assert_eq!(cloud.get(&at).value()["properties"]["provisioningState"], "Failed");
        cloud.put(&at, &body);
        cloud.pass(6.0);
        assert_eq!(cloud.get(&at).value()["properties"]["provisioningState"], "Succeeded");

        arm(&mut cloud, "operation-failed@DELETE");
        let gone = group(&cloud, "rg");
        let reply = cloud.delete(&gone);
        cloud.pass(60.0);
        let at = target(&reply, "location");
        let ended = cloud.get(&at);
        assert_eq!((ended.status.as_u16(), code(&ended).as_str()), (409, "ResourceGroupDeletionBlocked"));
        assert!(there(&cloud, "rg"));
        cloud.delete(&gone);
        cloud.pass(60.0);
        assert!(!there(&cloud, "rg"));
    }

    #[test]
    fn odd_states_are_shown_for_three_looks_even_when_it_is_over() {
        let mut cloud = TestCloud::new();
        cloud.timing = Timing::new(Speed::Instant);
        arm(&mut cloud, "operation-strange");
        let reply = put_cluster(&mut cloud);
        let mut look = || follow(&mut cloud, &reply).value()["status"].as_str().unwrap().to_owned();
        assert_eq!([look(), look(), look()], STRANGE);
        assert_eq!(look(), "Succeeded");
    }

    #[test]
    fn a_forgotten_operation_is_404_and_the_work_goes_on() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "operation-forgotten");
        let reply = put_cluster(&mut cloud);
        let looked = follow(&mut cloud, &reply);
        assert_eq!((looked.status.as_u16(), code(&looked).as_str()), (404, "OperationNotFound"));
        cloud.pass(281.0);
        assert_eq!(properties(&mut cloud)["provisioningState"], "Succeeded");
        assert!(cloud.world.faults.armed.is_empty());
    }

    #[test]
    fn a_write_that_begins_nothing_leaves_the_fault_armed() {
        let mut cloud = TestCloud::new();
        make_cluster(&mut cloud);
        arm(&mut cloud, "operation-failed");
        let at = cluster(&cloud, "");
        assert_eq!(cloud.get(&at).status, 200);
        let at = group(&cloud, "web");
        assert_eq!(cloud.put(&at, &json!({ "location": "eastus" })).status, 201);
        assert_eq!(cloud.world.faults.armed.len(), 1);
    }
}
