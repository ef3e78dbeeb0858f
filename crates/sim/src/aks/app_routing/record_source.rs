//! The endpoints that ExternalDNS derives from accepted routes: the names of a route, narrowed by its listeners, with
//! the addresses of its Gateway. Contract: ExternalDNS, "Gateway sources".

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::{Endpoint, GATEWAYS, ROUTES, is_in};
use crate::aks::object::{is_ending, label, list, name, namespace, number, text};
use crate::aks::reconcile_context::ReconcileContext;

/// The selection of a Deployment's arguments.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The namespace of routes; empty for all.
    pub routes_in: String,
    /// The namespace of gateways; empty for all.
    pub gateways_in: String,
    /// The label of gateways.
    pub gateway_label: Option<(String, String)>,
    /// The label of routes.
    pub route_label: Option<(String, String)>,
}

/// Returns the endpoints of all HTTPRoutes, in the order of their names.
pub(super) fn endpoints(cx: &ReconcileContext<'_>, selection: &Selection) -> Vec<Endpoint> {
    let mut found: BTreeMap<String, Endpoint> = BTreeMap::new();
    for route in cx.all(ROUTES) {
        if is_ending(&route) || !is_in(&route, &selection.routes_in) || !has(&route, &selection.route_label) {
            continue;
        }
        for parent in list(&route, "/status/parents").iter().filter(|parent| is_accepted(parent)) {
            let reference = &parent["parentRef"];
            let place = reference["namespace"].as_str().unwrap_or_else(|| namespace(&route));
            let Some(gateway) = cx.store.get(GATEWAYS, place, text(reference, "/name")) else { continue };
            if !is_in(gateway, &selection.gateways_in) || !has(gateway, &selection.gateway_label) {
                continue;
            }
            for host in hosts(gateway, reference, &route) {
                let endpoint = found.entry(host.clone()).or_insert_with(|| Endpoint {
                    host,
                    addresses: Vec::new(),
                    resource: format!("httproute/{}/{}", namespace(&route), name(&route)),
                });
                for address in addresses(gateway) {
                    if !endpoint.addresses.contains(&address) {
                        endpoint.addresses.push(address);
                    }
                }
            }
        }
    }
    found.into_values().filter(|endpoint| !endpoint.addresses.is_empty()).collect()
}

fn has(object: &Value, wanted: &Option<(String, String)>) -> bool {
    wanted.as_ref().is_none_or(|(key, value)| label(object, key) == value)
}

fn is_accepted(parent: &Value) -> bool {
    let mut conditions = list(parent, "/conditions").iter();
    conditions.any(|one| text(one, "/type") == "Accepted" && text(one, "/status") == "True")
}

fn addresses(gateway: &Value) -> Vec<Ipv4Addr> {
    let all = list(gateway, "/status/addresses").iter();
    all.filter_map(|address| text(address, "/value").parse().ok()).collect()
}

/// Returns the names of a route at the listeners of one of its parents.
fn hosts(gateway: &Value, reference: &Value, route: &Value) -> Vec<String> {
    let (section, port) = (text(reference, "/sectionName"), number(reference, "/port"));
    let listeners = list(gateway, "/spec/listeners").iter().filter(|listener| {
        (section.is_empty() || section == text(listener, "/name"))
            && (port.is_none() || port == number(listener, "/port"))
    });
    let names: Vec<&str> = list(route, "/spec/hostnames").iter().filter_map(Value::as_str).collect();
    let mut hosts = Vec::new();
    for listener in listeners {
        let served = text(listener, "/hostname");
        match names.as_slice() {
            [] => hosts.push(served.to_owned()),
            names => hosts.extend(names.iter().filter_map(|own| narrowed(served, own))),
        }
    }
    hosts.retain(|host| !host.is_empty());
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Returns the more specific one of two names that have one in common.
fn narrowed(served: &str, own: &str) -> Option<String> {
    let (served, own) = (served.to_ascii_lowercase(), own.to_ascii_lowercase());
    let covers = |wide: &str, narrow: &str| {
        wide.strip_prefix('*').is_some_and(|end| narrow.len() > end.len() && narrow.ends_with(end))
    };
    if served.is_empty() || served == own || covers(&served, &own) {
        Some(own)
    } else if covers(&own, &served) {
        Some(served)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_narrows_the_names_of_a_route() {
        for (served, own, expected) in [
            ("", "a.example.com", Some("a.example.com")),
            ("*.example.com", "a.example.com", Some("a.example.com")),
            ("a.example.com", "*.example.com", Some("a.example.com")),
            ("*.example.com", "*.example.com", Some("*.example.com")),
            ("b.example.com", "a.example.com", None),
            ("*.example.com", "example.com", None),
        ] {
            assert_eq!(narrowed(served, own).as_deref(), expected, "{served} {own}");
        }
    }
}
