//! Failures of requests and long-running operations.

use super::*;
use crate::transport::{ObservedTransport, Side};
use crate::{
    environment::replayable,
    snapshot::{Recorder, Snapshot},
};
use landfall_engine::Kind;

const CLUSTER: &str = "/managedClusters/aks-demo";
const NETWORK: &str = "/virtualNetworks/vnet-demo";

/// Returns the snapshot right after the execution of a request, before its response was read, in a run of
/// that command.
async fn snapshot_after(env: &Environment, command: Command, request: &str) -> Snapshot {
    let recorder = Recorder::on(env, &env.transport);
    run_to_success(env, command).await;
    let record = recorder.record(env);
    let is = |snapshot: &&Snapshot| snapshot.label.starts_with("after") && snapshot.label.ends_with(request);
    record.snapshots.iter().find(is).unwrap_or_else(|| panic!("no {request}")).clone()
}

/// Point 1: errors of AKS have no envelope, and those of others have one.
#[test]
fn errors_with_and_without_an_envelope_have_code_and_message() {
    replayable(1, async {
        let mut env = env(SPEED_60X);
        let right = env.settings.cluster.dns_service_ip;
        env.settings.cluster.dns_service_ip = "10.2.0.10".parse().unwrap();
        env.arm(&["another-operation", "operation-not-allowed"]);
        let done = run(&env, Command::Up).await;
        assert!(
            done.retry_reasons("network")[0].starts_with("RetryableError"),
            "{:?}",
            done.retry_reasons("network")
        );
        assert_eq!(done.retry_reasons("cluster"), ["OperationNotAllowed"]);
        let error = done.error("cluster");
        assert_eq!(error.code.as_deref(), Some("DnsServiceIpOutOfServiceCidr"));
        assert!(error.causes[0].contains("10.2.0.10"), "{error:?}");
        env.settings.cluster.dns_service_ip = right;
        run_up(&env).await;
    });
}

/// Point 2: a PUT responds 201, its operation always 200, and unknown states mean in progress.
#[test]
fn unknown_states_are_in_progress_and_a_failure_is_read_from_the_operation_body() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["operation-strange@PUT vnet-demo", "operation-strange@PUT aks-demo"]);
        run_up(&env).await;
        assert_eq!(statuses(&env, "PUT", CLUSTER), [201]);
        let polls: Vec<RequestRecord> =
            env.sim.request_log().into_iter().filter(|line| line.path.contains("/operations/")).collect();
        assert!(polls.len() >= 4 && polls.iter().all(|line| line.status == 200), "{polls:?}");
        // Only the end of a cluster's operation is read; until then the cluster itself tells its state.
        assert!(requests(&env, "GET", CLUSTER).len() >= 3);
    });
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["operation-failed@PUT managedClusters/aks-demo"]);
        let error = run_refused(&env, "cluster-ready").await;
        assert_eq!(error.code.as_deref(), Some("AllocationFailed"));
        run_up(&env).await;
        assert_eq!(
            statuses(&env, "PUT", CLUSTER),
            [201, 200],
            "the second run mends what the first one made"
        );
    });
}

/// Point 3: a DELETE responds 202 with a Location, and the cluster is Deleting until its end.
#[test]
fn a_cluster_in_deletion_is_waited_for_and_recreated() {
    replayable(1, async {
        let first = env(SPEED_60X);
        run_to_success(&first, Command::Up).await;
        let snapshot = snapshot_after(&first, Command::Down, &format!("DELETE {}", cluster(&first))).await;
        let deletes = requests(&first, "DELETE", CLUSTER);
        assert_eq!(deletes.iter().map(|line| line.status).collect::<Vec<_>>(), [202]);
        assert_eq!(first.sim.read(|sim| sim.groups.len()), 0);

        let env = Environment::from_snapshot(&snapshot, SPEED_60X);
        let there = get(&env, &cluster(&env), arm::cluster::API).await;
        assert_eq!(there["properties"]["provisioningState"], "Deleting");
        run_up(&env).await;
        assert_eq!(statuses(&env, "PUT", CLUSTER), [201]);

        let env = Environment::from_snapshot(&snapshot, SPEED_60X);
        run_to_success(&env, Command::Down).await;
        assert_eq!(statuses(&env, "DELETE", CLUSTER), [0; 0], "the one that runs is waited for");
        assert_eq!(env.sim.read(|sim| sim.groups.len()), 0);
    });
}

/// Point 4: Retry-After is a lower bound, and an earlier request would restart the delay.
#[test]
fn no_retry_is_sent_before_retry_after() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["throttled@PUT vnet-demo", "cluster-throttled"]);
        run_up(&env).await;
        let puts = requests(&env, "PUT", NETWORK);
        assert_eq!(puts.iter().map(|line| line.status).collect::<Vec<_>>(), [429, 201]);
        assert!(milliseconds_between(&puts[0], &puts[1]) >= 83, "5 s of cloud time: {puts:?}");
        let puts = requests(&env, "PUT", CLUSTER);
        assert_eq!(puts.iter().map(|line| line.status).collect::<Vec<_>>(), [429, 201]);
        assert!(milliseconds_between(&puts[0], &puts[1]) >= 1000, "60 s of cloud time: {puts:?}");
    });
}

/// Point 5: writes are refused because others run, or accepted and then preempted.
#[test]
fn a_busy_cluster_is_waited_for_and_a_preempted_write_is_checked_again() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["etag-mismatch", "operation-not-allowed", "another-operation", "operation-preempted"]);
        env.arm(&["vault-conflict", "credential-conflict"]);
        let done = run_up(&env).await;
        assert_eq!(done.retry_reasons("cluster"), ["EtagMismatch", "OperationNotAllowed"]);
        assert_eq!(statuses(&env, "PUT", CLUSTER), [409, 409, 201]);
        assert_eq!(statuses(&env, "PUT", NETWORK), [429, 201]);
        assert_eq!(done.retry_reasons("key-vault"), ["ConflictError"]);
        let reasons = done.retry_reasons("identity-trust");
        assert_eq!(reasons, ["ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"]);
        assert_no_changes(&env).await;
    });
}

/// Point 5: a region does not know a new group or identity yet.
#[test]
fn a_group_and_an_identity_that_are_not_replicated_are_waited_for() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["group-late*4", "parent-late"]);
        let done = run_up(&env).await;
        let refused: Vec<&str> = ["network", "key-vault", "identity", "identity-trust"]
            .into_iter()
            .flat_map(|step| done.retry_reasons(step))
            .collect();
        assert_eq!(refused.iter().filter(|code| **code == "ResourceGroupNotFound").count(), 4, "{refused:?}");
        assert_eq!(done.retry_reasons("identity-trust"), ["ParentResourceNotFound"]);
        assert_no_changes(&env).await;
    });
}

/// Point 5 in a later run: the abandoned operation failed, and the cluster was written out of band since.
#[test]
fn the_cluster_state_overrides_an_abandoned_failed_operation() {
    const FAILS: [&str; 1] = ["operation-failed@PUT managedClusters/aks-demo"];
    let polled = replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&FAILS);
        run_refused(&env, "cluster-ready").await;
        let is = |line: &RequestRecord| {
            line.path.contains("Microsoft.ContainerService/locations/eastus/operations/")
        };
        env.sim.request_log().iter().position(is).unwrap() + 1
    });
    replayable(1, async {
        let mut env = env(SPEED_60X);
        env.arm(&FAILS);
        env.transport.stop_at(polled, Side::After);
        assert!(matches!(env.run(Command::Up).await, End::Cut));
        assert_eq!(env.transport.requests(), polled);
        env.transport = ObservedTransport::new(env.sim.clone());
        let mut body = loop {
            let body = get(&env, &cluster(&env), arm::cluster::API).await;
            if matches!(arm::State::of(&body), arm::State::Failed) {
                break body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        body["properties"].as_object_mut().unwrap().remove("provisioningState");
        let azure = env.clients().azure;
        azure.arm().put(&cluster(&env), arm::cluster::API, &body, Condition::None).await.unwrap();
        let done = run_up(&env).await;
        assert!(done.notes("cluster-ready").iter().any(|note| note.contains("has failed")));
        assert_eq!(statuses(&env, "PUT", CLUSTER), [201, 200], "theirs is the second, and will do");
    });
}

/// Point 6: the token expires during polling.
#[test]
fn a_token_that_expires_while_polling_costs_one_new_token() {
    let tokens = |env: &Environment| requests(env, "POST", "/oauth2/v2.0/token").len();
    let without_fault = replayable(1, async {
        let env = env(SPEED_60X);
        run_up(&env).await;
        tokens(&env)
    });
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["token-expired@GET managedClusters/aks-demo#8"]);
        run_up(&env).await;
        let refused = env
            .sim
            .request_log()
            .into_iter()
            .filter(|l| l.status == 401 && l.host.starts_with("management."));
        assert_eq!(refused.count(), 1);
        assert_eq!(tokens(&env), without_fault + 1);
        assert_eq!(statuses(&env, "PUT", CLUSTER), [201]);
    });
}

/// Point 13: the cluster succeeds before its content, without its identity, without a pool, or not at all.
#[test]
fn a_cluster_is_ready_only_with_gateway_class_identity_and_node_pools() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["identity-late"]);
        run_up(&env).await;
        assert_eq!(statuses(&env, "PUT", CLUSTER), [201, 200], "the second brings the identity");
    });
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["class-late"]);
        run_up(&env).await;
        let request_log = env.sim.request_log();
        let class_read = request_log.iter().find(|line| line.path.contains("/gatewayclasses")).unwrap();
        let gateway = &requests(&env, "PATCH", "/gateways/httpbin-gateway")[0];
        assert!(
            milliseconds_between(class_read, gateway) >= 2900,
            "180 s of cloud time: {class_read:?} {gateway:?}"
        );
    });
    for (fault, expected_cause) in
        [("pool-failed", "nodepool1 is Failed"), ("operation-canceled", "Canceled")]
    {
        replayable(1, async {
            let env = env(SPEED_60X);
            env.arm(&[fault]);
            let error = run_refused(&env, "cluster-ready").await;
            assert!(error.causes.iter().any(|cause| cause.contains(expected_cause)), "{fault}: {error:?}");
            run_up(&env).await;
            assert_eq!(statuses(&env, "PUT", CLUSTER), [201, 200], "{fault}");
            assert_no_changes(&env).await;
        });
    }
    replayable(1, async {
        let env = env(SPEED_60X);
        run_up(&env).await;
        env.arm(&["cluster-stopped"]);
        let mark = env.sim.request_log().len();
        let error = run_refused(&env, "cluster").await;
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Refused, Some("ClusterStopped")));
        assert!(error.hint.unwrap().contains("az aks start"));
        assert_eq!(writes(&env, mark), [""; 0]);
    });
}

/// Point 20: the client is killed between the PUT and the first poll.
#[test]
fn a_client_killed_after_the_put_resumes_polling_without_a_second_put() {
    replayable(1, async {
        let first = env(SPEED_60X);
        let snapshot = snapshot_after(&first, Command::Up, &format!("PUT {}", cluster(&first))).await;
        let env = Environment::from_snapshot(&snapshot, SPEED_60X);
        assert_eq!(
            get(&env, &cluster(&env), arm::cluster::API).await["properties"]["provisioningState"],
            "Creating"
        );
        run_up(&env).await;
        assert_eq!(statuses(&env, "PUT", CLUSTER), [0; 0]);
        run_to_success(&env, Command::Down).await;
        assert_eq!(statuses(&env, "DELETE", CLUSTER).len(), 1, "it is remembered as ours");
    });
}
