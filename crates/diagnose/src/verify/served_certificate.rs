//! The check that each gateway serves the vault's newest version, which must be valid and cover all hosts.

use super::{
    CheckId,
    context::CheckContext,
    expectations::HostPort,
    outcome::{CheckOutcome, Fault},
};
use crate::{
    doctor::{RenewalRecord, days_left},
    http_probe::RequestError,
    peer_certificate::PeerCertificate,
};
use std::collections::BTreeSet;

/// Checks the served certificate of every host.
pub(super) async fn check(context: &CheckContext<'_>) -> CheckOutcome {
    let host_ports: Vec<&HostPort> =
        context.expectations.host_ports.iter().filter(|host_port| host_port.secure).collect();
    let (pinned, own): (Vec<&HostPort>, Vec<&HostPort>) =
        host_ports.into_iter().partition(|host_port| host_port.pinned);
    if pinned.is_empty() {
        return CheckOutcome::NotApplicable(
            "no listener has a Secret with the vault's certificate".to_owned(),
        );
    }
    let leaf = context.trust.leaf();
    let mut faults: Vec<Fault> = Vec::new();
    let uncovered = pinned.iter().filter(|host_port| !leaf.covers(&host_port.host));
    faults.extend(uncovered.map(|host_port| {
        Fault::new(format!("{} is not among its names: {}", host_port.host, leaf.names.join(", ")))
            .hint("use one that covers every host: landfall rotate --pfx FILE")
    }));
    if leaf.not_after <= context.trust.now() {
        let ended = format!("it expired on {}", leaf.not_after.strftime("%Y-%m-%d"));
        faults.push(Fault::new(ended).hint("landfall rotate replaces it"));
    }
    let checks = pinned.iter().map(|host_port| check_host(context, host_port));
    let peer_certificate: Vec<Result<PeerCertificate, Fault>> = futures::future::join_all(checks).await;
    let system_trusted =
        peer_certificate.iter().flatten().all(|peer_certificate| peer_certificate.is_trusted_by_system);
    let warnings = chain_warnings(&peer_certificate);
    faults.extend(peer_certificate.into_iter().filter_map(Result::err));
    match faults.is_empty() {
        true => {
            let passed = description(context, pinned.len(), own.len(), system_trusted);
            CheckOutcome::Passed(format!("{passed}{warnings}"))
        }
        false => CheckOutcome::Failed(faults),
    }
}

/// Returns the faults of the served chains, each once. The pin makes up for a chain here, but not in a browser.
fn chain_warnings(served: &[Result<PeerCertificate, Fault>]) -> String {
    let of = served.iter().flatten().flat_map(|peer_certificate| &peer_certificate.chain_faults);
    let warnings: BTreeSet<String> =
        of.map(|fault| format!("; warning: {fault}; {}", fault.hint())).collect();
    warnings.into_iter().collect()
}

async fn check_host(context: &CheckContext<'_>, host_port: &HostPort) -> Result<PeerCertificate, Fault> {
    let endpoint = context.endpoint(host_port)?;
    let (session, peer_certificate) = context.client.open(&endpoint).await;
    let host = &host_port.host;
    match (session, peer_certificate) {
        (Ok(_), Some(peer_certificate)) if peer_certificate.is_vault_certificate => Ok(peer_certificate),
        (_, Some(peer_certificate)) if !peer_certificate.is_vault_certificate => {
            let served = peer_certificate
                .leaf
                .as_ref()
                .map_or_else(|| "an unreadable certificate".to_owned(), |leaf| short(&leaf.thumbprint_sha1));
            let wanted = short(&context.stored.thumbprint_sha1_hex);
            let text = format!("{host} serves {served}, but the vault's newest version is {wanted}");
            Err(Fault::new(text).hint(
                "the add-on polls the vault every two minutes; if it persists, another writer changes the \
                 Secret: landfall up waits for it and names the cause",
            ))
        }
        (Err(RequestError::Untrusted(why)), _) => Err(Fault::new(format!("{host}: {why}"))),
        (Err(failure), _) => Err(context.failure(host_port, &failure)),
        (Ok(_), _) => Err(Fault::new(format!("{host} presents no certificate"))),
    }
}

fn description(context: &CheckContext<'_>, pinned: usize, own: usize, system_trusted: bool) -> String {
    let leaf = context.trust.leaf();
    let by = match (leaf.issuer == leaf.subject, system_trusted) {
        (_, false) if context.trust.needs_chain() => "its chain leads to a root of its ACME server",
        (_, true) => "trusted by a root of this system and pinned",
        (true, false) => "self-signed, pinned",
        (false, false) => "pinned, since no root of this system trusts it",
    };
    let other_secrets = match own {
        0 => String::new(),
        _ => format!("; {own} with {} of another Secret", CheckId::Certificate.name()),
    };
    let renewal = RenewalRecord::of(&context.stored.tags).map(|record| renewal(context, &record));
    let renewal = renewal.unwrap_or_default();
    format!(
        "served = vault version {} ({}), covers {pinned} of {pinned} names, until {}{renewal}; {by}{other_secrets}",
        context.stored.version.get(..8).unwrap_or(&context.stored.version),
        short(&context.stored.thumbprint_sha1_hex),
        leaf.not_after.strftime("%Y-%m-%d"),
    )
}

/// Returns the remaining days of a certificate by ACME, its last renewal, and the failures since.
fn renewal(context: &CheckContext<'_>, record: &RenewalRecord) -> String {
    let stored = context.stored;
    let left = days_left(stored, context.trust.now());
    let failures = match record.failures {
        0 => String::new(),
        failures => format!(", warning: {failures} failed since; landfall doctor names the cause"),
    };
    format!(" ({left}, renewed {}{failures})", stored.not_before.strftime("%Y-%m-%d"))
}

/// Returns the first and last digits of a thumbprint: `SHA-1 5E3A…9A10`.
fn short(thumbprint: &str) -> String {
    let upper = thumbprint.to_ascii_uppercase();
    match (upper.get(..4), upper.len().checked_sub(4).and_then(|from| upper.get(from..))) {
        (Some(head), Some(tail)) => format!("SHA-1 {head}…{tail}"),
        _ => format!("SHA-1 {upper}"),
    }
}
