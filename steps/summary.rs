//! Summary of an environment, from the state in the journal.

use crate::{
    dns::{Published, relative},
    graph::Records,
};
use jiff::Timestamp;
use landfall_engine::JournalState;

/// The summary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The domain.
    pub domain: String,
    /// The gateways, in the manifests' order.
    pub gateways: Vec<GatewaySummary>,
    /// The certificate that they serve.
    pub certificate: Option<CertificateSummary>,
    /// The DNS names.
    pub dns: DnsSummary,
    /// The kubeconfig file that contains our context, and the context's name.
    pub kubeconfig: Option<(std::path::PathBuf, String)>,
}

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySummary {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The hosts of its routes.
    pub hosts: Vec<String>,
}

/// The certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// SHA-1 of the leaf, 40 lower-case hex digits, as Key Vault's x5t.
    pub thumbprint_sha1: String,
    /// The start of its validity, if an ACME server issued it.
    pub not_before: Option<Timestamp>,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Every DNS name it covers.
    pub names: Vec<String>,
    /// The vault's version of it, 32 hex digits.
    pub version: String,
    /// Its secret id in the vault.
    pub secret_id: String,
    /// True if it is self-signed.
    pub self_signed: bool,
    /// The ACME server that issued it, as the settings name it.
    pub acme: Option<String>,
    /// True if landfall can renew it; otherwise the user supplies a PFX.
    pub renewable: bool,
}

/// The DNS names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsSummary {
    /// True if landfall manages the records.
    pub managed: bool,
    /// The zone that contains them.
    pub zone: Option<String>,
    /// Host and address of every record in the zone; of all records if landfall manages none.
    pub records: Vec<(String, String)>,
    /// Host and address of the records outside the zone, which are entered by hand.
    pub outside: Vec<(String, String)>,
    /// True if the signed-in identity may not list the zones.
    pub unreadable: bool,
}

impl DnsSummary {
    fn of(published: Published) -> Self {
        let zone = published.zone.map(|zone| zone.name);
        let is_inside = |host: &str| zone.as_ref().is_none_or(|zone| relative(host, zone).is_some());
        let (records, outside) = published.records.into_iter().partition(|(host, _)| is_inside(host));
        Self { managed: zone.is_some(), zone, records, outside, unreadable: published.unreadable }
    }
}

/// Reads the summary of the environment of this domain from the state in the journal.
#[must_use]
pub fn summarize(records: &Records, domain: &str, journal_state: &JournalState) -> Summary {
    let gateways =
        journal_state.output_of(records.gateways).map(|programmed| programmed.gateways).unwrap_or_default();
    let certificate = journal_state.output_of(records.certificate).map(|held| CertificateSummary {
        renewable: held.is_renewable_for(domain) || held.acme.is_some(),
        acme: held.acme,
        thumbprint_sha1: held.thumbprint,
        not_before: held.not_before,
        not_after: held.not_after,
        names: held.names,
        version: held.version,
        secret_id: held.secret_id,
        self_signed: held.self_signed,
    });
    let dns = journal_state.output_of(records.dns).map(DnsSummary::of);
    let kubeconfig =
        journal_state.output_of(records.kubeconfig).map(|merged| (merged.file, merged.added.context));
    Summary {
        domain: domain.to_owned(),
        gateways: gateways
            .into_iter()
            .map(|gateway| GatewaySummary {
                name: gateway.name,
                address: gateway.address,
                hosts: gateway.hosts,
            })
            .collect(),
        certificate,
        dns: dns.unwrap_or_default(),
        kubeconfig,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::PublishedZone;

    #[test]
    fn records_outside_the_zone_do_not_count() {
        let published = |zone: Option<&str>| {
            let zone = zone.map(|name| PublishedZone { id: String::new(), name: name.to_owned() });
            let record = |host: &str| (host.to_owned(), "203.0.113.1".to_owned());
            let records = vec![record("example.com"), record("*.example.com"), record("www.example.org")];
            DnsSummary::of(Published { zone, records, unreadable: false })
        };
        let managed = published(Some("example.com"));
        assert_eq!((managed.records.len(), managed.outside.len()), (2, 1));
        let by_hand = published(None);
        assert_eq!((by_hand.records.len(), by_hand.outside.len()), (3, 0));
    }
}
