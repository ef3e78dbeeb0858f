//! Remaining validity of a certificate, and the threshold of the warning.

use jiff::Timestamp;

/// The threshold of the expiry warning, in days.
pub const WARNING_DAYS: i64 = 30;

/// The expiry state of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Beyond the warning threshold.
    Valid,
    /// The remaining whole days, zero on the last one.
    ExpiresSoon(i64),
    /// Expired, with the whole days since then.
    Expired(i64),
}

/// Returns the remaining whole days at that time; negative after the expiry.
#[must_use]
pub fn days_left(not_after: Timestamp, now: Timestamp) -> i64 {
    (not_after.as_second() - now.as_second()).div_euclid(24 * 3600)
}

/// Returns the expiry state at that time. A certificate with a known lifetime is renewed in time, so the warning starts in its
/// last sixth; without one it starts thirty days before the end.
#[must_use]
pub fn expiry(not_before: Option<Timestamp>, not_after: Timestamp, now: Timestamp) -> Expiry {
    let last_sixth = |start: Timestamp| (not_after.as_second() - start.as_second()) / 6;
    let warning = not_before.map_or(WARNING_DAYS * 24 * 3600, last_sixth);
    match days_left(not_after, now) {
        _ if not_after.as_second() - now.as_second() >= warning => Expiry::Valid,
        left if left >= 0 => Expiry::ExpiresSoon(left),
        left => Expiry::Expired(-left - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_expires_soon_for_thirty_days_and_is_valid_to_its_last_second() {
        let now: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
        let at = |text: &str| expiry(None, text.parse().unwrap(), now);
        assert_eq!(at("2026-12-23T09:00:00Z"), Expiry::Valid);
        assert_eq!(at("2026-12-23T08:59:59Z"), Expiry::ExpiresSoon(29));
        assert_eq!(at("2026-11-23T09:00:00Z"), Expiry::ExpiresSoon(0));
        assert_eq!(at("2026-11-23T08:59:59Z"), Expiry::Expired(0));
        assert_eq!(at("2026-11-20T09:00:00Z"), Expiry::Expired(2));
        let of_six_days =
            |start: &str, end: &str| expiry(Some(start.parse().unwrap()), end.parse().unwrap(), now);
        assert_eq!(of_six_days("2026-11-21T09:00:00Z", "2026-11-27T09:00:00Z"), Expiry::Valid);
        assert_eq!(of_six_days("2026-11-18T09:00:00Z", "2026-11-24T08:00:00Z"), Expiry::ExpiresSoon(0));
    }
}
