//! Managed clusters in Resource Manager, and access to their Kubernetes APIs.
//!
//! Source: Microsoft.ContainerService/managedClusters, api-version 2026-06-01. The provider writes ids in its
//! own case (`resourcegroups`, `ManagedClusters`), and its errors have no envelope.

mod address_plan;
mod api_access;
mod cluster_info;
pub(crate) mod compute;
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
pub mod operation_status;
mod operations;
mod pool_validation;
mod pool_write;
mod power;
mod prepared;
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

pub use operations::fail;

use crate::arm::error::ArmError;
use crate::arm::{Call, id};
use crate::state::CloudState;

pub use store::Clusters;
pub(crate) use store::WriteOutcome;
use store::{Identities, ManagedCluster, ManagedIdentityIds, PendingWrite, Work};

/// The resource type.
pub(super) const KIND: &str = "Microsoft.ContainerService/managedClusters";

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
