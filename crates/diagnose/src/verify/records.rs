//! The check that the zone's records contain the gateways' addresses. It reads Resource Manager, not a
//! resolver: a public resolver may return cached answers, and does not know a zone that is not delegated yet.

use super::{
    context::CheckContext,
    outcome::{CheckOutcome, Fault},
};
use landfall_cloud::{
    ApiError,
    arm::{
        SubscriptionClient,
        dns::{self, relative},
    },
    environment_description::PublishedRecords,
};

/// Compares the records with the addresses. `hosts` contains those of each gateway's routes.
pub(super) async fn check(
    context: &CheckContext<'_>,
    azure: &SubscriptionClient,
    published: Option<&PublishedRecords>,
    hosts: &[Vec<String>],
) -> CheckOutcome {
    let Some(zone) = published.and_then(|published| published.zone.as_ref()) else {
        return CheckOutcome::NotApplicable(
            "no zone is managed; create the records yourself, landfall status shows them".into(),
        );
    };
    let cannot = |error: &ApiError| {
        CheckOutcome::Failed(vec![Fault::new(format!("cannot list the records of {}: {error}", zone.name))])
    };
    let (records, body) = futures::join!(azure.records(zone), azure.arm().get(&zone.id, dns::API));
    let (records, body) = match (records, body) {
        (Ok(records), Ok(body)) => (records, body),
        (Err(error), _) | (_, Err(error)) => return cannot(&error),
    };
    let mut faults = Vec::new();
    let mut held = 0;
    for (address, hosts) in context.addresses.iter().zip(hosts) {
        for host in hosts {
            let Some(name) = relative(host, &zone.name) else { continue };
            let is = records.iter().find(|record| record.is_named(&name));
            match (address, is) {
                (Ok(address), Some(record)) if record.addresses == [address.to_string()] => held += 1,
                (Ok(address), Some(record)) => {
                    let is = record.addresses.join(", ");
                    faults.push(
                        Fault::new(format!("{host} is {is} in zone {}, not {address}", zone.name))
                            .hint("landfall up updates owned records; change a foreign record yourself"),
                    );
                }
                (Ok(_), None) => {
                    let text = format!("{host} has no A record in zone {}", zone.name);
                    faults.push(Fault::new(text).hint("landfall up creates it"));
                }
                (Err(fault), _) => faults.push(fault.clone().root(super::CheckId::Gateways)),
            }
        }
    }
    if !faults.is_empty() {
        return CheckOutcome::Failed(faults);
    }
    let servers = body.as_ref().and_then(|body| body["properties"]["nameServers"].as_array());
    let servers = servers.into_iter().flatten().filter_map(|one| one.as_str());
    let servers: Vec<&str> = servers.map(|name| name.trim_end_matches('.')).collect();
    let by = match servers.split_first() {
        None => String::new(),
        Some((first, [])) => format!("; its name server is {first}"),
        Some((first, others)) => format!("; its name servers are {first} and {} more", others.len()),
    };
    CheckOutcome::Passed(format!(
        "{held} of {held} records in zone {} have the gateways' addresses{by}",
        zone.name
    ))
}
