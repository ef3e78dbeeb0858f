//! Completion of a write on a cluster.

use serde_json::{Value, json};

use super::features::{self, KEY_VAULT_ADDON};
use super::{
    Identities, ManagedCluster, ManagedIdentityIds, Work, WriteOutcome, create, node_resources, operations,
    power,
};
use crate::aks::{self, AppRouting, ClusterInfo, Csi};
use crate::arm::{networks, roles};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::state::{CloudState, DOMAIN};

/// Completes the write that is due.
pub(super) fn finish(state: &mut CloudState, key: &str, at: SimTime, timing: &Timing) {
    let Some(mut cluster) = state.clusters.all.remove(key) else { return };
    let Some(pending) = cluster.pending.take() else {
        state.clusters.all.insert(key.to_owned(), cluster);
        return;
    };
    if let Some(provisioning_state) = unfinished(&mut cluster, &pending.outcome) {
        cluster.set_state(provisioning_state);
        state.clusters.all.insert(key.to_owned(), cluster);
        return;
    }
    match pending.kind {
        Work::Delete => return delete_dependents(state, &cluster),
        Work::Start => power::set(&mut cluster, "Running"),
        Work::Stop => power::set(&mut cluster, "Stopped"),
        Work::Create | Work::Update | Work::Upgrade => {}
    }
    cluster.set_state("Succeeded");
    if pending.outcome == WriteOutcome::LosesPool {
        cluster.resource["properties"]["agentPoolProfiles"][0]["provisioningState"] = json!("Failed");
    }
    if let Some(properties) = cluster.resource["properties"].as_object_mut() {
        properties.shift_remove("status");
    }
    cluster.resource["eTag"] = json!(state.uuid("cluster-etag"));
    add_identities(state, &mut cluster, at, timing);
    add_outbound_address(state, &mut cluster);
    node_resources::sync(state, &cluster, at);
    let cluster_info = cluster_info(state, &cluster);
    // From here on the API server responds; the controllers adapt to changed facts on their own.
    cluster.trust_issuer();
    aks::bootstrap(&mut cluster.store, &mut cluster.controllers, &cluster_info, at, timing);
    cluster.cluster_info = Some(cluster_info);
    state.clusters.all.insert(key.to_owned(), cluster);
}

/// Returns the provisioning state after an unsuccessful write; `None` if the write succeeded.
fn unfinished(cluster: &mut ManagedCluster, outcome: &WriteOutcome) -> Option<&'static str> {
    match outcome {
        WriteOutcome::Succeeds | WriteOutcome::LosesPool => None,
        WriteOutcome::IsCanceled => Some("Canceled"),
        WriteOutcome::Fails(code, message) => {
            operations::note_failure(cluster, code, message);
            Some("Failed")
        }
    }
}

/// Adds the identities that the completed write created to the directory and the response. Removes the
/// identity of a disabled add-on.
fn add_identities(state: &mut CloudState, cluster: &mut ManagedCluster, at: SimTime, timing: &Timing) {
    let visible = timing.after(at, durations::PRINCIPAL_REPLICATION);
    let withheld = state.clusters.withheld > 0;
    state.clusters.withheld = state.clusters.withheld.saturating_sub(1);
    let (name, group) = (cluster.name().to_owned(), cluster.node_group().to_owned());
    let subscription = state.subscription.clone();
    let mut bring = |identity: &ManagedIdentityIds, label: String| {
        let resource = format!(
            "/subscriptions/{subscription}/resourcegroups/{group}/providers/Microsoft.ManagedIdentity/\
             userAssignedIdentities/{label}"
        );
        let ManagedIdentityIds { client_id, object_id } = identity.clone();
        let shown = json!({"resourceId": resource, "clientId": client_id, "objectId": object_id});
        if state.directory.by_object_id(&object_id).is_none() {
            state.directory.add_managed_identity(object_id, client_id, &label, &resource, visible);
        }
        shown
    };
    let identities = cluster.identities.clone();
    let properties = &mut cluster.resource["properties"];
    properties["identityProfile"] =
        json!({"kubeletidentity": bring(&identities.kubelet, format!("{name}-agentpool"))});
    if properties["addonProfiles"][KEY_VAULT_ADDON]["enabled"] == true && !withheld {
        let shown = bring(&identities.key_vault, format!("azurekeyvaultsecretsprovider-{name}"));
        properties["addonProfiles"][KEY_VAULT_ADDON]["identity"] = shown;
    } else if properties["addonProfiles"][KEY_VAULT_ADDON].is_object() {
        properties["addonProfiles"][KEY_VAULT_ADDON]["identity"] = Value::Null;
    }
    if properties["ingressProfile"]["webAppRouting"]["enabled"] == true {
        let shown = bring(&identities.routing, format!("webapprouting-{name}"));
        properties["ingressProfile"]["webAppRouting"]["identity"] = shown;
    } else if properties["ingressProfile"]["webAppRouting"].is_object() {
        properties["ingressProfile"]["webAppRouting"]["identity"] = Value::Null;
    }
    if properties["addonProfiles"][KEY_VAULT_ADDON]["enabled"] != true {
        state.directory.remove(&identities.key_vault.object_id);
    }
}

/// Shows the address of the outbound traffic, which the load balancer got during the creation.
fn add_outbound_address(state: &CloudState, cluster: &mut ManagedCluster) {
    let group = cluster.node_group().to_owned();
    let name = create::own_uuid(state, &cluster.resource, "outbound-address");
    let balancer = &mut cluster.resource["properties"]["networkProfile"]["loadBalancerProfile"];
    if balancer.is_object() && balancer["effectiveOutboundIPs"].is_null() {
        let subscription = &state.subscription;
        let id = format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/publicIPAddresses/{name}"
        );
        balancer["effectiveOutboundIPs"] = json!([{ "id": id }]);
    }
}

/// Returns the facts that the components inside the cluster depend on.
fn cluster_info(state: &CloudState, cluster: &ManagedCluster) -> ClusterInfo {
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

/// Deletes everything that belongs to a cluster: its node resource group, its identities, the assignments at
/// its scope. Assignments elsewhere that name its principals stay, as "identity not found".
fn delete_dependents(state: &mut CloudState, cluster: &ManagedCluster) {
    roles::drop_scope(state, cluster.id());
    state.drop_group(cluster.node_group());
    let Identities { cluster, kubelet, key_vault, routing } = &cluster.identities;
    for principal in [cluster, kubelet, key_vault, routing] {
        state.directory.remove(&principal.object_id);
    }
}
