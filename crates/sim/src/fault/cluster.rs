//! Faults of clusters whose state differs from their `provisioningState`.

use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::aks::runtime::RuntimeContext;
use crate::aks::{Controllers, mark_nodes_unready};
use crate::arm::clusters::{WriteOutcome, container_runtime, fault_hooks};
use crate::request::Reply;
use crate::state::CloudState;

const CLUSTER: &str = "/managedclusters/";

const fn row(
    fault: Fault,
    name: &'static str,
    place: (&'static str, &'static str),
    texts: (&'static str, &'static str),
    heals: bool,
    injection: Injection,
) -> Row {
    let ((method, path), (what, client)) = (place, texts);
    Row { fault, name, kind: Kind::StateChange, method, path, what, client, heals, injection }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::ClassLate,
        "class-late",
        ("PUT", CLUSTER),
        (
            "the class of gateways is accepted 180 s of cloud time later than usual after the cluster's success",
            "waits for the class, not for the cluster alone",
        ),
        true,
        Injection::After(|state, context, reply| {
            accepted(context, reply)
                && fault_hooks::with_controllers(state, &context.id(), Controllers::delay_classes)
        }),
    ),
    row(
        Fault::IdentityLate,
        "identity-late",
        ("PUT", CLUSTER),
        (
            "the write succeeds, and the Key Vault add-on has no identity until another write",
            "polls for a short time, then writes the same again",
        ),
        true,
        Injection::After(|state, context, reply| {
            let injections = accepted(context, reply);
            if injections {
                state.clusters.withhold_identity();
            }
            injections
        }),
    ),
    row(
        Fault::PoolFailed,
        "pool-failed",
        ("PUT", CLUSTER),
        (
            "the cluster is `Succeeded`, its first node pool `Failed`",
            "checks the pools too, and writes the same again",
        ),
        true,
        Injection::After(|state, context, reply| {
            accepted(context, reply)
                && fault_hooks::set_outcome(state, &context.id(), WriteOutcome::LosesPool)
        }),
    ),
    row(
        Fault::ClusterStopped,
        "cluster-stopped",
        ("GET", CLUSTER),
        (
            "another client has stopped the cluster: `powerState` is `Stopped`, its API is unavailable, \
             writes get 409 `OperationNotAllowed`",
            "reports that it is stopped and how to start it",
        ),
        false,
        Injection::Before(|state, context| fault_hooks::stop(state, &context.id())),
    ),
    row(
        Fault::OperatorLate,
        "operator-late",
        ("PATCH", "/gateways/"),
        (
            "the operator of application routing reacts to the next change 120 s of cloud time later",
            "waits for what the gateway serves, because the operator writes no status",
        ),
        true,
        Injection::Before(|state, context| {
            uid(context).is_some_and(|uid| {
                fault_hooks::with_controllers_by_uid(state, &uid, Controllers::delay_operator)
            })
        }),
    ),
    row(
        Fault::ExternalDnsEarly,
        "external-dns-early",
        ("PATCH", "/externaldnses/"),
        (
            "the next ExternalDNS starts before the workload identity webhook: its pod crash-loops until it is deleted",
            "deletes the pod, which is then created with an identity",
        ),
        true,
        Injection::Before(|state, context| {
            uid(context).is_some_and(|uid| {
                fault_hooks::with_controllers_by_uid(state, &uid, Controllers::start_before_webhook)
            })
        }),
    ),
    row(
        Fault::AddressLate,
        "address-late",
        ("PATCH", "/gateways/"),
        (
            "the next load balancer of the cluster gets its address 120 s of cloud time later than usual",
            "waits for the address of the gateway",
        ),
        true,
        Injection::Before(|state, context| {
            uid(context).is_some_and(|uid| {
                fault_hooks::with_controllers_by_uid(state, &uid, Controllers::delay_address)
            })
        }),
    ),
    row(
        Fault::BalancerFails,
        "balancer-fails",
        ("", "/gateways/"),
        (
            "from now on no load balancer of the cluster gets an address: `SyncLoadBalancerFailed` with `SubnetIsFull`",
            "reports the event of the Service",
        ),
        false,
        Injection::Before(|state, context| {
            uid(context).is_some_and(|uid| {
                fault_hooks::with_controllers_by_uid(state, &uid, Controllers::fail_balancers)
            })
        }),
    ),
    row(
        Fault::NodesLost,
        "nodes-lost",
        ("GET", "/kubernetes/"),
        (
            "the machines of all nodes are lost: every node is `NotReady`, its kubelet no longer reports",
            "reports that no node is ready",
        ),
        false,
        Injection::Before(|state, context| {
            let store = uid(context).and_then(|uid| fault_hooks::store_mut(state, &uid));
            store.is_some_and(|store| mark_nodes_unready(store, context.now))
        }),
    ),
    row(
        Fault::NodeDrained,
        "node-drained",
        ("GET", "/jobs/"),
        (
            "the node of a running pod of a Job is drained: its pods are evicted with the condition `DisruptionTarget`, and have \
             their grace period; a program that ignores SIGTERM ends with 137, others with their own exit code or 143",
            "does not count the failure; the Job replaces the pod",
        ),
        true,
        Injection::Before(|state, context| with_runtime(state, context, |cx| cx.drain_node())),
    ),
    row(
        Fault::PodOutOfMemory,
        "pod-out-of-memory",
        ("GET", "/jobs/"),
        (
            "the memory of a running pod of a Job runs out: its container ends with `OOMKilled` and exit code 137, without \
             `DisruptionTarget`",
            "counts the failure; the Job retries the pod within its limits",
        ),
        true,
        Injection::Before(|state, context| with_runtime(state, context, |cx| cx.exhaust_memory())),
    ),
];

fn with_runtime(
    state: &mut CloudState,
    context: &RequestContext<'_>,
    with: impl FnOnce(&mut RuntimeContext<'_>) -> bool,
) -> bool {
    let (timing, now) = (context.timing, context.now);
    uid(context).is_some_and(|uid| container_runtime::with_runtime_of(state, &uid, timing, now, with))
}

/// Returns whether the write of a cluster was accepted.
fn accepted(context: &RequestContext<'_>, reply: &Reply) -> bool {
    reply.status.is_success() && context.request.segments().len() == 8
}

/// Returns the resource UID in the URL of a cluster's API.
pub(super) fn uid(context: &RequestContext<'_>) -> Option<String> {
    let rest = context.request.path.strip_prefix("/kubernetes/")?;
    rest.split('/').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{TestCluster, arm, cluster, make_cluster, properties, put_cluster};
    use crate::clock::{Speed, Timing};
    use crate::request::Delivery;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::{Value, json};

    const CLASS: &str = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/approuting-istio";

    fn is_accepted(cloud: &mut TestCloud, test_cluster: &TestCluster) -> bool {
        let class = test_cluster.get(cloud, CLASS).value();
        let conditions = class["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "Accepted" && one["status"] == "True")
    }

    #[test]
    fn a_class_may_be_accepted_long_after_the_cluster_succeeded() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "class-late");
        make_cluster(&mut cloud);
        let test_cluster = TestCluster::of(&mut cloud);
        cloud.advance(120.0);
        assert!(!is_accepted(&mut cloud, &test_cluster));
        cloud.advance(120.0);
        assert!(is_accepted(&mut cloud, &test_cluster));

        let mut cloud = TestCloud::new();
        cloud.timing = Timing::new(Speed::Instant);
        arm(&mut cloud, "class-late");
        make_cluster(&mut cloud);
        let test_cluster = TestCluster::of(&mut cloud);
        assert!(!is_accepted(&mut cloud, &test_cluster));
        cloud.now = cloud.now.plus_ms(1_000);
        assert!(is_accepted(&mut cloud, &test_cluster));
    }

    #[test]
    fn an_identity_may_be_missing_until_the_next_write_and_a_pool_may_fail_in_a_sound_cluster() {
        let identity = |properties: &Value| {
            properties["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"].clone()
        };
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "identity-late");
        make_cluster(&mut cloud);
        let first = properties(&mut cloud);
        assert_eq!((&first["provisioningState"], identity(&first)), (&json!("Succeeded"), Value::Null));
        arm(&mut cloud, "pool-failed");
        assert_eq!(put_cluster(&mut cloud).status, 200);
        cloud.advance(91.0);
        let second = properties(&mut cloud);
        assert!(identity(&second)["objectId"].is_string());
        let states = (&second["provisioningState"], &second["agentPoolProfiles"][0]["provisioningState"]);
        assert_eq!(states, (&json!("Succeeded"), &json!("Failed")));
        put_cluster(&mut cloud);
        cloud.advance(91.0);
        assert_eq!(properties(&mut cloud)["agentPoolProfiles"][0]["provisioningState"], "Succeeded");
    }

    #[test]
    fn a_stopped_cluster_answers_nothing_until_it_is_started() {
        let mut cloud = TestCloud::new();
        make_cluster(&mut cloud);
        let test_cluster = TestCluster::of(&mut cloud);
        arm(&mut cloud, "cluster-stopped");
        let stopped = properties(&mut cloud);
        assert_eq!(stopped["powerState"]["code"], "Stopped");
        assert_eq!(stopped["provisioningState"], "Succeeded");
        assert_eq!(test_cluster.get(&mut cloud, "/version").delivery, Delivery::Cut);
        let refused = put_cluster(&mut cloud);
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "OperationNotAllowed"));
        assert!(refused.value()["error"].is_null());
        let start = cluster(&cloud, "/start");
        let start = cloud.request(Method::POST, &start);
        assert_eq!(cloud.send(&start).status, 202);
        assert_eq!(properties(&mut cloud)["provisioningState"], "Starting");
        cloud.advance(91.0);
        assert_eq!(properties(&mut cloud)["powerState"]["code"], "Running");
        assert_eq!(test_cluster.get(&mut cloud, "/version").status, 200);
        assert_eq!(cloud.send(&start).status, 204);
    }

    /// A cluster with a Job of one index, whose pod runs.
    fn with_running_job(fault: &str) -> (TestCloud, TestCluster) {
        let mut cloud = TestCloud::new();
        make_cluster(&mut cloud);
        cloud.advance(60.0);
        let test_cluster = TestCluster::of(&mut cloud);
        arm(&mut cloud, fault);
        // The controllers are at the time of the last request.
        test_cluster.get(&mut cloud, "/version");
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "once" },
            "spec": {
                "completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
                "podFailurePolicy": { "rules": [
                    { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] },
                ] },
                "template": { "spec": {
                    "restartPolicy": "Never", "containers": [{ "name": "main", "image": "busybox:1" }],
                } },
            },
        });
        let created = test_cluster.apply(&mut cloud, &format!("{JOB}?fieldManager=me"), &job);
        assert_eq!(created.status, 201, "{created:?}");
        cloud.advance(9.0);
        (cloud, test_cluster)
    }

    const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/once";

    fn job_status(cloud: &mut TestCloud, test_cluster: &TestCluster) -> Value {
        test_cluster.get(cloud, JOB).value()["status"].clone()
    }

    #[test]
    fn a_drained_node_disrupts_a_job_without_a_failure() {
        let (mut cloud, test_cluster) = with_running_job("node-drained");
        job_status(&mut cloud, &test_cluster);
        let pods = test_cluster.get(&mut cloud, "/api/v1/namespaces/default/pods").value();
        let conditions = pods["items"][0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let disrupted = conditions.iter().find(|line| line["type"] == "DisruptionTarget");
        assert_eq!(disrupted.map(|line| &line["reason"]), Some(&json!("EvictionByEvictionAPI")), "{pods}");
        assert!(pods["items"][0]["metadata"]["deletionTimestamp"].is_string());
        cloud.advance(90.0);
        let status = job_status(&mut cloud, &test_cluster);
        assert_eq!((&status["completedIndexes"], &status["failed"]), (&json!("0"), &Value::Null), "{status}");
        let nodes = test_cluster.get(&mut cloud, "/api/v1/nodes").value();
        let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
        assert!(nodes.iter().all(|node| node["spec"]["unschedulable"].is_null()), "the node is back");
    }

    #[test]
    fn a_pod_without_memory_counts_as_failed() {
        let (mut cloud, test_cluster) = with_running_job("pod-out-of-memory");
        job_status(&mut cloud, &test_cluster);
        let pods = test_cluster.get(&mut cloud, "/api/v1/namespaces/default/pods").value();
        let state = &pods["items"][0]["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!((&state["reason"], &state["exitCode"]), (&json!("OOMKilled"), &json!(137)), "{pods}");
        cloud.advance(60.0);
        let status = job_status(&mut cloud, &test_cluster);
        assert_eq!((&status["completedIndexes"], &status["failed"]), (&json!("0"), &json!(1)), "{status}");
    }

    #[test]
    fn an_address_may_be_minutes_late() {
        let mut cloud = TestCloud::new();
        make_cluster(&mut cloud);
        cloud.advance(60.0);
        let test_cluster = TestCluster::of(&mut cloud);
        arm(&mut cloud, "address-late");
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "web" },
            "spec": {
                "gatewayClassName": "approuting-istio",
                "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }],
            },
        });
        let at = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/web";
        let created = test_cluster.apply(&mut cloud, &format!("{at}?fieldManager=landfall"), &gateway);
        assert_eq!(created.status, 201, "{created:?}");
        cloud.advance(120.0);
        assert!(
            test_cluster.get(&mut cloud, at).value()["status"]["addresses"]
                .as_array()
                .is_none_or(Vec::is_empty)
        );
        cloud.advance(60.0);
        let exists = test_cluster.get(&mut cloud, at).value();
        assert_eq!(exists["status"]["addresses"].as_array().map(Vec::len), Some(1), "{exists}");
    }
}
