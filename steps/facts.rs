//! What a finished environment has to show: for the summary, for `status`, for whoever scripts against it.

use jiff::Timestamp;

/// The facts of one environment, taken from the outputs that its steps left in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The domain below which every host name lives.
    pub domain: String,
    /// The gateways that have an address, in the order people see them.
    pub gateways: Vec<Gateway>,
    /// The certificate in the vault, once it is there.
    pub certificate: Option<CertificateFacts>,
    /// The names.
    pub dns: DnsFacts,
}

/// A Gateway with an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The Gateway object's name.
    pub name: String,
    /// The address its Service got from the load balancer.
    pub address: String,
    /// The host names it answers for.
    pub hosts: Vec<String>,
}

/// The certificate's newest version in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-1 of the DER, 40 lower-case hex digits: what Key Vault calls `x5t`.
    pub thumbprint_sha1: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Its subject alternative names.
    pub names: Vec<String>,
    /// The id of the secret that holds it, version included.
    pub secret_id: String,
    /// Whether landfall made it itself.
    pub self_signed: bool,
}

/// The names, published or to be entered by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsFacts {
    /// Whether a zone of the subscription holds the records.
    pub managed: bool,
    /// The zone, when there is one.
    pub zone: Option<String>,
    /// Record name below the zone (or the domain) and address.
    pub records: Vec<(String, String)>,
}
