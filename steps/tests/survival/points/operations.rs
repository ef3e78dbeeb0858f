//! Failures of requests and long-running operations.

use super::*;
use crate::carrier::{Inside, Side};
use crate::{
    environment::replayable,
    still::{Camera, Still},
};
use landfall_engine::Kind;

const CLUSTER: &str = "/managedClusters/aks-demo";
const NETWORK: &str = "/virtualNetworks/vnet-demo";

/// Returns the snapshot right after the execution of a request, before its response was read, in a run of
/// that command.
async fn killed_after(here: &Environment, command: Command, request: &str) -> Still {
    let camera = Camera::on(here, &here.carrier);
    succeeds(here, command).await;
    let film = camera.film(here);
    let is = |still: &&Still| still.label.starts_with("after") && still.label.ends_with(request);
    film.stills.iter().find(is).unwrap_or_else(|| panic!("no {request}")).clone()
}

/// Point 1: errors of AKS have no envelope, and those of others have one.
#[test]
fn errors_with_and_without_an_envelope_both_say_code_and_message() {
    replayable(1, async {
        let mut here = here(SIXTY);
        let right = here.wish.cluster.dns_service_ip;
        here.wish.cluster.dns_service_ip = "10.2.0.10".parse().unwrap();
        here.arm(&["another-operation", "operation-not-allowed"]);
        let done = run(&here, Command::Up).await;
        assert!(done.repeated("network")[0].starts_with("RetryableError"), "{:?}", done.repeated("network"));
        assert_eq!(done.repeated("cluster"), ["OperationNotAllowed"]);
        let error = done.error("cluster");
        assert_eq!(error.code.as_deref(), Some("DnsServiceIpOutOfServiceCidr"));
        assert!(error.causes[0].contains("10.2.0.10"), "{error:?}");
        here.wish.cluster.dns_service_ip = right;
        comes_up(&here).await;
    });
}

/// Point 2: a PUT responds 201, its operation always 200, and unknown states mean in progress.
#[test]
fn unknown_states_are_waited_out_and_a_failure_is_read_in_the_operations_body() {
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["operation-strange@PUT vnet-demo", "operation-strange@PUT aks-demo"]);
        comes_up(&here).await;
        assert_eq!(statuses(&here, "PUT", CLUSTER), [201]);
        let polls: Vec<Line> =
            here.world.ledger().into_iter().filter(|line| line.path.contains("/operations/")).collect();
        assert!(polls.len() >= 6 && polls.iter().all(|line| line.status == 200), "{polls:?}");
    });
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["operation-failed@PUT managedClusters/aks-demo"]);
        let error = refuses(&here, "cluster-ready").await;
        assert_eq!(error.code.as_deref(), Some("AllocationFailed"));
        comes_up(&here).await;
        assert_eq!(
            statuses(&here, "PUT", CLUSTER),
            [201, 200],
            "the second run mends what the first one made"
        );
    });
}

/// Point 3: a DELETE responds 202 with a Location, and the cluster is Deleting until its end.
#[test]
fn a_cluster_that_is_being_deleted_is_waited_for_and_then_made_anew() {
    replayable(1, async {
        let first = here(SIXTY);
        succeeds(&first, Command::Up).await;
        let still = killed_after(&first, Command::Down, &format!("DELETE {}", cluster(&first))).await;
        let deletes = requests(&first, "DELETE", CLUSTER);
        assert_eq!(deletes.iter().map(|line| line.status).collect::<Vec<_>>(), [202]);
        assert_eq!(first.world.read(|world| world.groups.len()), 0);

        let here = Environment::at(&still, SIXTY);
        let there = get(&here, &cluster(&here), arm::cluster::API).await;
        assert_eq!(there["properties"]["provisioningState"], "Deleting");
        comes_up(&here).await;
        assert_eq!(statuses(&here, "PUT", CLUSTER), [201]);

        let here = Environment::at(&still, SIXTY);
        succeeds(&here, Command::Down).await;
        assert_eq!(statuses(&here, "DELETE", CLUSTER), [0; 0], "the one that runs is waited for");
        assert_eq!(here.world.read(|world| world.groups.len()), 0);
    });
}

/// Point 4: Retry-After is a lower bound, and an earlier request would restart the delay.
#[test]
fn nobody_asks_again_before_the_retry_after_has_passed() {
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["throttled@PUT vnet-demo", "cluster-throttled"]);
        comes_up(&here).await;
        let puts = requests(&here, "PUT", NETWORK);
        assert_eq!(puts.iter().map(|line| line.status).collect::<Vec<_>>(), [429, 201]);
        assert!(between(&puts[0], &puts[1]) >= 83, "5 s of cloud time: {puts:?}");
        let puts = requests(&here, "PUT", CLUSTER);
        assert_eq!(puts.iter().map(|line| line.status).collect::<Vec<_>>(), [429, 201]);
        assert!(between(&puts[0], &puts[1]) >= 1000, "60 s of cloud time: {puts:?}");
    });
}

/// Point 5: writes are refused because others run, or accepted and then preempted.
#[test]
fn a_busy_cluster_is_waited_for_and_a_preempted_write_is_decided_anew() {
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["etag-mismatch", "operation-not-allowed", "another-operation", "operation-preempted"]);
        let done = comes_up(&here).await;
        assert_eq!(done.repeated("cluster"), ["EtagMismatch", "OperationNotAllowed"]);
        assert_eq!(statuses(&here, "PUT", CLUSTER), [409, 409, 201]);
        assert_eq!(statuses(&here, "PUT", NETWORK), [429, 201]);
        has_nothing_to_do(&here).await;
    });
}

/// Point 5 in a later run: the abandoned operation failed, and the cluster was written out of band since.
#[test]
fn an_operation_that_was_left_and_failed_is_not_believed_over_the_cluster() {
    const FAILS: [&str; 1] = ["operation-failed@PUT managedClusters/aks-demo"];
    let polled = replayable(1, async {
        let here = here(SIXTY);
        here.arm(&FAILS);
        refuses(&here, "cluster-ready").await;
        let is = |line: &Line| line.path.contains("Microsoft.ContainerService/locations/eastus/operations/");
        here.world.ledger().iter().position(is).unwrap() + 1
    });
    replayable(1, async {
        let mut here = here(SIXTY);
        here.arm(&FAILS);
        here.carrier.stop_at(polled, Side::After);
        assert!(matches!(here.run(Command::Up).await, End::Cut));
        assert_eq!(here.carrier.requests(), polled);
        here.carrier = Inside::new(here.world.clone());
        let mut body = loop {
            let body = get(&here, &cluster(&here), arm::cluster::API).await;
            if matches!(arm::State::of(&body), arm::State::Failed) {
                break body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        body["properties"].as_object_mut().unwrap().remove("provisioningState");
        let azure = here.clouds().azure;
        azure.arm().put(&cluster(&here), arm::cluster::API, &body, Condition::None).await.unwrap();
        let done = comes_up(&here).await;
        assert!(done.notes("cluster-ready").iter().any(|note| note.contains("has failed")));
        assert_eq!(statuses(&here, "PUT", CLUSTER), [201, 200], "theirs is the second, and will do");
    });
}

/// Point 6: the token expires during polling.
#[test]
fn a_token_that_expires_while_polling_costs_one_new_token() {
    let tokens = |here: &Environment| requests(here, "POST", "/oauth2/v2.0/token").len();
    let calm = replayable(1, async {
        let here = here(SIXTY);
        comes_up(&here).await;
        tokens(&here)
    });
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["token-expired@GET Microsoft.ContainerService/locations/eastus/operations#2"]);
        comes_up(&here).await;
        let refused =
            here.world.ledger().into_iter().filter(|l| l.status == 401 && l.host.starts_with("management."));
        assert_eq!(refused.count(), 1);
        assert_eq!(tokens(&here), calm + 1);
        assert_eq!(statuses(&here, "PUT", CLUSTER), [201]);
    });
}

/// Point 13: the cluster succeeds before its content, without its identity, without a pool, or not at all.
#[test]
fn a_cluster_is_ready_only_with_its_class_its_identity_and_its_pools() {
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["identity-late"]);
        comes_up(&here).await;
        assert_eq!(statuses(&here, "PUT", CLUSTER), [201, 200], "the second brings the identity");
    });
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["class-late"]);
        comes_up(&here).await;
        let ledger = here.world.ledger();
        let asked = ledger.iter().find(|line| line.path.contains("/gatewayclasses")).unwrap();
        let gateway = &requests(&here, "PATCH", "/gateways/httpbin-gateway")[0];
        assert!(between(asked, gateway) >= 2900, "180 s of cloud time: {asked:?} {gateway:?}");
    });
    for (fault, says) in [("pool-failed", "nodepool1 is Failed"), ("operation-canceled", "Canceled")] {
        replayable(1, async {
            let here = here(SIXTY);
            here.arm(&[fault]);
            let error = refuses(&here, "cluster-ready").await;
            assert!(error.causes.iter().any(|cause| cause.contains(says)), "{fault}: {error:?}");
            comes_up(&here).await;
            assert_eq!(statuses(&here, "PUT", CLUSTER), [201, 200], "{fault}");
            has_nothing_to_do(&here).await;
        });
    }
    replayable(1, async {
        let here = here(SIXTY);
        comes_up(&here).await;
        here.arm(&["cluster-stopped"]);
        let mark = here.world.ledger().len();
        let error = refuses(&here, "cluster").await;
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Refused, Some("ClusterStopped")));
        assert!(error.hint.unwrap().contains("az aks start"));
        assert_eq!(writes(&here, mark), [""; 0]);
    });
}

/// Point 20: the client is killed between the PUT and the first poll.
#[test]
fn a_client_killed_after_the_put_attaches_by_get_and_not_by_a_second_put() {
    replayable(1, async {
        let first = here(SIXTY);
        let still = killed_after(&first, Command::Up, &format!("PUT {}", cluster(&first))).await;
        let here = Environment::at(&still, SIXTY);
        assert_eq!(
            get(&here, &cluster(&here), arm::cluster::API).await["properties"]["provisioningState"],
            "Creating"
        );
        comes_up(&here).await;
        assert_eq!(statuses(&here, "PUT", CLUSTER), [0; 0]);
        succeeds(&here, Command::Down).await;
        assert_eq!(statuses(&here, "DELETE", CLUSTER).len(), 1, "it is remembered as ours");
    });
}
