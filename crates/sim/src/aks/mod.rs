//! The contents of an AKS cluster, and its controllers.
//!
//! There are no background tasks. [`boot`] writes the objects of a new cluster. [`settle`] lets the
//! controllers do everything that is due up to a given time, in order; each change gets its due time as
//! timestamp. A controller is level-triggered: it reads the stored objects and creates what is missing.
//! Delayed work is in a timer queue that is stored with the state; see `agenda.rs`.
//!
//! To add a controller: a function over a `Turn` that changes nothing if the state is in sync, called from
//! `look`. If it must wait, add a `Task` that `perform` passes to it.

mod agenda;
mod aggregation;
mod balancer;
mod boot;
mod condition;
mod csi;
mod facts;
mod gateway;
mod gateway_api;
pub(crate) mod log;
mod mesh;
mod node;
pub(crate) mod object;
mod system;
mod turn;
mod workload;

#[cfg(test)]
mod bench;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use facts::{Csi, Facts, VaultObject, VaultRefusal, Vaults};

use crate::clock::{Moment, Timing};
use crate::kubernetes::store::Store;
use agenda::{Agenda, Task};
use turn::Turn;

/// The maximum number of rounds in which controllers react to each other at one time. The rest waits for the
/// next time.
const ROUNDS_MAX: u32 = 64;
/// The maximum number of tasks per call: more than years of backoff of one pod. The next call does the rest.
const TASKS_MAX: u32 = 1_000_000;

/// The state of the controllers of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Controllers {
    /// The facts the controllers last acted on; `None` before the bootstrap.
    facts: Option<Facts>,
    /// The revision of the store after the last reconciliation.
    seen: u64,
    /// The last write that each controller has processed, since the state was read from disk.
    #[serde(skip)]
    looked: BTreeMap<&'static str, u64>,
    /// The time up to which the cluster is reconciled. Changes by requests since then happened at that time.
    settled: Moment,
    agenda: Agenda,
    /// The mounts from vaults, by the pod's uid.
    mounts: BTreeMap<String, csi::Mounts>,
    /// The inputs of the synced Secrets, by pod, class and Secret.
    synced: BTreeMap<String, String>,
    balancer: balancer::Balancer,
    /// The time at which the mesh was enabled.
    mesh_since: Option<Moment>,
    /// The time at which the Gateway API kinds were served.
    gateway_api_since: Option<Moment>,
    /// The number of pods created so far, from which their names derive.
    pods: u64,
    /// The number of pod addresses assigned so far.
    pod_addresses: u32,
    /// True if the control plane is to accept its classes late.
    #[serde(default)]
    class_late: bool,
    /// The earliest time at which it accepts them, once delayed.
    #[serde(default)]
    class_from: Option<Moment>,
    /// The number of load balancers that are to get their address late.
    #[serde(default)]
    addresses_late: u32,
    /// True if the creation of load balancers fails.
    #[serde(default)]
    balancers_fail: bool,
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

    /// Lets every load balancer fail that has no address yet.
    pub(crate) fn fail_balancers(&mut self) {
        self.balancers_fail = true;
    }

    /// Delays the address of the next load balancer.
    pub(crate) fn delay_address(&mut self) {
        self.addresses_late += 1;
    }
}

pub(crate) use aggregation::register_metrics;
pub(crate) use node::lose as lose_nodes;

/// Creates the initial objects of a cluster, at the time at which it becomes `Succeeded`.
///
/// Does nothing if the cluster was bootstrapped before.
pub fn boot(store: &mut Store, controllers: &mut Controllers, facts: &Facts, at: Moment, timing: &Timing) {
    if controllers.facts.is_some() {
        return;
    }
    controllers.settled = at;
    let mut turn = Turn { store, memory: controllers, facts, vaults: &boot::NoVaults, timing, at, upto: at };
    boot::begin(&mut turn);
    turn.memory.facts = Some(facts.clone());
    quieten(&mut turn);
    workload::start_everything(&mut turn);
    quieten(&mut turn);
}

/// Lets the controllers do everything that is due up to `upto`, in order of due time.
///
/// Call it before a request is served, so that the request sees the current state. If watches are open, also
/// call it after the request. It is cheap if nothing changed and nothing is due. It does nothing before
/// [`boot`].
pub fn settle(
    store: &mut Store,
    controllers: &mut Controllers,
    facts: &Facts,
    vaults: &dyn Vaults,
    timing: &Timing,
    upto: Moment,
) {
    let Some(known) = &controllers.facts else { return };
    let facts_changed = known != facts;
    let at = controllers.settled;
    let mut turn = Turn { store, memory: controllers, facts, vaults, timing, at, upto };
    if facts_changed {
        boot::adapt(&mut turn);
        turn.memory.facts = Some(facts.clone());
    }
    if turn.memory.seen != turn.store.revision() {
        quieten(&mut turn);
    }
    if turn.store.next_due(at).is_some_and(|due| due <= upto) {
        turn.store.settle(upto);
        quieten(&mut turn);
    }
    for _ in 0..TASKS_MAX {
        let Some((due, task)) = turn.memory.agenda.take(upto) else { break };
        turn.at = turn.at.max(due);
        perform(&mut turn, task);
        if turn.memory.seen != turn.store.revision() {
            quieten(&mut turn);
        }
    }
    controllers.settled = controllers.settled.max(upto);
}

/// Returns the earliest time of a change without a request; `None` if the cluster is idle.
///
/// A time in the past means that work is due now.
pub fn next_due(store: &Store, controllers: &Controllers) -> Option<Moment> {
    controllers.facts.as_ref()?;
    if controllers.seen != store.revision() {
        return Some(controllers.settled);
    }
    [controllers.agenda.next(), store.next_due(controllers.settled)].into_iter().flatten().min()
}

/// Runs the controllers until none of them changes anything.
fn quieten(turn: &mut Turn<'_>) {
    for _ in 0..ROUNDS_MAX {
        let before = turn.store.revision();
        look(turn);
        if turn.store.revision() == before {
            break;
        }
    }
    turn.memory.seen = turn.store.revision();
}

/// Runs every controller once.
fn look(turn: &mut Turn<'_>) {
    workload::look(turn);
    csi::look(turn);
    balancer::look(turn);
    mesh::look(turn);
    gateway::notice(turn);
    let watched = [crate::kubernetes::aggregation::RESOURCE, "services", "endpoints"];
    turn.wake("aggregation", &watched, aggregation::look);
}

fn perform(turn: &mut Turn<'_>, task: Task) {
    match task {
        Task::InstallGatewayApi => gateway_api::install(turn),
        Task::WriteClasses => gateway_api::write_classes(turn),
        Task::AcceptClasses => gateway_api::accept_classes(turn),
        Task::RepairMesh => mesh::repair(turn),
        Task::Mount { pod, volume, attempt } => csi::mount(turn, &pod, &volume, attempt),
        Task::StartPod { pod } => workload::start_pod(turn, &pod),
        Task::EndPod { pod } => workload::end_pod(turn, &pod),
        Task::GiveUpProgress { deployment, replica_set } => {
            workload::give_up_progress(turn, &deployment, &replica_set);
        }
        Task::Rotate { pod } => csi::rotate(turn, &pod),
        Task::SyncSecrets => csi::sync_secrets(turn),
        Task::Balance { service, attempt } => balancer::assign(turn, &service, attempt),
        Task::Release { service } => balancer::release(turn, &service),
        Task::LookAtGateways => gateway::reconcile(turn),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::bench::{Bench, OBJECTS, START, class, gateway, holder, http, https};
    use super::object::text;
    use super::*;
    use crate::clock::Speed;

    const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";

    #[test]
    fn a_new_cluster_has_its_nodes_and_system_pods_and_the_mesh_comes_up_later() {
        let mut bench = Bench::new();
        assert_eq!(bench.store.list("nodes", None).len(), 2);
        for app in ["coredns", "metrics-server", "aks-secrets-store-csi-driver", "konnectivity-agent"] {
            assert!(bench.is_ready(app), "{app}");
        }
        assert!(bench.get("namespaces", "", "gatekeeper-system").is_none());
        assert!(bench.get("serviceaccounts", "kube-public", "default").is_some());
        assert!(!bench.is_ready("istiod"));
        assert!(bench.store.definition(GATEWAYS).is_none(), "the kinds come after the cluster");
        let uid = bench.get("namespaces", "", "kube-system").map(|n| text(n, "/metadata/uid").to_owned());

        bench.pass(9.9);
        assert!(bench.store.definition(GATEWAYS).is_none());
        bench.pass(0.1);
        let definitions = "customresourcedefinitions.apiextensions.k8s.io";
        let definition = bench.get(definitions, "", GATEWAYS).expect("it is listed");
        assert_eq!(
            text(definition, "/metadata/annotations/gateway.networking.k8s.io~1bundle-version"),
            "v1.3.0"
        );
        assert_eq!(Bench::condition(definition, "/status/conditions", "Established").0, "True");

        bench.pass(35.0);
        assert!(bench.is_ready("istiod"));
        let classes = "gatewayclasses.gateway.networking.k8s.io";
        let pending = bench.get(classes, "", "approuting-istio").expect("it is there").clone();
        assert_eq!(
            Bench::condition(&pending, "/status/conditions", "Accepted"),
            ("Unknown".into(), "Pending".into(), "Waiting for controller".into())
        );
        bench.pass(5.0);
        let accepted = bench.get(classes, "", "approuting-istio").expect("it is there");
        assert_eq!(
            Bench::condition(accepted, "/status/conditions", "Accepted").2,
            "Handled by Istio controller"
        );
        assert_eq!(
            bench.get("deployments.apps", "aks-istio-system", "istiod").expect("it is there")["status"]["readyReplicas"],
            2
        );
        assert_eq!(
            uid.as_deref(),
            bench.get("namespaces", "", "kube-system").map(|n| text(n, "/metadata/uid"))
        );
    }

    #[test]
    fn a_cluster_at_rest_stays_as_it_is() {
        let mut bench = Bench::grown();
        let revision = bench.store.revision();
        assert_eq!(bench.due(), None, "nothing is due");
        bench.pass(36_000.0);
        assert_eq!(bench.store.revision(), revision);
        bench.request(
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "namespace": "default"}, "data": {"a": "b"}}),
        );
        bench.pass(60.0);
        assert_eq!(bench.store.revision(), revision + 1, "the controllers had nothing to add");
    }

    #[test]
    fn at_infinite_speed_everything_is_there_at_the_next_look() {
        let mut bench = Bench::at_speed(Speed::Instant);
        bench.pass(0.0);
        bench.request("secretproviderclasses.secrets-store.csi.x-k8s.io", class(OBJECTS));
        bench.request("deployments.apps", holder());
        bench.request(GATEWAYS, gateway(json!([http(), https("gateway-tls")])));
        bench.pass(0.0);
        let object = bench.get(GATEWAYS, "default", "web").expect("it is there");
        assert_eq!(Bench::condition(object, "/status/conditions", "Programmed").0, "True");
        assert_eq!(Bench::condition(object, "/status/listeners/1/conditions", "Programmed").0, "True");
    }

    #[test]
    fn a_refused_mount_at_infinite_speed_is_tried_again_but_not_for_ever() {
        let mut bench = Bench::at_speed(Speed::Instant);
        bench.vault.readable_from = None;
        bench.request("secretproviderclasses.secrets-store.csi.x-k8s.io", class(OBJECTS));
        bench.request("deployments.apps", holder());
        bench.pass(0.0);
        assert!(bench.due().is_some_and(|due| due > bench.now));
        bench.vault.readable_from = Some(START);
        bench.pass(0.2);
        assert!(bench.is_ready("holder"));
    }

    #[test]
    fn everything_goes_on_where_it_was_after_the_world_was_on_disk() {
        let (mut whole, mut cut) = (Bench::grown(), Bench::grown());
        for bench in [&mut whole, &mut cut] {
            bench.vault.certificates.insert("tls".into(), bench::certificate("demo.test", 1));
            bench.request("secretproviderclasses.secrets-store.csi.x-k8s.io", class(OBJECTS));
            bench.request("deployments.apps", holder());
            bench.request(GATEWAYS, gateway(json!([http(), https("gateway-tls")])));
        }
        for _ in 0..60 {
            whole.pass(1.0);
        }
        cut.pass(2.0);
        cut.through_disk();
        cut.pass(6.0);
        cut.through_disk();
        cut.pass(52.0);
        let status =
            |bench: &Bench| bench.get(GATEWAYS, "default", "web").expect("it is there")["status"].clone();
        assert_eq!(
            Bench::condition(&json!({"status": status(&cut)}), "/status/conditions", "Programmed").0,
            "True"
        );
        assert_eq!(status(&whole), status(&cut));
    }

    #[test]
    fn an_add_on_that_is_switched_on_later_comes_up_as_well() {
        let mut bench = Bench::new();
        bench.facts.nodes = 3;
        bench.pass(60.0);
        assert_eq!(bench.store.list("nodes", None).len(), 3);
        bench.facts.istio = false;
        bench.pass(1.0);
        assert!(bench.get("deployments.apps", "aks-istio-system", "istiod").is_none());
        assert!(bench.get("gatewayclasses.gateway.networking.k8s.io", "", "approuting-istio").is_some());
        bench.facts.istio = true;
        bench.pass(60.0);
        assert!(bench.is_ready("istiod"));
    }

    #[test]
    fn what_someone_changes_in_the_mesh_is_put_back() {
        let mut bench = Bench::grown();
        bench.delete("deployments.apps", "aks-istio-system", "istiod");
        bench.pass(90.0);
        assert!(bench.get("deployments.apps", "aks-istio-system", "istiod").is_none());
        bench.pass(20.0);
        assert!(bench.is_ready("istiod"));
    }
}
