//! The facts about a cluster that the components inside it depend on.

use serde_json::Value;

use super::ManagedCluster;
use super::features::{self, KEY_VAULT_ADDON};
use crate::aks::{AppRouting, ClusterInfo, Csi};
use crate::arm::networks;
use crate::durations;
use crate::state::{CloudState, DOMAIN};

/// Returns the facts that the components inside the cluster depend on.
pub(super) fn cluster_info(state: &CloudState, cluster: &ManagedCluster) -> ClusterInfo {
    let properties = cluster.properties();
    let pools = properties["agentPoolProfiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    let nodes = pools.iter().filter_map(|pool| pool["count"].as_u64()).sum::<u64>();
    let first = pools.first().unwrap_or(&Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let subnet = first["vnetSubnetID"].as_str().and_then(|id| networks::subnet(state, id));
    let addon = &properties["addonProfiles"][KEY_VAULT_ADDON];
    let csi = addon["identity"].is_object().then(|| Csi {
        client_id: cluster.identities.key_vault.client_id.clone(),
        object_id: cluster.identities.key_vault.object_id.clone(),
        identity_resource_id: text(&addon["identity"]["resourceId"]),
        rotation_seconds: rotation(&addon["config"]),
    });
    let defaults = ClusterInfo::default();
    ClusterInfo {
        cluster: cluster.name().to_owned(),
        location: cluster.location().to_owned(),
        subscription: state.subscription.clone(),
        tenant: state.directory.tenant.clone(),
        node_resource_group: cluster.node_group().to_owned(),
        kubernetes_version: text(&properties["currentKubernetesVersion"]),
        nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
        node_pool: text(&first["name"]),
        vm_size: text(&first["vmSize"]),
        subnet: subnet.and_then(|subnet| subnet.prefixes.first().cloned()).unwrap_or(defaults.subnet.clone()),
        gateway_api: features::gateway_api(properties),
        istio: features::istio_gateway(properties),
        workload_identity: properties["securityProfile"]["workloadIdentity"]["enabled"] == true,
        app_routing: app_routing(cluster),
        csi,
        kubelet_client_id: Some(cluster.identities.kubelet.client_id.clone()),
        vault_suffix: format!("vault.{DOMAIN}"),
        ..defaults
    }
}

/// Returns the settings of the application routing operator; `None` if it is disabled.
fn app_routing(cluster: &ManagedCluster) -> Option<AppRouting> {
    let properties = cluster.properties();
    let routing = &properties["ingressProfile"]["webAppRouting"];
    (routing["enabled"] == true).then(|| AppRouting {
        default_nginx: routing["nginx"]["defaultIngressControllerType"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        owner_id: cluster.uid().to_owned(),
    })
}

/// Returns the rotation poll interval of the add-on in seconds; `None` if rotation is disabled.
fn rotation(config: &Value) -> Option<f64> {
    if config["enableSecretRotation"] != "true" {
        return None;
    }
    let desired = config["rotationPollInterval"].as_str().and_then(features::go_seconds);
    Some(desired.unwrap_or(durations::ROTATION))
}

/// Returns the id of an identity in the node resource group.
pub(super) fn identity_id(state: &CloudState, cluster: &ManagedCluster, name: &str) -> String {
    format!(
        "/subscriptions/{}/resourcegroups/{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}",
        state.subscription,
        cluster.node_group()
    )
}

/// Returns the id of the identity of the Key Vault add-on.
pub(super) fn key_vault_identity(state: &CloudState, cluster: &ManagedCluster) -> String {
    identity_id(state, cluster, &format!("azurekeyvaultsecretsprovider-{}", cluster.name()))
}
