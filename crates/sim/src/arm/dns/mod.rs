//! Azure DNS: public zones and their A record sets (DNS REST API 2018-05-01).

mod page;
mod records;
mod zones;

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
const RECORD_KIND: &str = "Microsoft.Network/dnszones/A";

/// An A record set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecordSet {
    /// The name relative to the zone; `@` for the zone itself.
    name: String,
    etag: String,
    ttl: u32,
    addresses: Vec<Ipv4Addr>,
    metadata: Map<String, Value>,
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
    /// The record sets by lower-case relative name.
    records: BTreeMap<String, RecordSet>,
}

/// The DNS zones, by the key of their id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Zones {
    zones: BTreeMap<String, Zone>,
}

impl Zones {
    /// Returns whether a zone is authoritative for a host name.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let below = |zone: &Zone| {
            host.strip_suffix(&zone.name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.zones.values().any(below)
    }

    /// Returns the addresses of a host name in each zone that has it, with the zone's id. Exact names win
    /// over a wildcard.
    pub fn resolve(&self, host: &str) -> Vec<(String, Vec<Ipv4Addr>)> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let answer = |zone: &Zone| {
            let relative =
                if host == zone.name { "@" } else { host.strip_suffix(&zone.name)?.strip_suffix('.')? };
            let parent = relative.split_once('.').map_or("*".to_owned(), |(_, parent)| format!("*.{parent}"));
            let found = zone.records.get(relative).or_else(|| zone.records.get(&parent))?;
            Some((zone.id.clone(), found.addresses.clone()))
        };
        self.zones.values().filter_map(answer).collect()
    }
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
    let key = name.to_ascii_lowercase();
    let before = zone.records.get(&key).map(|set| RecordWrite {
        ttl: set.ttl,
        addresses: set.addresses.clone(),
        metadata: set.metadata.clone(),
    });
    let Some(RecordWrite { ttl, addresses, metadata }) = change(before) else { return false };
    let name = zone.records.get(&key).map_or(name, |set| set.name.as_str()).to_owned();
    zone.records.insert(key, RecordSet { name, etag, ttl, addresses, metadata });
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
    routes.extend(records::routes());
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

fn number_of_sets(zone: &Zone) -> Value {
    // The zone's NS and SOA sets count.
    json!(zone.records.len() + 2)
}
