//! Faults of a chain that make clients distrust a valid certificate.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::leaf::{hex, timestamp};

/// A fault of the certificates above the leaf. A server works with it, but many clients refuse the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFault {
    /// The issuer is not a root by its own signature, and its certificate is missing.
    Missing {
        /// The subject of the missing certificate.
        issuer: String,
    },
    /// A certificate of the chain has expired.
    Expired {
        /// Its subject.
        subject: String,
        /// The end of its validity.
        not_after: Timestamp,
    },
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { issuer } => {
                write!(
                    f,
                    "the certificate's chain is missing: it was issued by {issuer}, whose certificate is absent"
                )
            }
            Self::Expired { subject, not_after } => {
                let day = not_after.strftime("%Y-%m-%d");
                write!(f, "the certificate's chain is broken: the intermediate {subject} expired on {day}")
            }
        }
    }
}

impl ChainFault {
    /// Returns the remedy.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "export the PFX file again with the intermediates, else most clients refuse it"
            }
            Self::Expired { .. } => "export the PFX file again with the authority's current intermediate",
        }
    }
}

/// Returns the faults of the chain from a leaf upwards, as clients build it from the other certificates. A root
/// may be absent, because clients have their own. A chain that ends below an absent issuer is complete if it
/// has at least one intermediate. Unreadable certificates have none.
pub fn chain_faults(leaf: &[u8], others: &[&[u8]], now: Timestamp) -> Vec<ChainFault> {
    let parse = |der| X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate);
    let others: Vec<X509Certificate<'_>> = others.iter().copied().filter_map(parse).collect();
    let Some(leaf) = parse(leaf) else { return Vec::new() };
    let mut faults = Vec::new();
    let mut current = &leaf;
    // The number of certificates ends a loop of certificates that issue each other.
    for depth in 0..=others.len() {
        if current.issuer().as_raw() == current.subject().as_raw() {
            break;
        }
        // Of two generations of an intermediate, clients choose the valid one.
        let issuers = others.iter().filter(|known| known.subject().as_raw() == current.issuer().as_raw());
        let Some(issuer) = issuers.max_by_key(|issuer| issuer.validity().not_after.timestamp()) else {
            if depth == 0 {
                faults.push(ChainFault::Missing { issuer: leaf.issuer().to_string() });
            }
            break;
        };
        let not_after = timestamp(&issuer.validity().not_after);
        if not_after < now {
            faults.push(ChainFault::Expired { subject: issuer.subject().to_string(), not_after });
        }
        current = issuer;
    }
    faults
}

/// Returns a digest of the certificates above a leaf, whatever their order: 16 lower-case hex digits. It only
/// detects a change.
#[must_use]
pub fn chain_digest(mut others: Vec<&[u8]>) -> String {
    others.sort_unstable();
    hex(&Sha256::digest(others.concat())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    fn params(name: &str, until: i32) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    #[test]
    fn a_missing_or_expired_intermediate_is_a_fault() {
        let (root, intermediate) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let leaf_key = KeyPair::generate().unwrap();
        let root = Issuer::new(params("Root", 2090), root);
        let valid = params("Intermediate", 2080).signed_by(&intermediate, &root).unwrap();
        let expired = params("Intermediate", 2020).signed_by(&intermediate, &root).unwrap();
        let issuer = Issuer::new(params("Intermediate", 2080), intermediate);
        let leaf = params("leaf", 2070).signed_by(&leaf_key, &issuer).unwrap();
        let own = params("own", 2070).self_signed(&leaf_key).unwrap();
        let now: Timestamp = "2050-01-01T00:00:00Z".parse().unwrap();
        let faults = |leaf: &[u8], others: &[&[u8]]| -> Vec<String> {
            chain_faults(leaf, others, now).iter().map(ToString::to_string).collect()
        };
        assert!(faults(leaf.der(), &[valid.der()]).is_empty(), "the root may be absent");
        assert!(faults(leaf.der(), &[expired.der(), valid.der()]).is_empty(), "the valid generation counts");
        assert!(faults(own.der(), &[]).is_empty());
        let missing = faults(leaf.der(), &[own.der()]);
        assert!(missing.len() == 1 && missing[0].contains("Intermediate"), "{missing:?}");
        let old = faults(leaf.der(), &[expired.der()]);
        assert!(old.len() == 1 && old[0].ends_with("expired on 2020-01-01"), "{old:?}");
    }
}
