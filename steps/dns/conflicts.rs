//! Record sets of a zone that prevent or hide the records of the gateways.

use super::registry;
use crate::names;
use landfall_cloud::arm::{Record, Zone, dns::relative};

/// A record set at one of our names, or above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The hosts whose records it prevents or hides.
    pub(crate) hosts: Vec<String>,
    /// The record set with its type, zone, content and owner.
    pub(crate) why: String,
    /// The remedy.
    pub(crate) fix: String,
    /// True if only its addresses are in the way: a record with our address is none.
    pub(crate) is_address: bool,
}

/// The record sets of a zone, and our mark in it.
pub(crate) struct ZoneContent<'a> {
    pub(crate) zone: &'a Zone,
    pub(crate) sets: &'a [Record],
    pub(crate) mark: &'a str,
    /// The owner ids of our ExternalDNS.
    pub(crate) owners: &'a [String],
}

impl ZoneContent<'_> {
    /// Returns the A record of a host.
    pub(crate) fn record(&self, host: &str) -> Option<&Record> {
        let name = relative(host, &self.zone.name)?;
        self.sets.iter().find(|set| set.kind == "A" && set.is_named(&name))
    }

    /// Returns whether our mark is on a record.
    pub(crate) fn is_marked(&self, record: &Record) -> bool {
        record.metadata.get(names::OWNER).is_some_and(|mark| mark == self.mark)
    }

    /// Returns whether a record is owned: our mark is on it, or our ExternalDNS published it.
    pub(crate) fn is_owned(&self, record: &Record) -> bool {
        let is_registered = || {
            let owner = registry::owner(self.sets, &record.name.to_ascii_lowercase());
            owner.is_some_and(|owner| self.owners.contains(&owner))
        };
        self.is_marked(record) || (!self.owners.is_empty() && is_registered())
    }

    /// Lists the conflicts of hosts with their addresses; an unknown address differs from every record's. Other
    /// types beside an A record, such as TXT and MX, are none. So is a wildcard: an exact name wins.
    pub(crate) fn conflicts(&self, hosts: &[(String, Option<String>)]) -> Vec<Conflict> {
        let mut conflicts: Vec<Conflict> = Vec::new();
        for (host, address) in hosts {
            let Some(name) = relative(host, &self.zone.name) else { continue };
            let Some(conflict) = self.conflict(host, &name, address.as_deref()) else { continue };
            match conflicts.iter_mut().find(|known| known.why == conflict.why) {
                Some(known) => known.hosts.push(host.clone()),
                None => conflicts.push(conflict),
            }
        }
        conflicts
    }

    fn conflict(&self, host: &str, name: &str, address: Option<&str>) -> Option<Conflict> {
        let conflict = |set: &Record, consequence: &str, fix: String, is_address| Conflict {
            hosts: vec![host.to_owned()],
            why: format!("{}{consequence}", self.describe(set)),
            fix,
            is_address,
        };
        if let Some(set) = self.sets.iter().find(|set| delegates(set, name)) {
            let child = format!("{}.{}", set.name, self.zone.name);
            let consequence = ", so other name servers answer for it and every name below";
            let fix = format!(
                "set dns.zone (DNS_ZONE_NAME) to {child} if the subscription has that zone; else delete the NS record, or \
                 choose another domain"
            );
            return Some(conflict(set, consequence, fix, false));
        }
        let at_name = |kind: &str| self.sets.iter().find(|set| set.kind == kind && set.is_named(name));
        if let Some(set) = at_name("CNAME") {
            let consequence = ", and a name with a CNAME record can have no A record";
            return Some(conflict(set, consequence, self.fix(set), false));
        }
        let set = at_name("A").filter(|set| !self.is_owned(set))?;
        let is_ours = address.is_some_and(|address| set.addresses == [address]);
        (!is_ours).then(|| conflict(set, "", self.fix(set), true))
    }

    /// Returns the AAAA records of hosts: clients with IPv6 use them, and never reach the gateways.
    pub(crate) fn ipv6_notes(&self, hosts: &[(String, Option<String>)]) -> Vec<String> {
        let names = hosts.iter().filter_map(|(host, _)| relative(host, &self.zone.name));
        let sets =
            names.filter_map(|name| self.sets.iter().find(|set| set.kind == "AAAA" && set.is_named(&name)));
        sets.map(|set| {
            format!("{}; clients with IPv6 use it and never reach the gateway", self.describe(set))
        })
        .collect()
    }

    fn fix(&self, set: &Record) -> String {
        format!(
            "delete the {} record {} of zone {}, or choose another domain",
            set.kind, set.name, self.zone.name
        )
    }

    /// Describes a record set: `A record app of zone example.com is 203.0.113.9 (not owned by landfall: no owner
    /// mark)`.
    fn describe(&self, set: &Record) -> String {
        let verb = match set.kind.as_str() {
            "CNAME" => "leads to",
            "NS" => "delegates to",
            _ => "is",
        };
        let content = if set.values.is_empty() { "empty".to_owned() } else { set.values.join(", ") };
        let (kind, name, zone) = (&set.kind, &set.name, &self.zone.name);
        format!(
            "{kind} record {name} of zone {zone} {verb} {content} (not owned by landfall: {})",
            self.owner(set)
        )
    }

    /// Returns what shows the owner of a foreign record set: its metadata, or the TXT record of ExternalDNS.
    fn owner(&self, set: &Record) -> String {
        if let Some(mark) = set.metadata.get(names::OWNER) {
            return format!("it belongs to the environment {mark}");
        }
        if !set.metadata.is_empty() {
            let metadata: Vec<String> =
                set.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
            return format!("metadata {}", metadata.join(", "));
        }
        let prefix = set.kind.to_ascii_lowercase();
        let registered = [set.name.clone(), format!("{prefix}-{}", set.name)];
        let texts = self
            .sets
            .iter()
            .filter(|other| other.kind == "TXT" && registered.iter().any(|name| other.is_named(name)));
        let owner = |text: &String| {
            let text = text.trim_matches('"').strip_prefix("heritage=external-dns,")?;
            text.split(',').find_map(|part| part.strip_prefix("external-dns/owner=")).map(str::to_owned)
        };
        match texts.flat_map(|text| &text.values).find_map(owner) {
            Some(owner) => format!("ExternalDNS manages it, as {owner}"),
            None => "no owner mark".to_owned(),
        }
    }
}

/// Returns whether a record set delegates a name to other name servers. That of the zone itself delegates none.
fn delegates(set: &Record, name: &str) -> bool {
    let delegated = set.name.to_ascii_lowercase();
    let is_below = || name.strip_suffix(&delegated).is_some_and(|rest| rest.ends_with('.'));
    set.kind == "NS" && delegated != "@" && (name == delegated || is_below())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn set(kind: &str, name: &str, value: &str) -> Record {
        let values = vec![value.to_owned()];
        Record {
            name: name.to_owned(),
            kind: kind.to_owned(),
            addresses: if kind == "A" { values.clone() } else { Vec::new() },
            values,
            ttl: 300,
            metadata: BTreeMap::new(),
            etag: String::new(),
        }
    }

    fn found(sets: &[Record], hosts: &[&str]) -> Vec<Conflict> {
        let zone = Zone { id: String::new(), name: "example.com".to_owned(), name_servers: Vec::new() };
        let hosts: Vec<(String, Option<String>)> =
            hosts.iter().map(|host| ((*host).to_owned(), Some("203.0.113.1".to_owned()))).collect();
        ZoneContent { zone: &zone, sets, mark: "s/rg/default", owners: &[] }.conflicts(&hosts)
    }

    #[test]
    fn only_sets_that_prevent_or_hide_a_record_are_conflicts() {
        let sets = [
            set("NS", "@", "ns1.azure-dns.com."),
            set("TXT", "app", "v=1"),
            set("MX", "app", "mail"),
            set("CNAME", "*", "elsewhere.net"),
            set("A", "app", "203.0.113.1"),
            set("CNAME", "other", "elsewhere.net"),
            set("NS", "theirs", "ns.theirs.net"),
            set("A", "outside", "203.0.113.9"),
        ];
        let ours = ["app.example.com", "echo.example.com", "nottheirs.example.com", "outside.example.org"];
        assert_eq!(found(&sets, &ours), []);
        assert_eq!(found(&sets, &["OTHER.example.com"]).len(), 1);
        let delegated = found(&sets, &["theirs.example.com", "a.b.theirs.example.com", "app.example.com"]);
        assert_eq!((delegated.len(), delegated[0].hosts.len()), (1, 2), "one NS record, two hosts");
        assert!(delegated[0].fix.contains("theirs.example.com"), "{delegated:?}");
        assert_eq!(
            found(&sets, &["*.example.com"])[0].why,
            "CNAME record * of zone example.com leads to elsewhere.net \
             (not owned by landfall: no owner mark), and a name with a CNAME record can have no A record"
        );
    }

    #[test]
    fn the_owner_of_a_foreign_record_is_named() {
        let owner = |metadata: &[(&str, &str)], others: &[Record]| {
            let mut address = set("A", "App", "203.0.113.9");
            address.metadata =
                metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let sets: Vec<Record> = std::iter::once(address).chain(others.iter().cloned()).collect();
            found(&sets, &["app.example.com"])
                .first()
                .map(|conflict| conflict.why.clone())
                .unwrap_or_default()
        };
        assert!(
            owner(&[], &[])
                .ends_with("App of zone example.com is 203.0.113.9 (not owned by landfall: no owner mark)")
        );
        assert!(owner(&[("landfall", "s/rg/prod")], &[]).contains("it belongs to the environment s/rg/prod"));
        assert!(owner(&[("team", "web")], &[]).contains("metadata team=web"));
        let text = "\"heritage=external-dns,external-dns/owner=k8s,external-dns/resource=ingress/a/b\"";
        assert!(owner(&[], &[set("TXT", "a-app", text)]).contains("ExternalDNS manages it, as k8s"));
        assert_eq!(owner(&[("landfall", "s/rg/default")], &[]), "", "it is ours");
    }
}
