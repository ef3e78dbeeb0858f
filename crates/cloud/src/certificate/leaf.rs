//! The fields of a certificate.

use std::fmt::Write as _;
use std::net::IpAddr;

use aws_lc_rs::digest;
use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

/// The fields of the certificate that belongs to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-1 of its DER as 40 lowercase hex digits, which Key Vault and Windows call its thumbprint.
    pub thumbprint_sha1: String,
    /// SHA-256 of its DER as 64 lowercase hex digits.
    pub thumbprint_sha256: String,
    /// Its subject alternative names: DNS names in lowercase, and addresses.
    pub names: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The number of certificates in its chain within the same file, itself included.
    pub chain_length: usize,
}

impl Leaf {
    pub(super) fn read(der: &[u8], certificate: &X509Certificate<'_>, chain_length: usize) -> Leaf {
        Leaf {
            thumbprint_sha1: hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()),
            thumbprint_sha256: hex(digest::digest(&digest::SHA256, der).as_ref()),
            names: names(certificate),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: timestamp(&certificate.validity().not_before),
            not_after: timestamp(&certificate.validity().not_after),
            chain_length,
        }
    }

    /// Returns whether the certificate covers a host, by its subject alternative names alone, as clients do.
    ///
    /// A wildcard matches exactly one label, and only the leftmost (RFC 9525 §6.3). A host that is itself a
    /// wildcard requires that very name.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().any(|name| {
            *name == host
                || name.strip_prefix("*.").is_some_and(|parent| {
                    host.split_once('.').is_some_and(|(label, rest)| {
                        rest == parent && label != "*" && !label.is_empty() && host.parse::<IpAddr>().is_err()
                    })
                })
        })
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let general = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    general
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
            _ => None,
        })
        .collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// Converts a time. "No well-defined end" (RFC 5280 §4.1.2.5) is one day beyond the maximum of this calendar.
pub(super) fn timestamp(time: &ASN1Time) -> Timestamp {
    let clamped = time.timestamp().clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(clamped).expect("the number was clamped into the range")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string does not fail");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(names: &[&str]) -> Leaf {
        Leaf {
            thumbprint_sha1: String::new(),
            thumbprint_sha256: String::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            subject: String::new(),
            issuer: String::new(),
            not_before: Timestamp::MIN,
            not_after: Timestamp::MAX,
            chain_length: 1,
        }
    }

    #[test]
    fn a_wildcard_matches_exactly_one_label() {
        let leaf = leaf(&["*.example.com", "10.0.0.1"]);
        for host in ["www.example.com", "WWW.Example.com.", "*.example.com", "10.0.0.1"] {
            assert!(leaf.covers(host), "{host}");
        }
        for host in ["example.com", "a.b.example.com", ".example.com", "*.www.example.com", "10.0.0.2", ""] {
            assert!(!leaf.covers(host), "{host}");
        }
        assert!(!super::tests::leaf(&["*.0.0.1"]).covers("10.0.0.1"));
    }

    #[test]
    fn too_many_names_are_refused_and_a_message_lists_few() {
        let many: Vec<String> = (0..5_000).map(|at| format!("h{at}.example.com")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let check = |names: &[&str], host: &str| {
            let checked =
                crate::certificate::check_leaf(&leaf(names), &[host.to_owned()], Timestamp::UNIX_EPOCH);
            checked.map_err(|error| error.to_string())
        };
        let expected = "use the certificate: it has 5000 names, and at most 1000 are supported";
        assert_eq!(check(&many, "h1.example.com").unwrap_err(), expected);
        assert_eq!(check(&many[..1_000], "h1.example.com"), Ok(()));
        let message = check(&many[..12], "other.example.com").unwrap_err();
        assert!(message.ends_with("h9.example.com and 2 more"), "{message}");
    }

    #[test]
    fn a_name_without_wildcard_matches_only_itself() {
        let leaf = leaf(&["demo.example.com"]);
        assert!(leaf.covers("demo.example.com"));
        assert!(!leaf.covers("*.demo.example.com"));
        assert!(!leaf.covers("www.demo.example.com"));
    }
}
