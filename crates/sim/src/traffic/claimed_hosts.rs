//! The hostnames that the gateways' routes claim.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::host::Host;
use super::spec::{GATEWAYS, ROUTES};
use crate::aks::object::{list, name, namespace, text};
use crate::state::CloudState;

/// Returns the hostnames of the routes that reference a gateway, each once, in the order of the routes.
pub(crate) fn hosts<'a>(gateway: &Value, routes: &[&'a Value]) -> Vec<&'a str> {
    let mut hosts = Vec::new();
    for route in routes {
        let references_gateway = |parent: &Value| {
            let place = parent["namespace"].as_str().unwrap_or_else(|| namespace(route));
            text(parent, "/name") == name(gateway) && place == namespace(gateway)
        };
        if list(route, "/spec/parentRefs").iter().any(references_gateway) {
            hosts.extend(list(route, "/spec/hostnames").iter().filter_map(Value::as_str));
        }
    }
    let mut known = BTreeSet::new();
    hosts.retain(|host| known.insert(*host));
    hosts
}

/// Returns the addresses of the gateways whose routes claim a host, including wildcards.
pub(crate) fn gateway_addresses(state: &CloudState, host: &str) -> Vec<Ipv4Addr> {
    let mut addresses = Vec::new();
    for store in state.clusters.running() {
        let routes = store.list(ROUTES, None);
        let gateways = store.list(GATEWAYS, None).into_iter();
        for gateway in
            gateways.filter(|one| hosts(one, &routes).iter().any(|own| Host::read(own).matches(host)))
        {
            let own = list(gateway, "/status/addresses").iter();
            addresses.extend(own.filter_map(|one| text(one, "/value").parse::<Ipv4Addr>().ok()));
        }
    }
    addresses
}
