//! Tests of the answers of name servers.

use serde_json::{Value, json};

use super::message::{Edns, Message, rcode};
use super::record::kind;
use super::respond;
use super::wire::name_in;
use crate::arm::dns::publication::delegations;
use crate::test_cloud::TestCloud;

const ZONE: &str = "demo.example.com";

fn cloud() -> TestCloud {
    let mut cloud = TestCloud::new();
    let zone = cloud.in_group(&format!("Microsoft.Network/dnsZones/{ZONE}"));
    cloud.put(&format!("{zone}?api-version=2018-05-01"), &json!({ "location": "global" }));
    for (kind, name, field, records) in [
        ("A", "*.app", "ARecords", json!([{ "ipv4Address": "127.0.0.11" }])),
        ("A", "www", "ARecords", json!([{ "ipv4Address": "127.0.0.12" }])),
        ("CNAME", "alias", "CNAMERecord", json!({ "cname": format!("WWW.{ZONE}.") })),
        ("CNAME", "away", "CNAMERecord", json!({ "cname": "elsewhere.example.org" })),
        ("CNAME", "loop", "CNAMERecord", json!({ "cname": format!("loop.{ZONE}") })),
        ("TXT", "_acme-challenge.one.app", "TXTRecords", json!([{ "value": ["x"] }])),
        ("NS", "below", "NSRecords", json!([{ "nsdname": format!("ns.below.{ZONE}.") }])),
        ("A", "ns.below", "ARecords", json!([{ "ipv4Address": "127.0.0.13" }])),
        (
            "TXT",
            "long",
            "TXTRecords",
            json!((0..10).map(|n| json!({ "value": ["y".repeat(240 + n)] })).collect::<Vec<Value>>()),
        ),
    ] {
        let at = format!("{zone}/{kind}/{name}?api-version=2018-05-01");
        let mut body = json!({ "properties": { "TTL": 60 } });
        body["properties"][field] = records;
        assert_eq!(cloud.put(&at, &body).status, 201, "{name}");
    }
    cloud.advance(61.0);
    cloud
}

fn ask(cloud: &TestCloud, name: &str, kind: u16) -> Message {
    let (_, servers) = &delegations(&cloud.state)[0];
    let query = Message::query(9, name, kind, cloud.now.0);
    let response = respond(&cloud.state, &servers[0], &query.encode(), cloud.now).unwrap();
    assert_eq!(Message::decode(&response.tcp()).as_ref(), Some(&response.message));
    response.message
}

/// Returns the code, the number of answers and whether the response is authoritative.
fn result(cloud: &TestCloud, name: &str, kind: u16) -> (u16, usize, bool) {
    let response = ask(cloud, name, kind);
    (response.rcode, response.answers.len(), response.authoritative)
}

#[test]
fn names_exist_by_themselves_below_wildcards_and_above_others() {
    let cloud = cloud();
    let of = |name: &str, kind| result(&cloud, &format!("{name}.{ZONE}"), kind);
    assert_eq!(of("www", kind::A), (rcode::NO_ERROR, 1, true));
    assert_eq!(of("WwW", kind::A), (rcode::NO_ERROR, 1, true));
    assert_eq!(ask(&cloud, &format!("WwW.{ZONE}"), kind::A).answers[0].name, format!("WwW.{ZONE}"));
    assert_eq!(of("www", kind::AAAA), (rcode::NO_ERROR, 0, true));
    assert_eq!(of("two.app", kind::A), (rcode::NO_ERROR, 1, true));
    assert_eq!(of("a.two.app", kind::A), (rcode::NO_ERROR, 1, true), "a wildcard has any depth");
    // The challenge makes its name exist, so the wildcard stops to answer for it.
    assert_eq!(of("one.app", kind::A), (rcode::NO_ERROR, 0, true));
    assert_eq!(of("nowhere", kind::A), (rcode::NAME_ERROR, 0, true));
    let negative = ask(&cloud, &format!("nowhere.{ZONE}"), kind::A);
    assert_eq!((negative.authority[0].kind, negative.authority[0].ttl), (kind::SOA, 300));
    assert_eq!(ask(&cloud, ZONE, kind::NS).answers.len(), 4);
    assert_eq!(ask(&cloud, ZONE, kind::SOA).answers.len(), 1);
    assert_eq!(ask(&cloud, ZONE, kind::ANY).answers.len(), 5);
}

#[test]
fn aliases_are_followed_inside_the_zone() {
    let cloud = cloud();
    let alias = ask(&cloud, &format!("alias.{ZONE}"), kind::A);
    assert_eq!(alias.answers.iter().map(|record| record.kind).collect::<Vec<_>>(), [kind::CNAME, kind::A]);
    assert_eq!(result(&cloud, &format!("alias.{ZONE}"), kind::CNAME), (rcode::NO_ERROR, 1, true));
    let away = ask(&cloud, &format!("away.{ZONE}"), kind::A);
    assert_eq!((away.answers.len(), away.rcode), (1, rcode::NO_ERROR));
    assert_eq!(name_in(&away.answers[0].data).unwrap(), "elsewhere.example.org");
    assert!(ask(&cloud, &format!("loop.{ZONE}"), kind::A).answers.len() <= 8);
}

#[test]
fn delegations_refer_with_addresses_and_foreign_names_are_refused() {
    let cloud = cloud();
    let below = ask(&cloud, &format!("x.below.{ZONE}"), kind::A);
    assert!(!below.authoritative && below.answers.is_empty());
    assert_eq!((below.authority[0].kind, below.additional[0].kind), (kind::NS, kind::A));
    assert_eq!(result(&cloud, &format!("below.{ZONE}"), kind::DS).0, rcode::NO_ERROR);
    assert!(ask(&cloud, &format!("below.{ZONE}"), kind::DS).authoritative, "the parent has DS");
    assert_eq!(result(&cloud, "example.org", kind::A).0, rcode::REFUSED);
    assert_eq!(result(&cloud, &format!("x{ZONE}"), kind::A).0, rcode::REFUSED);
    assert_eq!(result(&cloud, ZONE, kind::AXFR).0, rcode::REFUSED);
    let query = Message::query(1, ZONE, kind::SOA, cloud.now.0).encode();
    let other = respond(&cloud.state, "ns1-99.azure-dns.com", &query, cloud.now).unwrap();
    assert_eq!(other.message.rcode, rcode::REFUSED);
}

#[test]
fn messages_are_checked_and_long_responses_are_truncated() {
    let cloud = cloud();
    let (_, servers) = &delegations(&cloud.state)[0];
    let send = |query: &Message| respond(&cloud.state, &servers[0], &query.encode(), cloud.now);
    let query = Message::query(3, &format!("long.{ZONE}"), kind::TXT, cloud.now.0);
    let response = send(&query).unwrap();
    assert!(response.udp().len() <= 1232 && Message::decode(&response.udp()).unwrap().truncated);
    assert_eq!(Message::decode(&response.tcp()).unwrap().answers.len(), 10);
    let small = Message { edns: None, ..query.clone() };
    assert!(send(&small).unwrap().udp().len() <= 512);
    let code = |query: &Message| send(query).unwrap().message.rcode;
    assert_eq!(code(&Message { opcode: 4, ..query.clone() }), rcode::NOT_IMPLEMENTED);
    assert_eq!(code(&Message { question: None, ..query.clone() }), rcode::FORMAT_ERROR);
    let newer = Edns { udp_size: 1232, version: 1, as_of: None };
    assert_eq!(code(&Message { edns: Some(newer), ..query.clone() }), rcode::BAD_VERSION);
    assert!(send(&Message { is_response: true, ..query }).is_none());
    assert!(respond(&cloud.state, &servers[0], &[1], cloud.now).is_none());
    let malformed = respond(&cloud.state, &servers[0], &[0, 7, 1], cloud.now).unwrap().message;
    assert_eq!((malformed.id, malformed.rcode), (7, rcode::FORMAT_ERROR));
}
