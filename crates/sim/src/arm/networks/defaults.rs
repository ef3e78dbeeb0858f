//! The fields that Azure fills in. They are stored with each write, so that a body that a client read and sends back
//! changes nothing.

use serde_json::{Map, Value, json};

/// Fills in the missing fields of a virtual network.
pub(super) fn fill_network(properties: &mut Map<String, Value>) {
    fill(
        properties,
        [
            ("virtualNetworkPeerings", json!([])),
            ("enableDdosProtection", json!(false)),
            ("privateEndpointVNetPolicies", json!("Disabled")),
        ],
    );
    for (name, list) in [("addressSpace", "ipamPoolPrefixAllocations"), ("dhcpOptions", "dnsServers")] {
        if let Some(object) = properties.get_mut(name).and_then(Value::as_object_mut) {
            object.entry(list).or_insert(json!([]));
        }
    }
}

/// Fills in the missing fields of a subnet.
pub(super) fn fill_subnet(properties: &mut Map<String, Value>) {
    fill(
        properties,
        [
            ("delegations", json!([])),
            ("ipamPoolPrefixAllocations", json!([])),
            ("privateEndpointNetworkPolicies", json!("Disabled")),
            ("privateLinkServiceNetworkPolicies", json!("Enabled")),
        ],
    );
}

fn fill<const N: usize>(properties: &mut Map<String, Value>, defaults: [(&str, Value); N]) {
    for (name, value) in defaults {
        properties.entry(name).or_insert(value);
    }
}
