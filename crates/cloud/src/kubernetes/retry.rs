//! Retry rules of the API server: which errors, and after which pause. Pure: it never sleeps.
//!
//! Every verb used here is idempotent: reads, watches, server-side apply and deletes have the same result
//! however often they are sent. So transport errors, 408, 429 and 5xx are retried, a bounded number of times.
//! Two 500s are final: `failed to create typed patch object` and `failed to convert new object` mean that the
//! manifest does not fit its kind.

use std::time::{Duration, SystemTime};

use fastrand::Rng;

use crate::error::{ApiError, ApiErrorKind, SendStatus};

/// The maximum number of attempts per request.
pub(crate) const ATTEMPTS_MAX: u32 = 6;
/// The first pause, in cloud time.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest backoff pause, in cloud time.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The maximum accepted `Retry-After`, in real time.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// The minimum pause in real time, so that an infinite pace is no busy loop.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// Converts a duration from cloud time to real time.
pub(crate) fn scale(cloud: Duration, time_scale: f64) -> Duration {
    if time_scale.is_finite() && time_scale > 0.0 {
        Duration::try_from_secs_f64(cloud.as_secs_f64() / time_scale).unwrap_or(cloud).max(PAUSE_MIN)
    } else {
        PAUSE_MIN
    }
}

/// Returns the pause after the `n`th failure in a row (from 1), in real time: doubling, with jitter, bounded.
pub(crate) fn pause(n: u32, time_scale: f64, rng: &mut Rng) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(1 << n.saturating_sub(1).min(10)).min(PAUSE_MAX);
    // Jitter between three quarters and five quarters, so that concurrent steps do not retry simultaneously.
    scale(doubled.mul_f64(0.75 + rng.f64() / 2.0), time_scale)
}

/// Returns the pause after the failed attempt `n` (from 1), or `None` if the error is final.
pub(crate) fn retry_delay(n: u32, error: &ApiError, time_scale: f64, rng: &mut Rng) -> Option<Duration> {
    if n >= ATTEMPTS_MAX || !is_transient(error) {
        return None;
    }
    let minimum = error.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    Some(pause(n, time_scale, rng).max(minimum))
}

/// Returns whether an error is transient.
fn is_transient(error: &ApiError) -> bool {
    match error.kind {
        ApiErrorKind::Throttled | ApiErrorKind::Unavailable => true,
        ApiErrorKind::Transport => error.sent != SendStatus::Answered,
        // The server lost a write conflict and reports it; the same apply works on retry.
        ApiErrorKind::Busy => error.status == Some(409),
        _ => false,
    }
}

/// Returns the delay that the server requests. It is `retry-after-ms`, else `Retry-After` in seconds or as a
/// date (RFC 9110 §10.2.3), relative to `now`.
pub(crate) fn retry_after(headers: &http::HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim().to_owned());
    let number = |name: &str| -> Option<f64> { text(name)?.parse().ok() };
    let date = || {
        let until = jiff::fmt::rfc2822::parse(&text("retry-after")?).ok()?.timestamp();
        SystemTime::from(until).duration_since(now).ok()
    };
    number("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| number("retry-after"))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .or_else(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_maximum_and_are_scaled() {
        let mut rng = Rng::with_seed(1);
        let pauses: Vec<_> = (1..=9).map(|n| pause(n, 1.0, &mut rng)).collect();
        assert!(pauses[0] >= PAUSE_FIRST.mul_f64(0.75) && pauses[0] <= PAUSE_FIRST.mul_f64(1.25));
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX.mul_f64(1.25)));
        assert!(pauses[8] >= PAUSE_MAX.mul_f64(0.75));
        assert!(pause(1, 60.0, &mut rng) <= PAUSE_FIRST.mul_f64(1.25) / 60);
        assert_eq!(pause(9, f64::INFINITY, &mut rng), PAUSE_MIN);
    }

    #[test]
    fn milliseconds_are_preferred_over_seconds_and_a_date_counts_from_now() {
        let now = SystemTime::from("2026-10-21T07:27:20Z".parse::<jiff::Timestamp>().unwrap());
        let retry_after = |headers: &http::HeaderMap| retry_after(headers, now);
        let mut headers = http::HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(40)));
        headers.insert("retry-after", http::HeaderValue::from_static("Wed, 21 Oct 2026 07:00:00 GMT"));
        assert_eq!(retry_after(&headers), None);
        headers.insert("retry-after", http::HeaderValue::from_static("2"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(2)));
        headers.insert("retry-after-ms", http::HeaderValue::from_static("33.5"));
        assert_eq!(retry_after(&headers), Some(Duration::from_micros(33_500)));
        headers.insert("retry-after-ms", http::HeaderValue::from_static("-1"));
        assert_eq!(retry_after(&headers), None);
    }
}
