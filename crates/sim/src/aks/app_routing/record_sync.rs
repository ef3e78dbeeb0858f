//! The loop of ExternalDNS: every three minutes it compares its endpoints with the zones.
//!
//! The zones are outside of the cluster. A run only collects what ExternalDNS knows; the cloud carries it out and
//! reports a failure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::external_dns::is_external_dns;
use super::record_source::{self, Selection};
use super::{DEPLOYMENTS, crash_loop};
use crate::aks::cluster_info::TokenExchange;
use crate::aks::condition;
use crate::aks::csi::{self, idle_until};
use crate::aks::object::{list, namespace, object_ref, text, uid};
use crate::aks::reconcile_context::ReconcileContext;
use crate::aks::timers::{ObjectRef, Task};
use crate::aks::workload::identity_webhook;
use crate::clock::SimTime;

/// The interval of the loop, in seconds of cloud time (the operator's argument `--interval`).
const INTERVAL: f64 = 180.0;
/// The delay between the start of the program and its first run, in seconds of cloud time (inferred).
const FIRST: f64 = 2.0;
/// The minimum real time between two runs, in milliseconds. At infinite speed the simulator would otherwise run
/// without end.
const MIN_INTERVAL_MS: i64 = 1_000;

/// A record that ExternalDNS wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name, possibly with a wildcard.
    pub host: String,
    /// The addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// The origin in the registry, `httproute/default/web`.
    pub resource: String,
}

/// One run of ExternalDNS.
#[derive(Debug, Clone)]
pub struct RecordSync {
    /// The time of the run.
    pub at: SimTime,
    /// The UID of its Deployment.
    pub deployment: String,
    /// The client id of its identity, as which it has signed in.
    pub client_id: String,
    /// The subscription of the zones.
    pub subscription: String,
    /// The resource group of the zones.
    pub group: String,
    /// The names of the zones.
    pub domains: Vec<String>,
    /// The owner id in the registry.
    pub owner: String,
    /// The label that replaces the wildcard in names of the registry.
    pub wildcard: String,
    /// The desired records.
    pub endpoints: Vec<Endpoint>,
}

/// The runs of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncState {
    /// The runs that the cloud carries out next.
    #[serde(skip)]
    pending: Vec<RecordSync>,
    /// The number of failures in a row, by the UID of the pod.
    pub(super) failures: BTreeMap<String, u32>,
}

impl SyncState {
    /// Takes the runs to carry out.
    pub(crate) fn take(&mut self) -> Vec<RecordSync> {
        std::mem::take(&mut self.pending)
    }
}

/// Schedules the first run of every ExternalDNS that has become available.
pub(super) fn schedule(cx: &mut ReconcileContext<'_>) {
    for deployment in
        cx.list_where(DEPLOYMENTS, |one| is_external_dns(one) && condition::is_true(one, "Available"))
    {
        let target = object_ref(&deployment);
        let is_waiting = cx
            .state
            .timers
            .holds(|task| matches!(task, Task::SyncRecords { deployment } if *deployment == target));
        if !is_waiting {
            cx.schedule(FIRST, Task::SyncRecords { deployment: target });
        }
    }
}

/// Runs the loop of a Deployment once, and schedules the next run. It ends with its pod.
pub(in crate::aks) fn sync(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    let Some(deployment) = cx.find(DEPLOYMENTS, target) else { return };
    let Some(pod) = crash_loop::running_pod(cx, &deployment) else { return };
    match run(cx, &deployment, &pod) {
        Some(run) => cx.state.record_syncs.pending.push(run),
        None => return crash_loop::crash(cx, &pod),
    }
    let mut due = cx.retry_after(INTERVAL).max(cx.at.plus_ms(MIN_INTERVAL_MS));
    let step = due.0 - cx.at.0;
    // While nothing changes, every run has the same result.
    due = due.plus_ms((idle_until(cx) - due.0).max(0) / step * step);
    cx.state.timers.insert(due, Task::SyncRecords { deployment: target.clone() });
}

/// Ends the program after a run that the cloud refused; it starts again with backoff.
pub(in crate::aks) fn fail(cx: &mut ReconcileContext<'_>, deployment: &str) {
    let all = cx.list_where(DEPLOYMENTS, |one| uid(one) == deployment);
    let Some(pod) = all.first().and_then(|deployment| crash_loop::running_pod(cx, deployment)) else {
        return;
    };
    cx.state
        .timers
        .cancel(|task| matches!(task, Task::SyncRecords { deployment: of } if of.uid == deployment));
    crash_loop::crash(cx, &pod);
}

/// Signs in and collects the inputs of a run; `None` if the program cannot sign in.
fn run(cx: &ReconcileContext<'_>, deployment: &Value, pod: &Value) -> Option<RecordSync> {
    let space = namespace(deployment);
    let pod_spec = &pod["spec"];
    let account = text(pod_spec, "/serviceAccountName");
    let client_id = identity_webhook::client_id(pod)?.to_owned();
    let config = cx.store.get("configmaps", space, text(pod_spec, "/volumes/0/configMap/name"))?;
    let azure: Value = serde_json::from_str(text(config, "/data/azure.json")).ok()?;
    let exchange = TokenExchange {
        tenant: text(&azure, "/tenantId"),
        client_id: &client_id,
        issuer: cx.store.token_issuer.url(),
        subject: &format!("system:serviceaccount:{space}:{account}"),
        audience: csi::AUDIENCE,
    };
    cx.vaults.exchange(cx.at, exchange).ok()?;
    let arguments = Arguments(list(pod_spec, "/containers/0/args"));
    let selection = Selection {
        routes_in: arguments.one("namespace"),
        gateways_in: arguments.one("gateway-namespace"),
        gateway_label: arguments.label("gateway-label-filter"),
        route_label: arguments.label("label-filter"),
    };
    let reads_routes = arguments.all("source").any(|source| source == "gateway-httproute");
    let is_public = arguments.one("provider") == "azure";
    Some(RecordSync {
        at: cx.at,
        deployment: uid(deployment).to_owned(),
        client_id,
        subscription: text(&azure, "/subscriptionId").to_owned(),
        group: text(&azure, "/resourceGroup").to_owned(),
        domains: arguments.all("domain-filter").filter(|_| is_public).map(str::to_owned).collect(),
        owner: arguments.one("txt-owner-id"),
        wildcard: arguments.one("txt-wildcard-replacement"),
        endpoints: if reads_routes { record_source::endpoints(cx, &selection) } else { Vec::new() },
    })
}

/// The arguments of a container.
struct Arguments<'a>(&'a [Value]);

impl<'a> Arguments<'a> {
    fn all(&self, wanted: &str) -> impl Iterator<Item = &'a str> {
        let prefix = format!("--{wanted}=");
        self.0.iter().filter_map(move |one| one.as_str()?.strip_prefix(&prefix))
    }

    /// Returns the first value; empty if there is none.
    fn one(&self, wanted: &str) -> String {
        self.all(wanted).next().unwrap_or_default().to_owned()
    }

    fn label(&self, wanted: &str) -> Option<(String, String)> {
        let value = self.one(wanted);
        let (key, value) = value.split_once("==")?;
        Some((key.to_owned(), value.to_owned()))
    }
}
