//! Rate limits: token buckets with the capacities of Let's Encrypt, refilled in cloud time.
//! <https://letsencrypt.org/docs/rate-limits/>

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ca::{CaName, lifetime_end};
use crate::clock::{SimTime, Timing};

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// New accounts per address.
    NewAccounts,
    /// New orders per account.
    NewOrders,
    /// Certificates per registered domain.
    CertificatesPerDomain,
    /// Certificates per exact set of names.
    CertificatesPerSet,
    /// Failed authorizations per name and account.
    FailedAuthorizations,
}

impl Limit {
    const fn name(self) -> &'static str {
        match self {
            Self::NewAccounts => "new-accounts",
            Self::NewOrders => "new-orders",
            Self::CertificatesPerDomain => "certificates-per-domain",
            Self::CertificatesPerSet => "certificates-per-set",
            Self::FailedAuthorizations => "failed-authorizations",
        }
    }

    /// Returns the capacity, and the period in seconds in which it refills.
    pub(super) const fn capacity(self, ca: CaName) -> (u32, u32) {
        const HOUR: u32 = 3600;
        const WEEK: u32 = 7 * 24 * HOUR;
        match (self, ca) {
            (Self::NewAccounts, CaName::Production) => (10, 3 * HOUR),
            (Self::NewAccounts, CaName::Staging) => (50, 3 * HOUR),
            (Self::NewOrders, CaName::Production) => (300, 3 * HOUR),
            (Self::NewOrders, CaName::Staging) => (1500, 3 * HOUR),
            (Self::CertificatesPerDomain, CaName::Production) => (50, WEEK),
            (Self::CertificatesPerDomain, CaName::Staging) => (30_000, WEEK),
            (Self::CertificatesPerSet, CaName::Production) => (5, WEEK),
            (Self::CertificatesPerSet, CaName::Staging) => (30_000, WEEK),
            (Self::FailedAuthorizations, CaName::Production) => (5, HOUR),
            (Self::FailedAuthorizations, CaName::Staging) => (200, HOUR),
        }
    }

    /// Returns the text of Boulder, with the capacity, the subject and the period.
    pub(super) fn text(self, capacity: u32, subject: &str, period: u32) -> String {
        let period = format!("{}h0m0s", period / 3600);
        match self {
            Self::NewAccounts => {
                format!("too many new registrations ({capacity}) from this IP address in the last {period}")
            }
            Self::NewOrders => {
                format!("too many new orders ({capacity}) from this account in the last {period}")
            }
            Self::CertificatesPerDomain => {
                format!(
                    "too many certificates ({capacity}) already issued for \"{subject}\" in the last {period}"
                )
            }
            Self::CertificatesPerSet => format!(
                "too many certificates ({capacity}) already issued for this exact set of identifiers in the last \
                 {period}"
            ),
            Self::FailedAuthorizations => {
                format!("too many failed authorizations ({capacity}) for \"{subject}\" in the last {period}")
            }
        }
    }

    pub(super) const fn page(self) -> &'static str {
        match self {
            Self::NewAccounts => "new-registrations-per-ip-address",
            Self::NewOrders => "new-orders-per-account",
            Self::CertificatesPerDomain => "new-certificates-per-registered-domain",
            Self::CertificatesPerSet => "new-certificates-per-exact-set-of-identifiers",
            Self::FailedAuthorizations => "authorization-failures-per-identifier-per-account",
        }
    }
}

/// The buckets: per limit and subject the time at which the bucket is full again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Limits {
    full_at: BTreeMap<String, SimTime>,
}

impl Limits {
    /// Takes one token, or returns the time at which there is one.
    pub(super) fn take(
        &mut self,
        key: String,
        refill_ms: i64,
        capacity: u32,
        now: SimTime,
    ) -> Result<(), SimTime> {
        let full_at = self.full_at.get(&key).copied().unwrap_or(now).max(now);
        let after = full_at.plus_ms(refill_ms);
        let latest = now.plus_ms(refill_ms.saturating_mul(i64::from(capacity)));
        if after > latest {
            return Err(now.plus_ms(after.0 - latest.0));
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        self.full_at.insert(key, after);
        Ok(())
    }
}

/// Returns the time in which one token comes back, in real milliseconds.
pub(super) fn refill_ms(timing: &Timing, capacity: u32, period: u32) -> i64 {
    lifetime_end(timing, SimTime(0), f64::from(period) / f64::from(capacity)).0
}

/// Takes a token if there is one, after an event that cannot be refused.
pub(super) fn record(
    limits: &mut Limits,
    limit: Limit,
    ca: CaName,
    subject: &str,
    now: SimTime,
    timing: &Timing,
) {
    let (capacity, period) = limit.capacity(ca);
    let _ = limits.take(key(limit, subject), refill_ms(timing, capacity, period), capacity, now);
}

pub(super) fn key(limit: Limit, subject: &str) -> String {
    format!("{} {subject}", limit.name())
}

/// Returns the registered domain of a name: its last two labels. The public suffixes with more labels are not known
/// here, so that limits of names below them are shared.
pub(super) fn registered_domain(name: &str) -> &str {
    let mut dots = name.rmatch_indices('.').skip(1);
    dots.next().map_or(name, |(at, _)| &name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_one_token_at_a_time() {
        let mut limits = Limits::default();
        let mut take = |at| limits.take("x".to_owned(), 1000, 3, SimTime(at));
        assert_eq!([take(0), take(0), take(0)], [Ok(()); 3]);
        assert_eq!(take(0), Err(SimTime(1000)));
        assert_eq!(take(400), Err(SimTime(1000)));
        assert_eq!(take(1000), Ok(()));
        assert_eq!(take(1000), Err(SimTime(2000)));
        assert_eq!([take(9000), take(9000), take(9000)], [Ok(()); 3]);
    }

    #[test]
    fn the_registered_domain_has_two_labels() {
        assert_eq!(registered_domain("a.b.example.com"), "example.com");
        assert_eq!(registered_domain("example.com"), "example.com");
    }
}
