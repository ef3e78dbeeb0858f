//! The model of one token bucket of a service. Pure: no clock and no sleep.
//!
//! The service tells what is left, and never how fast it refills. The documented rate is the first guess; between two
//! answers the bucket got what is there now, and was not there before, plus what was taken. So a smaller bucket, or one
//! that other processes use too, is learned before it is empty.

use crate::endpoints::real;
use std::time::Duration;
use tokio::time::Instant;

/// The share of a bucket that is kept: for requests that were counted elsewhere, and for errors of the model.
const RESERVE: f64 = 0.2;
/// The minimum number of answers between two measurements of the rate.
const ANSWERS_MIN: u32 = 10;
/// The minimum duration between two measurements of the rate, in cloud time.
const MEASURED_MIN: Duration = Duration::from_secs(1);
/// The share of a new measurement in the rate.
const WEIGHT: f64 = 0.6;
/// The requests that are sent before one of them has ended.
const UNKNOWN_MAX: u32 = 8;
/// The interval at which a request looks again that waits for the end of another one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The share of the documented rate that is used before the first measurement.
const UNMEASURED: f64 = 0.1;
/// The lowest rate, as a share of the documented one.
const RATE_MIN: f64 = 0.001;

/// The documented size of a bucket, and its tokens a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) size: f64,
    pub(super) per_second: f64,
}

/// A bucket as this process knows it.
#[derive(Debug)]
pub(super) struct Bucket {
    documented: Rate,
    /// The largest size that an answer has shown, at most the documented one.
    size: f64,
    /// The refill in tokens a second of cloud time.
    rate: f64,
    /// The tokens at a time; `None` before an answer told them.
    left: Option<(f64, Instant)>,
    /// False if the service tells nothing.
    is_told: bool,
    /// The tokens that requests have used since the last answer, and no answer has told.
    assumed: f64,
    /// The requests without an answer: the service may not have counted them yet.
    in_flight: u32,
    /// True if a success told nothing.
    has_told_nothing: bool,
    /// The time before which nothing is sent.
    closed_until: Option<Instant>,
    measured: Option<Measured>,
    /// True if the rate was measured, or needs no measurement.
    is_measured: bool,
    time_scale: f64,
}

/// The beginning of a measurement.
#[derive(Debug)]
struct Measured {
    since: Instant,
    told: f64,
    answers: u32,
}

impl Bucket {
    /// Returns a bucket whose service tells what is left.
    pub(super) fn told(documented: Rate, time_scale: f64) -> Self {
        Self {
            documented,
            size: 0.0,
            rate: documented.per_second,
            left: None,
            is_told: true,
            assumed: 0.0,
            in_flight: 0,
            has_told_nothing: false,
            closed_until: None,
            measured: None,
            is_measured: false,
            time_scale,
        }
    }

    /// Returns a full bucket whose service tells nothing.
    pub(super) fn counted(documented: Rate, time_scale: f64, now: Instant) -> Self {
        let left = Some((documented.size, now));
        Self {
            size: documented.size,
            left,
            is_told: false,
            is_measured: true,
            ..Self::told(documented, time_scale)
        }
    }

    fn reserve(&self) -> f64 {
        self.size * RESERVE
    }

    /// Returns the tokens at a time, and those of them that the bucket got since the last request or answer.
    fn tokens(&self, now: Instant) -> Option<(f64, f64)> {
        let (left, since) = self.left?;
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        let refilled = if seconds > 0.0 { seconds * self.time_scale * self.usable_rate() } else { 0.0 };
        // The next answer tells the truth, so an error of the rate may cost a part of the reserve at most. Before a
        // measurement the bucket may be any smaller one.
        let refilled = match self.in_flight {
            _ if !self.is_told => refilled,
            0 => refilled,
            _ if !self.is_measured => 0.0,
            _ => refilled.min((self.reserve() / 2.0 - self.assumed).max(0.0)),
        };
        let refilled = refilled.min((self.documented.size - left).max(0.0));
        Some((left + refilled, refilled))
    }

    /// Returns the refill that requests may use.
    fn usable_rate(&self) -> f64 {
        self.rate * if self.is_measured { 1.0 } else { UNMEASURED }
    }

    /// Takes a token for a request, or returns the time to wait for it.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err(until - now);
        }
        if let Some((tokens, refilled)) = self.tokens(now) {
            let missing = (self.reserve() + 1.0 - tokens).max(0.0);
            let wait = Duration::try_from_secs_f64(missing / self.usable_rate()).unwrap_or_default();
            let wait = real(wait, self.time_scale);
            if !wait.is_zero() {
                return Err(wait);
            }
            self.left = Some((tokens - 1.0, now));
            self.assumed += refilled;
        } else if !self.has_told_nothing && self.in_flight >= UNKNOWN_MAX {
            // Any size may be too much for the bucket; the first answer tells.
            return Err(LOOK_AGAIN);
        }
        self.in_flight += 1;
        Ok(())
    }

    /// Records the end of a request, with or without an answer.
    pub(super) fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Records a success that did not tell what is left: the service tells nothing.
    pub(super) fn tells_nothing(&mut self) {
        self.has_told_nothing = true;
    }

    /// Records an answer that told what is left.
    pub(super) fn tell(&mut self, told: f64, now: Instant) {
        self.size = self.size.max((told + 1.0).min(self.documented.size));
        self.measure(told, now);
        // Requests that are on their way may not be part of the number yet.
        self.left = Some((told - f64::from(self.in_flight), now));
        self.assumed = 0.0;
    }

    /// Records a refusal: nothing is sent before the wait is over, and then one request at first.
    pub(super) fn refuse(&mut self, wait: Duration, now: Instant) {
        let is_open = self.closed_until.is_none_or(|until| until <= now);
        let until = self.closed_until.map_or(now + wait, |before| before.max(now + wait));
        self.closed_until = Some(until);
        self.left = Some((self.reserve() + 1.0, until));
        self.assumed = 0.0;
        self.measured = None;
        // The answers of requests that were sent together say the same.
        if is_open {
            self.rate = (self.rate / 2.0).max(self.rate_min());
        }
    }

    fn rate_min(&self) -> f64 {
        self.documented.per_second * RATE_MIN
    }

    fn measure(&mut self, told: f64, now: Instant) {
        // A full bucket gets nothing, so a time with one says nothing about the rate.
        let full = self.size - 1.0 - f64::from(self.in_flight);
        let begin = Measured { since: now, told, answers: 0 };
        let Some(measured) = self.measured.as_mut().filter(|measured| measured.told < full && told < full)
        else {
            self.measured = Some(begin);
            return;
        };
        measured.answers += 1;
        let elapsed = now.saturating_duration_since(measured.since).as_secs_f64() * self.time_scale;
        if elapsed <= 0.0 || !elapsed.is_finite() {
            return;
        }
        let refilled = (told - measured.told + f64::from(measured.answers)).max(0.0);
        // Answers may overtake each other; among many that makes no difference.
        let is_enough = measured.answers >= ANSWERS_MIN.max(2 * self.in_flight);
        let rate = if is_enough && elapsed >= MEASURED_MIN.as_secs_f64() {
            self.measured = Some(begin);
            let observed = refilled / elapsed;
            match std::mem::replace(&mut self.is_measured, true) {
                true => self.rate * (1.0 - WEIGHT) + observed * WEIGHT,
                false => observed,
            }
        } else {
            // The numbers are whole, and those of requests in flight may be missing.
            self.rate.min((refilled + 1.0 + f64::from(self.in_flight)) / elapsed)
        };
        self.rate = rate.clamp(self.rate_min(), self.documented.per_second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READS: Rate = Rate { size: 250.0, per_second: 25.0 };

    fn sent(bucket: &mut Bucket, now: Instant) -> Duration {
        bucket.take(now).err().unwrap_or_default()
    }

    #[test]
    fn nothing_waits_before_the_service_has_told_what_is_left() {
        let (mut bucket, now) = (Bucket::told(READS, 1.0), Instant::now());
        assert_eq!((0..60).filter(|_| bucket.take(now).is_ok()).count(), 8, "and then only a few are sent");
        bucket.ended();
        assert_eq!([bucket.take(now).is_ok(), bucket.take(now).is_ok()], [true, false]);
        bucket.ended();
        bucket.tells_nothing();
        assert!((0..50).all(|_| bucket.take(now).is_ok()), "a service that tells nothing");
        bucket.tell(100.0, now);
        assert_eq!(bucket.tokens(now).unwrap().0, 43.0, "requests without an answer count");
    }

    #[test]
    fn requests_follow_the_refill_when_only_the_reserve_is_left() {
        let (mut bucket, now) = (Bucket::told(READS, 1.0), Instant::now());
        bucket.tell(249.0, now);
        bucket.tell(50.0, now);
        assert_eq!(sent(&mut bucket, now), Duration::from_millis(400), "a tenth of it before a measurement");
        bucket.is_measured = true;
        assert_eq!(sent(&mut bucket, now), Duration::from_millis(40), "25 a second");
        assert_eq!(sent(&mut bucket, now + Duration::from_millis(40)), Duration::ZERO);
        assert_eq!(sent(&mut bucket, now + Duration::from_millis(40)), Duration::from_millis(40));
        assert_eq!(sent(&mut bucket, now + Duration::from_secs(60)), Duration::ZERO);
    }

    #[test]
    fn a_refusal_stops_all_requests_until_its_time_is_over() {
        let (mut bucket, now) = (Bucket::told(READS, 1.0), Instant::now());
        bucket.tell(249.0, now);
        bucket.is_measured = true;
        bucket.refuse(Duration::from_secs(7), now);
        bucket.refuse(Duration::from_secs(6), now);
        assert_eq!(sent(&mut bucket, now), Duration::from_secs(7));
        let open = now + Duration::from_secs(7);
        assert_eq!(sent(&mut bucket, open), Duration::ZERO);
        assert_eq!(
            sent(&mut bucket, open),
            Duration::from_millis(80),
            "not all at once, and at half the rate"
        );
    }

    #[test]
    fn a_counted_bucket_needs_no_answers() {
        let (rate, now) = (Rate { size: 200.0, per_second: 2.0 }, Instant::now());
        let mut bucket = Bucket::counted(rate, 60.0, now);
        assert_eq!((0..200).filter(|_| bucket.take(now).is_ok()).count(), 160);
        assert_eq!(sent(&mut bucket, now), Duration::from_secs_f64(0.5 / 60.0));
    }

    /// A service with a bucket that the client does not know, and its clients.
    fn requests_in(seconds: u32, size: f64, per_second: f64) -> (u32, u32) {
        let (mut bucket, began) = (Bucket::told(READS, 1.0), Instant::now());
        let (mut now, end) = (began, began + Duration::from_secs(seconds.into()));
        let (mut left, mut at, mut admitted, mut refused) = (size, now, 0, 0);
        while now < end {
            match bucket.take(now) {
                Err(wait) => now += wait.max(Duration::from_millis(1)),
                Ok(()) => {
                    now += Duration::from_millis(5);
                    left = (left + (now - at).as_secs_f64() * per_second).min(size);
                    at = now;
                    bucket.ended();
                    if left >= 1.0 {
                        (left, admitted) = (left - 1.0, admitted + 1);
                        bucket.tell(left.floor(), now);
                    } else {
                        refused += 1;
                        bucket.refuse(Duration::from_secs(5), now);
                    }
                }
            }
        }
        (admitted, refused)
    }

    #[test]
    fn an_unknown_bucket_is_used_up_to_its_rate_without_a_refusal() {
        for (size, per_second) in
            [(250.0, 25.0), (50.0, 1.0), (50.0, 5.0), (40.0, 0.4), (20.0, 0.1), (1_000.0, 100.0)]
        {
            let (admitted, refused) = requests_in(600, size, per_second);
            let most = size + 600.0 * READS.per_second.min(per_second);
            assert_eq!(refused, 0, "{size} and {per_second} a second");
            assert!(
                f64::from(admitted) > 0.9 * most,
                "{size} and {per_second} a second: {admitted} of {most}"
            );
        }
    }
}
