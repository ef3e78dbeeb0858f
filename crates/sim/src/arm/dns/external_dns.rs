//! The runs of ExternalDNS in clusters: it brings the records of its zones in line with its endpoints.
//!
//! It owns an A record if a TXT record beside it, `a-<name>`, names its owner id. It skips the records of others, and
//! deletes its own if no endpoint needs them any more (policy `sync`). The registry's name of an apex record lies
//! outside of the zone, so such a record is made once and never changed again. Source: kubernetes-sigs/external-dns
//! v0.21, Azure provider, TXT registry.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{RecordSet, Zone, key, publication};
use crate::aks::{Endpoint, RecordSync};
use crate::arm::id;
use crate::arm::roles::Right;
use crate::clock::Timing;
use crate::state::CloudState;

/// The time to live of the records, in seconds.
const TTL: u32 = 300;

/// A change of one record set.
struct Change {
    kind: &'static str,
    name: String,
    /// The records as in the body; `None` deletes the set.
    records: Option<Vec<Value>>,
}

/// Carries out a run; returns whether the identity may do so.
pub(crate) fn sync(state: &mut CloudState, run: &RecordSync, timing: &Timing) -> bool {
    let Some(principal) = state.directory.by_client_id(&run.client_id) else { return false };
    let principal = principal.object_id.clone();
    let group = format!("/subscriptions/{}/resourceGroups/{}", run.subscription, run.group);
    let is_filtered = |zone: &Zone| {
        run.domains.iter().any(|domain| {
            let domain = domain.to_ascii_lowercase();
            zone.name == domain || zone.name.ends_with(&format!(".{domain}"))
        })
    };
    let zones = state.dns.zones.iter().filter(|(_, zone)| id::within(&zone.id, &group) && is_filtered(zone));
    let zones: Vec<(String, String)> = zones.map(|(key, zone)| (key.clone(), zone.id.clone())).collect();
    let allows = |action: &str| {
        let right = Right::Action(action);
        zones.iter().all(|(_, zone)| state.allows(&principal, right, zone, run.at))
    };
    let actions = ["Microsoft.Network/dnsZones/read", "Microsoft.Network/dnsZones/A/write"];
    if !actions.iter().all(|action| allows(action)) {
        return false;
    }
    for (zone, _) in zones {
        for change in changes(&state.dns.zones[&zone], &all_names(state), run) {
            write(state, &zone, change, run, timing);
        }
    }
    true
}

/// Returns the names of all zones, which decide to which one a host belongs.
fn all_names(state: &CloudState) -> Vec<String> {
    state.dns.zones.values().map(|zone| zone.name.clone()).collect()
}

/// Returns the changes that a zone needs.
fn changes(zone: &Zone, zones: &[String], run: &RecordSync) -> Vec<Change> {
    let belongs = |host: &str| {
        let mut others = zones.iter().filter(|other| other.len() > zone.name.len());
        !others.any(|other| host == other.as_str() || host.ends_with(&format!(".{other}")))
    };
    let desired: BTreeMap<String, &Endpoint> = run
        .endpoints
        .iter()
        .filter(|endpoint| belongs(&endpoint.host))
        .filter_map(|endpoint| Some((zone.relative(&endpoint.host.to_ascii_lowercase())?, endpoint)))
        .collect();
    let mut all = Vec::new();
    for (name, endpoint) in &desired {
        let existing = zone.set("A", name);
        let is_own = || registered(zone, name, run).is_some_and(|owner| owner == run.owner);
        let is_current = |set: &RecordSet| same_addresses(&set.addresses, &endpoint.addresses);
        match &existing {
            Some(set) if is_current(set) || !is_own() => continue,
            _ => {}
        }
        let addresses = endpoint.addresses.iter().map(|one| json!({"ipv4Address": one.to_string()}));
        all.push(Change { kind: "A", name: name.clone(), records: Some(addresses.collect()) });
        if let Some(registry) = registry_name(name, run) {
            let text = format!(
                "\"heritage=external-dns,external-dns/owner={},external-dns/resource={}\"",
                run.owner, endpoint.resource
            );
            all.push(Change { kind: "TXT", name: registry, records: Some(vec![json!({"value": [text]})]) });
        }
    }
    for set in zone.sets().into_iter().filter(|set| set.kind == "A") {
        let name = set.name.to_ascii_lowercase();
        if desired.contains_key(&name) || registered(zone, &name, run).is_none_or(|owner| owner != run.owner)
        {
            continue;
        }
        all.push(Change { kind: "A", name: set.name.clone(), records: None });
        let registry = registry_name(&name, run);
        all.extend(registry.map(|name| Change { kind: "TXT", name, records: None }));
    }
    all
}

fn same_addresses(one: &[Ipv4Addr], other: &[Ipv4Addr]) -> bool {
    one.len() == other.len() && one.iter().all(|address| other.contains(address))
}

/// Returns the name of the TXT record that belongs to an A record; `None` for the apex, whose name would lie outside of
/// the zone.
fn registry_name(name: &str, run: &RecordSync) -> Option<String> {
    (name != "@").then(|| match name.strip_prefix('*') {
        Some(rest) => format!("a-{}{rest}", run.wildcard),
        None => format!("a-{name}"),
    })
}

/// Returns the owner id in the registry of an A record.
fn registered(zone: &Zone, name: &str, run: &RecordSync) -> Option<String> {
    let set = zone.set("TXT", &registry_name(name, run)?)?;
    set.data.iter().find_map(|record| {
        let text: String = record["value"].as_array()?.iter().filter_map(Value::as_str).collect();
        let text = text.trim_matches('"').strip_prefix("heritage=external-dns,")?.to_owned();
        text.split(',').find_map(|part| part.strip_prefix("external-dns/owner=")).map(str::to_owned)
    })
}

fn write(state: &mut CloudState, zone: &str, change: Change, run: &RecordSync, timing: &Timing) {
    let etag = state.uuid("etag");
    let set_key = key(change.kind, &change.name);
    let Some(records) = state.dns.zones.get_mut(zone).map(|zone| &mut zone.records) else { return };
    let before = match change.records {
        Some(new) => {
            let mut set = RecordSet { ttl: TTL, ..RecordSet::new(change.kind, change.name, etag.clone()) };
            set.set_records(new);
            records.insert(set_key.clone(), set)
        }
        None => records.remove(&set_key),
    };
    publication::set_written(state, zone, set_key, before, &etag, (run.at, timing));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::roles;
    use crate::test_cloud::TestCloud;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

    struct Fixture {
        cloud: TestCloud,
        zone: String,
        run: RecordSync,
    }

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.into(), addresses: vec![ADDRESS], resource: "httproute/default/web".into() }
    }

    fn fixture() -> Fixture {
        let mut cloud = TestCloud::new();
        let zone = cloud.in_group("Microsoft.Network/dnsZones/example.com");
        cloud.put(&format!("{zone}?api-version=2018-05-01"), &json!({"location": "global"}));
        let visible = cloud.now;
        let directory = &mut cloud.state.directory;
        directory.add_managed_identity("object".into(), "client".into(), "id", "/id", visible);
        let run = RecordSync {
            at: cloud.now,
            deployment: "uid".into(),
            client_id: "client".into(),
            subscription: cloud.state.subscription.clone(),
            group: "RG".into(),
            domains: vec!["example.com".into()],
            owner: "cluster-1".into(),
            wildcard: "approutingwildcard".into(),
            endpoints: vec![endpoint("a.example.com"), endpoint("*.example.com"), endpoint("example.com")],
        };
        Fixture { cloud, zone, run }
    }

    impl Fixture {
        fn grant(&mut self) {
            roles::own_subscription(&mut self.cloud.state, "object", self.cloud.now);
        }

        fn sync(&mut self) -> bool {
            let timing = Timing::new(crate::clock::Speed::Times(1.0));
            sync(&mut self.cloud.state, &self.run, &timing)
        }

        /// Returns the names of the sets of a type below the zone's own.
        fn names(&self, kind: &str) -> Vec<String> {
            let zone = &self.cloud.state.dns.zones[&id::key(&self.zone)];
            zone.sets().into_iter().filter(|set| set.kind == kind).map(|set| set.name).collect()
        }
    }

    #[test]
    fn records_get_a_registry_except_at_the_apex_and_go_with_their_route() {
        let mut fixture = fixture();
        assert!(!fixture.sync(), "the identity has no role");
        fixture.grant();
        assert!(fixture.sync());
        assert_eq!(fixture.names("A"), ["*", "@", "a"]);
        assert_eq!(fixture.names("TXT"), ["a-a", "a-approutingwildcard"]);
        fixture.run.endpoints =
            vec![Endpoint { addresses: vec![Ipv4Addr::new(127, 0, 0, 12)], ..endpoint("example.com") }];
        assert!(fixture.sync());
        assert_eq!((fixture.names("A"), fixture.names("TXT").len()), (vec!["@".to_owned()], 0));
        let resolved = fixture.cloud.state.dns.resolve("example.com");
        assert_eq!(resolved[0].1, [ADDRESS], "the apex is never updated");
    }

    #[test]
    fn a_record_of_another_owner_is_skipped_until_the_registry_names_this_one() {
        let mut fixture = fixture();
        fixture.grant();
        fixture.run.endpoints = vec![endpoint("a.example.com")];
        let record = format!("{}/A/a?api-version=2018-05-01", fixture.zone);
        let body = json!({"properties": {"TTL": 60, "ARecords": [{"ipv4Address": "203.0.113.9"}]}});
        fixture.cloud.put(&record, &body);
        assert!(fixture.sync());
        assert_eq!(fixture.names("TXT").len(), 0);
        let text =
            "\"heritage=external-dns,external-dns/owner=cluster-1,external-dns/resource=httproute/x/y\"";
        let registry = format!("{}/TXT/a-a?api-version=2018-05-01", fixture.zone);
        fixture.cloud.put(&registry, &json!({"properties": {"TTL": 300, "TXTRecords": [{"value": [text]}]}}));
        assert!(fixture.sync());
        assert_eq!(fixture.cloud.state.dns.resolve("a.example.com")[0].1, [ADDRESS]);
    }
}
