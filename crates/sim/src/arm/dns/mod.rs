//! Azure DNS: public zones and their record sets (DNS REST API 2018-05-01).

mod async_operation;
pub(crate) mod external_dns;
mod kinds;
mod page;
pub(crate) mod provider;
pub(crate) mod publication;
mod record_sets;
mod resolve;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod zones;

use std::net::Ipv4Addr;

use serde_json::{Map, Value};

use crate::arm::error::{ArmError, Shape};
use crate::arm::{Call, id};
use crate::state::CloudState;

pub use store::Zones;
use store::{RecordSet, Zone, key};

const ZONE_KIND: &str = "Microsoft.Network/dnszones";

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

/// Reads a property case-insensitively, as the service does.
fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    let found =
        object.as_object().and_then(|fields| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)));
    found.map_or(&Value::Null, |(_, value)| value)
}
