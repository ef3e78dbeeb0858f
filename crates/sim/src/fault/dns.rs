//! Changes of record sets by other clients.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::arm::dns::{RecordWrite, change_record_set};
use crate::state::CloudState;

/// An address without a server: the end of the loopback range, far from the load balancers' addresses.
const UNREACHABLE_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 250);

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    Row {
        fault: Fault::DnsRace,
        name: "dns-race",
        kind: Kind::StateChange,
        method: "PUT",
        path: "/dnszones/",
        what: "another run writes the record set just before: 412 `PreconditionFailed` if the write has a condition",
        client: "reads the record set again and decides again; writes with its etag",
        heals: true,
        injection: Injection::Before(race),
    },
    Row {
        fault: Fault::DnsStale,
        name: "dns-stale",
        kind: Kind::StateChange,
        method: "",
        path: "/dnszones/",
        what: "the record set has a second, dead address, as from an append",
        client: "writes the whole desired set",
        heals: true,
        injection: Injection::Before(stale),
    },
];

/// Returns the zone's id and the record set's name.
fn place(context: &RequestContext<'_>) -> Option<(String, String)> {
    let segments = context.request.segments();
    let [zone @ .., kind, name] = segments.as_slice() else { return None };
    kind.eq_ignore_ascii_case("A").then(|| (format!("/{}", zone.join("/")), name.clone()))
}

fn race(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let (Some((zone, name)), Ok(body)) = (place(context), context.request.json::<Value>()) else {
        return false;
    };
    let metadata = body["properties"]["metadata"].as_object().cloned().unwrap_or_default();
    change_record_set(state, &zone, &name, |before| {
        Some(before.unwrap_or(RecordWrite { ttl: 300, addresses: vec![UNREACHABLE_ADDRESS], metadata }))
    })
}

fn stale(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let Some((zone, name)) = place(context) else { return false };
    change_record_set(state, &zone, &name, |before| {
        let mut set = before.filter(|set| !set.addresses.contains(&UNREACHABLE_ADDRESS))?;
        set.addresses.push(UNREACHABLE_ADDRESS);
        Some(set)
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::arm;
    use crate::request::Reply;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::{Value, json};

    fn ready() -> (TestCloud, String) {
        let mut cloud = TestCloud::new();
        let zone = cloud.in_group("Microsoft.Network/dnsZones/demo.example.com");
        let created = cloud.put(&format!("{zone}?api-version=2018-05-01"), &json!({ "location": "global" }));
        assert_eq!(created.status, 201);
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
    fn a_conditional_write_detects_a_competing_write() {
        let (mut cloud, at) = ready();
        arm(&mut cloud, "dns-race");
        let refused = write(&mut cloud, &at, "if-none-match", "*");
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (412, "PreconditionFailed"));
        assert!(refused.value()["error"].is_null());
        let competing = cloud.get(&at).value();
        assert_eq!(competing["properties"]["metadata"]["by"], "landfall");
        let etag = competing["etag"].as_str().unwrap().to_owned();
        arm(&mut cloud, "dns-race");
        assert_eq!(write(&mut cloud, &at, "if-match", &etag).status, 412);
        let etag = cloud.get(&at).value()["etag"].as_str().unwrap().to_owned();
        assert_eq!(write(&mut cloud, &at, "if-match", &etag).status, 200);
    }

    #[test]
    fn a_set_can_have_a_second_unreachable_address() {
        let (mut cloud, at) = ready();
        arm(&mut cloud, "dns-stale");
        assert_eq!(cloud.get(&at).status, 404);
        let created = cloud.put(&at, &set());
        let current = cloud.get(&at).value();
        assert_eq!(current["properties"]["ARecords"].as_array().map(Vec::len), Some(2));
        assert_ne!(current["etag"], created.value()["etag"]);
        cloud.put(&at, &set());
        assert_eq!(cloud.get(&at).value()["properties"]["ARecords"], set()["properties"]["ARecords"]);
    }
}
