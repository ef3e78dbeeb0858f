//! The clusters' side of a container runtime outside of the simulation: what it must run, and its reports.

use std::collections::BTreeSet;

use super::operations;
use super::store::{ContainerRuntime, ManagedCluster};
use crate::aks::runtime::{self, ContainerReport, ExternalPod, ObjectRef, RuntimeContext};
use crate::clock::{SimTime, Timing};
use crate::kubernetes::Store;
use crate::state::CloudState;

/// A pod of the runtime, with the UID of its cluster.
pub(crate) type ClusterPod = (String, ExternalPod);

/// Lets a runtime begin: the containers of the last one are lost.
pub(crate) fn begin(state: &mut CloudState, runtime: ContainerRuntime, timing: &Timing, at: SimTime) {
    state.clusters.container_runtime = runtime;
    state.advance_to(at, timing);
    let keys: Vec<String> = state.clusters.all.keys().cloned().collect();
    for key in keys {
        with_runtime(state, &key, timing, at, |cx| cx.begin());
    }
}

/// Tells the inside of a cluster about the runtime and the sign-in authority.
pub(super) fn adapt(state: &CloudState, cluster: &mut ManagedCluster) {
    let runtime = &state.clusters.container_runtime;
    cluster.store.set_pod_folder(runtime.pod_folder.clone());
    if let Some(cluster_info) = &mut cluster.cluster_info {
        cluster_info.images.clone_from(&runtime.images);
        cluster_info.authority_host = format!("{}/", state.origin("login"));
    }
}

/// Returns the pods with containers for the runtime, in all clusters.
pub(crate) fn external_pods(state: &CloudState) -> Vec<ClusterPod> {
    // The nodes of a stopped cluster do not run.
    let clusters = state.clusters.all.values().filter(|cluster| !operations::is_stopped(cluster));
    let pods = clusters.filter_map(|cluster| {
        let pods =
            runtime::external_pods(&cluster.store, &cluster.controllers, cluster.cluster_info.as_ref()?);
        Some(pods.into_iter().map(|pod| (cluster.uid().to_owned(), pod)))
    });
    pods.flatten().collect()
}

/// Returns the objects of a cluster, to read a container from them and to sign its tokens.
pub(crate) fn store_mut<'a>(state: &'a mut CloudState, uid: &str) -> Option<&'a mut Store> {
    let mut all = state.clusters.all.values_mut();
    all.find(|cluster| cluster.uid() == uid).map(|cluster| &mut cluster.store)
}

/// Applies a report about a container.
pub(crate) fn report(
    state: &mut CloudState,
    uid: &str,
    (pod, container): (&ObjectRef, &str),
    report: &ContainerReport,
    timing: &Timing,
    at: SimTime,
) {
    let Some(key) = key_of(state, uid) else { return };
    with_runtime(state, &key, timing, at, |cx| cx.report(pod, container, report));
}

/// Calls a function with the inside of the cluster with that UID; returns its result, or false without the cluster.
pub(crate) fn with_runtime_of(
    state: &mut CloudState,
    uid: &str,
    timing: &Timing,
    at: SimTime,
    with: impl FnOnce(&mut RuntimeContext<'_>) -> bool,
) -> bool {
    key_of(state, uid).and_then(|key| with_runtime(state, &key, timing, at, with)).unwrap_or(false)
}

fn key_of(state: &CloudState, uid: &str) -> Option<String> {
    let mut all = state.clusters.all.iter();
    all.find(|(_, cluster)| cluster.uid() == uid).map(|(key, _)| key.clone())
}

/// Like `kubernetes_api::advance_to`, the cluster is removed from the state meanwhile.
fn with_runtime<T>(
    state: &mut CloudState,
    key: &str,
    timing: &Timing,
    at: SimTime,
    with: impl FnOnce(&mut RuntimeContext<'_>) -> T,
) -> Option<T> {
    let mut cluster = state.clusters.all.remove(key)?;
    adapt(state, &mut cluster);
    let result = cluster.cluster_info.as_ref().map(|cluster_info| {
        with(&mut RuntimeContext {
            store: &mut cluster.store,
            controllers: &mut cluster.controllers,
            cluster_info,
            vaults: (state.registry.vault_reader)(state).as_ref(),
            timing,
            at,
        })
    });
    state.clusters.all.insert(key.to_owned(), cluster);
    result
}

/// Returns the uids of all pods.
pub(crate) fn pod_uids(state: &CloudState) -> BTreeSet<String> {
    let stores = state.clusters.all.values().map(|cluster| &cluster.store);
    let pods = stores.flat_map(|store| store.shared("pods", None));
    pods.filter_map(|pod| pod["metadata"]["uid"].as_str()).map(str::to_owned).collect()
}
