//! The contents of a cluster's node resource group: addresses, load balancers, scale sets, the security group, the route
//! table of kubenet, and the identities of the kubelet and of the add-ons.
//!
//! Source: "Node resource group" of the AKS documentation; the names are those of the AKS provider and of the cloud
//! provider for Azure. The contents follow the cluster: they are compared with it after each of its writes, and whenever
//! a Service gets or loses an address.

mod balancers;

use serde_json::{Value, json};

use super::{ManagedCluster, ManagedIdentityIds, create};
use crate::arm::id as arm_id;
use crate::arm::identities::{self, IDENTITY};
use crate::arm::networks::{ROUTE_TABLE, SECURITY_GROUP};
use crate::arm::resource_type::{self, Resource, ResourceType};
use crate::arm::versions;
use crate::clock::SimTime;
use crate::state::{CloudState, uuid_from};

/// The type of virtual machine scale sets. Only clusters create them here.
pub const SCALE_SET: ResourceType = ResourceType {
    versions: versions::COMPUTE,
    is_writable: false,
    ..ResourceType::new("Microsoft.Compute/virtualMachineScaleSets")
};

/// Brings the contents of the node resource group in line with the cluster. Does nothing while there is no such group.
pub(super) fn sync(state: &mut CloudState, cluster: &ManagedCluster, now: SimTime) {
    let group = cluster.node_group();
    let is_writable = |group: &crate::arm::groups::Group| group.check_writable().is_ok();
    if !state.groups.get(&group.to_lowercase()).is_some_and(is_writable) {
        return;
    }
    let desired = NodeResources { state, cluster, now }.all();
    let owned = state.tracked.in_group(group).filter(|one| one.owner == cluster.id());
    let is_gone = |id: &str| !desired.iter().any(|one| one.id == id);
    let gone: Vec<String> = owned.map(|one| one.id.clone()).filter(|id| is_gone(id)).collect();
    gone.iter().for_each(|id| resource_type::remove(state, id));
    for mut resource in desired {
        let (old, content) =
            (state.tracked.get(&resource.id), json!([resource.tags, resource.fields, resource.properties]));
        // The etag derives from the content, so an equal one means an unchanged resource.
        resource.etag = uuid_from(state.seed, &format!("{} {content}", resource.id), 0);
        if old.is_none_or(|old| old.etag != resource.etag) {
            resource_type::set(state, resource);
        }
    }
}

/// Returns whether the contents exist already; a cluster of an earlier version has none.
pub(super) fn exist(state: &CloudState, cluster: &ManagedCluster) -> bool {
    state.tracked.get(&id(state, cluster, &SECURITY_GROUP, &security_group(cluster))).is_some()
}

fn id(state: &CloudState, cluster: &ManagedCluster, declared: &ResourceType, name: &str) -> String {
    let groups = if declared.lower_case_group { "resourcegroups" } else { "resourceGroups" };
    let (subscription, group) = (&state.subscription, cluster.node_group());
    format!("/subscriptions/{subscription}/{groups}/{group}/providers/{}/{name}", declared.kind)
}

fn security_group(cluster: &ManagedCluster) -> String {
    format!("aks-agentpool-{}-nsg", cluster.short_uid())
}

/// A cluster whose node resources are computed.
struct NodeResources<'a> {
    state: &'a mut CloudState,
    cluster: &'a ManagedCluster,
    now: SimTime,
}

impl NodeResources<'_> {
    fn all(mut self) -> Vec<Resource> {
        let balanced = self.balanced();
        let mut all = vec![self.security_group()];
        all.extend(self.route_table());
        all.extend(self.identities());
        all.extend(self.scale_sets());
        all.extend(self.outbound_addresses());
        all.extend(balanced.iter().filter(|one| !one.is_internal).map(|one| self.address_of(one)));
        all.extend(self.balancers(&balanced));
        for resource in &mut all {
            self.cluster.id().clone_into(&mut resource.owner);
        }
        all
    }

    fn resource(&self, declared: &ResourceType, name: &str, properties: Value) -> Resource {
        let resource = Resource::new(declared.kind, id(self.state, self.cluster, declared, name), self.now);
        resource.with(self.cluster.location(), properties)
    }

    fn id(&self, declared: &ResourceType, name: &str) -> String {
        id(self.state, self.cluster, declared, name)
    }

    fn guid(&self, name: &str) -> Value {
        json!(create::own_uuid(self.state, &self.cluster.resource, name))
    }

    fn security_group(&self) -> Resource {
        let properties = json!({ "resourceGuid": self.guid("security-group"), "securityRules": [] });
        self.resource(&SECURITY_GROUP, &security_group(self.cluster), properties)
    }

    /// Returns the route table, which only kubenet needs.
    fn route_table(&self) -> Option<Resource> {
        let profile = &self.cluster.properties()["networkProfile"];
        let name = format!("aks-agentpool-{}-routetable", self.cluster.short_uid());
        let properties = json!({ "resourceGuid": self.guid("route-table"), "disableBgpRoutePropagation": false, "routes": [] });
        (profile["networkPlugin"] == "kubenet").then(|| self.resource(&ROUTE_TABLE, &name, properties))
    }

    /// Returns the identities whose principals exist.
    fn identities(&mut self) -> Vec<Resource> {
        let own = &self.cluster.identities;
        let name = self.cluster.name();
        let named = [
            (&own.kubelet, format!("{name}-agentpool")),
            (&own.key_vault, format!("azurekeyvaultsecretsprovider-{name}")),
            (&own.routing, format!("webapprouting-{name}")),
        ];
        let mut found = Vec::new();
        for (ManagedIdentityIds { client_id, object_id }, name) in named {
            if self.state.directory.by_object_id(object_id).is_some() {
                let properties = identities::properties(self.state, Some((client_id, object_id)));
                found.push(self.resource(&IDENTITY, &name, Value::Object(properties)));
            }
        }
        found
    }

    /// Returns one scale set for each node pool.
    fn scale_sets(&self) -> Vec<Resource> {
        let kubelet = &self.cluster.identities.kubelet;
        let identity = self.id(&IDENTITY, &format!("{}-agentpool", self.cluster.name()));
        let security_group = self.id(&SECURITY_GROUP, &security_group(self.cluster));
        let pools = self.cluster.properties()["agentPoolProfiles"].as_array().into_iter().flatten();
        let of_pool = |pool: &Value| {
            let name = pool["name"].as_str().unwrap_or_default();
            let set = self.cluster.scale_set(name);
            let interface = json!({ "name": set, "properties": {
                "primary": true, "enableIPForwarding": true, "networkSecurityGroup": { "id": security_group },
                "ipConfigurations": [{ "name": "ipconfig1", "properties": {
                    "primary": true, "privateIPAddressVersion": "IPv4", "subnet": { "id": pool["vnetSubnetID"] },
                } }],
            } });
            let mut resource = self.resource(&SCALE_SET, &set, json!({
                "singlePlacementGroup": false, "orchestrationMode": "Uniform", "overprovision": false,
                "upgradePolicy": { "mode": "Manual" }, "platformFaultDomainCount": 1, "uniqueId": self.guid(&set),
                "timeCreated": self.now.rfc3339(),
                "virtualMachineProfile": {
                    "osProfile": { "computerNamePrefix": set, "adminUsername": "azureuser" },
                    "storageProfile": { "osDisk": { "osType": pool["osType"], "diskSizeGB": pool["osDiskSizeGB"] } },
                    "networkProfile": { "networkInterfaceConfigurations": [interface] },
                },
            }));
            // A scale set keeps the time of its creation.
            if let Some(old) = self.state.tracked.get(&resource.id) {
                resource.properties["timeCreated"] = old.properties["timeCreated"].clone();
            }
            let fields = json!({
                "sku": { "name": pool["vmSize"], "tier": "Standard", "capacity": pool["count"] },
                "identity": { "type": "UserAssigned", "userAssignedIdentities": { identity.as_str(): {
                    "clientId": kubelet.client_id, "principalId": kubelet.object_id,
                } } },
            });
            resource.fields = fields.as_object().cloned().unwrap_or_default();
            resource.tags = tags(&[
                ("aks-managed-poolName", name),
                (
                    "aks-managed-orchestrator",
                    &format!("Kubernetes:{}", text(&pool["currentOrchestratorVersion"])),
                ),
                ("aks-managed-resourceNameSuffix", self.cluster.short_uid()),
            ]);
            resource
        };
        pools.map(of_pool).collect()
    }

    /// Returns the addresses for outbound traffic that the cluster shows.
    fn outbound_addresses(&self) -> Vec<Resource> {
        let mut number = 0;
        let shown = self.outbound();
        let of_id = |shown: &Value| {
            let name = arm_id::name(shown["id"].as_str()?).to_owned();
            number += 1;
            // Outbound traffic does not exist here, so the address is from a block for documentation (RFC 5737).
            let mut resource = self.address(&name, &format!("203.0.113.{number}"), &name);
            resource.tags = tags(&[
                ("aks-managed-cluster-name", self.cluster.name()),
                (
                    "aks-managed-cluster-rg",
                    arm_id::part(self.cluster.id(), "resourceGroups").unwrap_or_default(),
                ),
                ("aks-managed-type", "aks-slb-managed-outbound-ip"),
            ]);
            Some(resource)
        };
        shown.iter().filter_map(of_id).collect()
    }

    fn outbound(&self) -> Vec<Value> {
        let shown =
            &self.cluster.properties()["networkProfile"]["loadBalancerProfile"]["effectiveOutboundIPs"];
        let in_group = |one: &&Value| {
            let group = one["id"].as_str().and_then(|id| arm_id::part(id, "resourceGroups"));
            group.is_some_and(|group| group.eq_ignore_ascii_case(self.cluster.node_group()))
        };
        shown.as_array().into_iter().flatten().filter(in_group).cloned().collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn tags(pairs: &[(&str, &str)]) -> serde_json::Map<String, Value> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
}

#[cfg(test)]
mod tests;
