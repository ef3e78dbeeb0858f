//! Changes of record sets by other clients.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::around::{Bite, Scene};
use super::{Fault, Kind, Row};
use crate::arm::dns::{Written, interfere};
use crate::world::World;

/// An address without a server: the end of the loopback range, far from the load balancers' addresses.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 250);

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    Row {
        fault: Fault::DnsRace,
        name: "dns-race",
        kind: Kind::World,
        method: "PUT",
        path: "/dnszones/",
        what: "another run writes the record set just before: 412 `PreconditionFailed` if the write has a condition",
        client: "reads the record set again and decides again; writes with its etag",
        heals: true,
        bite: Bite::Before(race),
    },
    Row {
        fault: Fault::DnsStale,
        name: "dns-stale",
        kind: Kind::World,
        method: "",
        path: "/dnszones/",
        what: "the record set has a second, dead address, as from an append",
        client: "writes the whole desired set",
        heals: true,
        bite: Bite::Before(stale),
    },
];

/// Returns the zone's id and the record set's name.
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

#[cfg(test)]
mod tests {
    use super::super::bench::arm;
    use crate::request::Reply;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::{Value, json};

    fn ready() -> (TestCloud, String) {
        let mut cloud = TestCloud::new();
        let zone = cloud.in_group("Microsoft.Network/dnsZones/demo.example.com");
        let made = cloud.put(&format!("{zone}?api-version=2018-05-01"), &json!({ "location": "global" }));
        assert_eq!(made.status, 201);
        (cloud, format!("{zone}/A/*.app?api-version=2018-05-01"))
    }

    fn set() -> Value {
        json!({ "properties": {
            "TTL": 300, "ARecords": [{ "ipv4Address": "127.0.0.11" }], "metadata": { "by": "landfall" },
        } })
    }

    fn write(cloud: &mut TestCloud, at: &str, header: &'static str, value: &str) -> Reply {
        let request = cloud.request(Method::PUT, at).with_json(&set()).with_header(header, value);
        cloud.send(&request)
    }

    #[test]
    fn a_write_with_a_condition_notices_that_somebody_was_faster() {
        let (mut cloud, at) = ready();
        arm(&mut cloud, "dns-race");
        let refused = write(&mut cloud, &at, "if-none-match", "*");
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (412, "PreconditionFailed"));
        assert!(refused.value()["error"].is_null());
        let theirs = cloud.get(&at).value();
        assert_eq!(theirs["properties"]["metadata"]["by"], "landfall");
        let etag = theirs["etag"].as_str().unwrap().to_owned();
        arm(&mut cloud, "dns-race");
        assert_eq!(write(&mut cloud, &at, "if-match", &etag).status, 412);
        let etag = cloud.get(&at).value()["etag"].as_str().unwrap().to_owned();
        assert_eq!(write(&mut cloud, &at, "if-match", &etag).status, 200);
    }

    #[test]
    fn a_set_may_have_a_second_address_that_leads_nowhere() {
        let (mut cloud, at) = ready();
        arm(&mut cloud, "dns-stale");
        assert_eq!(cloud.get(&at).status, 404);
        let made = cloud.put(&at, &set());
        let seen = cloud.get(&at).value();
        assert_eq!(seen["properties"]["ARecords"].as_array().map(Vec::len), Some(2));
        assert_ne!(seen["etag"], made.value()["etag"]);
        cloud.put(&at, &set());
        assert_eq!(cloud.get(&at).value()["properties"]["ARecords"], set()["properties"]["ARecords"]);
    }
}
