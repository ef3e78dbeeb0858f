//! Tests of the zones and record sets.

use http::Method;
use serde_json::{Value, json};

use crate::arm::{dns::key, id};
use crate::test_cloud::{TestCloud, code, target};

fn zone_at(cloud: &mut TestCloud) -> String {
    let at = cloud.in_group("Microsoft.Network/dnsZones/demo.example.com");
    let reply = cloud.put(&format!("{at}?api-version=2018-05-01"), &json!({ "location": "global" }));
    assert_eq!(reply.status, 201);
    at
}

fn set(addresses: &[&str]) -> Value {
    let records: Vec<Value> = addresses.iter().map(|address| json!({ "ipv4Address": address })).collect();
    json!({ "properties": { "TTL": 300, "ARecords": records, "metadata": { "by": "landfall" } } })
}

#[test]
fn a_write_replaces_the_whole_set_and_conditions_hold() {
    let mut cloud = TestCloud::new();
    let at = format!("{}/A/app?api-version=2023-07-01-preview", zone_at(&mut cloud));
    let missing = cloud.get(&at);
    assert_eq!(
        (missing.status.as_u16(), missing.value()["code"].as_str()),
        (404, Some("NotFound")),
        "no envelope"
    );
    let created = cloud.put(&at, &set(&["203.0.113.10", "203.0.113.11"]));
    assert_eq!(created.status, 201);
    assert_eq!(created.value()["properties"]["fqdn"], "app.demo.example.com.");
    let etag = created.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(created.value()["etag"], etag.as_str());

    let send = |cloud: &mut TestCloud, name: &'static str, value: &str| {
        let request =
            cloud.request(Method::PUT, &at).with_json(&set(&["203.0.113.12"])).with_header(name, value);
        cloud.send(&request)
    };
    let refused = send(&mut cloud, "if-none-match", "*");
    assert_eq!(
        (refused.status.as_u16(), refused.value()["code"].as_str()),
        (412, Some("PreconditionFailed"))
    );
    assert_eq!(send(&mut cloud, "if-match", "\"another\"").status, 412);
    let replaced = send(&mut cloud, "if-match", &etag);
    assert_eq!(replaced.status, 200);
    assert_eq!(replaced.value()["properties"]["ARecords"], json!([{ "ipv4Address": "203.0.113.12" }]));
    assert_eq!(send(&mut cloud, "if-match", &etag).status, 412, "the etag moved on");
    assert_eq!(cloud.state.dns.resolve("APP.demo.example.com.").len(), 1);
    assert_eq!(cloud.delete(&at).status, 200);
    assert_eq!(cloud.delete(&at).status, 204);
    assert!(cloud.state.dns.resolve("app.demo.example.com").is_empty());
}

#[test]
fn malformed_sets_and_missing_zones_are_refused() {
    let mut cloud = TestCloud::new();
    let at = zone_at(&mut cloud);
    let record = |name: &str| format!("{at}/A/{name}?api-version=2018-05-01");
    let mut eternal = set(&["203.0.113.10"]);
    eternal["properties"]["TTL"] = json!(0);
    for body in [eternal, set(&["203.0.113"]), set(&["203.0.113.10", "203.0.113.10"])] {
        let reply = cloud.put(&record("app"), &body);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (400, "BadRequest"));
    }
    for (name, status) in [("@", 201), ("*.apps", 201), ("%2A", 201), ("a..b", 400)] {
        assert_eq!(cloud.put(&record(name), &set(&["203.0.113.10"])).status.as_u16(), status, "{name}");
    }
    let other = record("app").replace("demo.example.com", "other.example.com");
    assert_eq!(code(&cloud.put(&other, &set(&["203.0.113.10"]))), "ParentResourceNotFound");
    assert_eq!(cloud.state.dns.resolve("any.thing.demo.example.com").len(), 1, "the wildcard of the zone");
    assert_eq!(cloud.state.dns.resolve("any.apps.demo.example.com").len(), 1);
}

#[test]
fn lists_come_in_pages_whose_links_are_absolute() {
    let mut cloud = TestCloud::new();
    let at = zone_at(&mut cloud);
    for name in ["a", "b", "c"] {
        cloud.put(&format!("{at}/A/{name}?api-version=2018-05-01"), &set(&["203.0.113.10"]));
    }
    let mut next = Some(format!("{at}/A?api-version=2018-05-01&$top=2"));
    let mut names = Vec::new();
    while let Some(target) = next {
        let page = cloud.get(&target).value();
        names.extend(
            page["value"].as_array().unwrap().iter().map(|set| set["name"].as_str().unwrap().to_owned()),
        );
        next = page["nextLink"].as_str().map(|link| {
            let url = url::Url::parse(link).unwrap();
            assert_eq!(url.host_str(), Some("management.landfall.localhost"));
            format!("{}?{}", url.path(), url.query().unwrap())
        });
    }
    assert_eq!(names, ["a", "b", "c"]);
    let every = cloud.get(&format!("{at}/recordsets?api-version=2018-05-01")).value();
    assert_eq!(every["value"].as_array().unwrap().len(), 5, "NS and SOA are there by themselves");
    let zones = cloud.path("/providers/Microsoft.Network/dnszones?api-version=2018-05-01");
    assert_eq!(cloud.get(&zones).value()["value"][0]["properties"]["numberOfRecordSets"], 5);
}

fn record(kind: &str, data: &Value) -> Value {
    json!({ "properties": { "TTL": 300, (kind): data } })
}

#[test]
fn a_cname_and_another_set_of_its_name_exclude_each_other() {
    let mut cloud = TestCloud::new();
    let zone = zone_at(&mut cloud);
    let at = |kind: &str, name: &str| format!("{zone}/{kind}/{name}?api-version=2018-05-01");
    let alias = record("CNAMERecord", &json!({ "cname": "elsewhere.example.net" }));
    assert_eq!(cloud.put(&at("CNAME", "echo"), &alias).status, 201);
    assert_eq!(cloud.put(&at("CNAME", "Echo"), &alias).status, 200, "the same set");
    let text = record("TXTRecords", &json!([{ "value": ["v=1"] }]));
    for (kind, body) in [("A", set(&["203.0.113.10"])), ("TXT", text.clone())] {
        let refused = cloud.put(&at(kind, "ECHO"), &body);
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "Conflict"));
        let why = format!(
            "The {kind} record could not be created because a CNAME record with the same name already exists in this zone."
        );
        assert_eq!(refused.value(), json!({ "code": "Conflict", "message": why }), "no envelope");
    }
    assert_eq!(cloud.put(&at("TXT", "app"), &text).status, 201);
    assert_eq!(cloud.put(&at("A", "app"), &set(&["203.0.113.10"])).status, 201, "others share a name");
    for name in ["app", "@"] {
        let refused = cloud.put(&at("CNAME", name), &alias);
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "Conflict"), "{name}");
        let message = refused.value()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("because another record with the same name already exists"), "{message}");
    }
}

#[test]
fn each_type_has_its_own_records() {
    let mut cloud = TestCloud::new();
    let zone = zone_at(&mut cloud);
    let long = "x".repeat(256);
    for (kind, field, good, bad) in [
        (
            "AAAA",
            "AAAARecords",
            json!({ "ipv6Address": "2001:DB8::1" }),
            json!({ "ipv6Address": "203.0.113.1" }),
        ),
        (
            "CAA",
            "caaRecords",
            json!({ "flags": 0, "tag": "issue", "value": "ca.example" }),
            json!({ "flags": 256 }),
        ),
        (
            "MX",
            "MXRecords",
            json!({ "preference": 10, "exchange": "mail.example.com." }),
            json!({ "preference": 10 }),
        ),
        ("NS", "NSRecords", json!({ "nsdname": "ns.example.com" }), json!({ "nsdname": "a..b" })),
        ("PTR", "PTRRecords", json!({ "ptrdname": "a.example.com" }), json!({})),
        (
            "SRV",
            "SRVRecords",
            json!({ "priority": 1, "weight": 5, "port": 443, "target": "a.example.com" }),
            json!({ "priority": 1, "weight": 5, "port": 70_000, "target": "a.example.com" }),
        ),
        ("TXT", "TXTRecords", json!({ "value": ["v=1", "more"] }), json!({ "value": [long] })),
    ] {
        let at = format!("{zone}/{kind}/of-{}?api-version=2018-05-01", kind.to_ascii_lowercase());
        let refused = cloud.put(&at, &record(field, &json!([bad])));
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "BadRequest"), "{kind}");
        let created = cloud.put(&at, &record(field, &json!([good]))).value();
        assert_eq!(created["properties"][field].as_array().map(Vec::len), Some(1), "{created}");
        assert_eq!(created["type"], format!("Microsoft.Network/dnszones/{kind}"));
        assert_eq!(cloud.get(&at).value(), created);
    }
    let of_aaaa = cloud.get(&format!("{zone}/AAAA/of-aaaa?api-version=2018-05-01")).value();
    assert_eq!(of_aaaa["properties"]["AAAARecords"][0]["ipv6Address"], "2001:db8::1");
    let dnssec = format!("{zone}/DS/d?api-version=2018-05-01");
    assert_eq!(code(&cloud.get(&dnssec)), "NoRegisteredProviderFound", "only the preview has DNSSEC");
    let wildcard = cloud.put(
        &format!("{zone}/NS/*.sub?api-version=2018-05-01"),
        &record("NSRecords", &json!([{ "nsdname": "ns.example.com" }])),
    );
    assert_eq!(code(&wildcard), "BadRequest", "a wildcard cannot be delegated");
}

#[test]
fn the_sets_of_the_apex_stay() {
    let mut cloud = TestCloud::new();
    let zone = zone_at(&mut cloud);
    let at = |kind: &str| format!("{zone}/{kind}/@?api-version=2018-05-01");
    let servers = cloud.get(&at("NS")).value()["properties"]["NSRecords"].clone();
    let changed = cloud.put(&at("NS"), &record("NSRecords", &json!([{ "nsdname": "ns.example.net" }])));
    assert_eq!(changed.status, 200);
    let kept = changed.value()["properties"]["NSRecords"].as_array().unwrap().clone();
    assert_eq!((kept.len(), &kept[..4]), (5, &servers.as_array().unwrap()[..]));
    for kind in ["NS", "SOA"] {
        let refused = cloud.delete(&at(kind));
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "BadRequest"), "{kind}");
    }
    let elsewhere = format!("{zone}/SOA/app?api-version=2018-05-01");
    assert_eq!(code(&cloud.put(&elsewhere, &record("SOARecord", &json!({ "email": "a.b" })))), "BadRequest");
    let every = cloud.get(&format!("{zone}/all?api-version=2018-05-01")).value();
    assert_eq!(every["value"].as_array().map(Vec::len), Some(2), "written or not, each is there once");
}

#[test]
fn lists_show_one_type_or_the_names_below_a_suffix() {
    let mut cloud = TestCloud::new();
    let zone = zone_at(&mut cloud);
    let text = record("TXTRecords", &json!([{ "value": ["v=1"] }]));
    for name in ["a.prod", "b.prod", "prod", "noprod"] {
        cloud.put(&format!("{zone}/TXT/{name}?api-version=2018-05-01"), &text);
    }
    cloud.put(&format!("{zone}/A/a.prod?api-version=2018-05-01"), &set(&["203.0.113.10"]));
    let mut names = |list: &str| -> Vec<String> {
        let listed = cloud.get(&format!("{zone}/{list}")).value();
        let sets = listed["value"].as_array().unwrap().iter();
        sets.map(|set| {
            format!("{} {}", id::name(set["type"].as_str().unwrap()), set["name"].as_str().unwrap())
        })
        .collect()
    };
    assert_eq!(names("A?api-version=2018-05-01"), ["A a.prod"]);
    assert_eq!(
        names("recordsets?api-version=2018-05-01&$recordsetnamesuffix=Prod"),
        ["A a.prod", "TXT a.prod", "TXT b.prod"]
    );
    assert_eq!(names("TXT?api-version=2018-05-01&$recordsetnamesuffix=prod&$top=1"), ["TXT a.prod"]);
}

#[test]
fn a_name_is_resolved_as_by_the_name_servers() {
    let mut cloud = TestCloud::new();
    let zone = zone_at(&mut cloud);
    let mut put = |path: &str, body: &Value| {
        assert_eq!(cloud.put(&format!("{zone}/{path}?api-version=2018-05-01"), body).status, 201, "{path}");
    };
    put("A/*", &set(&["203.0.113.1"]));
    put("A/app", &set(&["203.0.113.2"]));
    put("CNAME/www", &record("CNAMERecord", &json!({ "cname": "app.demo.example.com." })));
    put("TXT/text", &record("TXTRecords", &json!([{ "value": ["v=1"] }])));
    put("NS/sub", &record("NSRecords", &json!([{ "nsdname": "ns.example.com" }])));
    put("A/x.sub", &set(&["203.0.113.3"]));
    for (host, expected) in [
        ("app", Some("203.0.113.2")),
        ("www", Some("203.0.113.2")),
        ("any", Some("203.0.113.1")),
        ("two.labels", Some("203.0.113.1")),
        ("text", None),
        ("below.app", None),
        ("sub", None),
        ("x.sub", None),
    ] {
        let resolved = cloud.state.dns.resolve(&format!("{host}.demo.example.com"));
        let address = resolved.first().and_then(|(_, addresses)| addresses.first()).map(ToString::to_string);
        assert_eq!(address.as_deref(), expected, "{host}");
    }
}

#[test]
fn a_zone_is_deleted_with_its_sets_by_an_operation() {
    let mut cloud = TestCloud::new();
    let zone = zone_at(&mut cloud);
    cloud.put(&format!("{zone}/A/app?api-version=2018-05-01"), &set(&["203.0.113.10"]));
    let deleted = cloud.delete(&format!("{zone}?api-version=2018-05-01"));
    assert_eq!(deleted.status, 202);
    assert_eq!(code(&cloud.get(&format!("{zone}/A/app?api-version=2018-05-01"))), "ParentResourceNotFound");
    let status = target(&deleted, "azure-asyncoperation");
    assert!(
        status.contains("/resourceGroups/rg/providers/Microsoft.Network/dnsOperationStatuses/"),
        "{status}"
    );
    assert_eq!(cloud.get(&status).value(), json!({ "status": "InProgress" }));
    assert_eq!(cloud.get(&target(&deleted, "location")).status, 202);
    cloud.advance(2.0);
    assert_eq!(cloud.get(&status).value(), json!({ "status": "Succeeded" }));
    assert_eq!(cloud.get(&target(&deleted, "location")).status, 200);
    assert_eq!(cloud.delete(&format!("{zone}?api-version=2018-05-01")).status, 204);
    zone_at(&mut cloud);
    assert_eq!(code(&cloud.get(&format!("{zone}/A/app?api-version=2018-05-01"))), "NotFound", "none is left");
}

#[test]
fn a_zone_of_an_earlier_version_keeps_its_sets() {
    let mut cloud = TestCloud::new();
    let zone = zone_at(&mut cloud);
    cloud.put(&format!("{zone}/A/app?api-version=2018-05-01"), &set(&["203.0.113.10"]));
    let mut stored = serde_json::to_value(&cloud.state.dns).unwrap();
    let sets = &mut stored["zones"][id::key(&zone)]["records"][key("A", "app")];
    for added in ["kind", "data", "target"] {
        sets.as_object_mut().unwrap().remove(added).expect("it has the field");
    }
    cloud.state.dns = serde_json::from_value(stored).unwrap();
    let read = cloud.get(&format!("{zone}/A/app?api-version=2018-05-01")).value();
    assert_eq!(read["properties"]["ARecords"], json!([{ "ipv4Address": "203.0.113.10" }]));
}

#[test]
fn an_update_keeps_the_properties_that_it_omits() {
    let mut cloud = TestCloud::new();
    let zone = zone_at(&mut cloud);
    let at = format!("{zone}/A/app?api-version=2018-05-01");
    let patch = |cloud: &mut TestCloud, at: &str, body: &Value, etag: Option<&str>| {
        let request = cloud.request(Method::PATCH, at).with_json(body);
        let request = etag.map_or(request.clone(), |etag| request.with_header("if-match", etag));
        cloud.send(&request)
    };
    let ttl = json!({ "properties": { "TTL": 60 } });
    assert_eq!(patch(&mut cloud, &at, &ttl, None).status, 404);
    let created = cloud.put(&at, &set(&["203.0.113.10"])).value();
    assert_eq!(patch(&mut cloud, &at, &ttl, Some("another")).status, 412);
    let changed = patch(&mut cloud, &at, &ttl, created["etag"].as_str());
    assert_eq!((changed.status.as_u16(), &changed.value()["properties"]["TTL"]), (200, &json!(60)));
    for kept in ["ARecords", "metadata"] {
        assert_eq!(changed.value()["properties"][kept], created["properties"][kept], "{kept}");
    }
    let zone = format!("{zone}?api-version=2018-05-01");
    let tagged = patch(&mut cloud, &zone, &json!({ "tags": { "a": "b" } }), None).value();
    assert_eq!(tagged["tags"], json!({ "a": "b" }));
    assert_eq!(cloud.get(&at).status, 200, "the record sets stay");
}
