//! Requests for record sets: a write replaces the whole set, never a part of it.

use serde_json::{Map, Value, json};

use crate::arm::dns::kinds::{self, KINDS, RecordKind};
use crate::arm::dns::{
    RecordSet, Zone, bad_request, check_etag, field, key, page, publication, requested_id,
};
use crate::arm::error::ArmError;
use crate::arm::{Call, Route, id, versions};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

const EVERY: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}/recordsets";
const EVERY_OLD: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}/all";

/// The maximum number of records in one set.
const RECORDS_MAX: usize = 20;
/// The maximum number of sets in a zone.
pub(super) const SETS_MAX: usize = 10_000;
/// The api-version from which a set has a `trafficManagementProfile`.
const WITH_TRAFFIC_PROFILE: &str = "2023-07-01-preview";

pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::new("GET", EVERY, "Microsoft.Network/dnszones/recordsets", versions::DNS, list),
        Route::new("GET", EVERY_OLD, "Microsoft.Network/dnszones/all", versions::DNS, list),
    ];
    for kind in KINDS {
        let route = |method, pattern, handler| {
            Route::new(method, pattern, kind.resource_type, kind.versions, handler)
        };
        routes.extend([
            route("GET", kind.list, list),
            route("GET", kind.one, get),
            route("PUT", kind.one, put),
            route("PATCH", kind.one, patch),
            route("DELETE", kind.one, delete),
        ]);
    }
    routes
}

fn fqdn(zone: &Zone, name: &str) -> String {
    if name == "@" { format!("{}.", zone.name) } else { format!("{name}.{}.", zone.name) }
}

fn body(zone: &Zone, set: &RecordSet, api_version: &str) -> Value {
    let target = set.target.as_ref().map_or_else(|| json!({}), |id| json!({ "id": id }));
    let mut properties = json!({
        "fqdn": fqdn(zone, &set.name),
        "TTL": set.ttl,
        "targetResource": target,
        "provisioningState": "Succeeded",
    });
    if let Some(kind) = RecordKind::named(&set.kind) {
        let mut records = set.records();
        match kind.is_single() {
            true => records.truncate(1),
            false => properties[kind.field] = json!(records),
        }
        if let (true, Some(record)) = (kind.is_single(), records.pop()) {
            properties[kind.field] = record;
        }
    }
    if api_version.eq_ignore_ascii_case(WITH_TRAFFIC_PROFILE) {
        properties["trafficManagementProfile"] = json!({});
    }
    if !set.metadata.is_empty() {
        properties["metadata"] = json!(set.metadata);
    }
    json!({
        "id": format!("{}/{}/{}", zone.id, set.kind, set.name),
        "name": set.name,
        "type": format!("Microsoft.Network/dnszones/{}", set.kind),
        "etag": set.etag,
        "properties": properties,
    })
}

fn zone<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a Zone, ArmError> {
    let zone = state.dns.zones.get(&id::key(&requested_id(call)));
    zone.ok_or_else(|| ArmError::parent_not_found(call.param("zone")))
}

/// Returns the type that a call names, `None` for the lists of all types.
fn kind_of(call: &Call<'_>) -> Option<&'static RecordKind> {
    RecordKind::named(id::name(call.route.kind))
}

fn reply(zone: &Zone, set: &RecordSet, call: &Call<'_>, status: u16) -> Reply {
    Reply::json(status, &body(zone, set, &call.api_version)).with_header("etag", &set.etag)
}

/// Lists the sets of one type or of all, by name, optionally only those below a name.
fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let (zone, kind) = (zone(state, call)?, kind_of(call));
    let below =
        call.request.query("$recordsetnamesuffix").map(|suffix| format!(".{}", suffix.to_ascii_lowercase()));
    let is_listed = |set: &RecordSet| {
        kind.is_none_or(|kind| set.kind == kind.name)
            && below.as_ref().is_none_or(|below| set.name.to_ascii_lowercase().ends_with(below))
    };
    let sets = zone.sets().into_iter().filter(is_listed);
    let all = sets.map(|set| body(zone, &set, &call.api_version)).collect();
    page::of(state, call, all)
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let set = find(state, call)?;
    Ok(reply(zone(state, call)?, &set, call, 200))
}

fn find(state: &CloudState, call: &Call<'_>) -> Result<RecordSet, ArmError> {
    let (zone, name) = (zone(state, call)?, call.param("record"));
    kind_of(call).and_then(|kind| zone.set(kind.name, name)).ok_or_else(|| {
        let why = format!(
            "The resource record '{name}' does not exist in resource group '{}' of subscription '{}'.",
            call.param("group"),
            call.param("subscription")
        );
        ArmError::bare(404, "NotFound", why)
    })
}

/// Changes the properties in the body and keeps the others (DNS REST API, record sets - Update).
fn patch(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let existing = find(state, call)?;
    let mut whole = body(zone(state, call)?, &existing, &call.api_version)["properties"].clone();
    let given = call.body()?;
    for (name, value) in given["properties"].as_object().into_iter().flatten() {
        let fields = whole.as_object_mut().expect("the properties of a set are an object");
        fields.retain(|key, _| !key.eq_ignore_ascii_case(name));
        fields.insert(name.clone(), value.clone());
    }
    write(state, call, &json!({ "properties": whole }))
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let given = call.body()?;
    write(state, call, &given)
}

/// Writes a whole set.
fn write(state: &mut CloudState, call: &Call<'_>, given: &Value) -> Result<Reply, ArmError> {
    let kind = kind_of(call).ok_or_else(|| bad_request("The record type is invalid."))?;
    let zone_before = zone(state, call)?;
    let existing = zone_before.set(kind.name, call.param("record"));
    check_etag(call, existing.as_ref().map(|set| set.etag.as_str()))?;
    let name = existing.as_ref().map_or_else(|| call.param("record").to_owned(), |set| set.name.clone());
    check_name(kind, &name)?;
    check_coexistence(zone_before, kind, &name)?;
    if existing.is_none() && zone_before.sets().len() >= SETS_MAX {
        return Err(bad_request(format!("A zone cannot have more than {SETS_MAX} record sets.")));
    }
    let name_servers = zone_before.name_servers.clone();
    let mut set = desired(state, given, kind, name)?;
    keep_apex(&mut set, &name_servers);
    let status = if existing.is_some() { 200 } else { 201 };
    let reply = reply(zone(state, call)?, &set, call, status).with_latency(durations::DNS_PUT);
    let (zone_key, set_key, etag) =
        (id::key(&requested_id(call)), key(&set.kind, &set.name), set.etag.clone());
    if let Some(zone) = state.dns.zones.get_mut(&zone_key) {
        let before = zone.records.insert(set_key.clone(), set);
        publication::set_written(state, &zone_key, set_key, before, &etag, (call.now, &call.timing));
    }
    Ok(reply)
}

fn check_name(kind: &RecordKind, name: &str) -> Result<(), ArmError> {
    let is_wildcard = name == "*" || name.starts_with("*.");
    let valid = match kind.name {
        "SOA" => name == "@",
        "NS" => !is_wildcard && (name == "@" || kinds::is_domain(name)),
        _ => name == "@" || name == "*" || kinds::is_domain(name.strip_prefix("*.").unwrap_or(name)),
    };
    match valid {
        true => Ok(()),
        false => Err(bad_request(format!(
            "The domain name '{name}' is invalid. The provided record set relative name is invalid."
        ))),
    }
}

/// Refuses a CNAME beside another set of its name, and another set beside a CNAME. The apex has its SOA and NS
/// sets, so it can have no CNAME.
fn check_coexistence(zone: &Zone, kind: &RecordKind, name: &str) -> Result<(), ArmError> {
    let others =
        || zone.sets().into_iter().filter(|set| set.name.eq_ignore_ascii_case(name) && set.kind != kind.name);
    let conflict = |why: String| Err(ArmError::bare(409, "Conflict", why));
    match kind.name {
        "CNAME" if others().next().is_some() => conflict(
            "The CNAME record could not be created because another record with the same name already exists in this \
             zone."
                .to_owned(),
        ),
        other if others().any(|set| set.kind == "CNAME") => conflict(format!(
            "The {other} record could not be created because a CNAME record with the same name already exists in this \
             zone."
        )),
        _ => Ok(()),
    }
}

/// Keeps what Azure put into a set of the apex, whatever the request contains: the name servers, and the host of
/// the SOA record. <https://learn.microsoft.com/azure/dns/dns-zones-records#ns-records>
fn keep_apex(set: &mut RecordSet, name_servers: &[String]) {
    if set.name != "@" {
        return;
    }
    match set.kind.as_str() {
        "NS" => {
            let is_azure = |one: &Value| {
                let name = one["nsdname"].as_str().unwrap_or_default().trim_end_matches('.').to_owned();
                name_servers.iter().any(|server| server.trim_end_matches('.').eq_ignore_ascii_case(&name))
            };
            set.data.retain(|one| !is_azure(one));
            set.data.splice(0..0, name_servers.iter().map(|server| json!({ "nsdname": server })));
        }
        "SOA" => set.data.iter_mut().for_each(|one| one["host"] = json!(name_servers.first())),
        _ => {}
    }
}

/// Parses the set that a PUT requests; omitted properties are cleared.
fn desired(
    state: &mut CloudState,
    given: &Value,
    kind: &RecordKind,
    name: String,
) -> Result<RecordSet, ArmError> {
    let properties = &given["properties"];
    let ttl = field(properties, "TTL").as_i64().and_then(|ttl| u32::try_from(ttl).ok());
    let ttl = ttl.filter(|ttl| (1..=2_147_483_647).contains(ttl));
    let ttl = ttl.ok_or_else(|| bad_request("The value of the TTL must be between 1 and 2147483647."))?;
    let given = match field(properties, kind.field) {
        Value::Array(records) => records.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    if given.len() > RECORDS_MAX {
        return Err(bad_request(format!("A record set cannot have more than {RECORDS_MAX} records.")));
    }
    let mut records: Vec<Value> = Vec::new();
    for record in &given {
        let record = (kind.parse)(record).map_err(bad_request)?;
        if records.contains(&record) {
            return Err(bad_request(format!("The record set contains the record {record} more than once.")));
        }
        records.push(record);
    }
    let target = field(field(properties, "targetResource"), "id").as_str().map(str::to_owned);
    if target.is_some() && (!records.is_empty() || !["A", "AAAA", "CNAME"].contains(&kind.name)) {
        return Err(bad_request(
            "A record set with a target resource must be of type A, AAAA or CNAME, and have no records.",
        ));
    }
    let metadata: Map<String, Value> = field(properties, "metadata").as_object().cloned().unwrap_or_default();
    if metadata.values().any(|value| !value.is_string()) {
        return Err(bad_request("The values of the metadata must be strings."));
    }
    let mut set = RecordSet { ttl, target, metadata, ..RecordSet::new(kind.name, name, state.uuid("etag")) };
    set.set_records(records);
    Ok(set)
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let kind = kind_of(call).map_or("", |kind| kind.name);
    let Some(set) = zone(state, call)?.set(kind, call.param("record")) else { return Ok(Reply::empty(204)) };
    check_etag(call, Some(&set.etag))?;
    if set.name == "@" && ["NS", "SOA"].contains(&kind) {
        return Err(bad_request(format!("The {kind} record set of a zone cannot be deleted.")));
    }
    let (zone_key, set_key) = (id::key(&requested_id(call)), key(kind, &set.name));
    if let Some(zone) = state.dns.zones.get_mut(&zone_key) {
        let before = zone.records.remove(&set_key);
        let etag = format!("{} deleted", set.etag);
        publication::set_written(state, &zone_key, set_key, before, &etag, (call.now, &call.timing));
    }
    Ok(Reply::empty(200).with_latency(durations::DNS_PUT))
}
