//! Managed clusters in the state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::credential::Credential;
use crate::aks::{ClusterInfo, Controllers};
use crate::arm::id;
use crate::clock::SimTime;
use crate::kubernetes::store::{Objects, Store};

/// The managed clusters, by lower-case id.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Clusters {
    pub(super) all: BTreeMap<String, ManagedCluster>,
    /// The certificate authority that clients of the clusters' APIs must trust, PEM.
    pub(super) authority_pem: String,
    /// A kubeconfig that replaces those of the clusters, if another API server stands in for them.
    #[serde(skip)]
    pub(super) external_kubeconfig: Option<String>,
    /// The runtime of containers that really run; by default none does.
    #[serde(skip)]
    pub(super) container_runtime: ContainerRuntime,
    /// The number of coming writes that complete without the identity of the Key Vault add-on.
    pub(super) withheld: u32,
}

/// The images that a container runtime outside of the simulation knows, and the folder with the folders of its pods.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainerRuntime {
    pub images: BTreeSet<String>,
    pub pod_folder: Option<Arc<Path>>,
}

impl Clusters {
    /// Returns the stores of all clusters, by the key of the cluster.
    pub(crate) fn stores(&self) -> impl Iterator<Item = (&str, &Store)> {
        self.all.iter().map(|(id, cluster)| (id.as_str(), &cluster.store))
    }

    /// Exchanges the objects of all clusters, in the order of their keys.
    pub fn swap_objects(&mut self, objects: &mut Vec<Objects>) {
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
pub(super) struct ManagedCluster {
    /// The whole ARM body of the response.
    pub(super) resource: Value,
    /// The write in progress.
    pub(super) pending: Option<PendingWrite>,
    /// The operation of the latest write.
    pub(super) latest: String,
    /// The identities of the add-on, the kubelet and the cluster.
    pub(super) identities: Identities,
    /// The secrets of its kubeconfigs.
    pub(super) credential: Credential,
    /// The objects behind its Kubernetes API.
    pub(super) store: Store,
    /// The state of its controllers.
    pub(super) controllers: Controllers,
    /// The facts that its controllers depend on; `None` before the API server runs.
    #[serde(rename = "facts")]
    pub(super) cluster_info: Option<ClusterInfo>,
    /// The time of the creation at which its objects are written.
    #[serde(skip)]
    pub(super) prepare_at: Option<SimTime>,
    #[serde(skip)]
    pub(super) prepared: Option<Box<Prepared>>,
}

/// The objects of a cluster that is being created, for the facts and the time that are expected at its end.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) store: Store,
    pub(super) controllers: Controllers,
    pub(super) cluster_info: ClusterInfo,
    pub(super) at: SimTime,
}

/// A write in progress.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PendingWrite {
    pub(super) kind: Work,
    pub(super) due: SimTime,
    #[serde(default)]
    #[serde(rename = "fate")]
    pub(super) outcome: WriteOutcome,
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
pub(super) enum Work {
    Create,
    Update,
    Upgrade,
    Start,
    Stop,
    Delete,
}

impl Work {
    /// The `provisioningState` during the write.
    pub(super) const fn state(self) -> &'static str {
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
pub(super) struct Identities {
    pub(super) cluster: ManagedIdentityIds,
    pub(super) kubelet: ManagedIdentityIds,
    pub(super) key_vault: ManagedIdentityIds,
    pub(super) routing: ManagedIdentityIds,
}

/// The two ids of a managed identity.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ManagedIdentityIds {
    pub(super) client_id: String,
    pub(super) object_id: String,
}

impl ManagedCluster {
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn id(&self) -> &str {
        self.text("/id")
    }

    pub(super) fn name(&self) -> &str {
        self.text("/name")
    }

    pub(super) fn location(&self) -> &str {
        self.text("/location")
    }

    pub(super) fn node_group(&self) -> &str {
        self.text("/properties/nodeResourceGroup")
    }

    pub(super) fn uid(&self) -> &str {
        self.text("/properties/resourceUID")
    }

    /// Returns the part of the UID that is in the names of its nodes' resources.
    pub(super) fn short_uid(&self) -> &str {
        self.uid().get(..8).unwrap_or_default()
    }

    /// Returns the name of the scale set of a node pool.
    pub(super) fn scale_set(&self, pool: &str) -> String {
        format!("aks-{pool}-{}-vmss", self.short_uid())
    }

    pub(super) fn properties(&self) -> &Value {
        &self.resource["properties"]
    }

    /// Writes the state of the cluster and of all its pools.
    pub(super) fn set_state(&mut self, state: &str) {
        let properties = &mut self.resource["properties"];
        properties["provisioningState"] = json!(state);
        for pool in properties["agentPoolProfiles"].as_array_mut().into_iter().flatten() {
            pool["provisioningState"] = json!(state);
        }
    }

    pub(super) fn in_group(&self, group: &str) -> bool {
        id::part(self.id(), "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
    }

    pub(super) fn configurations_in(&self, subnet: &str) -> Vec<String> {
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
