//! The answer of an authoritative name server to a question.
//!
//! Source: RFC 1034 §4.3.2 (algorithm), RFC 4592 (wildcards), RFC 2308 (negative answers), RFC 6891 (EDNS).

use super::message::{Message, rcode};
use super::published::{PublishedSet, PublishedZone};
use super::rdata;
use super::record::{INTERNET, Record, kind};
use super::wire::name_in;

/// The maximum number of CNAME records that one answer follows.
const CNAMES_MAX: usize = 8;

/// Answers a question from the zones of this server.
pub(super) fn answer(zones: &[PublishedZone], query: &Message) -> Message {
    let refused = |rcode| Message::response_to(query, rcode);
    let Some(question) = &query.question else { return refused(rcode::FORMAT_ERROR) };
    if query.opcode != 0 {
        return refused(rcode::NOT_IMPLEMENTED);
    }
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return refused(rcode::BAD_VERSION);
    }
    // Azure DNS offers no zone transfers.
    if question.class != INTERNET || [kind::AXFR, kind::IXFR].contains(&question.kind) {
        return refused(rcode::REFUSED);
    }
    let name = question.name.to_ascii_lowercase();
    let covering = zones.iter().filter(|zone| zone.relative(&name).is_some());
    // The parent's side of a delegation has the DS records.
    let covering = covering.filter(|zone| question.kind != kind::DS || zone.name != name);
    let Some(zone) = covering.max_by_key(|zone| zone.name.len()) else { return refused(rcode::REFUSED) };
    let mut response = refused(rcode::NO_ERROR);
    let mut owner = question.name.clone();
    for _ in 0..CNAMES_MAX {
        let Some(relative) = zone.relative(&owner.to_ascii_lowercase()) else { break };
        match zone.find(&relative, question.kind) {
            Found::Delegated(servers) => {
                refer(&mut response, zone, servers);
                break;
            }
            Found::Sets(sets) => {
                response.authoritative = true;
                sets.iter().for_each(|set| response.answers.extend(records(set, &owner)));
                break;
            }
            Found::Alias(set) => {
                response.authoritative = true;
                let alias: Vec<Record> = records(set, &owner).collect();
                let target = alias.first().and_then(|record| name_in(&record.data));
                response.answers.extend(alias);
                match target {
                    Some(target) => owner = target,
                    None => break,
                }
            }
            negative @ (Found::NoData | Found::NoName) => {
                response.authoritative = true;
                if matches!(negative, Found::NoName) {
                    response.rcode = rcode::NAME_ERROR;
                }
                response.authority.extend(zone.negative());
                break;
            }
        }
    }
    response
}

/// The result of a search in a zone.
enum Found<'a> {
    /// The name is at or below a delegation.
    Delegated(&'a PublishedSet),
    Sets(Vec<&'a PublishedSet>),
    Alias(&'a PublishedSet),
    NoData,
    NoName,
}

impl PublishedZone {
    /// Returns a lower-case name relative to the zone, `@` for the zone itself.
    pub(super) fn relative(&self, name: &str) -> Option<String> {
        if name == self.name {
            return Some("@".to_owned());
        }
        name.strip_suffix(&self.name)?.strip_suffix('.').map(str::to_owned)
    }

    fn find(&self, name: &str, wanted: u16) -> Found<'_> {
        let mut above: Vec<&str> =
            std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, above)| above)).collect();
        above.reverse();
        let delegation = above.iter().filter(|name| **name != "@").find_map(|above| {
            let at_cut_for_parent = *above == name && wanted == kind::DS;
            self.set(above, kind::NS).filter(|_| !at_cut_for_parent)
        });
        if let Some(servers) = delegation {
            return Found::Delegated(servers);
        }
        let source = if self.exists(name) {
            name.to_owned()
        } else {
            let encloser = above.iter().rev().skip(1).find(|name| self.exists(name));
            let wildcard = encloser.map_or_else(|| "*".to_owned(), |name| format!("*.{name}"));
            match self.exists(&wildcard) {
                true => wildcard,
                false => return Found::NoName,
            }
        };
        let at_name: Vec<&PublishedSet> = self.sets.iter().filter(|set| set.name == source).collect();
        let alias = at_name.iter().find(|set| set.kind == kind::CNAME);
        if let Some(alias) = alias.filter(|_| ![kind::CNAME, kind::ANY].contains(&wanted)) {
            return Found::Alias(alias);
        }
        let sets: Vec<_> = at_name
            .into_iter()
            .filter(|set| !set.data.is_empty() && (wanted == kind::ANY || set.kind == wanted))
            .collect();
        if sets.is_empty() { Found::NoData } else { Found::Sets(sets) }
    }

    fn set(&self, name: &str, kind: u16) -> Option<&PublishedSet> {
        self.sets.iter().find(|set| set.name == name && set.kind == kind && !set.data.is_empty())
    }

    /// Returns whether a name has a set, or a name below it has one.
    fn exists(&self, name: &str) -> bool {
        let below = format!(".{name}");
        name == "@" || self.sets.iter().any(|set| set.name == name || set.name.ends_with(&below))
    }

    /// Returns the SOA record of a negative answer: its TTL is the time for which to cache the answer.
    fn negative(&self) -> Option<Record> {
        let soa = self.set("@", kind::SOA)?;
        let mut record = records(soa, &self.name).next()?;
        let minimum = record.data.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        record.ttl = record.ttl.min(minimum);
        Some(record)
    }
}

/// Adds a referral, with the addresses of servers inside the zone.
fn refer(response: &mut Message, zone: &PublishedZone, servers: &PublishedSet) {
    let owner = format!("{}.{}", servers.name, zone.name);
    response.authority.extend(records(servers, &owner));
    for server in servers.data.iter().filter_map(|data| name_in(data)) {
        let Some(relative) = zone.relative(&server.to_ascii_lowercase()) else { continue };
        for kind in [kind::A, kind::AAAA] {
            let glue = zone.set(&relative, kind);
            response.additional.extend(glue.into_iter().flat_map(|set| records(set, &server)));
        }
    }
}

fn records<'a>(set: &'a PublishedSet, owner: &'a str) -> impl Iterator<Item = Record> + 'a {
    set.data.iter().map(move |data| Record {
        name: owner.to_owned(),
        kind: set.kind,
        ttl: set.ttl,
        data: data.clone(),
    })
}

impl PublishedSet {
    /// Returns the set with that type, or `None` if the type or a record has no form on the wire.
    pub(crate) fn new(kind: &str, name: &str, ttl: u32, records: &[serde_json::Value]) -> Option<Self> {
        let data = records.iter().filter_map(|record| rdata::encode(kind, record)).collect();
        Some(Self { kind: rdata::number(kind)?, name: name.to_ascii_lowercase(), ttl, data })
    }
}
