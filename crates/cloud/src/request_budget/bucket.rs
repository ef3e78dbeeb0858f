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
/// The share of a measured rate that is used after more requests than the reserve without an answer that tells what is left.
const UNPROVED: f64 = 0.9;
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
    /// The last number that an answer told.
    last: Option<Told>,
    measured: Option<Measured>,
    /// True if the rate was measured, or needs no measurement.
    is_measured: bool,
    time_scale: f64,
}

/// The number of tokens in an answer, and the time of the answer.
#[derive(Clone, Copy, Debug)]
struct Told {
    told: f64,
    at: Instant,
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
            last: None,
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

    /// Returns the refill that requests may use. It is smaller after some requests whose answers did not tell what is left:
    /// the rate may be wrong by then.
    fn usable_rate(&self) -> f64 {
        let unproved = if self.is_told { self.assumed / self.reserve().max(1.0) } else { 0.0 };
        match self.is_measured {
            true if unproved <= 1.0 => self.rate,
            true => self.rate * UNPROVED,
            false => self.rate * UNMEASURED * 0.25_f64.powf(unproved),
        }
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

    /// Records a success that did not tell what is left: the service never tells it.
    pub(super) fn never_tells(&mut self) {
        self.has_told_nothing = true;
    }

    /// Records an answer that did not tell what is left, although the service counted its request: only successes tell it.
    pub(super) fn tell_nothing(&mut self) {
        if let Some(measured) = &mut self.measured {
            measured.answers += 1;
        }
    }

    /// Records an answer that told what is left.
    ///
    /// Answers overtake each other. One that is older than the last number has a larger one, and its request was in flight
    /// when that came: it was taken off twice.
    pub(super) fn tell(&mut self, told: f64, sent: Instant, now: Instant) {
        self.size = self.size.max((told + 1.0).min(self.documented.size));
        if self.last.is_some_and(|last| sent < last.at && told > last.told) {
            self.tell_nothing();
            // A refusal has set the tokens, without this request.
            if self.closed_until.is_none_or(|until| until <= now) {
                self.left = self.left.map(|(left, at)| (left + 1.0, at));
            }
            return;
        }
        self.last = Some(Told { told, at: now });
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
        self.last = Some(Told { told: 0.0, at: now });
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
mod tests;
