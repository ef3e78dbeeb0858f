//! Wall-clock time of the simulated cloud, and the speed of its durations.
//!
//! The cloud runs on the real clock with shortened durations. A cluster that takes 280 s on Azure is ready
//! after 280 s / speed, and every timestamp in a response is the real time.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SimTime(pub i64);

impl SimTime {
    /// Reads the wall clock.
    pub fn now() -> Self {
        Self(Timestamp::now().as_millisecond())
    }

    /// Returns the time in RFC 3339 with milliseconds, `2026-11-23T08:15:00.123Z`.
    pub fn rfc3339(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// Returns the time in the format of HTTP headers, `Mon, 23 Nov 2026 08:15:00 GMT` (RFC 9110 §5.6.7).
    pub fn http_date(self) -> String {
        self.timestamp().to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Returns whole seconds since the Unix epoch, the unit of tokens and Key Vault attributes.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the time `ms` milliseconds later (earlier if negative).
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the duration from `earlier` to this time; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns the time as a [`Timestamp`], capped at its maximum.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::MAX)
    }
}

/// The time source of the simulated cloud.
#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    /// The system clock.
    #[default]
    Wall,
    /// The clock of the async runtime. It can be paused, and then advances only while all tasks wait.
    Runtime {
        /// The simulated time at `since`.
        base: SimTime,
        /// The runtime's time at `base`.
        since: tokio::time::Instant,
    },
}

impl Clock {
    /// Returns a clock that starts at `base` and advances with the runtime.
    pub fn of_runtime(base: SimTime) -> Self {
        Self::Runtime { base, since: tokio::time::Instant::now() }
    }

    /// Returns the current time.
    pub fn now(&self) -> SimTime {
        match *self {
            Self::Wall => SimTime::now(),
            Self::Runtime { base, since } => {
                base.plus_ms(i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

/// The time scale of the cloud, relative to Azure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// The speed factor; 1.0 is real time. Values at or below zero, and NaN, count as 1.0.
    Times(f64),
    /// Every operation completes before its first poll.
    Instant,
}

impl Speed {
    /// Returns the speed factor; infinity for [`Speed::Instant`].
    pub fn factor(self) -> f64 {
        match self {
            Self::Instant => f64::INFINITY,
            Self::Times(times) if times > 0.0 => times,
            Self::Times(_) => 1.0,
        }
    }
}

/// Converts durations of the cloud (seconds of cloud time) to times and real durations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// The time scale.
    pub speed: Speed,
}

impl Timing {
    /// Creates a timing with that speed.
    pub const fn new(speed: Speed) -> Self {
        Self { speed }
    }

    /// Returns the time `cloud_seconds` of cloud time after `now`; `now` itself at [`Speed::Instant`].
    pub fn after(&self, now: SimTime, cloud_seconds: f64) -> SimTime {
        now.plus_ms(self.real_ms(cloud_seconds))
    }

    /// The duration of a delay at instant speed in real milliseconds.
    pub const INSTANT_DELAY_MS: i64 = 1_000;

    /// Returns whether every duration is zero.
    pub fn is_instant(&self) -> bool {
        self.speed.factor().is_infinite()
    }

    /// Returns the end of an additional delay, which exists at instant speed too.
    pub fn delayed_until(&self, now: SimTime, cloud_seconds: f64) -> SimTime {
        if self.is_instant() { now.plus_ms(Self::INSTANT_DELAY_MS) } else { self.after(now, cloud_seconds) }
    }

    /// Returns the end of a limit or a lifetime that began at `since`. It does not vanish at instant speed: there it lasts in
    /// real time.
    pub fn lasting(&self, since: SimTime, cloud_seconds: f64) -> SimTime {
        if self.is_instant() { Self::new(Speed::Times(1.0)).after(since, cloud_seconds) } else { self.after(since, cloud_seconds) }
    }

    /// Returns the real duration of `cloud_seconds` of cloud time.
    pub fn real(&self, cloud_seconds: f64) -> Duration {
        Duration::from_millis(u64::try_from(self.real_ms(cloud_seconds)).unwrap_or(0))
    }

    /// Returns both forms of a `Retry-After`: whole real seconds, rounded up and at least one, and exact real
    /// milliseconds.
    pub fn retry_after(&self, cloud_seconds: f64) -> (i64, i64) {
        let ms = self.real_ms(cloud_seconds);
        ((ms + 999).div_euclid(1000).max(1), ms)
    }

    /// Converts to real milliseconds, rounded up, so that no duration ends early.
    fn real_ms(&self, cloud_seconds: f64) -> i64 {
        let ms = (cloud_seconds * 1000.0 / self.speed.factor()).ceil();
        if ms.is_finite() && ms > 0.0 { ms.min(1e15) as i64 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_milliseconds_even_when_they_are_zero() {
        assert_eq!(SimTime(1_795_421_700_000).rfc3339(), "2026-11-23T08:15:00.000Z");
        assert_eq!(SimTime(1_795_421_700_123).rfc3339(), "2026-11-23T08:15:00.123Z");
        assert_eq!(SimTime(1_795_421_700_123).http_date(), "Mon, 23 Nov 2026 08:15:00 GMT");
    }

    #[test]
    fn durations_shrink_with_the_speed_and_vanish_at_instant() {
        let now = SimTime(1_000);
        assert_eq!(Timing::new(Speed::Times(60.0)).after(now, 280.0), SimTime(5_667));
        assert_eq!(Timing::new(Speed::Instant).after(now, 280.0), now);
        assert_eq!(Timing::new(Speed::Instant).lasting(now, 280.0), SimTime(281_000));
        assert_eq!(Timing::new(Speed::Times(60.0)).lasting(now, 280.0), SimTime(5_667));
        assert_eq!(Timing::new(Speed::Times(1.0)).real(2.5), Duration::from_millis(2_500));
    }

    #[test]
    fn retry_after_has_rounded_seconds_and_exact_milliseconds() {
        assert_eq!(Timing::new(Speed::Times(60.0)).retry_after(10.0), (1, 167));
        assert_eq!(Timing::new(Speed::Times(4.0)).retry_after(10.0), (3, 2_500));
        assert_eq!(Timing::new(Speed::Instant).retry_after(10.0), (1, 0));
    }
}
