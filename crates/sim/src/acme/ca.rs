//! The two CAs.

use serde::{Deserialize, Serialize};

use crate::clock::{SimTime, Speed, Timing};

/// The host of the production CA, below the parent domain.
pub(crate) const PRODUCTION_HOST: &str = "acme";

/// The host of the staging CA.
pub(crate) const STAGING_HOST: &str = "acme-staging";

/// The path of the directory.
pub(super) const DIRECTORY_PATH: &str = "/directory";

/// The name of the CAs in CAA records: that of the CA that they imitate.
pub(super) const CAA_IDENTITY: &str = "letsencrypt.org";

/// The name of a CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaName {
    /// Like Let's Encrypt's production.
    Production,
    /// Like Let's Encrypt's staging: another root, larger limits.
    Staging,
}

impl CaName {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Production, Self::Staging];

    /// Returns the host below the parent domain.
    pub(crate) fn host(self) -> &'static str {
        match self {
            Self::Production => PRODUCTION_HOST,
            Self::Staging => STAGING_HOST,
        }
    }

    /// Returns the name in the admin API.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
        }
    }

    /// Finds a CA by its name in the admin API.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ca| ca.name() == name)
    }
}

/// Returns the end of a lifetime in seconds of cloud time. At instant speed it is real time: nothing that waits is
/// late there, and nothing that lasts ends at once.
pub(super) fn lifetime_end(timing: &Timing, now: SimTime, cloud_seconds: f64) -> SimTime {
    match timing.speed {
        Speed::Instant => Timing::new(Speed::Times(1.0)).after(now, cloud_seconds),
        Speed::Times(_) => timing.after(now, cloud_seconds),
    }
}
