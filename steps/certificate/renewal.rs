//! The time at which a certificate is due for renewal.

use jiff::{SignedDuration, Timestamp};

/// The lifetime below which a certificate is renewed at its half.
pub(crate) const SHORT_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 24);

/// Returns the latest time to start a renewal: one third of the lifetime is left, or one half of a lifetime below ten
/// days. <https://letsencrypt.org/docs/integration-guide/>
#[must_use]
pub fn backstop(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let lifetime = not_after.duration_since(not_before);
    let left = if lifetime < SHORT_LIFETIME { lifetime / 2 } else { lifetime / 3 };
    not_after.checked_sub(left).unwrap_or(not_before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_a_long_lifetime_and_a_half_of_a_short_one_are_left() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let start = at("2026-11-01T00:00:00Z");
        assert_eq!(backstop(start, at("2027-01-30T00:00:00Z")), at("2026-12-31T00:00:00Z"));
        assert_eq!(backstop(start, at("2026-11-07T16:00:00Z")), at("2026-11-04T08:00:00Z"));
    }
}
