//! Requests for DNS zones.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::arm::dns::{
    ZONE_KIND, Zone, async_operation, bad_request, check_etag, in_group, page, publication, record_sets,
    requested_id,
};
use crate::arm::error::ArmError;
use crate::arm::{Call, Route, id, roles, versions};
use crate::clock::SimTime;
use crate::dns_server::server_names;
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

const SUBSCRIPTION: &str = "/subscriptions/{subscription}/providers/Microsoft.Network/dnszones";
const GROUP: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones";
const ONE: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", SUBSCRIPTION, ZONE_KIND, versions::DNS, list),
        Route::new("GET", GROUP, ZONE_KIND, versions::DNS, list),
        Route::new("GET", ONE, ZONE_KIND, versions::DNS, get),
        Route::new("PUT", ONE, ZONE_KIND, versions::DNS, put),
        Route::new("PATCH", ONE, ZONE_KIND, versions::DNS, patch),
        Route::new("DELETE", ONE, ZONE_KIND, versions::DNS, delete),
    ]
}

pub(super) fn body(zone: &Zone) -> Value {
    json!({
        "id": zone.id,
        "name": zone.name,
        "type": ZONE_KIND,
        "etag": zone.etag,
        "location": "global",
        "tags": zone.tags,
        "properties": {
            "maxNumberOfRecordSets": record_sets::SETS_MAX,
            "maxNumberOfRecordsPerRecordSet": null,
            "nameServers": zone.name_servers,
            "numberOfRecordSets": zone.sets().len(),
            "zoneType": "Public",
        },
    })
}

fn reply(zone: &Zone, status: u16) -> Reply {
    Reply::json(status, &body(zone)).with_header("etag", &zone.etag)
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let group = call.param("group");
    let fits = |zone: &&Zone| group.is_empty() || in_group(&zone.id, group);
    let all: Vec<Value> = state.dns.zones.values().filter(fits).map(body).collect();
    page::of(state, call, all)
}

fn find<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a Zone, ArmError> {
    let zone = state.dns.zones.get(&id::key(&requested_id(call)));
    zone.ok_or_else(|| ArmError::resource_not_found(ZONE_KIND, call.param("zone"), call.param("group")))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(reply(find(state, call)?, 200))
}

fn check_name(name: &str) -> Result<(), ArmError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').count() >= 2 && name.split('.').all(label) {
        return Ok(());
    }
    Err(bad_request(format!("The zone name '{name}' is not a valid domain name of at least two labels.")))
}

/// The resource group of the zones that the options name.
const OPTIONS_GROUP: &str = "rg-dns";

/// Returns whether a zone can have this name.
#[must_use]
pub fn is_zone_name(name: &str) -> bool {
    check_name(&name.to_ascii_lowercase()).is_ok()
}

/// Adds a zone without a request, in the group `rg-dns`; its name servers answer at once. Does nothing if there is a
/// zone of that name, or if no zone can have it.
pub(crate) fn add_zone(state: &mut CloudState, name: &str, now: SimTime) {
    let name = name.to_ascii_lowercase();
    if !is_zone_name(&name) || state.dns.zones.values().any(|zone| zone.name == name) {
        return;
    }
    if !state.groups.contains_key(OPTIONS_GROUP) {
        let location = state.locations.first().cloned().unwrap_or_default();
        state.add_group(OPTIONS_GROUP, &location, &Value::Null, None, now);
    }
    let subscription = &state.subscription;
    let id =
        format!("/subscriptions/{subscription}/resourceGroups/{OPTIONS_GROUP}/providers/{ZONE_KIND}/{name}");
    let zone = Zone {
        etag: state.uuid("etag"),
        tags: Map::new(),
        name_servers: name_servers(state),
        records: BTreeMap::new(),
        name,
        id,
    };
    state.dns.zones.insert(id::key(&zone.id), zone);
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let name = call.param("zone").to_ascii_lowercase();
    check_name(&name)?;
    let given = call.body()?;
    if !given["location"].as_str().is_some_and(|location| location.eq_ignore_ascii_case("global")) {
        let why = format!(
            "The provided location '{}' is not available for resource type '{ZONE_KIND}'. List of available regions for \
             the resource type is 'global'.",
            given["location"].as_str().unwrap_or_default()
        );
        return Err(ArmError::gateway(400, "LocationNotAvailableForResourceType", why));
    }
    let key = id::key(&requested_id(call));
    let existing = state.dns.zones.get(&key).cloned();
    check_etag(call, existing.as_ref().map(|zone| zone.etag.as_str()))?;
    let tags = given["tags"].as_object().cloned().unwrap_or_default();
    let etag = state.uuid("etag");
    let status = if existing.is_some() { 200 } else { 201 };
    let zone = match existing {
        Some(zone) => Zone { tags, etag, ..zone },
        None => Zone {
            id: requested_id(call),
            name,
            etag,
            tags,
            name_servers: name_servers(state),
            records: BTreeMap::new(),
        },
    };
    let reply = reply(&zone, status).with_latency(durations::DNS_PUT);
    state.dns.zones.insert(key.clone(), zone);
    if status == 201 {
        publication::zone_created(state, &key, call.now, &call.timing);
    }
    Ok(reply)
}

/// Replaces the tags (DNS REST API, zones - Update).
fn patch(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let given = call.body()?;
    let key = id::key(&requested_id(call));
    let zone = find(state, call)?;
    check_etag(call, Some(&zone.etag))?;
    let etag = state.uuid("etag");
    let zone = state.dns.zones.get_mut(&key).expect("it has just been found");
    zone.etag = etag;
    if let Some(tags) = given["tags"].as_object() {
        zone.tags = tags.clone();
    }
    Ok(reply(zone, 200).with_latency(durations::DNS_PUT))
}

/// Draws the name servers of a zone. Azure spreads zones over sets of four servers, so that two zones of the
/// same name can coexist.
fn name_servers(state: &mut CloudState) -> Vec<String> {
    let number =
        u32::from_str_radix(&state.hex("name-servers")[..2], 16).unwrap_or(0) % server_names::SETS + 1;
    server_names::set(number).map(|name| format!("{name}.")).collect()
}

/// Deletes a zone with its record sets. The zone is gone at once; the operation ends a moment later.
fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let key = id::key(&requested_id(call));
    let Some(zone) = state.dns.zones.get(&key) else { return Ok(Reply::empty(204)) };
    check_etag(call, Some(&zone.etag))?;
    let scope = zone.id.clone();
    state.dns.zones.remove(&key);
    publication::forget_zone(state, &key);
    roles::drop_scope(state, &scope);
    Ok(async_operation::begin(state, call, &scope))
}
