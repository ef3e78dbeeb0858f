//! Types that Azure creates around virtual machines: public addresses, load balancers, route tables; and network
//! security groups, which clients also write.
//!
//! Source: Network REST API; "Default security rules" of network security groups.

use serde_json::{Value, json};

use super::kinds::{SUBNET, delete, put};
use crate::arm::error::ArmError;
use crate::arm::resource_type::{Draft, Hooks, Progress, Properties, Resource, ResourceType};
use crate::arm::{Call, id, versions};
use crate::state::CloudState;

/// The type of public IP addresses. Only clusters create them here.
pub const PUBLIC_ADDRESS: ResourceType = of_service("Microsoft.Network/publicIPAddresses");
/// The type of load balancers. Only clusters create them here.
pub const LOAD_BALANCER: ResourceType = of_service("Microsoft.Network/loadBalancers");
/// The type of route tables. Only clusters create them here.
pub const ROUTE_TABLE: ResourceType = of_service("Microsoft.Network/routeTables");

/// The type of network security groups.
pub const SECURITY_GROUP: ResourceType = ResourceType {
    versions: versions::NETWORKS,
    properties: |given| Ok(given.into_iter().filter(|(name, _)| name == "securityRules").collect()),
    read_only: &["resourceGuid"],
    put: put("PutNetworkSecurityGroupOperation"),
    delete: delete("DeleteNetworkSecurityGroupOperation"),
    creation_state: Some(Progress::Updating),
    has_etag: true,
    hooks: Hooks { prepare: complete, check_delete: check_unused, show, ..Hooks::NONE },
    ..ResourceType::new("Microsoft.Network/networkSecurityGroups")
};

const fn of_service(kind: &'static str) -> ResourceType {
    ResourceType {
        versions: versions::NETWORKS,
        has_etag: true,
        is_writable: false,
        ..ResourceType::new(kind)
    }
}

/// The rules that every group has: name, description, source, destination, access, priority, direction.
const DEFAULT_RULES: [(&str, &str, &str, &str, &str, u32, &str); 6] = [
    (
        "AllowVnetInBound",
        "Allow inbound traffic from all VMs in VNET",
        "VirtualNetwork",
        "VirtualNetwork",
        "Allow",
        65000,
        "Inbound",
    ),
    (
        "AllowAzureLoadBalancerInBound",
        "Allow inbound traffic from azure load balancer",
        "AzureLoadBalancer",
        "*",
        "Allow",
        65001,
        "Inbound",
    ),
    ("DenyAllInBound", "Deny all inbound traffic", "*", "*", "Deny", 65500, "Inbound"),
    (
        "AllowVnetOutBound",
        "Allow outbound traffic from all VMs to all VMs in VNET",
        "VirtualNetwork",
        "VirtualNetwork",
        "Allow",
        65000,
        "Outbound",
    ),
    (
        "AllowInternetOutBound",
        "Allow outbound traffic from all VMs to Internet",
        "*",
        "Internet",
        "Allow",
        65001,
        "Outbound",
    ),
    ("DenyAllOutBound", "Deny all outbound traffic", "*", "*", "Deny", 65500, "Outbound"),
];

fn complete(state: &mut CloudState, _: &Call<'_>, draft: &mut Draft) -> Result<(), ArmError> {
    if draft.existing.is_none() {
        let guid = state.uuid("security-group");
        draft.desired.properties.insert("resourceGuid".to_owned(), guid.into());
    }
    Ok(())
}

/// Returns the ids of the subnets that use a group.
fn subnets_of(state: &CloudState, group: &Resource) -> Vec<Value> {
    let uses = |subnet: &&Resource| {
        let used = subnet.properties.get("networkSecurityGroup").and_then(|used| used["id"].as_str());
        used.is_some_and(|used| id::same(used, &group.id))
    };
    state.tracked.of_kind(SUBNET).filter(uses).map(|subnet| json!({ "id": subnet.id })).collect()
}

fn check_unused(state: &CloudState, group: &Resource) -> Result<(), ArmError> {
    let Some(subnet) = subnets_of(state, group).into_iter().next() else { return Ok(()) };
    let why = format!(
        "Network security group {} cannot be deleted because it is in use by the following resources: {}. In order to \
         delete the Network security group, remove the association with the resource(s).",
        group.id, subnet["id"]
    );
    Err(ArmError::new(400, "InUseNetworkSecurityGroupCannotBeDeleted", why))
}

/// Adds the rules with their ids, the default rules, and the subnets.
fn show(state: &CloudState, group: &Resource, body: &mut Value) {
    let rule = |list: &str, name: &str, properties: Properties| {
        let mut properties = properties;
        properties.insert("provisioningState".to_owned(), json!(group.progress().as_str()));
        json!({
            "name": name, "id": format!("{}/{list}/{name}", group.id), "etag": group.shown_etag(state),
            "type": format!("{}/{list}", SECURITY_GROUP.kind), "properties": properties,
        })
    };
    let defaults = DEFAULT_RULES.map(|(name, description, source, destination, access, priority, direction)| {
        let properties = json!({
            "description": description, "protocol": "*", "sourcePortRange": "*", "destinationPortRange": "*",
            "sourceAddressPrefix": source, "destinationAddressPrefix": destination, "access": access,
            "priority": priority, "direction": direction, "sourcePortRanges": [], "destinationPortRanges": [],
            "sourceAddressPrefixes": [], "destinationAddressPrefixes": [],
        });
        rule("defaultSecurityRules", name, properties.as_object().cloned().unwrap_or_default())
    });
    let given = group.properties.get("securityRules").and_then(Value::as_array).into_iter().flatten();
    let given: Vec<Value> = given
        .map(|one| {
            let properties = one["properties"].as_object().cloned().unwrap_or_default();
            rule("securityRules", one["name"].as_str().unwrap_or_default(), properties)
        })
        .collect();
    body["properties"]["securityRules"] = given.into();
    body["properties"]["defaultSecurityRules"] = defaults.to_vec().into();
    let subnets = subnets_of(state, group);
    if !subnets.is_empty() {
        body["properties"]["subnets"] = subnets.into();
    }
}
