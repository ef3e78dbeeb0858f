//! Somebody else's hand on the record sets.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::around::{Bite, Scene};
use super::{Fault, Kind, Row};
use crate::arm::dns::{Written, interfere};
use crate::world::World;

/// Where nobody answers: the end of the loopback, far from where load balancers get theirs.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 250);

/// The rows of the topic.
pub(super) const ROWS: &[Row] = &[
    Row {
        fault: Fault::DnsRace,
        name: "dns-race",
        kind: Kind::World,
        method: "PUT",
        path: "/dnszones/",
        what: "another run writes the record set just before: 412 `PreconditionFailed` if the write has a condition",
        client: "reads the record set again and decides anew; writes with its etag",
        heals: true,
        bite: Bite::Before(race),
    },
    Row {
        fault: Fault::DnsStale,
        name: "dns-stale",
        kind: Kind::World,
        method: "",
        path: "/dnszones/",
        what: "the record set has a second address, which leads nowhere, as from an append",
        client: "writes the whole set as it should be",
        heals: true,
        bite: Bite::Before(stale),
    },
];

/// The zone's id and the record set's name.
fn place(scene: &Scene<'_>) -> Option<(String, String)> {
    let segments = scene.request.segments();
    let [zone @ .., kind, name] = segments.as_slice() else { return None };
    kind.eq_ignore_ascii_case("A").then(|| (format!("/{}", zone.join("/")), name.clone()))
}

fn race(world: &mut World, scene: &Scene<'_>) -> bool {
    let (Some((zone, name)), Ok(body)) = (place(scene), scene.request.json::<Value>()) else { return false };
    let metadata = body["properties"]["metadata"].as_object().cloned().unwrap_or_default();
    interfere(world, &zone, &name, |before| {
        Some(before.unwrap_or(Written { ttl: 300, addresses: vec![NOWHERE], metadata }))
    })
}

fn stale(world: &mut World, scene: &Scene<'_>) -> bool {
    let Some((zone, name)) = place(scene) else { return false };
    interfere(world, &zone, &name, |before| {
        let mut set = before.filter(|set| !set.addresses.contains(&NOWHERE))?;
        set.addresses.push(NOWHERE);
        Some(set)
    })
}
