//! How much faster than life the cloud is, and the two conversions that follow from it.

use std::time::Duration;

/// The longest real time a conversion gives, so that adding it to an instant cannot overflow.
const REAL_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The shortest real time a bound is bent to. Below it a bound would measure this machine, its
/// disk and its load, and no longer the cloud: a build without optimisation on two busy cores has
/// been seen to need a quarter of a minute for a step in which the cloud takes no time at all, so a
/// minute is what surely hangs.
const BOUND_FLOOR: Duration = Duration::from_secs(60);

/// The shortest real time the bound of repeated looks is bent to. It may be shorter, because such a
/// wait cuts nothing off: it ends with one more look, which has a bound of its own.
const PATIENCE_FLOOR: Duration = Duration::from_secs(10);

/// The speed of the cloud: cloud seconds per real second.
///
/// 1.0 is life, 60.0 makes a minute of the cloud a second here, and infinity makes everything due
/// at once. Durations that belong to the cloud (bounds, usual times, intervals) are written in
/// cloud time and pass through here before anybody sleeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(f64);

impl Pace {
    /// Tells whether nothing takes any time.
    pub fn is_instant(self) -> bool {
        self.0.is_infinite()
    }

    /// The pace of life.
    pub const REAL: Pace = Pace(1.0);

    /// Takes a speed in cloud seconds per real second; infinity is allowed.
    ///
    /// # Panics
    ///
    /// When `speed` is not above zero: settings are checked long before this.
    pub fn new(speed: f64) -> Self {
        assert!(speed > 0.0, "a pace is above zero, this one is {speed}");
        Self(speed)
    }

    /// Returns how long a duration of the cloud takes here: zero at infinite pace.
    pub fn real(self, cloud: Duration) -> Duration {
        let real = Duration::try_from_secs_f64(cloud.as_secs_f64() / self.0);
        real.unwrap_or(REAL_MAX).min(REAL_MAX)
    }

    /// Returns how much of the cloud's time passes in a real duration. At infinite pace that has no
    /// answer, and the real duration is returned unchanged.
    pub fn cloud(self, real: Duration) -> Duration {
        if self.0.is_infinite() {
            return real;
        }
        Duration::try_from_secs_f64(real.as_secs_f64() * self.0).unwrap_or(Duration::MAX)
    }

    /// Returns how long a bound given in cloud time holds here.
    ///
    /// It is [`Pace::real`], but never under a minute, unless the bound itself is shorter: a bound
    /// cuts off what hangs, not what a machine that is slow for a moment has not come to yet.
    pub fn bound(self, cloud: Duration) -> Duration {
        self.real(cloud).max(cloud.min(BOUND_FLOOR))
    }

    /// Returns how long one looks again and again here, given in cloud time, before the last look.
    ///
    /// As [`Pace::bound`], with ten seconds for the minute: whoever looks once more at the end is
    /// not wrong about a cloud that was quicker than the machine.
    pub fn patience(self, cloud: Duration) -> Duration {
        self.real(cloud).max(cloud.min(PATIENCE_FLOOR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_minute_of_the_cloud_is_a_second_at_pace_sixty() {
        let pace = Pace::new(60.0);
        assert_eq!(pace.real(seconds(60)), seconds(1));
        assert_eq!(pace.cloud(seconds(2)), seconds(120));
    }

    #[test]
    fn at_infinite_pace_nothing_takes_time_and_real_time_is_shown() {
        let pace = Pace::new(f64::INFINITY);
        assert_eq!(pace.real(seconds(280)), Duration::ZERO);
        assert_eq!(pace.cloud(seconds(3)), seconds(3));
    }

    #[test]
    fn a_bound_is_bent_but_leaves_the_machine_room_to_breathe() {
        let pace = Pace::new(60.0);
        assert_eq!(pace.bound(seconds(7200)), seconds(120));
        assert_eq!(pace.bound(seconds(1800)), seconds(60));
        assert_eq!(pace.bound(seconds(2)), seconds(2));
        assert_eq!(Pace::REAL.bound(seconds(60)), seconds(60));
        assert_eq!(Pace::new(f64::INFINITY).bound(seconds(900)), seconds(60));
    }

    #[test]
    fn looking_again_and_again_ends_sooner_than_what_would_be_cut_off() {
        let pace = Pace::new(60.0);
        assert_eq!(pace.patience(seconds(1800)), seconds(30));
        assert_eq!(pace.patience(seconds(60)), seconds(10));
        assert_eq!(pace.patience(seconds(2)), seconds(2));
        assert_eq!(Pace::REAL.patience(seconds(60)), seconds(60));
    }

    #[test]
    fn a_boundless_duration_can_still_be_added_to_an_instant() {
        let real = Pace::new(0.001).real(Duration::MAX);
        assert!(std::time::Instant::now().checked_add(real).is_some());
    }
}
