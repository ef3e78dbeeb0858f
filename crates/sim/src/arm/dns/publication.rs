//! Publication: a write reaches each name server of its zone after a delay of its own.
//!
//! Resource Manager's answer says nothing about the name servers. They usually follow within seconds; the documented
//! maximum is 60 s. <https://learn.microsoft.com/azure/dns/dns-faq>

use serde_json::json;

use super::store::{Publication, RecordSet, Superseded, Zone};
use crate::arm::id;
use crate::clock::{SimTime, Timing};
use crate::dns_server::published::{PublishedSet, PublishedZone};
use crate::durations;
use crate::state::{CloudState, uuid_from};

/// The name server of a zone that its parent delegates elsewhere.
const ELSEWHERE: &str = "ns1.registrar.example.";

impl Publication {
    /// Lets a server fail until an instant.
    fn fail_server(&mut self, server: &str, until: SimTime) {
        self.outages.insert(server.trim_end_matches('.').to_ascii_lowercase(), until);
    }

    /// Returns whether a server fails at an instant.
    pub(crate) fn is_down(&self, server: &str, at: SimTime) -> bool {
        self.outages.get(server).is_some_and(|until| at < *until)
    }

    fn has_zone(&self, zone: &str, server: usize, at: SimTime) -> bool {
        let since = self.created.get(zone).and_then(|servers| servers.get(server));
        since.is_none_or(|since| *since <= at)
    }

    /// Returns the content of a set on a server: `current`, or what it replaced.
    fn content<'a>(
        &'a self,
        zone: &str,
        key: &str,
        server: usize,
        at: SimTime,
        current: Option<&'a RecordSet>,
    ) -> Option<&'a RecordSet> {
        let mut content = current;
        let writes = self.superseded.get(zone).into_iter().flatten().rev();
        for write in writes.filter(|write| write.key == key) {
            if write.until.get(server).is_none_or(|until| *until <= at) {
                break;
            }
            content = write.before.as_ref();
        }
        content
    }
}

/// Lets the last server of a zone fail until an instant; returns whether the zone exists.
pub(crate) fn fail_last_server(state: &mut CloudState, zone: &str, until: SimTime) -> bool {
    let Some(zone) = state.dns.zones.get(&id::key(zone)) else { return false };
    let Some(server) = zone.name_servers.last() else { return false };
    state.publication.fail_server(server, until);
    true
}

/// Lets the next write of a zone reach its last server not before an instant; returns whether the zone exists.
pub(crate) fn hold_next_write(state: &mut CloudState, zone: &str, until: SimTime) -> bool {
    let zone = id::key(zone);
    let exists = state.dns.zones.contains_key(&zone);
    if exists {
        state.publication.late.insert(zone, until);
    }
    exists
}

/// Lets the parents of all zones delegate to other name servers; returns whether that is new for one.
pub(crate) fn undelegate(state: &mut CloudState) -> bool {
    let before = state.publication.undelegated.len();
    state.publication.undelegated.extend(state.dns.zones.keys().cloned());
    state.publication.undelegated.len() > before
}

/// Draws the instants at which the servers of a zone get a change. They derive from its etag, so that a publication
/// draws no ids.
fn arrivals(state: &CloudState, etag: &str, servers: usize, now: SimTime, timing: &Timing) -> Vec<SimTime> {
    let arrival = |server: usize| {
        let drawn = uuid_from(state.seed, &format!("publication {etag}"), server as u64);
        let share = f64::from(u8::from_str_radix(&drawn[..2], 16).unwrap_or(0)) / 255.0;
        // Most servers follow within seconds.
        timing.after(now, durations::DNS_PUBLICATION_MAX * share.powi(3))
    };
    (0..servers).map(arrival).collect()
}

/// Records the creation of a zone.
pub(super) fn zone_created(state: &mut CloudState, zone: &str, now: SimTime, timing: &Timing) {
    let Some(created) = state.dns.zones.get(zone) else { return };
    let arrivals = arrivals(state, &created.etag, created.name_servers.len(), now, timing);
    forget_zone(state, zone);
    if arrivals.iter().any(|at| *at > now) {
        state.publication.created.insert(zone.to_owned(), arrivals);
    }
}

/// Forgets a deleted zone, which its servers refuse at once.
pub(super) fn forget_zone(state: &mut CloudState, zone: &str) {
    state.publication.created.remove(zone);
    state.publication.superseded.remove(zone);
    state.publication.late.remove(zone);
    state.publication.undelegated.remove(zone);
}

/// Records a write of a set, which had the content `before`. `etag` is that of the write.
pub(super) fn set_written(
    state: &mut CloudState,
    zone: &str,
    key: String,
    before: Option<RecordSet>,
    etag: &str,
    (now, timing): (SimTime, &Timing),
) {
    let Some(servers) = state.dns.zones.get(zone).map(|zone| zone.name_servers.len()) else { return };
    let mut until = arrivals(state, etag, servers, now, timing);
    if let (Some(late), Some(last)) = (state.publication.late.remove(zone), until.last_mut()) {
        *last = late.max(*last);
    }
    let superseded = state.publication.superseded.entry(zone.to_owned()).or_default();
    superseded.retain(|write| write.until.iter().any(|until| *until > now));
    if until.iter().any(|until| *until > now) {
        superseded.push(Superseded { key, before, until });
    }
    if superseded.is_empty() {
        state.publication.superseded.remove(zone);
    }
}

/// Returns the zones that a name server has at an instant. `server` is in lower case without a trailing dot.
pub(crate) fn published(state: &CloudState, server: &str, at: SimTime) -> Vec<PublishedZone> {
    let mut zones = Vec::new();
    for (id, zone) in &state.dns.zones {
        let Some(index) = zone.server_index(server) else { continue };
        if state.publication.has_zone(id, index, at) {
            zones.push(zone.published(&state.publication, id, index, at));
        }
    }
    zones
}

/// Returns the name and the name servers of each delegated zone, in lower case without trailing dots.
pub(crate) fn delegations(state: &CloudState) -> Vec<(String, Vec<String>)> {
    let plain = |name: &String| name.trim_end_matches('.').to_ascii_lowercase();
    let zones = state.dns.zones.iter().filter(|(id, _)| !state.publication.undelegated.contains(*id));
    zones.map(|(_, zone)| (zone.name.clone(), zone.name_servers.iter().map(plain).collect())).collect()
}

impl Zone {
    fn server_index(&self, server: &str) -> Option<usize> {
        self.name_servers.iter().position(|own| own.trim_end_matches('.').eq_ignore_ascii_case(server))
    }

    fn published(&self, publication: &Publication, id: &str, server: usize, at: SimTime) -> PublishedZone {
        let mut keys: Vec<&String> = self.records.keys().collect();
        let writes = publication.superseded.get(id).into_iter().flatten();
        keys.extend(writes.map(|write| &write.key).filter(|key| !self.records.contains_key(*key)));
        keys.sort_unstable();
        keys.dedup();
        let written = keys
            .into_iter()
            .filter_map(|key| publication.content(id, key, server, at, self.records.get(key)).cloned());
        let written: Vec<RecordSet> = written.collect();
        let mut apex = self.apex_sets();
        if publication.undelegated.contains(id) {
            apex[0].set_records(vec![json!({ "nsdname": ELSEWHERE })]);
        }
        let apex = apex.into_iter();
        let apex = apex.filter(|set| !written.iter().any(|own| own.name == "@" && own.kind == set.kind));
        let sets: Vec<RecordSet> = apex.chain(written.iter().cloned()).collect();
        let sets =
            sets.iter().filter_map(|set| PublishedSet::new(&set.kind, &set.name, set.ttl, &set.records()));
        PublishedZone { name: self.name.clone(), sets: sets.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::TestCloud;
    use serde_json::json;

    fn texts(cloud: &TestCloud, server: usize) -> usize {
        let (_, servers) = &delegations(&cloud.state)[0];
        let zones = published(&cloud.state, &servers[server], cloud.now);
        zones.iter().flat_map(|zone| &zone.sets).filter(|set| set.name == "_acme-challenge").count()
    }

    #[test]
    fn each_server_gets_a_write_after_its_own_delay() {
        let mut cloud = TestCloud::new();
        let zone = cloud.in_group("Microsoft.Network/dnsZones/demo.example.com");
        cloud.put(&format!("{zone}?api-version=2018-05-01"), &json!({ "location": "global" }));
        cloud.advance(61.0);
        let set = format!("{zone}/TXT/_acme-challenge?api-version=2018-05-01");
        let body = json!({ "properties": { "TTL": 60, "TXTRecords": [{ "value": ["one"] }] } });
        cloud.put(&set, &body);
        let at_once: usize = (0..4).map(|server| texts(&cloud, server)).sum();
        assert!(at_once < 4, "at least one server does not have it yet");
        cloud.advance(61.0);
        assert_eq!((0..4).map(|server| texts(&cloud, server)).collect::<Vec<_>>(), [1; 4]);
        cloud.delete(&set);
        let still: usize = (0..4).map(|server| texts(&cloud, server)).sum();
        assert!(still > 0, "at least one server still has it");
        cloud.advance(61.0);
        assert_eq!((0..4).map(|server| texts(&cloud, server)).sum::<usize>(), 0);
        cloud.put(&set, &body);
        assert_eq!(cloud.state.publication.superseded.values().map(Vec::len).sum::<usize>(), 1);
    }

    #[test]
    fn a_failing_server_and_a_late_one() {
        let mut publication = Publication::default();
        publication.fail_server("NS1-01.azure-dns.com.", SimTime(10));
        assert!(publication.is_down("ns1-01.azure-dns.com", SimTime(9)));
        assert!(!publication.is_down("ns1-01.azure-dns.com", SimTime(10)));
        let mut cloud = TestCloud::new();
        let zone = cloud.in_group("Microsoft.Network/dnsZones/demo.example.com");
        cloud.put(&format!("{zone}?api-version=2018-05-01"), &json!({ "location": "global" }));
        cloud.advance(61.0);
        let until = cloud.timing.after(cloud.now, 300.0);
        assert!(hold_next_write(&mut cloud.state, &zone, until));
        let set = format!("{zone}/TXT/_acme-challenge?api-version=2018-05-01");
        let body = json!({ "properties": { "TTL": 60, "TXTRecords": [{ "value": ["one"] }] } });
        cloud.put(&set, &body);
        cloud.advance(299.0);
        assert_eq!((texts(&cloud, 0), texts(&cloud, 3)), (1, 0));
        cloud.advance(1.0);
        assert_eq!(texts(&cloud, 3), 1);
    }
}
