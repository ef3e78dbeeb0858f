//! The overview of the simulated cloud, for people and scripts, without secrets.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::aks::object::{list, name, namespace, text};
use crate::arm::operation::Operation;
use crate::clock::{SimTime, Timing};
use crate::kubernetes::store::Store;
use crate::state::CloudState;
use crate::traffic::{self, addresses::Listeners, claimed_hosts::hosts};

const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";

/// Returns the body of `/_sim/world`.
pub(crate) fn of(state: &CloudState, sockets: &Listeners, now: SimTime, timing: &Timing) -> Value {
    let groups: Vec<Value> =
        state.groups.values().map(|one| group(state, &one.name, &one.location)).collect();
    let operations: Vec<Value> = state.operations.values().map(|one| operation(one, now)).collect();
    let principals: Vec<Value> = state
        .directory
        .principals
        .iter()
        .map(|principal| json!({ "name": principal.name, "objectId": principal.object_id, "clientId": principal.client_id }))
        .collect();
    let gateways: Vec<Value> = state.clusters.running().flat_map(|store| gateways(store, sockets)).collect();
    json!({
        "now": now.rfc3339(),
        "aheadSeconds": state.clock_offset_ms as f64 / 1000.0,
        "speed": speed(timing),
        "nextDue": state.next_due().map(SimTime::rfc3339),
        "seed": state.seed,
        "tenant": state.directory.tenant,
        "subscription": state.subscription,
        "principals": principals,
        "groups": groups,
        "gateways": gateways,
        "roleAssignments": state.roles.assignments.values().collect::<Vec<_>>(),
        "operations": operations,
        "faults": state.faults.armed,
    })
}

/// Returns all addresses of the gateways, with their sockets once they are open.
pub(crate) fn sockets(state: &CloudState, open: &Listeners) -> Value {
    let socket = |(address, port): (Ipv4Addr, u16)| json!({ "address": address, "port": port, "socket": open.get(&(address, port)) });
    traffic::listen_addresses(state).into_iter().map(socket).collect()
}

/// Returns the speed: a number, or `instant`.
fn speed(timing: &Timing) -> Value {
    let factor = timing.speed.factor();
    if factor.is_finite() { json!(factor) } else { json!("instant") }
}

fn group(state: &CloudState, name: &str, location: &str) -> Value {
    let resources: Vec<Value> = state.registry.members(state, name).collect();
    json!({ "name": name, "location": location, "resources": resources })
}

fn operation(operation: &Operation, now: SimTime) -> Value {
    json!({
        "id": operation.id, "name": operation.name, "resource": operation.resource,
        "state": operation.state(now), "started": operation.started.rfc3339(),
        "ends": operation.ends.rfc3339(), "over": operation.is_over(now),
    })
}

/// Returns the gateways of a cluster, each with its addresses, listeners, hostnames and open sockets.
fn gateways<'a>(store: &'a Store, sockets: &'a Listeners) -> impl Iterator<Item = Value> + 'a {
    let routes = store.list(ROUTES, None);
    store.list(GATEWAYS, None).into_iter().map(move |gateway| {
        let addresses: Vec<&str> =
            list(gateway, "/status/addresses").iter().map(|one| text(one, "/value")).collect();
        let listeners: Vec<Value> = list(gateway, "/spec/listeners")
            .iter()
            .map(|one| json!({ "name": one["name"], "port": one["port"], "protocol": one["protocol"] }))
            .collect();
        let programmed = list(gateway, "/status/conditions")
            .iter()
            .any(|one| text(one, "/type") == "Programmed" && text(one, "/status") == "True");
        let open: Vec<Value> = sockets
            .iter()
            .filter(|((address, _), _)| addresses.contains(&address.to_string().as_str()))
            .map(|((address, port), socket)| json!({ "address": address, "port": port, "socket": socket }))
            .collect();
        json!({
            "name": name(gateway), "namespace": namespace(gateway), "addresses": addresses,
            "programmed": programmed, "listeners": listeners, "hosts": hosts(gateway, &routes), "doors": open,
        })
    })
}
