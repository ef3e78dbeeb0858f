//! Managed clusters in Resource Manager, and access to their Kubernetes APIs.
//!
//! Source: Microsoft.ContainerService/managedClusters, api-version 2026-06-01. The provider writes ids in its
//! own case (`resourcegroups`, `ManagedClusters`), and its errors have no envelope.

mod address_plan;
mod api_access;
mod compute;
pub(crate) mod container_runtime;
mod create;
mod credential;
mod defaults;
mod delete;
mod entra_access;
mod error;
mod etag;
pub(crate) mod fault_hooks;
mod features;
mod finish;
mod issuer;
mod kubernetes_api;
mod node_resources;
mod operation_status;
mod pool_validation;
mod pool_write;
mod power;
mod public_addresses;
mod put;
mod read;
mod sizes;
mod update;
mod upgrades;
mod validation;
mod version_support;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::aks::{self, ClusterInfo, Controllers};
use crate::arm::error::ArmError;
use crate::arm::provider::Provider;
use crate::arm::versions::{self, CLUSTERS as VERSIONS};
use crate::arm::{Call, Route, id};
use crate::clock::{SimTime, Timing};
use crate::kubernetes::store::{Objects, Store};
use crate::state::CloudState;

pub(crate) use compute::limit_families;
pub use issuer::serve as serve_issuer;
pub use kubernetes_api::{serve_kubernetes, store};
pub use node_resources::SCALE_SET;
pub use operation_status::fail;
pub(crate) use public_addresses::public_addresses;

/// The resource type.
const KIND: &str = "Microsoft.ContainerService/managedClusters";

/// The managed clusters, by lower-case id.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Clusters {
    all: BTreeMap<String, ManagedCluster>,
    /// The certificate authority that clients of the clusters' APIs must trust, PEM.
    authority_pem: String,
    /// A kubeconfig that replaces those of the clusters, if another API server stands in for them.
    #[serde(skip)]
    external_kubeconfig: Option<String>,
    /// The runtime of containers that really run; by default none does.
    #[serde(skip)]
    container_runtime: container_runtime::ContainerRuntime,
    /// The number of coming writes that complete without the identity of the Key Vault add-on.
    withheld: u32,
}

impl Clusters {
    /// Returns the stores of all clusters, by the key of the cluster.
    pub(crate) fn stores(&self) -> impl Iterator<Item = (&str, &Store)> {
        self.all.iter().map(|(id, cluster)| (id.as_str(), &cluster.store))
    }

    /// Exchanges the objects of all clusters, in the order of [`Clusters::stores`].
    pub(crate) fn swap_objects(&mut self, objects: &mut Vec<Objects>) {
        objects.resize_with(self.all.len(), Objects::default);
        for (cluster, objects) in self.all.values_mut().zip(objects) {
            cluster.store.swap_objects(objects);
        }
    }

    /// Sets the CA certificate that the kubeconfigs contain, PEM.
    pub fn trust(&mut self, authority_pem: &str) {
        authority_pem.clone_into(&mut self.authority_pem);
    }

    /// Sets a kubeconfig that points to another API server than the simulated one.
    pub fn set_external_kubeconfig(&mut self, kubeconfig: Option<String>) {
        self.external_kubeconfig = kubeconfig;
    }

    /// Returns the CA certificate that the kubeconfigs contain, PEM.
    pub fn trusted(&self) -> &str {
        &self.authority_pem
    }

    /// Returns the objects of each running cluster.
    pub fn running(&self) -> impl Iterator<Item = &Store> {
        let stopped = |cluster: &&ManagedCluster| cluster.text("/properties/powerState/code") == "Stopped";
        self.all.values().filter(move |cluster| !stopped(cluster)).map(|cluster| &cluster.store)
    }

    /// Lets the next completed write leave the Key Vault add-on without its identity, as observed on Azure;
    /// another write adds it.
    pub fn withhold_identity(&mut self) {
        self.withheld += 1;
    }
}

impl std::fmt::Debug for Clusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A cluster holds tokens and Secrets, so only the ids are shown.
        f.debug_list().entries(self.all.keys()).finish()
    }
}

/// One cluster: its ARM body, and the state inside it.
#[derive(Clone, Serialize, Deserialize)]
struct ManagedCluster {
    /// The whole ARM body of the response.
    resource: Value,
    /// The write in progress.
    pending: Option<PendingWrite>,
    /// The operation of the latest write.
    latest: String,
    /// The identities of the add-on, the kubelet and the cluster.
    identities: Identities,
    /// The secrets of its kubeconfigs.
    credential: credential::Credential,
    /// The objects behind its Kubernetes API.
    store: Store,
    /// The state of its controllers.
    controllers: Controllers,
    /// The facts that its controllers depend on; `None` before the API server runs.
    #[serde(rename = "facts")]
    cluster_info: Option<ClusterInfo>,
}

/// A write in progress.
#[derive(Clone, Serialize, Deserialize)]
struct PendingWrite {
    kind: Work,
    due: SimTime,
    #[serde(default)]
    #[serde(rename = "fate")]
    outcome: WriteOutcome,
}

/// The outcome of a write.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WriteOutcome {
    /// The write succeeds.
    #[default]
    Succeeds,
    /// The write succeeds, except that the first node pool is `Failed`.
    LosesPool,
    /// The write fails with this code and message.
    Fails(String, String),
    /// The write ends as if aborted.
    IsCanceled,
}

/// The kind of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Work {
    Create,
    Update,
    Upgrade,
    Start,
    Stop,
    Delete,
}

impl Work {
    /// The `provisioningState` during the write.
    const fn state(self) -> &'static str {
        match self {
            Self::Create => "Creating",
            Self::Update => "Updating",
            Self::Upgrade => "Upgrading",
            Self::Start => "Starting",
            Self::Stop => "Stopping",
            Self::Delete => "Deleting",
        }
    }
}

/// The principals of a cluster. Their ids are drawn at its creation and shown once they exist.
#[derive(Clone, Serialize, Deserialize)]
struct Identities {
    cluster: ManagedIdentityIds,
    kubelet: ManagedIdentityIds,
    key_vault: ManagedIdentityIds,
    routing: ManagedIdentityIds,
}

/// The two ids of a managed identity.
#[derive(Clone, Serialize, Deserialize)]
struct ManagedIdentityIds {
    client_id: String,
    object_id: String,
}

impl ManagedIdentityIds {
    fn draw(state: &mut CloudState, purpose: &str) -> Self {
        Self {
            client_id: state.uuid(&format!("{purpose}-client")),
            object_id: state.uuid(&format!("{purpose}-object")),
        }
    }
}

impl ManagedCluster {
    fn text(&self, pointer: &str) -> &str {
        self.resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn id(&self) -> &str {
        self.text("/id")
    }

    fn name(&self) -> &str {
        self.text("/name")
    }

    fn location(&self) -> &str {
        self.text("/location")
    }

    fn node_group(&self) -> &str {
        self.text("/properties/nodeResourceGroup")
    }

    fn uid(&self) -> &str {
        self.text("/properties/resourceUID")
    }

    /// Returns the part of the UID that is in the names of its nodes' resources.
    fn short_uid(&self) -> &str {
        self.uid().get(..8).unwrap_or_default()
    }

    /// Returns the name of the scale set of a node pool.
    fn scale_set(&self, pool: &str) -> String {
        format!("aks-{pool}-{}-vmss", self.short_uid())
    }

    fn properties(&self) -> &Value {
        &self.resource["properties"]
    }

    /// Writes the state of the cluster and of all its pools.
    fn set_state(&mut self, state: &str) {
        let properties = &mut self.resource["properties"];
        properties["provisioningState"] = json!(state);
        for pool in properties["agentPoolProfiles"].as_array_mut().into_iter().flatten() {
            pool["provisioningState"] = json!(state);
        }
    }

    fn in_group(&self, group: &str) -> bool {
        id::part(self.id(), "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
    }
}

/// The id in the provider's responses: its `resourcegroups` is lower case.
fn id_of(call: &Call<'_>) -> String {
    format!(
        "/subscriptions/{}/resourcegroups/{}/providers/{KIND}/{}",
        call.param("subscription"),
        call.param("group"),
        call.param("cluster")
    )
}

/// Returns the cluster in a call's URL.
fn find<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a ManagedCluster, ArmError> {
    state
        .clusters
        .all
        .get(&id::key(&id_of(call)))
        .ok_or_else(|| ArmError::resource_not_found(KIND, call.param("cluster"), call.param("group")))
}

/// The resource family of managed clusters.
pub const PROVIDER: Provider =
    Provider { members, delete_members, next_due, advance_to, ..Provider::stateless("clusters", routes) };

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
        Route::new("POST", one!("/{cluster}/listClusterUserCredential"), KIND, VERSIONS, credential::user),
        Route::new("POST", one!("/{cluster}/listClusterAdminCredential"), KIND, VERSIONS, credential::admin),
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

/// Returns the ids of the IP configurations that clusters hold in a subnet; empty if it is unused.
pub fn using_subnet(state: &CloudState, subnet: &str) -> Vec<String> {
    let clusters = state.clusters.all.values();
    clusters.flat_map(|cluster| cluster.configurations_in(subnet)).collect()
}

impl ManagedCluster {
    fn configurations_in(&self, subnet: &str) -> Vec<String> {
        let pools = self.properties()["agentPoolProfiles"].as_array().map(Vec::as_slice).unwrap_or_default();
        let here = pools
            .iter()
            .filter(|pool| pool["vnetSubnetID"].as_str().is_some_and(|own| id::same(own, subnet)));
        let subscription = id::part(self.id(), "subscriptions").unwrap_or_default();
        here.flat_map(|pool| {
            let set = self.scale_set(pool["name"].as_str().unwrap_or_default());
            (0..pool["count"].as_u64().unwrap_or(0)).map(move |node| {
                format!(
                    "/subscriptions/{subscription}/resourceGroups/{}/providers/Microsoft.Compute/\
                     virtualMachineScaleSets/{set}/virtualMachines/{node}/networkInterfaces/{set}/ipConfigurations/ipconfig1",
                    self.node_group()
                )
            })
        })
        .collect()
    }
}

fn members(state: &CloudState, group: &str) -> Vec<Value> {
    state
        .clusters
        .all
        .values()
        .filter(|cluster| cluster.in_group(group))
        .map(|cluster| cluster.resource.clone())
        .collect()
}

fn delete_members(state: &mut CloudState, group: &str, from: SimTime, timing: &Timing) -> SimTime {
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
pub(crate) fn next_operation(state: &CloudState) -> Option<SimTime> {
    state.clusters.all.values().filter_map(|cluster| Some(cluster.pending.as_ref()?.due)).min()
}

fn next_due(state: &CloudState) -> Option<SimTime> {
    let of_one = |cluster: &ManagedCluster| {
        let pending = cluster.pending.as_ref().map(|pending| pending.due);
        pending.into_iter().chain(aks::next_due(&cluster.store, &cluster.controllers)).min()
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
        }
        kubernetes_api::advance_to(state, &key, due, timing);
    }
}

#[cfg(test)]
mod restriction_tests;
#[cfg(test)]
mod tests;
