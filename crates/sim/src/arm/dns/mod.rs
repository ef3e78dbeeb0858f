//! Azure DNS: public zones and their record sets (DNS REST API 2018-05-01).

mod async_operation;
pub(crate) mod external_dns;
mod kinds;
mod page;
pub(crate) mod publication;
mod record_sets;
mod resolve;
#[cfg(test)]
mod tests;
mod zones;

pub(crate) use zones::add_zone;
pub use zones::is_zone_name;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::arm::error::{ArmError, Shape};
use crate::arm::provider::Provider;
use crate::arm::{Call, Route, id, roles};
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

const ZONE_KIND: &str = "Microsoft.Network/dnszones";

/// A record set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecordSet {
    /// The type, such as `CNAME`.
    #[serde(default = "address_kind")]
    kind: String,
    /// The name relative to the zone; `@` for the zone itself.
    name: String,
    etag: String,
    ttl: u32,
    /// The records of a set of type A.
    #[serde(default)]
    addresses: Vec<Ipv4Addr>,
    /// The records of a set of another type, as in the body.
    #[serde(default)]
    data: Vec<Value>,
    /// The id of the resource that an alias set follows.
    #[serde(default)]
    target: Option<String>,
    metadata: Map<String, Value>,
}

/// Returns the type of the sets of earlier versions.
fn address_kind() -> String {
    "A".to_owned()
}

impl RecordSet {
    /// Returns a set without records.
    fn new(kind: &str, name: impl Into<String>, etag: String) -> Self {
        let (kind, name) = (kind.to_owned(), name.into());
        let (addresses, data) = (Vec::new(), Vec::new());
        Self { kind, name, etag, ttl: 3600, addresses, data, target: None, metadata: Map::new() }
    }

    /// Returns the records as in the body.
    fn records(&self) -> Vec<Value> {
        let addresses = self.addresses.iter().map(|address| json!({ "ipv4Address": address.to_string() }));
        addresses.chain(self.data.iter().cloned()).collect()
    }

    /// Sets the records, which are valid.
    fn set_records(&mut self, records: Vec<Value>) {
        let address = |record: &Value| record["ipv4Address"].as_str()?.parse().ok();
        match self.kind == "A" {
            true => self.addresses = records.iter().filter_map(address).collect(),
            false => self.data = records,
        }
    }
}

/// Returns the key of a set in its zone. Keys sort by name, then by type; the key of an A set is its name.
fn key(kind: &str, name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if kind == "A" { name } else { format!("{name} {kind}") }
}

/// A DNS zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Zone {
    /// The full id, in the case of its creation.
    id: String,
    /// The name in lower case.
    name: String,
    etag: String,
    tags: Map<String, Value>,
    name_servers: Vec<String>,
    /// The record sets that clients wrote, by [`key`].
    records: BTreeMap<String, RecordSet>,
}

impl Zone {
    /// Returns a set; the NS and SOA sets of the apex always exist.
    fn set(&self, kind: &str, name: &str) -> Option<RecordSet> {
        let written = self.records.get(&key(kind, name)).cloned();
        written.or_else(|| self.apex_sets().into_iter().find(|set| set.kind == kind && set.name == name))
    }

    /// Returns all sets, by name and type.
    fn sets(&self) -> Vec<RecordSet> {
        let apex = self.apex_sets().into_iter().map(|set| (key(&set.kind, &set.name), set));
        let mut all: BTreeMap<String, RecordSet> = apex.collect();
        all.extend(self.records.clone());
        all.into_values().collect()
    }

    /// Returns the sets with which Azure creates a zone.
    fn apex_sets(&self) -> [RecordSet; 2] {
        let servers = self.name_servers.iter().map(|server| json!({ "nsdname": server })).collect();
        let authority = json!({
            "email": "azuredns-hostmaster.microsoft.com", "expireTime": 2_419_200, "host": self.name_servers.first(),
            "minimumTTL": 300, "refreshTime": 3600, "retryTime": 300, "serialNumber": 1,
        });
        let set = |kind, ttl, data| RecordSet { ttl, data, ..RecordSet::new(kind, "@", self.etag.clone()) };
        [set("NS", 172_800, servers), set("SOA", 3600, vec![authority])]
    }
}

/// The DNS zones, by the key of their id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Zones {
    zones: BTreeMap<String, Zone>,
}

/// Changes a record set as another client, under a new etag. `change` receives `None` if the set does not
/// exist. Returns whether a set was created or changed.
pub(crate) fn change_record_set(
    state: &mut CloudState,
    zone: &str,
    name: &str,
    change: impl FnOnce(Option<RecordWrite>) -> Option<RecordWrite>,
) -> bool {
    let etag = state.uuid("etag");
    let Some(zone) = state.dns.zones.get_mut(&id::key(zone)) else { return false };
    let key = key("A", name);
    let before = zone.records.get(&key).map(|set| RecordWrite {
        ttl: set.ttl,
        addresses: set.addresses.clone(),
        metadata: set.metadata.clone(),
    });
    let Some(RecordWrite { ttl, addresses, metadata }) = change(before) else { return false };
    let name = zone.records.get(&key).map_or(name, |set| set.name.as_str()).to_owned();
    zone.records.insert(key, RecordSet { ttl, addresses, metadata, ..RecordSet::new("A", name, etag) });
    true
}

/// Writes a set with one record as another client, into the zone that contains a name; its servers have it at once.
/// Returns whether there is such a zone.
pub(crate) fn write_set(state: &mut CloudState, name: &str, kind: &str, record: Value) -> bool {
    let etag = state.uuid("etag");
    let zones = state.dns.zones.values_mut().filter(|zone| zone.relative(name).is_some());
    let Some(zone) = zones.max_by_key(|zone| zone.name.len()) else { return false };
    let relative = zone.relative(name).unwrap_or_default();
    let mut set = RecordSet::new(kind, relative.clone(), etag);
    set.set_records(vec![record]);
    zone.records.insert(key(kind, &relative), set);
    true
}

/// The writable properties of an A record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordWrite {
    /// The time to live in seconds.
    pub(crate) ttl: u32,
    /// The IPv4 addresses, in order.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// The metadata by name.
    pub(crate) metadata: Map<String, Value>,
}

/// The resource family of DNS zones. All its writes complete at once.
pub const PROVIDER: Provider = Provider { members, delete_members, ..Provider::stateless("dns", routes) };

fn routes() -> Vec<Route> {
    let mut routes = zones::routes();
    routes.extend(record_sets::routes());
    routes.extend(async_operation::routes());
    routes
}

/// Returns the id of the zone in a call's URL, in the case of the call.
fn requested_id(call: &Call<'_>) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/{ZONE_KIND}/{}",
        call.param("subscription"),
        call.param("group"),
        call.param("zone")
    )
}

fn in_group(id: &str, group: &str) -> bool {
    id::part(id, "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
}

/// Returns the provider's own 400 for malformed input; it has no envelope.
fn bad_request(why: impl Into<String>) -> ArmError {
    ArmError::bare(400, "BadRequest", why)
}

/// Checks the etag preconditions of a write. Etags are bare UUIDs; quotes around one are accepted.
fn check_etag(call: &Call<'_>, current: Option<&str>) -> Result<(), ArmError> {
    let plain = |text: &str| text.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let refused = |header: &str, condition: &str| ArmError {
        shape: Shape::Bare,
        ..ArmError::precondition(header, condition)
    };
    if let Some(wanted) = call.request.header("if-match")
        && current.is_none_or(|current| wanted.trim() != "*" && plain(wanted) != current)
    {
        return Err(refused("If-Match", wanted));
    }
    match call.request.header("if-none-match") {
        Some(unwanted)
            if current.is_some_and(|current| unwanted.trim() == "*" || plain(unwanted) == current) =>
        {
            Err(refused("If-None-Match", unwanted))
        }
        _ => Ok(()),
    }
}

fn members(state: &CloudState, group: &str) -> Vec<Value> {
    state.dns.zones.values().filter(|zone| in_group(&zone.id, group)).map(zones::body).collect()
}

/// Deletes the zones of a group at once, without an intermediate state.
fn delete_members(state: &mut CloudState, group: &str, from: SimTime, _timing: &Timing) -> SimTime {
    let mut deleted_ids = Vec::new();
    state.dns.zones.retain(|_, zone| {
        let dies = in_group(&zone.id, group);
        if dies {
            deleted_ids.push(zone.id.clone());
        }
        !dies
    });
    for scope in deleted_ids {
        publication::forget_zone(state, &id::key(&scope));
        roles::drop_scope(state, &scope);
    }
    from
}

/// Reads a property case-insensitively, as the service does.
fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    let found =
        object.as_object().and_then(|fields| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)));
    found.map_or(&Value::Null, |(_, value)| value)
}
