//! Summary of an environment, from the state in the journal.

use crate::deployment::Records;
use jiff::Timestamp;
use landfall_engine::Memory;

/// The summary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The domain.
    pub domain: String,
    /// The gateways, in the manifests' order.
    pub gateways: Vec<Gateway>,
    /// The certificate that they serve.
    pub certificate: Option<CertificateFacts>,
    /// The DNS names.
    pub dns: DnsFacts,
    /// The kubeconfig file that contains our context, and the context's name.
    pub kubeconfig: Option<(std::path::PathBuf, String)>,
}

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The hosts of its routes.
    pub hosts: Vec<String>,
}

/// The certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-1 of the leaf, 40 lower-case hex digits, as Key Vault's x5t.
    pub thumbprint_sha1: String,
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
    /// True if landfall can renew it; otherwise the user supplies a PFX.
    pub renewable: bool,
}

/// The DNS names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsFacts {
    /// True if landfall manages the records.
    pub managed: bool,
    /// The zone that contains them.
    pub zone: Option<String>,
    /// Host and address.
    pub records: Vec<(String, String)>,
}

/// Reads the summary of the environment of this domain from the state in the journal.
#[must_use]
pub fn facts(records: &Records, domain: &str, memory: &Memory) -> Facts {
    let gateways = memory.output_of(records.gateways).map(|made| made.gateways).unwrap_or_default();
    let certificate = memory.output_of(records.certificate).map(|held| CertificateFacts {
        renewable: held.is_made_for(domain),
        thumbprint_sha1: held.thumbprint,
        not_after: held.not_after,
        names: held.names,
        version: held.version,
        secret_id: held.secret_id,
        self_signed: held.self_signed,
    });
    let dns = memory.output_of(records.dns).map(|published| DnsFacts {
        managed: published.zone.is_some(),
        zone: published.zone.map(|zone| zone.name),
        records: published.records,
    });
    let kubeconfig = memory.output_of(records.kubeconfig).map(|merged| (merged.file, merged.added.context));
    Facts {
        domain: domain.to_owned(),
        gateways: gateways
            .into_iter()
            .map(|gateway| Gateway { name: gateway.name, address: gateway.address, hosts: gateway.hosts })
            .collect(),
        certificate,
        dns: dns.unwrap_or_default(),
        kubeconfig,
    }
}
