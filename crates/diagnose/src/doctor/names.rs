//! Checks of the records in a DNS zone that landfall manages.

use super::{Finding, rules::Findings, snapshot::Snapshot};
use crate::{
    object_fields::{list, name, text},
    route_model::Route,
};
use landfall_cloud::arm::dns;

pub(super) fn evaluate(snapshot: &Snapshot<'_>, findings: &mut Findings) {
    let Some((published, zone, records)) = &snapshot.names else { return };
    let Ok(records) = records else { return };
    let Some(records) = records else {
        let finding = Finding::new(
            "DNS_ZONE_MISSING",
            format!("the zone {} was deleted, with its records", zone.name),
            "create the zone and delegate it, then landfall up; or omit dns.zone and manage the records \
             elsewhere",
        );
        findings.report(finding.evidence(format!("GET {}: 404", zone.id)));
        return;
    };
    for (host, address) in &published.records {
        let Some(relative) = dns::relative(host, &zone.name) else { continue };
        // The current address of the gateway, or the recorded one if no gateway has an address.
        let wanted = gateway_address(snapshot, host).unwrap_or_else(|| address.clone());
        let Some(record) = records.iter().find(|record| record.name.eq_ignore_ascii_case(&relative)) else {
            let finding = Finding::new(
                "DNS_RECORD_MISSING",
                format!("the zone {} has no record for {host}", zone.name),
                "landfall up: it creates the record again",
            );
            findings.report(finding.evidence(format!("no A record {relative}; {wanted} is required")));
            continue;
        };
        if record.addresses != [wanted.clone()] {
            let remedy = match record.metadata.contains_key(&snapshot.environment.owner_key) {
                true => "landfall up: it updates the record",
                false => {
                    "the record is foreign, so landfall does not change it: delete or correct it, then \
                     landfall up"
                }
            };
            let finding = Finding::new(
                "DNS_RECORD_WRONG",
                format!("{host} points to an address other than its gateway's"),
                remedy,
            );
            let description =
                format!("A record {relative} is {}, but {wanted} is required", record.addresses.join(", "));
            findings.report(finding.evidence(description));
        }
    }
}

/// Returns the address of the gateway that serves a host.
fn gateway_address(snapshot: &Snapshot<'_>, host: &str) -> Option<String> {
    let cluster_objects = snapshot.cluster_objects()?;
    let routes = snapshot.wanted("HTTPRoute");
    let of = routes.map(Route::read).filter(|route| route.spec.hostnames.iter().any(|one| one == host));
    let parents = of.flat_map(|route| route.spec.parent_refs);
    let gateways = cluster_objects.gateways.as_ref().ok()?;
    parents.filter_map(|parent| gateways.iter().find(|one| name(one) == parent.name)).find_map(|one| {
        let address = list(&one.data, "/status/addresses").first()?;
        Some(text(address, "/value").to_owned()).filter(|address| !address.is_empty())
    })
}
