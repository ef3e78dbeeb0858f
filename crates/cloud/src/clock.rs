//! The clock of a cloud.

use jiff::{SignedDuration, Timestamp};
use std::{fmt, sync::Arc};

/// The time source for everything that a cloud dates: certificates, renewal windows, limits.
///
/// Azure has the system's clock. The clock of a simulated cloud may have been advanced.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Returns a clock that is ahead of the system's.
    #[must_use]
    pub fn ahead_by(ahead: SignedDuration) -> Self {
        Self::reading(move || Timestamp::now().checked_add(ahead).unwrap_or(Timestamp::MAX))
    }

    /// Returns a clock that reads another time source.
    #[must_use]
    pub fn reading(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::reading(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_ahead_keeps_its_distance() {
        let ahead = Clock::ahead_by(SignedDuration::from_hours(24));
        let distance = ahead.now().duration_since(Clock::default().now());
        assert!((86_390..=86_400).contains(&distance.as_secs()), "{distance:?}");
    }
}
