//! Faults of long-running operations. Each is injected into the write that starts one, at any speed.

use serde_json::json;

use super::row::{Injection, Kind, RequestContext, Row};
use super::transport::writes;
use super::variants::Fault;
use crate::arm::clusters::{WriteOutcome, fault_hooks};
use crate::arm::operation::{self, Operation, Outcome, Style};
use crate::arm::{groups, resource_type};
use crate::request::Reply;
use crate::state::CloudState;

const fn row(
    fault: Fault,
    name: &'static str,
    path: &'static str,
    what: &'static str,
    client: &'static str,
    injection: fn(&mut CloudState, &RequestContext<'_>, &mut Reply) -> bool,
) -> Row {
    let injection = Injection::After(injection);
    Row { fault, name, kind: Kind::Operation, method: "", path, what, client, heals: true, injection }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::OperationFailed,
        "operation-failed",
        "management.",
        "the operation ends `Failed`: of a cluster with `AllocationFailed`, of a network with `AnotherOperationInProgress`, of a group's deletion with `ResourceGroupDeletionBlocked`; the resource shows it",
        "reports the reason; the same write again repairs it",
        |state, context, reply| end(state, context, reply, failed),
    ),
    row(
        Fault::OperationCanceled,
        "operation-canceled",
        "/managedclusters/",
        "the operation ends `Canceled`, and so does the resource",
        "writes again, which reconciles what is there",
        |state, context, reply| end(state, context, reply, |_| Outcome::Canceled),
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
        undocumented_states,
    ),
    row(
        Fault::OperationForgotten,
        "operation-forgotten",
        "management.",
        "the operation's URL returns 404; the operation continues",
        "falls back on the state of the resource",
        unknown_operation,
    ),
];

/// The undocumented states for the next polls of an operation.
const UNDOCUMENTED_STATES: [&str; 3] =
    ["Accepted", "ReconcilingClusterETCDProxy", "PendingApprovalOfTheMoon"];

/// Returns the operation that the request has just started.
fn started_operation(state: &CloudState, context: &RequestContext<'_>, reply: &Reply) -> Option<Operation> {
    let found = operation::announced(state, reply).cloned()?;
    (writes(context.request) && found.started == context.now).then_some(found)
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

fn end(
    state: &mut CloudState,
    context: &RequestContext<'_>,
    reply: &Reply,
    end: fn(&Operation) -> Outcome,
) -> bool {
    let Some(operation) = started_operation(state, context, reply) else { return false };
    let outcome = end(&operation);
    let (id, resource) = (&operation.id, &operation.resource);
    let took = match operation.provider.as_str() {
        "Microsoft.ContainerService" => fault_hooks::set_outcome(state, resource, outcome_of(&outcome)),
        "Microsoft.Network" => resource_type::test_hooks::fail_operation(state, resource),
        "Microsoft.Resources" => groups::fail_operation(state, resource),
        "Microsoft.KeyVault" => state.vaults.fail_purge(&operation),
        _ => false,
    };
    if took && let Some(operation) = state.operations.get_mut(id) {
        operation.outcome = outcome;
    }
    took
}

fn outcome_of(outcome: &Outcome) -> WriteOutcome {
    match outcome {
        Outcome::Failed { error, .. } => {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            WriteOutcome::Fails(text("code"), text("message"))
        }
        Outcome::Canceled => WriteOutcome::IsCanceled,
        Outcome::Succeeded => WriteOutcome::Succeeds,
    }
}

fn preempted(state: &mut CloudState, context: &RequestContext<'_>, reply: &mut Reply) -> bool {
    let Some(operation) = started_operation(state, context, reply) else { return false };
    fault_hooks::preempt(state, &operation.resource, context.now)
}

fn undocumented_states(state: &mut CloudState, context: &RequestContext<'_>, reply: &mut Reply) -> bool {
    let Some(operation) = started_operation(state, context, reply) else { return false };
    let found = state.operations.get_mut(&operation.id);
    // A `Location` response alone contains no state.
    let Some(found) = found.filter(|operation| operation.style != Style::Location) else { return false };
    found.undocumented_states = UNDOCUMENTED_STATES.map(str::to_owned).to_vec();
    true
}

fn unknown_operation(state: &mut CloudState, context: &RequestContext<'_>, reply: &mut Reply) -> bool {
    let Some(operation) = started_operation(state, context, reply) else { return false };
    state.operations.remove(&operation.id).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{
        arm, cluster, exists, follow, group, make_cluster, network, network_body, properties, put_cluster,
    };
    use super::*;
    use crate::clock::{Speed, Timing};
    use crate::test_cloud::{TestCloud, code, target};

    fn ends(cloud: &mut TestCloud, fault: &str) -> (String, String, String) {
        arm(cloud, fault);
        let reply = put_cluster(cloud);
        assert!(reply.status.is_success(), "{reply:?}");
        cloud.advance(281.0);
        let status_reply = follow(cloud, &reply);
        assert_eq!(status_reply.status, 200, "the state is in the body");
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let state = word(&properties(cloud)["provisioningState"]);
        (word(&status_reply.value()["status"]), word(&status_reply.value()["error"]["code"]), state)
    }

    fn expected(status: &str, code: &str, state: &str) -> (String, String, String) {
        (status.to_owned(), code.to_owned(), state.to_owned())
    }

    #[test]
    fn a_creation_that_failed_is_repaired_by_the_same_write_at_any_speed() {
        for speed in [Speed::Times(1.0), Speed::Instant] {
            let mut cloud = TestCloud::new();
            cloud.timing = Timing::new(speed);
            let failed = ends(&mut cloud, "operation-failed");
            assert_eq!(failed, expected("Failed", "AllocationFailed", "Failed"));
            let error = &properties(&mut cloud)["status"]["provisioningError"]["code"];
            assert_eq!(*error, "AllocationFailed");
            assert_eq!(put_cluster(&mut cloud).status, 200);
            cloud.advance(281.0);
            assert_eq!(properties(&mut cloud)["provisioningState"], "Succeeded");
        }
    }

    #[test]
    fn a_cluster_runs_until_the_end_that_was_decided_for_it() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "operation-failed");
        let reply = put_cluster(&mut cloud);
        cloud.advance(100.0);
        assert_eq!(follow(&mut cloud, &reply).value()["status"], "InProgress");
        assert_eq!(properties(&mut cloud)["provisioningState"], "Creating");
    }

    #[test]
    fn canceled_and_preempted_writes_report_it() {
        for speed in [Speed::Times(1.0), Speed::Instant] {
            let mut cloud = TestCloud::new();
            cloud.timing = Timing::new(speed);
            assert_eq!(ends(&mut cloud, "operation-canceled"), expected("Canceled", "Canceled", "Canceled"));
            let preempted = ends(&mut cloud, "operation-preempted");
            assert_eq!(
                preempted,
                expected("Failed", "AKSOperationPreempted", "Succeeded"),
                "theirs got there"
            );
        }
    }

    #[test]
    fn a_network_and_the_deletion_of_a_group_fail_in_their_own_codes() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "operation-failed");
        let (at, body) = (network(&cloud), network_body());
        let reply = cloud.put(&at, &body);
        cloud.advance(6.0);
        assert_eq!(follow(&mut cloud, &reply).value()["error"]["code"], "AnotherOperationInProgress");
        assert_eq!(cloud.get(&at).value()["properties"]["provisioningState"], "Failed");
        cloud.put(&at, &body);
        cloud.advance(6.0);
        assert_eq!(cloud.get(&at).value()["properties"]["provisioningState"], "Succeeded");

        arm(&mut cloud, "operation-failed@DELETE");
        let group_path = group(&cloud, "rg");
        let reply = cloud.delete(&group_path);
        cloud.advance(60.0);
        let at = target(&reply, "location");
        let ended = cloud.get(&at);
        assert_eq!((ended.status.as_u16(), code(&ended).as_str()), (409, "ResourceGroupDeletionBlocked"));
        assert!(exists(&cloud, "rg"));
        cloud.delete(&group_path);
        cloud.advance(60.0);
        assert!(!exists(&cloud, "rg"));
    }

    #[test]
    fn undocumented_states_last_three_polls() {
        let mut cloud = TestCloud::new();
        cloud.timing = Timing::new(Speed::Instant);
        arm(&mut cloud, "operation-strange");
        let reply = put_cluster(&mut cloud);
        let mut poll = || follow(&mut cloud, &reply).value()["status"].as_str().unwrap().to_owned();
        assert_eq!([poll(), poll(), poll()], UNDOCUMENTED_STATES);
        assert_eq!(poll(), "Succeeded");
    }

    #[test]
    fn an_unknown_operation_is_404_and_the_write_completes() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "operation-forgotten");
        let reply = put_cluster(&mut cloud);
        let status_reply = follow(&mut cloud, &reply);
        assert_eq!((status_reply.status.as_u16(), code(&status_reply).as_str()), (404, "OperationNotFound"));
        cloud.advance(281.0);
        assert_eq!(properties(&mut cloud)["provisioningState"], "Succeeded");
        assert!(cloud.state.faults.armed.is_empty());
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
        assert_eq!(cloud.state.faults.armed.len(), 1);
    }
}
