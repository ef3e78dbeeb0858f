//! The state of the CAs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ca::CaName;
use super::issuer::Issuer;
use super::jwk::Jwk;
use super::limits::Limits;
use super::settings::Settings;
use crate::clock::SimTime;

/// The CAs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Servers {
    production: Server,
    staging: Server,
}

impl Servers {
    pub(crate) fn get(&self, ca: CaName) -> &Server {
        match ca {
            CaName::Production => &self.production,
            CaName::Staging => &self.staging,
        }
    }

    pub(crate) fn get_mut(&mut self, ca: CaName) -> &mut Server {
        match ca {
            CaName::Production => &mut self.production,
            CaName::Staging => &mut self.staging,
        }
    }

    /// Creates the keys of the CAs that have none.
    ///
    /// # Errors
    /// [`SimError::Certificates`].
    pub(crate) fn ensure_issuers(&mut self, now: SimTime) -> Result<(), rcgen::Error> {
        for ca in CaName::ALL {
            let server = self.get_mut(ca);
            if server.issuer.is_none() {
                server.issuer = Some(Issuer::create(ca, now)?);
            }
        }
        Ok(())
    }

    /// Returns the root certificate of a CA that has keys, PEM.
    pub(crate) fn root_pem(&self, ca: CaName) -> &str {
        self.get(ca).issuer.as_ref().map_or("", Issuer::root_pem)
    }
}

/// One CA.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(super) issuer: Option<Issuer>,
    /// The unused nonces, oldest first.
    pub(super) nonces: VecDeque<String>,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) orders: BTreeMap<String, Order>,
    pub(super) authorizations: BTreeMap<String, Authorization>,
    /// The certificates by serial number, hexadecimal.
    pub(super) certificates: BTreeMap<String, Issued>,
    pub(super) limits: Limits,
    /// The names that no account may order.
    pub(super) paused: BTreeSet<String>,
    /// The external accounts that are bound, by their key id, with the ACME account.
    pub(super) bound: BTreeMap<String, String>,
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) key: Jwk,
    pub(super) contact: Vec<String>,
    /// `valid` or `deactivated`.
    pub(super) status: String,
    pub(super) created: SimTime,
    /// The external account binding, as the client sent it.
    pub(super) binding: Option<Value>,
}

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) account: String,
    /// The names in lower case, sorted, each once.
    pub(super) names: Vec<String>,
    pub(super) profile: String,
    /// True if the client asked for the profile.
    pub(super) profile_asked: bool,
    pub(super) created: SimTime,
    pub(super) expires: SimTime,
    /// The ids of the authorizations.
    pub(super) authorizations: Vec<String>,
    pub(super) progress: Progress,
    pub(super) error: Option<Value>,
    /// The identifier of the certificate that it replaces.
    pub(super) replaces: Option<String>,
    /// True if it replaces a certificate inside its renewal window: no limit counts it.
    pub(super) exempt: bool,
}

/// The progress of an order after its authorizations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Progress {
    /// Not finalized.
    Open,
    /// Finalized: the certificate is issued at `due`.
    Finalized {
        /// The signing request, DER in base64url.
        csr: String,
        due: SimTime,
    },
    /// Issued, with the serial number.
    Issued(String),
    /// It can never become valid.
    Invalid,
}

/// An authorization of an account for a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Authorization {
    pub(super) account: String,
    /// The name without `*.`.
    pub(super) name: String,
    pub(super) wildcard: bool,
    /// `pending`, `valid`, `invalid` or `deactivated`.
    pub(super) status: String,
    pub(super) expires: SimTime,
    pub(super) challenges: Vec<Challenge>,
    /// The lifetime after its validation, in seconds of cloud time.
    pub(super) valid_lifetime: f64,
}

/// A challenge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Challenge {
    /// `dns-01`, `http-01` or `tls-alpn-01`.
    pub(super) kind: String,
    pub(super) token: String,
    /// `pending`, `processing`, `valid` or `invalid`.
    pub(super) status: String,
    /// The instant of the validation, once a client has asked for it.
    pub(super) due: Option<SimTime>,
    pub(super) validated: Option<SimTime>,
    pub(super) error: Option<Value>,
    /// True if a fault lets the validation fail at a secondary place.
    #[serde(default)]
    pub(super) fails_secondary: bool,
}

/// An issued certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Issued {
    pub(super) account: String,
    pub(super) names: Vec<String>,
    /// The certificate, PEM.
    pub(super) pem: String,
    /// The validity in real time.
    pub(super) not_before: SimTime,
    pub(super) not_after: SimTime,
    pub(super) revoked: Option<SimTime>,
    /// The order that replaces it.
    pub(super) replaced_by: Option<String>,
}
