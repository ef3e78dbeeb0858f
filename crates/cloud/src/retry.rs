//! Retry rules: which requests are retried, and after which delay. Pure: no sleep and no clock.
//!
//! Resource Manager, Key Vault, Entra and Kubernetes all share these rules:
//!
//! * 408, 429, 500, 502, 503, 504 and broken connections are transient; everything else is final;
//! * a request that the server may have executed is retried only if it is idempotent;
//! * the delay doubles from [`WAIT_FIRST`] to [`WAIT_MAX`], with jitter of up to a quarter, and is scaled
//!   with the pace; the jitter keeps clients from simultaneous retries;
//! * `retry-after-ms` or `Retry-After` is a lower bound in real time, up to [`RETRY_AFTER_MAX`], because an
//!   earlier request is rejected and restarts the delay.

use crate::{ApiErrorKind, SendStatus, endpoints::real, header_text::HeaderText};
use azure_core::http::{
    Method,
    headers::{HeaderName, Headers},
};
use std::time::{Duration, SystemTime};

/// The maximum number of attempts per request.
pub const TRIES_MAX: u32 = 6;

/// The delay after the first failure, in cloud time.
pub const WAIT_FIRST: Duration = Duration::from_millis(800);

/// The longest backoff delay, in cloud time.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// The maximum accepted `Retry-After`, in real time. AKS requests up to a minute per write.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// One failed attempt of a request.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// The kind of the failure.
    pub kind: ApiErrorKind,
    /// The response status, if there was a response.
    pub status: Option<u16>,
    /// The send status: whether the server may have received the request.
    pub sent: SendStatus,
    /// The delay that the service requested, in real time.
    pub retry_after: Option<Duration>,
}

/// Returns whether a method is idempotent (RFC 9110 §9.2.2).
pub fn is_idempotent(method: Method) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Put | Method::Delete)
}

/// Returns the delay before the next attempt, or `None` if the failure is final.
///
/// `tries` is the number of attempts so far, at least 1; `seed` keeps the jitter reproducible.
pub fn wait(failure: &Failure, idempotent: bool, tries: u32, seed: u64, time_scale: f64) -> Option<Duration> {
    if tries >= TRIES_MAX || !is_transient(failure) {
        return None;
    }
    // With these two statuses the service guarantees that it did nothing.
    let had_no_effect = failure.sent == SendStatus::Never || matches!(failure.status, Some(429 | 503));
    if !idempotent && !had_no_effect {
        return None;
    }
    let backoff = jitter(WAIT_FIRST.saturating_mul(1 << (tries - 1).min(16)).min(WAIT_MAX), seed, tries);
    Some(real(backoff, time_scale).max(failure.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)))
}

/// Returns whether the failure is transient.
fn is_transient(failure: &Failure) -> bool {
    match failure.kind {
        ApiErrorKind::Transport => true,
        ApiErrorKind::Throttled | ApiErrorKind::Unavailable => {
            matches!(failure.status, Some(408 | 429 | 500 | 502 | 503 | 504))
        }
        _ => false,
    }
}

/// Adds jitter of up to a quarter in either direction.
fn jitter(wait: Duration, seed: u64, tries: u32) -> Duration {
    let share = fastrand::Rng::with_seed(seed ^ (u64::from(tries) << 32)).f64();
    wait.mul_f64(0.75 + share / 2.0)
}

const WAIT_HEADERS_MS: [HeaderName; 2] =
    [HeaderName::from_static("retry-after-ms"), HeaderName::from_static("x-ms-retry-after-ms")];
const WAIT_HEADER: HeaderName = HeaderName::from_static("retry-after");

/// Returns the delay that the service requests: `retry-after-ms`, `x-ms-retry-after-ms`, or `Retry-After` in
/// seconds or as a date (RFC 9110 §10.2.3). If it is absent or zero, the caller chooses.
pub fn retry_after(headers: &Headers, now: SystemTime) -> Option<Duration> {
    unbounded_retry_after(headers, now).map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// Like [`retry_after`], without its bound: the limits of an ACME server last for days.
pub(crate) fn unbounded_retry_after(headers: &Headers, now: SystemTime) -> Option<Duration> {
    let exact = WAIT_HEADERS_MS
        .iter()
        .find_map(|name| headers.text(name)?.trim().parse().ok())
        .map(Duration::from_millis);
    let retry_after = exact.or_else(|| {
        let text = headers.text(&WAIT_HEADER)?.trim();
        match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => {
                let until = SystemTime::from(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
                until.duration_since(now).ok()
            }
        }
    });
    retry_after.filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(kind: ApiErrorKind, status: u16) -> Failure {
        Failure { kind, status: Some(status), sent: SendStatus::Answered, retry_after: None }
    }

    fn lost(sent: SendStatus) -> Failure {
        Failure { kind: ApiErrorKind::Transport, status: None, sent, retry_after: None }
    }

    #[test]
    fn a_post_is_retried_only_if_it_had_no_effect() {
        let repeated = |failure: Failure| wait(&failure, is_idempotent(Method::Post), 1, 7, 1.0).is_some();
        assert!(repeated(lost(SendStatus::Never)));
        assert!(repeated(answered(ApiErrorKind::Throttled, 429)));
        assert!(repeated(answered(ApiErrorKind::Unavailable, 503)));
        assert!(!repeated(lost(SendStatus::Unknown)));
        assert!(!repeated(answered(ApiErrorKind::Unavailable, 500)));
        assert!(wait(&lost(SendStatus::Unknown), is_idempotent(Method::Put), 1, 7, 1.0).is_some());
    }

    #[test]
    fn final_responses_are_not_retried() {
        let kinds = [
            (ApiErrorKind::NotFound, 404),
            (ApiErrorKind::Conflict, 409),
            (ApiErrorKind::Busy, 429),
            (ApiErrorKind::Forbidden, 403),
            (ApiErrorKind::Invalid, 500),
            (ApiErrorKind::Unavailable, 501),
        ];
        for (kind, status) in kinds {
            assert_eq!(wait(&answered(kind, status), true, 1, 7, 1.0), None, "{status}");
        }
    }

    #[test]
    fn retry_after_is_a_minimum_and_is_bounded() {
        let retry_after = |retry_after| Failure {
            retry_after: Some(retry_after),
            ..answered(ApiErrorKind::Throttled, 429)
        };
        assert_eq!(
            wait(&retry_after(Duration::from_secs(20)), true, 1, 7, 1.0),
            Some(Duration::from_secs(20))
        );
        assert_eq!(wait(&retry_after(Duration::from_secs(9_999)), true, 1, 7, 1.0), Some(RETRY_AFTER_MAX));
    }

    #[test]
    fn at_an_infinite_time_scale_only_retry_after_delays() {
        assert_eq!(wait(&lost(SendStatus::Never), true, 3, 7, f64::INFINITY), Some(Duration::ZERO));
    }

    #[test]
    fn every_form_of_retry_after_is_parsed_and_milliseconds_take_precedence() {
        let now = SystemTime::from("2026-11-23T08:00:00Z".parse::<jiff::Timestamp>().expect("a constant"));
        let read = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = Headers::new();
            pairs.iter().for_each(|(name, value)| headers.insert(*name, *value));
            retry_after(&headers, now)
        };
        assert_eq!(read(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(
            read(&[("retry-after", "3"), ("retry-after-ms", "120")]),
            Some(Duration::from_millis(120))
        );
        assert_eq!(read(&[("retry-after", "Mon, 23 Nov 2026 08:00:05 GMT")]), Some(Duration::from_secs(5)));
        assert_eq!(read(&[("retry-after", "Mon, 23 Nov 2026 07:00:00 GMT")]), None);
        assert_eq!(read(&[("retry-after", "0")]), None);
        assert_eq!(read(&[("retry-after", "soon")]), None);
        assert_eq!(read(&[]), None);
    }

    proptest! {
        #[test]
        fn tries_and_waits_are_bounded(tries in 1u32..40, seed: u64, time_scale in 0.1f64..1e6) {
            let failure = answered(ApiErrorKind::Unavailable, 503);
            match wait(&failure, true, tries, seed, time_scale) {
                Some(wait) => {
                    prop_assert!(tries < TRIES_MAX);
                    prop_assert!(wait.as_secs_f64() <= WAIT_MAX.as_secs_f64() * 1.25 / time_scale + 1e-6);
                }
                None => prop_assert!(tries >= TRIES_MAX),
            }
        }

        #[test]
        fn the_same_seed_waits_the_same(seed: u64, tries in 1u32..6) {
            let failure = lost(SendStatus::Never);
            prop_assert_eq!(wait(&failure, true, tries, seed, 1.0), wait(&failure, true, tries, seed, 1.0));
        }
    }
}
