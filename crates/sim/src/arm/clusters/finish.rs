//! Completion of a write on a cluster.

use serde_json::{Value, json};

use super::cluster_info::{cluster_info, identity_id, key_vault_identity};
use super::features::KEY_VAULT_ADDON;
use super::{
    Identities, ManagedCluster, ManagedIdentityIds, Work, WriteOutcome, create, node_resources, operations,
    power, prepared,
};
use crate::arm::{id, roles};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::state::CloudState;

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
    prepared::start(&mut cluster, &cluster_info, at, timing);
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
    let name = cluster.name().to_owned();
    let key_vault = key_vault_identity(state, cluster);
    let [kubelet, routing] = [format!("{name}-agentpool"), format!("webapprouting-{name}")]
        .map(|label| identity_id(state, cluster, &label));
    let mut bring = |identity: &ManagedIdentityIds, resource: &str| {
        let label = id::name(resource);
        let ManagedIdentityIds { client_id, object_id } = identity.clone();
        let shown = json!({"resourceId": resource, "clientId": client_id, "objectId": object_id});
        if state.directory.by_object_id(&object_id).is_none() {
            state.directory.add_managed_identity(object_id, client_id, label, resource, visible);
        }
        shown
    };
    let identities = cluster.identities.clone();
    let properties = &mut cluster.resource["properties"];
    properties["identityProfile"] = json!({"kubeletidentity": bring(&identities.kubelet, &kubelet)});
    if properties["addonProfiles"][KEY_VAULT_ADDON]["enabled"] == true && !withheld {
        let shown = bring(&identities.key_vault, &key_vault);
        properties["addonProfiles"][KEY_VAULT_ADDON]["identity"] = shown;
    } else if properties["addonProfiles"][KEY_VAULT_ADDON].is_object() {
        properties["addonProfiles"][KEY_VAULT_ADDON]["identity"] = Value::Null;
    }
    if properties["ingressProfile"]["webAppRouting"]["enabled"] == true {
        let shown = bring(&identities.routing, &routing);
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
