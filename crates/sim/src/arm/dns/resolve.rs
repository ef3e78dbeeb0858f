//! Resolution of host names through the zones, as their name servers answer (RFC 1034, RFC 4592).

use std::net::Ipv4Addr;

use super::{Zone, Zones, key};

/// The maximum length of a chain of CNAME records.
const CNAMES_MAX: usize = 8;

impl Zones {
    /// Returns whether a zone is authoritative for a host name.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.zones.values().any(|zone| zone.relative(&host).is_some())
    }

    /// Returns the addresses of a host name in each zone that has it, with the zone's id.
    pub fn resolve(&self, host: &str) -> Vec<(String, Vec<Ipv4Addr>)> {
        self.resolve_through(host, CNAMES_MAX)
    }

    fn resolve_through(&self, host: &str, cnames: usize) -> Vec<(String, Vec<Ipv4Addr>)> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let answer = |zone: &Zone| {
            let name = zone.answering_name(&zone.relative(&host)?)?;
            if let Some(set) = zone.records.get(&key("A", &name)) {
                return Some((zone.id.clone(), set.addresses.clone()));
            }
            let alias = zone.records.get(&key("CNAME", &name))?.data.first()?["cname"].as_str()?.to_owned();
            let cnames = cnames.checked_sub(1)?;
            let followed =
                self.resolve_through(&alias, cnames).into_iter().flat_map(|(_, addresses)| addresses);
            Some((zone.id.clone(), followed.collect()))
        };
        self.zones.values().filter_map(answer).collect()
    }
}

impl Zone {
    /// Returns the name of a host in lower case relative to the zone, `@` for the zone itself.
    pub(super) fn relative(&self, host: &str) -> Option<String> {
        if host == self.name {
            return Some("@".to_owned());
        }
        host.strip_suffix(&self.name)?.strip_suffix('.').map(str::to_owned)
    }

    /// Returns the name whose sets answer for a name: the name itself, or the wildcard of the nearest existing
    /// name above it. `None` if there is neither, or if the name is delegated to other name servers.
    fn answering_name(&self, name: &str) -> Option<String> {
        let delegated = |name: &str| name != "@" && self.records.contains_key(&key("NS", name));
        if ancestors(name).any(|name| delegated(&name)) {
            return None;
        }
        if self.exists(name) {
            return Some(name.to_owned());
        }
        let encloser = ancestors(name).skip(1).find(|name| self.exists(name));
        let wildcard = encloser.map_or_else(|| "*".to_owned(), |name| format!("*.{name}"));
        self.exists(&wildcard).then_some(wildcard)
    }

    /// Returns whether a name has a set, or a name below it has one.
    fn exists(&self, name: &str) -> bool {
        let below = format!(".{name}");
        name == "@"
            || self.records.values().any(|set| {
                let set = set.name.to_ascii_lowercase();
                set == name || set.ends_with(&below)
            })
    }
}

/// Returns a relative name and every name above it in the zone.
fn ancestors(name: &str) -> impl Iterator<Item = String> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, above)| above)).map(str::to_owned)
}
