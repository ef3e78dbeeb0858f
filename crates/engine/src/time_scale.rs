//! The time scale of the cloud, and the two conversions between cloud time and real time.

use std::time::Duration;

/// The longest real time that a conversion returns, so that its sum with an instant cannot overflow.
const REAL_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The minimum real time of a deadline. A shorter one would measure this machine, its disk and its load
/// instead of the cloud. A debug build on two busy cores took a quarter of a minute for a step in which the
/// cloud needs no time. After a minute the step hangs for certain.
const DEADLINE_MIN: Duration = Duration::from_secs(60);

/// The minimum real time of a polling timeout. It may be shorter, because such a timeout interrupts nothing:
/// the wait ends with one more poll, which has its own deadline.
const POLL_TIMEOUT_MIN: Duration = Duration::from_secs(10);

/// The speed of the cloud: cloud seconds per real second.
///
/// 1.0 is real time, 60.0 scales a minute of the cloud to a second here, and infinity completes everything at
/// once. Durations of the cloud (deadlines, typical durations, poll intervals) are written in cloud time and
/// converted here before a sleep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeScale(f64);

impl TimeScale {
    /// Returns whether nothing takes any time.
    pub fn is_instant(self) -> bool {
        self.0.is_infinite()
    }

    /// Real time.
    pub const REAL: TimeScale = TimeScale(1.0);

    /// Creates a pace of cloud seconds per real second; infinity is allowed.
    ///
    /// # Panics
    ///
    /// Panics if `speed` is not above zero: the settings are validated long before this.
    pub fn new(speed: f64) -> Self {
        assert!(speed > 0.0, "a time scale must be above zero, this one is {speed}");
        Self(speed)
    }

    /// Converts a duration from cloud time to real time: zero at infinite pace.
    pub fn real(self, cloud: Duration) -> Duration {
        let real = Duration::try_from_secs_f64(cloud.as_secs_f64() / self.0);
        real.unwrap_or(REAL_MAX).min(REAL_MAX)
    }

    /// Converts a duration from real time to cloud time. At infinite pace the conversion is undefined, and
    /// the real duration is returned unchanged.
    pub fn cloud(self, real: Duration) -> Duration {
        if self.0.is_infinite() {
            return real;
        }
        Duration::try_from_secs_f64(real.as_secs_f64() * self.0).unwrap_or(Duration::MAX)
    }

    /// Converts a deadline from cloud time to real time.
    ///
    /// It is [`TimeScale::real`], but never below a minute, unless the deadline itself is shorter. A deadline
    /// interrupts steps that hang, and not those that a slow machine delays.
    pub fn deadline(self, cloud: Duration) -> Duration {
        self.real(cloud).max(cloud.min(DEADLINE_MIN))
    }

    /// Converts a polling timeout from cloud time to real time, without the last poll.
    ///
    /// Like [`TimeScale::deadline`], with ten seconds instead of a minute. The last poll at the end covers a cloud
    /// that was faster than the machine.
    pub fn poll_timeout(self, cloud: Duration) -> Duration {
        self.real(cloud).max(cloud.min(POLL_TIMEOUT_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_cloud_minute_is_a_second_at_scale_60() {
        let time_scale = TimeScale::new(60.0);
        assert_eq!(time_scale.real(seconds(60)), seconds(1));
        assert_eq!(time_scale.cloud(seconds(2)), seconds(120));
    }

    #[test]
    fn infinite_scale_takes_no_time_and_reports_real_time() {
        let time_scale = TimeScale::new(f64::INFINITY);
        assert_eq!(time_scale.real(seconds(280)), Duration::ZERO);
        assert_eq!(time_scale.cloud(seconds(3)), seconds(3));
    }

    #[test]
    fn a_deadline_is_scaled_with_a_minimum() {
        let time_scale = TimeScale::new(60.0);
        assert_eq!(time_scale.deadline(seconds(7200)), seconds(120));
        assert_eq!(time_scale.deadline(seconds(1800)), seconds(60));
        assert_eq!(time_scale.deadline(seconds(2)), seconds(2));
        assert_eq!(TimeScale::REAL.deadline(seconds(60)), seconds(60));
        assert_eq!(TimeScale::new(f64::INFINITY).deadline(seconds(900)), seconds(60));
    }

    #[test]
    fn a_poll_timeout_has_a_lower_minimum_than_a_deadline() {
        let time_scale = TimeScale::new(60.0);
        assert_eq!(time_scale.poll_timeout(seconds(1800)), seconds(30));
        assert_eq!(time_scale.poll_timeout(seconds(60)), seconds(10));
        assert_eq!(time_scale.poll_timeout(seconds(2)), seconds(2));
        assert_eq!(TimeScale::REAL.poll_timeout(seconds(60)), seconds(60));
    }

    #[test]
    fn an_unlimited_duration_can_be_added_to_an_instant() {
        let real = TimeScale::new(0.001).real(Duration::MAX);
        assert!(std::time::Instant::now().checked_add(real).is_some());
    }
}
