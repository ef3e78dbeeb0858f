//! The body of a virtual network: its parts, their owners and their users.

use crate::tags::{self, Tags};
use landfall_engine::Change;
use serde_json::{Value, json};

/// The properties that show the use of a subnet; while one of these is not empty, the subnet is in use.
const USAGE_PROPERTIES: [&str; 5] = [
    "ipConfigurations",
    "ipConfigurationProfiles",
    "privateEndpoints",
    "resourceNavigationLinks",
    "serviceAssociationLinks",
];

pub(crate) fn subnets(body: &Value) -> impl Iterator<Item = &Value> {
    body["properties"]["subnets"].as_array().into_iter().flatten()
}

pub(crate) fn subnet_of<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    subnets(body).find(|subnet| is_named(subnet, name))
}

fn is_named(subnet: &Value, name: &str) -> bool {
    subnet["name"].as_str().is_some_and(|is| is.eq_ignore_ascii_case(name))
}

/// Returns the range. One range is in `addressPrefix`; newer networks may list it in `addressPrefixes`.
pub(crate) fn prefix_of(subnet: &Value) -> Option<&str> {
    let properties = &subnet["properties"];
    properties["addressPrefix"].as_str().or_else(|| properties["addressPrefixes"][0].as_str())
}

pub(crate) fn ranges(body: &Value) -> Vec<String> {
    let prefixes = body["properties"]["addressSpace"]["addressPrefixes"].as_array();
    prefixes.into_iter().flatten().filter_map(|p| p.as_str().map(str::to_owned)).collect()
}

pub(crate) fn is_contained(wanted: &str, ranges: &[String]) -> bool {
    let Ok(wanted) = wanted.parse::<ipnet::Ipv4Net>() else { return false };
    ranges
        .iter()
        .filter_map(|range| range.parse::<ipnet::Ipv4Net>().ok())
        .any(|range| range.contains(&wanted))
}

/// Returns the names of the subnets other than the owned one.
pub(crate) fn others(body: &Value, owned: &str) -> Vec<String> {
    let names = subnets(body).filter_map(|subnet| subnet["name"].as_str());
    names.filter(|name| !name.eq_ignore_ascii_case(owned)).map(str::to_owned).collect()
}

/// Returns the ids of the networks that a network is peered with.
pub(crate) fn peers(body: &Value) -> impl Iterator<Item = &str> {
    let peerings = body["properties"]["virtualNetworkPeerings"].as_array();
    let all = peerings.into_iter().flatten();
    all.filter_map(|peering| peering["properties"]["remoteVirtualNetwork"]["id"].as_str())
}

/// Returns the name of a network from its id: `vnet-hub in rg-hub`.
pub(crate) fn peer_name(id: &str) -> String {
    let segments: Vec<&str> = id.split('/').collect();
    let after = |key: &str| {
        let at = segments.iter().position(|segment| segment.eq_ignore_ascii_case(key))?;
        segments.get(at + 1).copied()
    };
    let name = segments.last().copied().unwrap_or_default();
    match after("resourceGroups") {
        Some(group) => format!("{name} in {group}"),
        None => name.to_owned(),
    }
}

/// Returns the names of a subnet's users, from the last parts of their ids.
pub(crate) fn users(subnet: &Value) -> Vec<String> {
    let listed = |property: &str| subnet["properties"][property].as_array().cloned().unwrap_or_default();
    let usages = USAGE_PROPERTIES.iter().flat_map(|property| listed(property));
    usages.map(|one| one["id"].as_str().map_or_else(|| "something".to_owned(), short_id)).collect()
}

/// Returns a short name: `managedClusters/aks-demo` for `…/managedClusters/aks-demo`.
fn short_id(id: &str) -> String {
    let segments: Vec<&str> = id.split('/').collect();
    segments[segments.len().saturating_sub(2)..].join("/")
}

/// Adds a subnet to the body; everything unknown stays.
pub(crate) fn with_subnet(mut body: Value, subnet: Value) -> Value {
    if subnet_of(&body, subnet["name"].as_str().unwrap_or_default()).is_none() {
        match body["properties"]["subnets"].as_array_mut() {
            Some(subnets) => subnets.push(subnet),
            None => body["properties"]["subnets"] = json!([subnet]),
        }
    }
    body
}

/// Removes a subnet from the body; everything else stays as read.
pub(crate) fn without_subnet(mut body: Value, name: &str) -> Value {
    if let Some(subnets) = body["properties"]["subnets"].as_array_mut() {
        subnets.retain(|subnet| !is_named(subnet, name));
    }
    body
}

/// Adds landfall's tags; foreign tags stay.
pub(crate) fn with_tags(mut body: Value, owned: &Tags) -> Value {
    body["tags"] = json!(tags::merged(&body, owned));
    body
}

/// Returns the change that adds a subnet.
pub(crate) fn addition(name: &str, range: &str) -> Change {
    Change { field: format!("subnets.{name}"), is: Value::Null, wanted: json!(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_must_be_contained_in_one_range_of_the_network() {
        let ranges = ["10.0.0.0/16".to_owned(), "10.9.0.0/24".to_owned()];
        assert!(is_contained("10.0.0.0/22", &ranges));
        assert!(!is_contained("10.9.0.0/22", &ranges));
    }

    #[test]
    fn a_foreign_subnet_is_listed_and_kept_when_the_owned_one_is_removed() {
        let body =
            json!({ "properties": { "subnets": [{ "name": "snet-aks" }, { "name": "snet-db" }], "x": 1 } });
        assert_eq!(others(&body, "SNET-AKS"), ["snet-db"]);
        let left = without_subnet(body, "SNET-aks");
        assert_eq!(left, json!({ "properties": { "subnets": [{ "name": "snet-db" }], "x": 1 } }));
        let back = with_subnet(left, json!({ "name": "snet-aks" }));
        assert_eq!(subnets(&back).count(), 2);
    }

    #[test]
    fn every_resource_with_an_address_uses_the_subnet() {
        let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/nic-1";
        let subnet = json!({ "properties": { "ipConfigurations": [{ "id": id }], "privateEndpoints": [] } });
        assert_eq!(users(&subnet), ["networkInterfaces/nic-1"]);
        assert!(users(&json!({ "properties": {} })).is_empty());
    }
}
