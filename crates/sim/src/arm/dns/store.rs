//! DNS zones, and their publication, in the state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::SimTime;

/// A record set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordSet {
    /// The type, such as `CNAME`.
    #[serde(default = "address_kind")]
    pub(super) kind: String,
    /// The name relative to the zone; `@` for the zone itself.
    pub(super) name: String,
    pub(super) etag: String,
    pub(super) ttl: u32,
    /// The records of a set of type A.
    #[serde(default)]
    pub(super) addresses: Vec<Ipv4Addr>,
    /// The records of a set of another type, as in the body.
    #[serde(default)]
    pub(super) data: Vec<Value>,
    /// The id of the resource that an alias set follows.
    #[serde(default)]
    pub(super) target: Option<String>,
    pub(super) metadata: Map<String, Value>,
}

/// Returns the type of the sets of earlier versions.
fn address_kind() -> String {
    "A".to_owned()
}

impl RecordSet {
    /// Returns a set without records.
    pub(super) fn new(kind: &str, name: impl Into<String>, etag: String) -> Self {
        let (kind, name) = (kind.to_owned(), name.into());
        let (addresses, data) = (Vec::new(), Vec::new());
        Self { kind, name, etag, ttl: 3600, addresses, data, target: None, metadata: Map::new() }
    }

    /// Returns the records as in the body.
    pub(super) fn records(&self) -> Vec<Value> {
        let addresses = self.addresses.iter().map(|address| json!({ "ipv4Address": address.to_string() }));
        addresses.chain(self.data.iter().cloned()).collect()
    }

    /// Sets the records, which are valid.
    pub(super) fn set_records(&mut self, records: Vec<Value>) {
        let address = |record: &Value| record["ipv4Address"].as_str()?.parse().ok();
        match self.kind == "A" {
            true => self.addresses = records.iter().filter_map(address).collect(),
            false => self.data = records,
        }
    }
}

/// Returns the key of a set in its zone. Keys sort by name, then by type; the key of an A set is its name.
pub(super) fn key(kind: &str, name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if kind == "A" { name } else { format!("{name} {kind}") }
}

/// A DNS zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Zone {
    /// The full id, in the case of its creation.
    pub(super) id: String,
    /// The name in lower case.
    pub(super) name: String,
    pub(super) etag: String,
    pub(super) tags: Map<String, Value>,
    pub(super) name_servers: Vec<String>,
    /// The record sets that clients wrote, by [`key`].
    pub(super) records: BTreeMap<String, RecordSet>,
}

impl Zone {
    /// Returns a set; the NS and SOA sets of the apex always exist.
    pub(super) fn set(&self, kind: &str, name: &str) -> Option<RecordSet> {
        let written = self.records.get(&key(kind, name)).cloned();
        written.or_else(|| self.apex_sets().into_iter().find(|set| set.kind == kind && set.name == name))
    }

    /// Returns all sets, by name and type.
    pub(super) fn sets(&self) -> Vec<RecordSet> {
        let apex = self.apex_sets().into_iter().map(|set| (key(&set.kind, &set.name), set));
        let mut all: BTreeMap<String, RecordSet> = apex.collect();
        all.extend(self.records.clone());
        all.into_values().collect()
    }

    /// Returns the sets with which Azure creates a zone.
    pub(super) fn apex_sets(&self) -> [RecordSet; 2] {
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
    pub(super) zones: BTreeMap<String, Zone>,
}

impl Zones {
    /// Returns whether there is a zone.
    pub fn has_zones(&self) -> bool {
        !self.zones.is_empty()
    }
}

/// The differences between the zones and their name servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The instant from which each server of a new zone serves it, by the key of the zone.
    pub(super) created: BTreeMap<String, Vec<SimTime>>,
    /// Earlier contents that some servers still have, in the order of the writes, by the key of the zone.
    pub(super) superseded: BTreeMap<String, Vec<Superseded>>,
    /// The servers that fail, with the end of the outage.
    pub(super) outages: BTreeMap<String, SimTime>,
    /// The zones whose next write reaches one server late, with the instant of its arrival.
    pub(super) late: BTreeMap<String, SimTime>,
    /// The zones whose parent delegates to other name servers, by their keys.
    #[serde(default)]
    pub(super) undelegated: BTreeSet<String>,
}

/// The content of a record set before a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Superseded {
    /// The key of the set in its zone.
    pub(super) key: String,
    /// `None` if the set did not exist.
    pub(super) before: Option<RecordSet>,
    /// The instant at which each server gets the new content.
    pub(super) until: Vec<SimTime>,
}
