//! Requests for A record sets: a write replaces the whole set, never a part of it.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use crate::arm::dns::{
    RECORD_KIND, RecordSet, ZONE_KIND, Zone, bad_request, check_etag, field, page, requested_id,
};
use crate::arm::error::ArmError;
use crate::arm::{Call, Route, id, versions};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

const EVERY: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}/recordsets";
const EVERY_OLD: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}/all";
const ALL: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}/A";
const ONE: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}/A/{record}";

/// The maximum number of records in one set.
const RECORDS_MAX: usize = 20;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", EVERY, "Microsoft.Network/dnszones/recordsets", versions::DNS, every),
        Route::new("GET", EVERY_OLD, "Microsoft.Network/dnszones/all", versions::DNS, every),
        Route::new("GET", ALL, RECORD_KIND, versions::DNS, list),
        Route::new("GET", ONE, RECORD_KIND, versions::DNS, get),
        Route::new("PUT", ONE, RECORD_KIND, versions::DNS, put),
        Route::new("DELETE", ONE, RECORD_KIND, versions::DNS, delete),
    ]
}

fn fqdn(zone: &Zone, name: &str) -> String {
    if name == "@" { format!("{}.", zone.name) } else { format!("{name}.{}.", zone.name) }
}

fn body(zone: &Zone, set: &RecordSet) -> Value {
    let addresses: Vec<Value> =
        set.addresses.iter().map(|address| json!({ "ipv4Address": address.to_string() })).collect();
    let mut properties = json!({
        "fqdn": fqdn(zone, &set.name),
        "TTL": set.ttl,
        "ARecords": addresses,
        "targetResource": {},
        "provisioningState": "Succeeded",
    });
    if !set.metadata.is_empty() {
        properties["metadata"] = json!(set.metadata);
    }
    json!({
        "id": format!("{}/A/{}", zone.id, set.name),
        "name": set.name,
        "type": RECORD_KIND,
        "etag": set.etag,
        "properties": properties,
    })
}

/// Returns the NS and SOA sets of a zone.
fn zone_sets(zone: &Zone) -> Vec<Value> {
    let set = |kind: &str, properties: Value| {
        json!({
            "id": format!("{}/{kind}/@", zone.id),
            "name": "@",
            "type": format!("{ZONE_KIND}/{kind}"),
            "etag": zone.etag,
            "properties": properties,
        })
    };
    let servers: Vec<Value> = zone.name_servers.iter().map(|server| json!({ "nsdname": server })).collect();
    let authority = json!({
        "email": "azuredns-hostmaster.microsoft.com", "expireTime": 2_419_200, "host": zone.name_servers.first(),
        "minimumTTL": 300, "refreshTime": 3600, "retryTime": 300, "serialNumber": 1,
    });
    let fqdn = fqdn(zone, "@");
    vec![
        set(
            "NS",
            json!({ "fqdn": fqdn, "TTL": 172_800, "NSRecords": servers, "provisioningState": "Succeeded" }),
        ),
        set(
            "SOA",
            json!({ "fqdn": fqdn, "TTL": 3600, "SOARecord": authority, "provisioningState": "Succeeded" }),
        ),
    ]
}

fn zone<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a Zone, ArmError> {
    state.dns.zones.get(&id::key(&requested_id(call))).ok_or_else(|| {
        let why = format!(
            "Can not perform requested operation on nested resource. Parent resource '{}' not found.",
            call.param("zone")
        );
        ArmError::gateway(404, "ParentResourceNotFound", why)
    })
}

fn reply(zone: &Zone, set: &RecordSet, status: u16) -> Reply {
    Reply::json(status, &body(zone, set)).with_header("etag", &set.etag)
}

fn every(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let zone = zone(state, call)?;
    let mut all = zone_sets(zone);
    all.extend(zone.records.values().map(|set| body(zone, set)));
    page::of(state, call, all)
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let zone = zone(state, call)?;
    let all = zone.records.values().map(|set| body(zone, set)).collect();
    page::of(state, call, all)
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let zone = zone(state, call)?;
    let name = call.param("record");
    let set = zone.records.get(&name.to_ascii_lowercase()).ok_or_else(|| {
        let why = format!(
            "The resource record '{name}' does not exist in resource group '{}' of subscription '{}'.",
            call.param("group"),
            call.param("subscription")
        );
        ArmError::bare(404, "NotFound", why)
    })?;
    Ok(reply(zone, set, 200))
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let existing = zone(state, call)?.records.get(&call.param("record").to_ascii_lowercase()).cloned();
    check_etag(call, existing.as_ref().map(|set| set.etag.as_str()))?;
    let name = existing.as_ref().map_or_else(|| call.param("record").to_owned(), |set| set.name.clone());
    check_name(&name)?;
    let set = desired(state, call, name)?;
    let status = if existing.is_some() { 200 } else { 201 };
    let reply = reply(zone(state, call)?, &set, status).with_latency(durations::DNS_PUT);
    if let Some(zone) = state.dns.zones.get_mut(&id::key(&requested_id(call))) {
        zone.records.insert(set.name.to_ascii_lowercase(), set);
    }
    Ok(reply)
}

fn check_name(name: &str) -> Result<(), ArmError> {
    let label = |(at, label): (usize, &str)| {
        (at == 0 && label == "*")
            || ((1..=63).contains(&label.len())
                && label.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter)))
    };
    if name == "@" || name.split('.').enumerate().all(label) {
        return Ok(());
    }
    Err(bad_request(format!(
        "The domain name '{name}' is invalid. The provided record set relative name is invalid."
    )))
}

/// Parses the set that a PUT requests; omitted properties are cleared.
fn desired(state: &mut CloudState, call: &Call<'_>, name: String) -> Result<RecordSet, ArmError> {
    let given = call.body()?;
    let properties = &given["properties"];
    let ttl = field(properties, "TTL").as_i64().and_then(|ttl| u32::try_from(ttl).ok());
    let ttl = ttl.filter(|ttl| (1..=2_147_483_647).contains(ttl));
    let ttl = ttl.ok_or_else(|| bad_request("The value of the TTL must be between 1 and 2147483647."))?;
    let records = field(properties, "ARecords").as_array().cloned().unwrap_or_default();
    if records.len() > RECORDS_MAX {
        return Err(bad_request(format!("A record set cannot have more than {RECORDS_MAX} records.")));
    }
    let mut addresses: Vec<Ipv4Addr> = Vec::new();
    for record in &records {
        let text = field(record, "ipv4Address").as_str().unwrap_or_default();
        let address =
            text.parse().map_err(|_| bad_request(format!("'{text}' is not a valid IPv4 address.")))?;
        if addresses.contains(&address) {
            return Err(bad_request(format!(
                "The record set contains the address '{address}' more than once."
            )));
        }
        addresses.push(address);
    }
    let metadata: Map<String, Value> = field(properties, "metadata").as_object().cloned().unwrap_or_default();
    if metadata.values().any(|value| !value.is_string()) {
        return Err(bad_request("The values of the metadata must be strings."));
    }
    Ok(RecordSet { name, etag: state.uuid("etag"), ttl, addresses, metadata })
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let name = call.param("record").to_ascii_lowercase();
    let Some(set) = zone(state, call)?.records.get(&name) else { return Ok(Reply::empty(204)) };
    check_etag(call, Some(&set.etag))?;
    if let Some(zone) = state.dns.zones.get_mut(&id::key(&requested_id(call))) {
        zone.records.remove(&name);
    }
    Ok(Reply::empty(200).with_latency(durations::DNS_PUT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;

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
        assert_eq!(cloud.state.dns.resolve("any.thing.demo.example.com").len(), 0);
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
}
