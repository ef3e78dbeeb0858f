//! Poll intervals, from the elapsed and the typical duration in cloud time. Pure.
//!
//! A poll costs a request, and a late poll costs the user's time. So polls are sparse while the end is far,
//! dense around the typical end, and back off when it is overdue.

use std::time::Duration;

/// The interval around the typical end, which is the minimum everywhere.
const DENSE: Duration = Duration::from_secs(1);
/// The maximum interval while the end is far.
const SPARSE_MAX: Duration = Duration::from_secs(15);
/// The minimum number of polls before a typical end that is near: the interval is the wait's length divided
/// by this.
const POLLS_BEFORE_END: u32 = 8;
/// The maximum interval when the end is overdue.
const OVERDUE_MAX: Duration = Duration::from_secs(10);
/// The growth of the interval per overdue time: an eighth of it is added.
const OVERDUE_SHARE: u32 = 8;
/// The dense range, as shares of the typical duration.
const DENSE_FROM: f64 = 0.85;
const DENSE_TO: f64 = 1.30;

/// Returns the pause before the next poll, after one that did not find the end. `elapsed` is the time since
/// the beginning. All in cloud time; at least a second, at most fifteen.
pub(crate) fn pause(elapsed: Duration, typical_duration: Duration) -> Duration {
    let (from, to) = (typical_duration.mul_f64(DENSE_FROM), typical_duration.mul_f64(DENSE_TO));
    if elapsed < from {
        let sparse = (typical_duration / POLLS_BEFORE_END).clamp(DENSE, SPARSE_MAX);
        return (from - elapsed).clamp(DENSE, sparse);
    }
    let overdue = elapsed.saturating_sub(to);
    (DENSE + overdue / OVERDUE_SHARE).min(OVERDUE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Returns the times of all polls up to `until`, if each poll takes no time.
    fn polls(typical_duration: Duration, until: Duration) -> Vec<Duration> {
        let mut at = Duration::ZERO;
        let mut polls = vec![at];
        while at < until {
            at += pause(at, typical_duration);
            polls.push(at);
        }
        polls
    }

    #[test]
    fn a_wait_of_280_seconds_polls_rarely_then_every_second_then_backs_off() {
        let polls = polls(seconds(280), seconds(900));
        let between = |from, to| polls.iter().filter(|at| (seconds(from)..seconds(to)).contains(*at)).count();
        assert_eq!(polls[1], seconds(15));
        assert!(between(0, 238) <= 17, "sparse on the way");
        assert!(between(238, 364) >= 126, "dense around the end");
        assert!(between(500, 900) <= 41, "overdue");
    }

    #[test]
    fn a_poll_falls_on_the_start_of_the_dense_range() {
        assert!(polls(seconds(60), seconds(60)).contains(&seconds(51)));
    }

    #[test]
    fn a_wait_without_a_typical_duration_starts_dense() {
        assert_eq!(pause(Duration::ZERO, Duration::ZERO), seconds(1));
        assert_eq!(pause(seconds(3600), Duration::ZERO), seconds(10));
    }

    proptest! {
        #[test]
        fn an_interval_is_bounded_and_never_skips_the_typical_end(elapsed in 0..100_000_u64, typical_duration in 0..5_000_u64) {
            let (elapsed, typical_duration) = (Duration::from_millis(elapsed * 10), seconds(typical_duration));
            let pause = pause(elapsed, typical_duration);
            prop_assert!(pause >= seconds(1) && pause <= seconds(15));
            let from = typical_duration.mul_f64(DENSE_FROM);
            if elapsed < from {
                prop_assert!(elapsed + pause <= from.max(elapsed + DENSE));
            }
        }
    }
}
