//! The settings of a certificate by ACME.

use landfall_cloud::acme::Registration;
use std::{fmt, time::Duration};
use url::Url;

/// The settings of `[certificate.acme]`.
#[derive(Clone)]
pub struct Acme {
    /// The server.
    pub directory: AcmeDirectory,
    /// The only authorities that may vouch for the server itself, PEM; `None` means those of the cloud.
    pub root: Option<String>,
    /// The profile; `None` means the server's default.
    pub profile: Option<String>,
    /// The names of the certificate; empty means the domain and its wildcard.
    pub names: Vec<String>,
    /// Contact and external account of the registration.
    pub registration: Registration,
    /// The wait for the TXT records.
    pub propagation: Propagation,
    /// True if the first order for these names is rehearsed at the staging server.
    pub rehearse: bool,
    /// The place of the private key.
    pub key: KeyPlace,
}

/// The ACME server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcmeDirectory {
    /// The default server of the cloud, whose certificates clients trust.
    Production,
    /// The server for trial orders.
    Staging,
    /// A server by the address of its directory.
    Url(Url),
}

impl AcmeDirectory {
    /// Parses `production`, `staging` or the address of a directory.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "production" => Some(Self::Production),
            "staging" => Some(Self::Staging),
            address => Url::parse(address).ok().filter(|url| url.host_str().is_some()).map(Self::Url),
        }
    }
}

impl fmt::Display for AcmeDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Production => f.write_str("production"),
            Self::Staging => f.write_str("staging"),
            Self::Url(url) => f.write_str(url.as_str()),
        }
    }
}

/// The wait for TXT records, before the server looks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Ask the name servers of the zone until all of them answer, at most this long.
    AskAtMost(Duration),
    /// Ask no server, and wait this long.
    Wait(Duration),
}

impl Default for Propagation {
    fn default() -> Self {
        Self::AskAtMost(Duration::from_secs(600))
    }
}

impl Propagation {
    /// Parses `600s` or `600`, the bound of the questions, and `wait 120s`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let seconds = |text: &str| {
            let text = text.trim();
            let number = text.strip_suffix(['s', 'S']).unwrap_or(text).trim_end().parse::<u64>().ok()?;
            (10..=3600).contains(&number).then(|| Duration::from_secs(number))
        };
        match text.strip_prefix("wait ") {
            Some(rest) => seconds(rest).map(Self::Wait),
            None => seconds(text).map(Self::AskAtMost),
        }
    }
}

/// The place where the private key is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyPlace {
    /// In the vault, which it never leaves.
    #[default]
    Vault,
    /// On this machine, and imported with the chain.
    Local,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_a_word_or_an_address() {
        assert_eq!(AcmeDirectory::parse("staging"), Some(AcmeDirectory::Staging));
        assert!(matches!(AcmeDirectory::parse("https://ca.example/dir"), Some(AcmeDirectory::Url(_))));
        assert_eq!(AcmeDirectory::parse("letsencrypt"), None);
    }

    #[test]
    fn a_propagation_is_a_bound_or_a_wait() {
        let seconds = Duration::from_secs;
        assert_eq!(Propagation::parse("600s"), Some(Propagation::AskAtMost(seconds(600))));
        assert_eq!(Propagation::parse(" wait 120 "), Some(Propagation::Wait(seconds(120))));
        for wrong in ["", "wait", "5s", "2h", "wait 99999s"] {
            assert_eq!(Propagation::parse(wrong), None, "{wrong}");
        }
    }
}
