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
pub(crate) mod issuer;
mod kubeconfig;
pub(crate) mod kubernetes_api;
pub(crate) mod node_resources;
pub(crate) mod operation_status;
mod operations;
mod pool_validation;
mod pool_write;
mod power;
pub(crate) mod provider;
pub(crate) mod public_addresses;
mod put;
mod read;
mod sizes;
pub(crate) mod store;
mod update;
mod upgrades;
mod validation;
mod version_support;

pub use operation_status::fail;

use crate::arm::error::ArmError;
use crate::arm::{Call, id};
use crate::state::CloudState;

pub use store::Clusters;
pub(crate) use store::WriteOutcome;
use store::{Identities, ManagedCluster, ManagedIdentityIds, PendingWrite, Work};

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

/// Returns the ids of the IP configurations that clusters hold in a subnet; empty if it is unused.
pub fn using_subnet(state: &CloudState, subnet: &str) -> Vec<String> {
    let clusters = state.clusters.all.values();
    clusters.flat_map(|cluster| cluster.configurations_in(subnet)).collect()
}

#[cfg(test)]
mod restriction_tests;
#[cfg(test)]
mod tests;
