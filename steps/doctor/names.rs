//! Checks of the records in a DNS zone that landfall manages.

use super::{
    Finding,
    object::{list, name, text},
    picture::Picture,
    walk::Walk,
};
use crate::dns;

pub(super) fn judge(p: &Picture<'_>, walk: &mut Walk) {
    let Some((published, zone, records)) = &p.names else { return };
    let Ok(records) = records else { return };
    let Some(records) = records else {
        let finding = Finding::new(
            "DNS_ZONE_MISSING",
            format!("the zone {} is gone, and its records with it", zone.name),
            "make the zone and delegate it, then landfall up; or leave dns.zone out and keep the records elsewhere",
        );
        walk.name(finding.evidence(format!("GET {}: 404", zone.id)));
        return;
    };
    for (host, address) in &published.records {
        let Some(relative) = dns::relative(host, &zone.name) else { continue };
        // The current address of the gateway, or the recorded one if no gateway has an address.
        let wanted = now(p, host).unwrap_or_else(|| address.clone());
        let Some(record) = records.iter().find(|record| record.name.eq_ignore_ascii_case(&relative)) else {
            let finding = Finding::new(
                "DNS_RECORD_MISSING",
                format!("the zone {} has no record for {host}", zone.name),
                "landfall up: it publishes the record anew",
            );
            walk.name(finding.evidence(format!("no A record {relative}; {wanted} is needed")));
            continue;
        };
        if record.addresses != [wanted.clone()] {
            let whose = match record.metadata.contains_key(crate::names::OWNER) {
                true => "landfall up: it writes the record as it should be",
                false => {
                    "somebody else has made this record, so landfall leaves it: take it away or mend it, then landfall up"
                }
            };
            let finding = Finding::new(
                "DNS_RECORD_WRONG",
                format!("{host} leads to another address than its gateway's"),
                whose,
            );
            let told = format!("A record {relative} is {}, {wanted} is needed", record.addresses.join(", "));
            walk.name(finding.evidence(told));
        }
    }
}

/// Returns the address of the gateway that serves a host.
fn now(p: &Picture<'_>, host: &str) -> Option<String> {
    let inside = p.inside()?;
    let routes = p.wanted("HTTPRoute");
    let of = routes.filter(|route| super::object::texts(&route.data, "/spec/hostnames").contains(&host));
    let parents = of.flat_map(|route| list(&route.data, "/spec/parentRefs"));
    let gateways = inside.gateways.as_ref().ok()?;
    parents.filter_map(|parent| gateways.iter().find(|one| name(one) == text(parent, "/name"))).find_map(
        |one| {
            let address = list(&one.data, "/status/addresses").first()?;
            Some(text(address, "/value").to_owned()).filter(|address| !address.is_empty())
        },
    )
}
