//! The contents of an AKS cluster, and its controllers.
//!
//! There are no background tasks. [`bootstrap`] writes the objects of a new cluster. [`advance_to`] lets the
//! controllers do everything that is due up to a given time, in order; each change gets its due time as
//! timestamp. A controller is level-triggered: it reads the stored objects and creates what is missing.
//! Delayed work is in a timer queue that is stored with the state; see `timers.rs`.
//!
//! To add a controller: a function over a `ReconcileContext` that changes nothing if the state is in sync, called from
//! `look`. If it must wait, add a `Task` that `perform` passes to it.

mod aggregated_api;
pub(crate) mod app_routing;
mod balancer;
mod bootstrap;
mod cluster_info;
mod condition;
mod csi;
mod gateway;
mod gateway_api;
pub(crate) mod log;
mod mesh;
mod node;
pub(crate) mod object;
mod reconcile_context;
pub(crate) mod runtime;
mod storage_classes;
mod system;
mod timers;
mod workload;

#[cfg(test)]
pub(crate) mod fixture;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use app_routing::{Endpoint, RecordSync};
pub use cluster_info::{
    AppRouting, ClusterInfo, Csi, TokenExchange, TokenExchangeError, VaultObject, VaultReadError, VaultReader,
};

use crate::clock::{SimTime, Timing};
use crate::kubernetes::store::Store;
use reconcile_context::ReconcileContext;
use timers::{Task, TimerQueue};

/// The maximum number of rounds in which controllers react to each other at one time. The rest waits for the
/// next time.
const ROUNDS_MAX: u32 = 64;
/// The maximum number of tasks per call: more than years of backoff of one pod. The next call does the rest.
const TASKS_MAX: u32 = 1_000_000;

/// The state of the controllers of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Controllers {
    /// The facts the controllers last acted on; `None` before the bootstrap.
    #[serde(rename = "facts")]
    cluster_info: Option<ClusterInfo>,
    /// The revision of the store after the last reconciliation.
    #[serde(rename = "seen")]
    reconciled_revision: u64,
    /// The last write that each controller has processed, since the state was read from disk.
    #[serde(skip)]
    last_runs: BTreeMap<&'static str, u64>,
    /// The time up to which the cluster is reconciled. Changes by requests since then happened at that time.
    #[serde(rename = "settled")]
    advanced_to: SimTime,
    #[serde(rename = "agenda")]
    timers: TimerQueue,
    /// The mounts from vaults, by the pod's uid.
    mounts: BTreeMap<String, csi::Mounts>,
    /// The inputs of the synced Secrets, by pod, class and Secret.
    synced: BTreeMap<String, String>,
    balancer: balancer::Balancer,
    /// The time at which the mesh was enabled.
    mesh_since: Option<SimTime>,
    /// The time at which the Gateway API kinds were served.
    gateway_api_since: Option<SimTime>,
    /// The number of pods created so far, from which their names derive.
    pods: u64,
    /// The number of pod addresses assigned so far.
    pod_addresses: u32,
    /// True if the control plane is to accept its classes late.
    #[serde(default)]
    class_late: bool,
    /// The earliest time at which it accepts them, once delayed.
    #[serde(default)]
    class_from: Option<SimTime>,
    /// The number of load balancers that are to get their address late.
    #[serde(default)]
    addresses_late: u32,
    /// True if the creation of load balancers fails.
    #[serde(default)]
    balancers_fail: bool,
    /// The runs of ExternalDNS.
    #[serde(default)]
    pub(crate) record_syncs: app_routing::SyncState,
    /// True if the operator of application routing reacts late to the next change.
    #[serde(default)]
    operator_late: bool,
    /// The number of pods that are to start before the workload identity webhook.
    #[serde(default)]
    missed_by_webhook: u32,
    /// The failures of Jobs whose delays do not depend on an index, by the Job's uid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    job_failures: BTreeMap<String, workload::JobFailures>,
    /// The running containers of a runtime outside of the simulation, by the pod's uid and their name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    running: BTreeSet<String>,
    /// The pods, by uid, whose next container ends because its memory ran out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    out_of_memory: BTreeSet<String>,
}

impl Controllers {
    /// Delays the acceptance of the gateway classes by the control plane.
    pub(crate) fn delay_classes(&mut self) {
        self.class_late = true;
    }

    /// Returns the number of public addresses that the load balancers of the cluster hold.
    pub(crate) fn public_addresses(&self) -> usize {
        self.balancer.public_addresses()
    }

    /// Returns the addresses of Services, each with the Service's UID.
    pub(crate) fn held_addresses(&self) -> impl Iterator<Item = (&str, &str)> {
        self.balancer.held()
    }

    /// Returns a number that changes whenever a Service gets or loses an address.
    pub(crate) fn addresses_revision(&self) -> (u32, usize) {
        self.balancer.revision()
    }

    /// Lets every load balancer fail that has no address yet.
    pub(crate) fn fail_balancers(&mut self) {
        self.balancers_fail = true;
    }

    /// Delays the reaction of the application routing operator to the next change.
    pub(crate) fn delay_operator(&mut self) {
        self.operator_late = true;
    }

    /// Lets the next pod with a workload identity start before the webhook, so that it has none.
    pub(crate) fn start_before_webhook(&mut self) {
        self.missed_by_webhook += 1;
    }

    /// Ends the ExternalDNS of a Deployment after a run that failed at that time.
    pub(crate) fn fail_sync(&mut self, deployment: &str, at: SimTime) {
        self.timers.insert(at, Task::FailSync { deployment: deployment.to_owned() });
    }

    /// Delays the address of the next load balancer.
    pub(crate) fn delay_address(&mut self) {
        self.addresses_late += 1;
    }
}

pub(crate) use aggregated_api::register_metrics;
pub(crate) use node::mark_unready as mark_nodes_unready;
pub(crate) use workload::image_repository;

/// Creates the initial objects of a cluster, at the time at which it becomes `Succeeded`.
///
/// Does nothing if the cluster was bootstrapped before.
pub fn bootstrap(
    store: &mut Store,
    controllers: &mut Controllers,
    cluster_info: &ClusterInfo,
    at: SimTime,
    timing: &Timing,
) {
    if controllers.cluster_info.is_some() {
        return;
    }
    controllers.advanced_to = at;
    let mut cx = ReconcileContext {
        store,
        state: controllers,
        cluster_info,
        vaults: &bootstrap::NoVaults,
        timing,
        at,
        until: at,
    };
    bootstrap::create_objects(&mut cx);
    cx.state.cluster_info = Some(cluster_info.clone());
    run_until_stable(&mut cx);
    workload::start_all(&mut cx);
    run_until_stable(&mut cx);
    store.clear_log();
}

/// Lets the controllers do everything that is due up to `upto`, in order of due time.
///
/// Call it before a request is served, so that the request sees the current state. If watches are open, also
/// call it after the request. It is cheap if nothing changed and nothing is due. It does nothing before
/// [`bootstrap`].
pub fn advance_to(
    store: &mut Store,
    controllers: &mut Controllers,
    cluster_info: &ClusterInfo,
    vaults: &dyn VaultReader,
    timing: &Timing,
    until: SimTime,
) {
    let Some(known) = &controllers.cluster_info else { return };
    let info_changed = known != cluster_info;
    let at = controllers.advanced_to;
    let mut cx = ReconcileContext { store, state: controllers, cluster_info, vaults, timing, at, until };
    if info_changed {
        bootstrap::adapt(&mut cx);
        cx.state.cluster_info = Some(cluster_info.clone());
    }
    if cx.state.reconciled_revision != cx.store.revision() {
        run_until_stable(&mut cx);
    }
    if cx.store.next_due(at).is_some_and(|due| due <= until) {
        cx.store.advance_to(until);
        run_until_stable(&mut cx);
    }
    for _ in 0..TASKS_MAX {
        let Some((due, task)) = cx.state.timers.pop_due(until) else { break };
        cx.at = cx.at.max(due);
        perform(&mut cx, task);
        if cx.state.reconciled_revision != cx.store.revision() {
            run_until_stable(&mut cx);
        }
    }
    controllers.advanced_to = controllers.advanced_to.max(until);
}

/// Returns the earliest time of a change without a request; `None` if the cluster is idle.
///
/// A time in the past means that work is due now.
pub fn next_due(store: &Store, controllers: &Controllers) -> Option<SimTime> {
    controllers.cluster_info.as_ref()?;
    if controllers.reconciled_revision != store.revision() {
        return Some(controllers.advanced_to);
    }
    [controllers.timers.next(), store.next_due(controllers.advanced_to)].into_iter().flatten().min()
}

/// Runs the controllers until none of them changes anything.
fn run_until_stable(cx: &mut ReconcileContext<'_>) {
    for _ in 0..ROUNDS_MAX {
        let before = cx.store.revision();
        reconcile_all(cx);
        if cx.store.revision() == before {
            break;
        }
    }
    cx.state.reconciled_revision = cx.store.revision();
}

/// Runs every controller once.
fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    workload::reconcile_all(cx);
    csi::reconcile_all(cx);
    balancer::reconcile_all(cx);
    mesh::reconcile_all(cx);
    gateway::schedule_reconcile(cx);
    app_routing::schedule_reconcile(cx);
    let watched = [crate::kubernetes::aggregation::RESOURCE, "services", "endpoints"];
    cx.run_if_changed("aggregation", &watched, aggregated_api::reconcile_all);
}

fn perform(cx: &mut ReconcileContext<'_>, task: Task) {
    match task {
        Task::InstallGatewayApi => gateway_api::install(cx),
        Task::WriteClasses => gateway_api::write_classes(cx),
        Task::AcceptClasses => gateway_api::accept_classes(cx),
        Task::RepairMesh => mesh::repair(cx),
        Task::Mount { pod, volume, attempt } => csi::mount(cx, &pod, &volume, attempt),
        Task::StartPod { pod } => workload::start_pod(cx, &pod),
        Task::EndPod { pod } => workload::end_pod(cx, &pod),
        Task::CompletePod { pod } => workload::complete_pod(cx, &pod),
        Task::RestartContainer { pod, container } => workload::restart_container(cx, &pod, &container),
        Task::UncordonNode { node } => node::uncordon(cx, &node),
        Task::ResumeJob { job } => workload::resume_job(cx, &job),
        Task::ExpireJob { job } => workload::expire_job(cx, &job),
        Task::FailRollout { deployment, replica_set } => {
            workload::fail_rollout(cx, &deployment, &replica_set);
        }
        Task::Rotate { pod } => csi::rotate(cx, &pod),
        Task::SyncSecrets => csi::sync_secrets(cx),
        Task::Balance { service, attempt } => balancer::assign(cx, &service, attempt),
        Task::Release { service } => balancer::release(cx, &service),
        Task::ReconcileGateways => gateway::reconcile(cx),
        Task::StartOperator => app_routing::start(cx),
        Task::ReconcileOperator => app_routing::reconcile(cx),
        Task::SyncRecords { deployment } => app_routing::sync(cx, &deployment),
        Task::FailSync { deployment } => app_routing::fail(cx, &deployment),
        Task::RestartPod { pod } => app_routing::restart(cx, &pod),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fixture::{ClusterFixture, OBJECTS, START, class, gateway, holder, http, https};
    use super::object::text;
    use super::*;
    use crate::clock::Speed;

    const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";

    #[test]
    fn a_new_cluster_has_nodes_and_system_pods_and_the_mesh_starts_later() {
        let mut fixture = ClusterFixture::new();
        assert_eq!(fixture.store.list("nodes", None).len(), 2);
        for app in ["coredns", "metrics-server", "aks-secrets-store-csi-driver", "konnectivity-agent"] {
            assert!(fixture.is_ready(app), "{app}");
        }
        assert!(fixture.get("namespaces", "", "gatekeeper-system").is_none());
        assert!(fixture.get("serviceaccounts", "kube-public", "default").is_some());
        assert!(!fixture.is_ready("istiod"));
        assert!(fixture.store.definition(GATEWAYS).is_none(), "the kinds come after the cluster");
        let uid = fixture.get("namespaces", "", "kube-system").map(|n| text(n, "/metadata/uid").to_owned());

        fixture.advance(9.9);
        assert!(fixture.store.definition(GATEWAYS).is_none());
        fixture.advance(0.1);
        let definitions = "customresourcedefinitions.apiextensions.k8s.io";
        let definition = fixture.get(definitions, "", GATEWAYS).expect("it is listed");
        assert_eq!(
            text(definition, "/metadata/annotations/gateway.networking.k8s.io~1bundle-version"),
            "v1.3.0"
        );
        assert_eq!(ClusterFixture::condition(definition, "/status/conditions", "Established").0, "True");

        fixture.advance(35.0);
        assert!(fixture.is_ready("istiod"));
        let classes = "gatewayclasses.gateway.networking.k8s.io";
        let pending = fixture.get(classes, "", "approuting-istio").expect("it is there").clone();
        assert_eq!(
            ClusterFixture::condition(&pending, "/status/conditions", "Accepted"),
            ("Unknown".into(), "Pending".into(), "Waiting for controller".into())
        );
        fixture.advance(5.0);
        let accepted = fixture.get(classes, "", "approuting-istio").expect("it is there");
        assert_eq!(
            ClusterFixture::condition(accepted, "/status/conditions", "Accepted").2,
            "Handled by Istio controller"
        );
        assert_eq!(
            fixture.get("deployments.apps", "aks-istio-system", "istiod").expect("it is there")["status"]["readyReplicas"],
            2
        );
        assert_eq!(
            uid.as_deref(),
            fixture.get("namespaces", "", "kube-system").map(|n| text(n, "/metadata/uid"))
        );
    }

    #[test]
    fn an_idle_cluster_does_not_change() {
        let mut fixture = ClusterFixture::running();
        let revision = fixture.store.revision();
        assert_eq!(fixture.due(), None, "nothing is due");
        fixture.advance(36_000.0);
        assert_eq!(fixture.store.revision(), revision);
        fixture.request(
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "namespace": "default"}, "data": {"a": "b"}}),
        );
        fixture.advance(60.0);
        assert_eq!(fixture.store.revision(), revision + 1, "the controllers had nothing to add");
    }

    #[test]
    fn at_infinite_speed_everything_is_ready_at_the_next_reconcile() {
        let mut fixture = ClusterFixture::at_speed(Speed::Instant);
        fixture.advance(0.0);
        fixture.request("secretproviderclasses.secrets-store.csi.x-k8s.io", class(OBJECTS));
        fixture.request("deployments.apps", holder());
        fixture.request(GATEWAYS, gateway(json!([http(), https("gateway-tls")])));
        fixture.advance(0.0);
        let object = fixture.get(GATEWAYS, "default", "web").expect("it is there");
        assert_eq!(ClusterFixture::condition(object, "/status/conditions", "Programmed").0, "True");
        assert_eq!(
            ClusterFixture::condition(object, "/status/listeners/1/conditions", "Programmed").0,
            "True"
        );
    }

    #[test]
    fn a_failed_mount_at_infinite_speed_is_retried_with_bounds() {
        let mut fixture = ClusterFixture::at_speed(Speed::Instant);
        fixture.vault.readable_from = None;
        fixture.request("secretproviderclasses.secrets-store.csi.x-k8s.io", class(OBJECTS));
        fixture.request("deployments.apps", holder());
        fixture.advance(0.0);
        assert!(fixture.due().is_some_and(|due| due > fixture.now));
        fixture.vault.readable_from = Some(START);
        fixture.advance(0.2);
        assert!(fixture.is_ready("holder"));
    }

    #[test]
    fn controllers_resume_after_the_state_was_reloaded() {
        let (mut whole, mut cut) = (ClusterFixture::running(), ClusterFixture::running());
        for fixture in [&mut whole, &mut cut] {
            fixture.vault.certificates.insert("tls".into(), fixture::certificate("demo.test", 1));
            fixture.request("secretproviderclasses.secrets-store.csi.x-k8s.io", class(OBJECTS));
            fixture.request("deployments.apps", holder());
            fixture.request(GATEWAYS, gateway(json!([http(), https("gateway-tls")])));
        }
        for _ in 0..60 {
            whole.advance(1.0);
        }
        cut.advance(2.0);
        cut.reload();
        cut.advance(6.0);
        cut.reload();
        cut.advance(52.0);
        let status = |fixture: &ClusterFixture| {
            fixture.get(GATEWAYS, "default", "web").expect("it is there")["status"].clone()
        };
        assert_eq!(
            ClusterFixture::condition(&json!({"status": status(&cut)}), "/status/conditions", "Programmed").0,
            "True"
        );
        assert_eq!(status(&whole), status(&cut));
    }

    #[test]
    fn an_add_on_that_is_enabled_later_starts_as_well() {
        let mut fixture = ClusterFixture::new();
        fixture.cluster_info.nodes = 3;
        fixture.advance(60.0);
        assert_eq!(fixture.store.list("nodes", None).len(), 3);
        fixture.cluster_info.istio = false;
        fixture.advance(1.0);
        assert!(fixture.get("deployments.apps", "aks-istio-system", "istiod").is_none());
        assert!(fixture.get("gatewayclasses.gateway.networking.k8s.io", "", "approuting-istio").is_some());
        fixture.cluster_info.istio = true;
        fixture.advance(60.0);
        assert!(fixture.is_ready("istiod"));
    }

    #[test]
    fn drift_in_the_mesh_is_reverted() {
        let mut fixture = ClusterFixture::running();
        fixture.delete("deployments.apps", "aks-istio-system", "istiod");
        fixture.advance(90.0);
        assert!(fixture.get("deployments.apps", "aks-istio-system", "istiod").is_none());
        fixture.advance(20.0);
        assert!(fixture.is_ready("istiod"));
    }
}
