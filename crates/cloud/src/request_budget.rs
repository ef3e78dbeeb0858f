//! The request budgets of Resource Manager, shared by all clients of one principal.
//!
//! The service keeps a token bucket for each subscription, principal and region, and one each for reads, writes and
//! deletes; its answers say what is left. A process reaches one region of the service, the nearest, so the region is no
//! part of the key here. <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>
//!
//! A budget follows the service's own numbers: nothing is delayed before an answer contains one. Below a fifth, requests
//! are spaced at half the rate at which the bucket fills. After a 429, all requests of that budget wait until its
//! `Retry-After` is over: one that comes earlier is refused too, and renews the wait.

use crate::{
    endpoints::real,
    retry::{RETRY_AFTER_MAX, retry_after},
};
use async_trait::async_trait;
use azure_core::http::{
    Context, Method, Request, StatusCode,
    headers::Headers,
    policies::{Policy, PolicyResult},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The share of a bucket below which requests are spaced.
const LOW: f64 = 0.2;

/// The delay after a 429 without `Retry-After`, in cloud time.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);

/// A kind of request with a bucket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Reads,
    Writes,
    Deletes,
}

impl Class {
    fn of(method: Method) -> Self {
        match method {
            Method::Get | Method::Head => Self::Reads,
            Method::Delete => Self::Deletes,
            _ => Self::Writes,
        }
    }

    /// Returns the size of the service's bucket, and the tokens that it gets a second.
    const fn limits(self) -> (f64, f64) {
        match self {
            Self::Reads => (250.0, 25.0),
            Self::Writes | Self::Deletes => (200.0, 10.0),
        }
    }

    /// Returns the headers with the rest of the bucket.
    const fn headers(self) -> [&'static str; 2] {
        match self {
            Self::Reads => [
                "x-ms-ratelimit-remaining-subscription-reads",
                "x-ms-ratelimit-remaining-subscription-global-reads",
            ],
            Self::Writes => [
                "x-ms-ratelimit-remaining-subscription-writes",
                "x-ms-ratelimit-remaining-subscription-global-writes",
            ],
            Self::Deletes => [
                "x-ms-ratelimit-remaining-subscription-deletes",
                "x-ms-ratelimit-remaining-subscription-global-deletes",
            ],
        }
    }
}

/// The budgets of one principal. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestBudgets(Arc<Mutex<HashMap<(String, Class), Budget>>>);

/// One budget.
#[derive(Debug, Default)]
struct Budget {
    /// The estimated rest, at a time; `None` before the service has told it.
    left: Option<(f64, Instant)>,
    /// The requests without an answer: the service may not have counted them yet.
    in_flight: u32,
    /// The time before which nothing is sent.
    closed_until: Option<Instant>,
    /// The time of the next request, if they are spaced.
    next: Option<Instant>,
}

impl Budget {
    /// Returns the time of a request that is to be sent, and counts it.
    fn reserve(&mut self, class: Class, now: Instant, time_scale: f64) -> Instant {
        let (size, rate) = class.limits();
        let mut at = self.closed_until.filter(|until| *until > now).unwrap_or(now);
        self.in_flight += 1;
        let Some((left, since)) = self.left else { return at };
        let left = (left + refilled(since, now, rate, time_scale)).min(size.max(left)) - 1.0;
        self.left = Some((left, now));
        if left < size * LOW {
            let spacing = real(Duration::from_secs_f64(2.0 / rate), time_scale);
            at = at.max(self.next.unwrap_or(at));
            self.next = Some(at + spacing);
        }
        at
    }

    /// Processes an answer; `None` if there was none.
    fn answered(
        &mut self,
        class: Class,
        answer: Option<(StatusCode, &Headers)>,
        now: Instant,
        time_scale: f64,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some((status, headers)) = answer else { return };
        if status == StatusCode::TooManyRequests {
            let wait = retry_after(headers, SystemTime::now());
            let wait = wait.unwrap_or_else(|| real(WAIT_DEFAULT, time_scale)).min(RETRY_AFTER_MAX);
            let until = now + wait;
            self.closed_until = Some(self.closed_until.map_or(until, |before| before.max(until)));
            self.left = Some((0.0, until));
            self.next = Some(until);
            return;
        }
        let told = class.headers().into_iter().filter_map(|name| {
            headers
                .get_optional_str(&azure_core::http::headers::HeaderName::from_static(name))?
                .trim()
                .parse()
                .ok()
        });
        let Some(told) = told.reduce(f64::min) else { return };
        // Requests that are on their way may not be part of the number yet.
        self.left = Some((told - f64::from(self.in_flight), now));
    }
}

/// Returns the tokens that a bucket got between two times.
fn refilled(since: Instant, now: Instant, rate: f64, time_scale: f64) -> f64 {
    let seconds = now.saturating_duration_since(since).as_secs_f64();
    let cloud = if time_scale.is_infinite() { f64::INFINITY } else { seconds * time_scale };
    if seconds > 0.0 { cloud * rate } else { 0.0 }
}

impl RequestBudgets {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Class), Budget>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

/// Delays requests as their budget requires.
#[derive(Debug)]
pub(crate) struct BudgetPolicy {
    budgets: RequestBudgets,
    time_scale: f64,
}

impl BudgetPolicy {
    pub(crate) fn new(budgets: RequestBudgets, time_scale: f64) -> Arc<Self> {
        Arc::new(Self { budgets, time_scale })
    }
}

/// A request that its budget counts as in flight; a dropped one was cancelled.
struct InFlight<'a> {
    policy: &'a BudgetPolicy,
    key: (String, Class),
    is_counted: bool,
}

impl InFlight<'_> {
    fn answered(&mut self, answer: Option<(StatusCode, &Headers)>) {
        if std::mem::take(&mut self.is_counted)
            && let Some(budget) = self.policy.budgets.lock().get_mut(&self.key)
        {
            budget.answered(self.key.1, answer, Instant::now(), self.policy.time_scale);
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.answered(None);
    }
}

#[async_trait]
impl Policy for BudgetPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let key = (subscription(request.url().path()), Class::of(request.method()));
        let at = {
            let mut budgets = self.budgets.lock();
            let budget = budgets.entry(key.clone()).or_default();
            budget.reserve(key.1, Instant::now(), self.time_scale)
        };
        let mut in_flight = InFlight { policy: self, key, is_counted: true };
        let wait = at.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            tracing::debug!(path = request.url().path(), ?wait, "waiting for the request budget");
            tokio::time::sleep(wait).await;
        }
        // Another request may have been refused during the wait.
        loop {
            let closed = self.budgets.lock().get(&in_flight.key).and_then(|budget| budget.closed_until);
            match closed.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => break,
            }
        }
        let response = next[0].send(ctx, request, &next[1..]).await?;
        in_flight.answered(Some((response.status(), response.headers())));
        Ok(response)
    }
}

/// Returns the subscription in the path of a request; empty for requests of the tenant.
fn subscription(path: &str) -> String {
    let mut parts = path.split('/').skip_while(|part| !part.eq_ignore_ascii_case("subscriptions")).skip(1);
    parts.next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in of {
            headers.insert(*name, *value);
        }
        headers
    }

    fn reads(left: &'static str) -> Headers {
        headers(&[("x-ms-ratelimit-remaining-subscription-reads", left)])
    }

    #[test]
    fn requests_are_spaced_below_a_fifth_of_the_bucket() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert_eq!(budget.reserve(Class::Reads, now, 1.0), now, "nothing is known yet");
        budget.answered(Class::Reads, Some((StatusCode::Ok, &reads("240"))), now, 1.0);
        assert_eq!(budget.reserve(Class::Reads, now, 1.0), now);
        budget.answered(Class::Reads, Some((StatusCode::Ok, &reads("30"))), now, 1.0);
        let times: Vec<Duration> = (0..3).map(|_| budget.reserve(Class::Reads, now, 1.0) - now).collect();
        assert_eq!(times, [0, 80, 160].map(Duration::from_millis), "12.5 a second");
        let later = now + Duration::from_secs(60);
        assert_eq!(budget.reserve(Class::Reads, later, 1.0), later, "the bucket has filled");
    }

    #[test]
    fn a_refusal_stops_all_requests_until_its_time_is_over() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        budget.reserve(Class::Writes, now, 1.0);
        let refusal = headers(&[("retry-after", "7")]);
        budget.answered(Class::Writes, Some((StatusCode::TooManyRequests, &refusal)), now, 1.0);
        let after = |budget: &mut Budget| budget.reserve(Class::Writes, now, 1.0) - now;
        assert_eq!(after(&mut budget), Duration::from_secs(7));
        assert_eq!(after(&mut budget), Duration::from_millis(7200), "not all at once");
        budget.answered(Class::Writes, None, now, 1.0);
        assert_eq!(budget.in_flight, 1);
    }

    #[test]
    fn requests_without_an_answer_count() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        for _ in 0..60 {
            budget.reserve(Class::Reads, now, 1.0);
        }
        budget.answered(Class::Reads, Some((StatusCode::Ok, &reads("100"))), now, 1.0);
        assert_eq!(budget.left.map(|(left, _)| left), Some(41.0));
    }

    #[test]
    fn the_subscription_is_that_of_the_path() {
        assert_eq!(subscription("/subscriptions/AB-1/resourceGroups/rg"), "ab-1");
        assert_eq!(subscription("/subscriptions"), "");
        assert_eq!(subscription("/providers/Microsoft.Graph"), "");
    }
}
