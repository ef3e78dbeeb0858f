//! The resource family of managed clusters: its routes and its timed changes.

use serde_json::Value;

use super::store::ManagedCluster;
use super::{
    KIND, compute, delete, finish, kubeconfig, kubernetes_api, operation_status, pool_write, power, prepared,
    put, read, update, upgrades,
};
use crate::aks;
use crate::arm::versions::{self, CLUSTERS as VERSIONS};
use crate::arm::{Provider, Route};
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

/// The resource family of managed clusters.
pub const PROVIDER: Provider = Provider {
    members,
    delete_members,
    next_due,
    next_visible: Some(next_operation),
    advance_to,
    ..Provider::stateless("clusters", routes)
};

fn routes() -> Vec<Route> {
    macro_rules! one {
        ($rest:literal) => {
            concat!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters",
                $rest
            )
        };
    }
    const ALL: &str = "/subscriptions/{subscription}/providers/Microsoft.ContainerService/managedClusters";
    const OFFERED: &str = "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions";
    const POOL: &str = "Microsoft.ContainerService/managedClusters/agentPools";
    const UPGRADES: &str = "Microsoft.ContainerService/managedClusters/upgradeProfiles";
    const POOL_UPGRADES: &str = "Microsoft.ContainerService/managedClusters/agentPools/upgradeProfiles";
    const SKUS: &str = "/subscriptions/{subscription}/providers/Microsoft.Compute/skus";
    const USAGES: &str =
        "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/usages";
    vec![
        Route::any("GET", SKUS, "Microsoft.Compute/skus", versions::COMPUTE, compute::skus),
        Route::any("GET", USAGES, "Microsoft.Compute/locations/usages", versions::COMPUTE, compute::usages),
        Route::new("PUT", one!("/{cluster}"), KIND, VERSIONS, put::put),
        Route::new("PATCH", one!("/{cluster}"), KIND, VERSIONS, update::patch),
        Route::new("GET", one!("/{cluster}"), KIND, VERSIONS, read::get),
        Route::new("DELETE", one!("/{cluster}"), KIND, VERSIONS, delete::delete),
        Route::new("GET", one!(""), KIND, VERSIONS, read::list),
        Route::new("GET", ALL, KIND, VERSIONS, read::list),
        Route::new("GET", one!("/{cluster}/agentPools"), POOL, VERSIONS, read::pools),
        Route::new("GET", one!("/{cluster}/agentPools/{pool}"), POOL, VERSIONS, read::pool),
        Route::new("PUT", one!("/{cluster}/agentPools/{pool}"), POOL, VERSIONS, pool_write::put),
        Route::new("DELETE", one!("/{cluster}/agentPools/{pool}"), POOL, VERSIONS, pool_write::delete),
        Route::new("GET", one!("/{cluster}/upgradeProfiles/default"), UPGRADES, VERSIONS, upgrades::get),
        Route::new(
            "GET",
            one!("/{cluster}/agentPools/{pool}/upgradeProfiles/default"),
            POOL_UPGRADES,
            VERSIONS,
            upgrades::of_pool,
        ),
        Route::new("POST", one!("/{cluster}/listClusterUserCredential"), KIND, VERSIONS, kubeconfig::user),
        Route::new("POST", one!("/{cluster}/listClusterAdminCredential"), KIND, VERSIONS, kubeconfig::admin),
        Route::new("POST", one!("/{cluster}/start"), KIND, VERSIONS, power::start),
        Route::new("POST", one!("/{cluster}/stop"), KIND, VERSIONS, power::stop),
        Route::new("POST", one!("/{cluster}/abort"), KIND, VERSIONS, operation_status::abort),
        Route::new("GET", one!("/{cluster}/operations/{operation}"), KIND, VERSIONS, operation_status::get),
        Route::any(
            "GET",
            OFFERED,
            "Microsoft.ContainerService/locations/kubernetesVersions",
            VERSIONS,
            read::versions,
        ),
    ]
}

pub(super) fn members(state: &CloudState, group: &str) -> Vec<Value> {
    state
        .clusters
        .all
        .values()
        .filter(|cluster| cluster.in_group(group))
        .map(|cluster| cluster.resource.clone())
        .collect()
}

pub(super) fn delete_members(state: &mut CloudState, group: &str, from: SimTime, timing: &Timing) -> SimTime {
    let keys: Vec<String> = state
        .clusters
        .all
        .iter()
        .filter(|(_, own)| own.in_group(group))
        .map(|(key, _)| key.clone())
        .collect();
    keys.iter().map(|key| delete::begin(state, key, from, timing)).max().unwrap_or(from)
}

/// Returns the end of the next operation on a cluster.
fn next_operation(state: &CloudState) -> Option<SimTime> {
    state.clusters.all.values().filter_map(|cluster| Some(cluster.pending.as_ref()?.due)).min()
}

fn next_due(state: &CloudState) -> Option<SimTime> {
    let of_one = |cluster: &ManagedCluster| {
        let pending = cluster.pending.as_ref().map(|pending| pending.due);
        let inside = aks::next_due(&cluster.store, &cluster.controllers);
        [pending, prepared::next_due(cluster), inside].into_iter().flatten().min()
    };
    state.clusters.all.values().filter_map(of_one).min()
}

fn advance_to(state: &mut CloudState, due: SimTime, timing: &Timing) {
    let keys: Vec<String> = state.clusters.all.keys().cloned().collect();
    for key in keys {
        let is_due =
            |cluster: &ManagedCluster| cluster.pending.as_ref().is_some_and(|pending| pending.due <= due);
        if state.clusters.all.get(&key).is_some_and(is_due) {
            finish::finish(state, &key, due, timing);
        } else if state.clusters.all.get(&key).and_then(prepared::next_due).is_some_and(|at| at <= due) {
            prepared::prepare(state, &key, timing);
        }
        kubernetes_api::advance_to(state, &key, due, timing);
    }
}
