//! The overview of the simulated cloud, for people and scripts, without secrets.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::aks::object::{list, name, namespace, text};
use crate::arm::family::FAMILIES;
use crate::arm::operation::Operation;
use crate::clock::{Moment, Timing};
use crate::control::Asked;
use crate::kubernetes::store::Store;
use crate::traffic::{self, names::hosts, serve::Doors};
use crate::world::World;

const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";

/// Returns the body of `/_sim/world`.
pub(crate) fn of(world: &World, doors: &Doors, asked: &Asked<'_>) -> Value {
    let now = asked.now;
    let groups: Vec<Value> =
        world.groups.values().map(|one| group(world, &one.name, &one.location)).collect();
    let operations: Vec<Value> = world.operations.values().map(|one| operation(one, now)).collect();
    let principals: Vec<Value> = world
        .directory
        .principals
        .iter()
        .map(|principal| json!({ "name": principal.name, "objectId": principal.object_id, "clientId": principal.client_id }))
        .collect();
    let gateways: Vec<Value> = world.clusters.running().flat_map(|store| gateways(store, doors)).collect();
    json!({
        "now": now.rfc3339(),
        "aheadSeconds": world.ahead_ms as f64 / 1000.0,
        "speed": speed(asked.timing),
        "nextDue": world.next_due().map(Moment::rfc3339),
        "seed": world.seed,
        "tenant": world.directory.tenant,
        "subscription": world.subscription,
        "principals": principals,
        "groups": groups,
        "gateways": gateways,
        "roleAssignments": world.roles.assignments.values().collect::<Vec<_>>(),
        "operations": operations,
        "faults": world.faults.armed,
    })
}

/// Returns all addresses of the gateways, with their sockets once they are open.
pub(crate) fn doors(world: &World, open: &Doors) -> Value {
    let door = |(address, port): (Ipv4Addr, u16)| json!({ "address": address, "port": port, "socket": open.get(&(address, port)) });
    traffic::places(world).into_iter().map(door).collect()
}

/// Returns the speed: a number, or `instant`.
fn speed(timing: &Timing) -> Value {
    let factor = timing.speed.factor();
    if factor.is_finite() { json!(factor) } else { json!("instant") }
}

fn group(world: &World, name: &str, location: &str) -> Value {
    let resources: Vec<Value> = FAMILIES.iter().flat_map(|family| (family.members)(world, name)).collect();
    json!({ "name": name, "location": location, "resources": resources })
}

fn operation(operation: &Operation, now: Moment) -> Value {
    json!({
        "id": operation.id, "name": operation.name, "resource": operation.resource,
        "state": operation.state(now), "started": operation.started.rfc3339(),
        "ends": operation.ends.rfc3339(), "over": operation.is_over(now),
    })
}

/// Returns the gateways of a cluster, each with its addresses, listeners, hostnames and open sockets.
fn gateways<'a>(store: &'a Store, doors: &'a Doors) -> impl Iterator<Item = Value> + 'a {
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
        let open: Vec<Value> = doors
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
