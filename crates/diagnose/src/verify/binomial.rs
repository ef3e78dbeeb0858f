//! Exact binomial tails, the allowed random deviation of a traffic split. Pure.
//!
//! Each of `n` independent requests goes to a backend with probability `p`, the share of its weight. The
//! count per backend is therefore binomial. A count fails if a count at least as extreme, on its side, has a
//! probability below half of the allowed false-alarm rate. This is the test of Clopper and Pearson
//! (Biometrika 26, 1934). It never exceeds the false-alarm rate, for any `n` and `p`; an interval by the
//! normal distribution does not guarantee that near 0 and 1.

/// The maximum probability that a correct split fails the check.
pub const FALSE_ALARM_MAX: f64 = 1e-6;
/// The minimum number of requests per split: enough to distinguish 90/10 from 75/25 in nearly every run.
const REQUESTS_MIN: u32 = 400;
/// The maximum number of requests, enough for a share of 1 %.
const REQUESTS_MAX: u32 = 2000;

/// The counts accepted as random deviation, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The lowest accepted count.
    pub least: u32,
    /// The highest accepted count.
    pub most: u32,
}

impl Interval {
    /// Returns whether a count is inside.
    #[must_use]
    pub fn contains(self, hits: u32) -> bool {
        (self.least..=self.most).contains(&hits)
    }
}

/// Returns the expected counts if each of `request_count` requests arrives with probability `share`. A count outside
/// has a probability of at most `alarm`.
#[must_use]
pub fn interval(request_count: u32, share: f64, alarm: f64) -> Interval {
    let chances = chances(request_count, share);
    let outside = |chances: &mut dyn Iterator<Item = &f64>| {
        let mut sum = 0.0;
        let before = chances.take_while(|chance| {
            sum += **chance;
            sum < alarm / 2.0
        });
        u32::try_from(before.count()).expect("there are no more counts than requests")
    };
    Interval { least: outside(&mut chances.iter()), most: request_count - outside(&mut chances.iter().rev()) }
}

/// Returns the number of requests that distinguishes a backend without traffic from one with the smallest of
/// these shares. The result is never below `REQUESTS_MIN`.
#[must_use]
pub fn requests(shares: &[f64], alarm: f64) -> u32 {
    let between = shares.iter().copied().filter(|share| *share > 0.0 && *share < 1.0);
    let smallest = between.fold(0.5, f64::min);
    // The probability of no hit at all is (1 - p)^n.
    let needed = ((alarm / 2.0).ln() / (-smallest).ln_1p()).ceil() + 1.0;
    needed.clamp(f64::from(REQUESTS_MIN), f64::from(REQUESTS_MAX)) as u32
}

/// Returns the probability of every count from 0 to `request_count`.
fn chances(request_count: u32, share: f64) -> Vec<f64> {
    let (of, request_count) = (f64::from(request_count), request_count as usize);
    if share <= 0.0 || share >= 1.0 {
        let certain = if share <= 0.0 { 0 } else { request_count };
        return (0..=request_count).map(|count| f64::from(u8::from(count == certain))).collect();
    }
    let mut factorials = vec![0.0_f64];
    for number in 1..=request_count {
        factorials.push(factorials[number - 1] + (number as f64).ln());
    }
    let (hit, missed) = (share.ln(), (-share).ln_1p());
    let chance = |count: usize| {
        let combinations = factorials[request_count] - factorials[count] - factorials[request_count - count];
        (combinations + count as f64 * hit + (of - count as f64) * missed).exp()
    };
    (0..=request_count).map(chance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_matches_binomial_tables() {
        // P(X ≤ 1) = 11/1024 and P(X ≤ 2) = 56/1024 for ten tosses of a coin.
        assert_eq!(interval(10, 0.5, 0.05), Interval { least: 2, most: 8 });
        let coin = chances(10, 0.5);
        assert!((coin[0] + coin[1] - 11.0 / 1024.0).abs() < 1e-12);
        assert!((chances(2000, 0.01).iter().sum::<f64>() - 1.0).abs() < 1e-9);
        // For nineteen tosses the two-sided 5 % region is outside 5..=14.
        assert_eq!(interval(19, 0.5, 0.05), Interval { least: 5, most: 14 });
    }

    #[test]
    fn a_share_of_zero_or_one_has_a_single_valid_count() {
        assert_eq!(interval(400, 0.0, 1e-6), Interval { least: 0, most: 0 });
        assert_eq!(interval(400, 1.0, 1e-6), Interval { least: 400, most: 400 });
    }

    #[test]
    fn wrong_shares_are_detected() {
        let shares = [0.0, 0.1, 0.5, 0.9, 1.0];
        for configured in shares {
            let request_count = requests(&[configured, 1.0 - configured], FALSE_ALARM_MAX);
            let bound = interval(request_count, configured, FALSE_ALARM_MAX);
            for real in shares.into_iter().filter(|real| *real != configured) {
                let chances = chances(request_count, real);
                let missed: f64 = (bound.least..=bound.most).map(|count| chances[count as usize]).sum();
                assert!(missed < 1e-5, "{configured} for {real}: missed with {missed}");
            }
        }
    }

    #[test]
    fn a_small_share_needs_more_requests() {
        assert_eq!(requests(&[0.9, 0.1], 1e-6), 400);
        let hundredth = requests(&[0.99, 0.01], 1e-6);
        assert!((1400..=2000).contains(&hundredth), "{hundredth}");
        assert!(!interval(hundredth, 0.01, 1e-6).contains(0));
        assert_eq!(requests(&[0.9999, 0.0001], 1e-6), 2000);
    }

    #[test]
    fn simulated_false_alarm_rate_is_within_the_limit() {
        let seed = 4711;
        let mut chance = fastrand::Rng::with_seed(seed);
        let (alarm, runs) = (0.01, 20_000);
        for share in [0.1, 0.5] {
            let bound = interval(100, share, alarm);
            let alarms = (0..runs).filter(|_| {
                let hits = (0..100).filter(|_| chance.f64() < share).count();
                !bound.contains(hits as u32)
            });
            let (alarms, allowed) = (alarms.count() as f64, f64::from(runs) * alarm);
            // Five standard deviations above the allowed rate; the seed keeps the result reproducible.
            assert!(alarms <= allowed + 5.0 * allowed.sqrt(), "seed {seed}, share {share}: {alarms} alarms");
        }
    }
}
