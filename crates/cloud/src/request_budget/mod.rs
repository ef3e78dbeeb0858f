//! The request budgets of Azure's control plane, shared by all clients of one principal.
//!
//! Resource Manager keeps a token bucket for each subscription, principal and region, and one each for reads, writes and
//! deletes; its answers say what is left, and in which of its regions they were given. A request goes to the region that
//! answered last. <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>
//! AKS has a bucket of its own for reads of an operation's status, for each subscription and region of the resource.
//! <https://learn.microsoft.com/azure/aks/quotas-skus-regions>
//!
//! A budget follows the service's own numbers: nothing is delayed before an answer contains one. When only a reserve is
//! left, requests follow in their order, at the rate at which the bucket fills. After a 429 of a bucket, all its requests
//! wait until its `Retry-After` is over: one that comes earlier is refused too, and renews the wait. A 429 of a provider,
//! about one resource, concerns only the request itself.

mod bucket;

use crate::{
    endpoints::real,
    header_text::HeaderText,
    retry::{RETRY_AFTER_MAX, retry_after},
};
use async_trait::async_trait;
use azure_core::http::{
    Context, Method, Request, StatusCode,
    headers::{HeaderName, Headers},
    policies::{Policy, PolicyResult},
};
use bucket::{Bucket, Rate};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::{sync::Notify, time::Instant};

/// The delay after a 429 without `Retry-After`, in cloud time.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);

/// The bucket of AKS for reads of an operation's status.
const OPERATION_STATUS: Rate = Rate { size: 200.0, per_second: 2.0 };

const ROUTING_ID: HeaderName = HeaderName::from_static("x-ms-routing-request-id");
const FAILURE_CAUSE: HeaderName = HeaderName::from_static("x-ms-failure-cause");

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

    /// Returns the documented size and refill.
    const fn rate(self) -> Rate {
        match self {
            Self::Reads => Rate { size: 250.0, per_second: 25.0 },
            Self::Writes | Self::Deletes => Rate { size: 200.0, per_second: 10.0 },
        }
    }

    /// Returns the headers with the rest of the bucket.
    const fn headers(self) -> [&'static str; 3] {
        match self {
            Self::Reads => [
                "x-ms-ratelimit-remaining-subscription-reads",
                "x-ms-ratelimit-remaining-subscription-global-reads",
                "x-ms-ratelimit-remaining-tenant-reads",
            ],
            Self::Writes => [
                "x-ms-ratelimit-remaining-subscription-writes",
                "x-ms-ratelimit-remaining-subscription-global-writes",
                "x-ms-ratelimit-remaining-tenant-writes",
            ],
            Self::Deletes => [
                "x-ms-ratelimit-remaining-subscription-deletes",
                "x-ms-ratelimit-remaining-subscription-global-deletes",
                "x-ms-ratelimit-remaining-tenant-deletes",
            ],
        }
    }

    /// Returns the rest of the bucket, from the headers of an answer.
    fn left(self, headers: &Headers) -> Option<f64> {
        let number = |name| headers.text(&HeaderName::from_static(name))?.trim().parse().ok();
        self.headers().into_iter().filter_map(number).reduce(f64::min)
    }
}

/// The owner of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Resource Manager in one of its regions. The subscription is empty for requests of the tenant.
    Manager { subscription: String, class: Class, region: String },
    /// The status of operations of AKS in a region.
    OperationStatus { subscription: String, location: String },
}

/// The budgets of one principal. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestBudgets(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    budgets: HashMap<Key, Arc<Budget>>,
    /// The region of Resource Manager that answered last, by subscription.
    regions: HashMap<String, String>,
}

impl Known {
    /// Gives the budgets of a subscription, whose region was unknown so far, to the region that has answered first.
    fn name_region(&mut self, subscription: &str, region: &str) {
        for class in [Class::Reads, Class::Writes, Class::Deletes] {
            let key = |region: &str| {
                let subscription = subscription.to_owned();
                Key::Manager { subscription, class, region: region.to_owned() }
            };
            if let Some(budget) = self.budgets.remove(&key("")) {
                self.budgets.insert(key(region), budget);
            }
        }
    }
}

/// One budget.
#[derive(Debug)]
struct Budget {
    bucket: Mutex<Bucket>,
    /// Held by the request that waits for the next token; the others queue in their order.
    turn: tokio::sync::Mutex<()>,
    answered: Notify,
}

impl Budget {
    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().expect("nothing panics while it is held")
    }

    /// Waits for a token.
    async fn take(self: &Arc<Self>, path: &str) -> InFlight {
        let _turn = self.turn.lock().await;
        loop {
            let answered = self.answered.notified();
            let Err(wait) = self.bucket().take(Instant::now()) else { return InFlight(self.clone()) };
            tracing::debug!(path, ?wait, "waiting for the request budget");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = answered => {}
            }
        }
    }
}

/// A request that its budget counts as in flight until this is dropped.
struct InFlight(Arc<Budget>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.bucket().ended();
        self.0.answered.notify_waiters();
    }
}

impl RequestBudgets {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nothing panics while it is held")
    }

    fn budget(&self, key: Key, time_scale: f64) -> Arc<Budget> {
        let bucket = match &key {
            Key::Manager { class, .. } => Bucket::told(class.rate(), time_scale),
            Key::OperationStatus { .. } => Bucket::counted(OPERATION_STATUS, time_scale, Instant::now()),
        };
        let budget =
            || Budget { bucket: Mutex::new(bucket), turn: Default::default(), answered: Notify::new() };
        self.lock().budgets.entry(key).or_insert_with(|| Arc::new(budget())).clone()
    }

    /// Returns the region that will probably answer.
    fn region(&self, subscription: &str) -> String {
        self.lock().regions.get(subscription).cloned().unwrap_or_default()
    }

    /// Records the region that has answered, and returns it.
    fn answered_by(&self, subscription: &str, headers: &Headers) -> String {
        let region = headers.text(&ROUTING_ID).and_then(|id| id.split(':').next());
        let Some(region) = region.filter(|region| !region.is_empty()) else {
            return self.region(subscription);
        };
        let mut known = self.lock();
        if known.regions.insert(subscription.to_owned(), region.to_owned()).is_none() {
            known.name_region(subscription, region);
        }
        region.to_owned()
    }
}

/// Delays requests as their budgets require.
#[derive(Debug)]
pub(crate) struct BudgetPolicy {
    budgets: RequestBudgets,
    time_scale: f64,
}

impl BudgetPolicy {
    pub(crate) fn new(budgets: RequestBudgets, time_scale: f64) -> Arc<Self> {
        Arc::new(Self { budgets, time_scale })
    }

    fn manager(&self, subscription: &str, class: Class, region: String) -> Arc<Budget> {
        let subscription = subscription.to_owned();
        self.budgets.budget(Key::Manager { subscription, class, region }, self.time_scale)
    }

    /// Returns the wait of a refusal.
    fn refusal(&self, headers: &Headers) -> Duration {
        let wait = retry_after(headers, SystemTime::now());
        wait.unwrap_or_else(|| real(WAIT_DEFAULT, self.time_scale)).min(RETRY_AFTER_MAX)
    }
}

#[async_trait]
impl Policy for BudgetPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let path = request.url().path().to_owned();
        let (subscription, class) = (subscription(&path), Class::of(request.method()));
        let provider = operation_status(&path).map(|location| {
            let subscription = subscription.clone();
            self.budgets.budget(Key::OperationStatus { subscription, location }, self.time_scale)
        });
        let of_provider = match &provider {
            Some(budget) => Some(budget.take(&path).await),
            None => None,
        };
        let expected = self.manager(&subscription, class, self.budgets.region(&subscription));
        let of_manager = expected.take(&path).await;
        let sent = Instant::now();
        let response = next[0].send(ctx, request, &next[1..]).await?;
        // The answer of a region says nothing about the buckets of another one.
        let answered_by = self.budgets.answered_by(&subscription, response.headers());
        let manager = self.manager(&subscription, class, answered_by);
        let (status, headers, now) = (response.status(), response.headers(), Instant::now());
        let left = class.left(headers);
        if status == StatusCode::TooManyRequests && is_of_manager(headers, left) {
            manager.bucket().refuse(self.refusal(headers), now);
        } else if status == StatusCode::TooManyRequests
            && let Some(provider) = &provider
        {
            provider.bucket().refuse(self.refusal(headers), now);
        }
        drop((of_manager, of_provider));
        match left {
            _ if status == StatusCode::TooManyRequests => {}
            Some(left) => manager.bucket().tell(left, sent, now),
            None if status.is_success() => manager.bucket().never_tells(),
            None => manager.bucket().tell_nothing(),
        }
        manager.answered.notify_waiters();
        Ok(response)
    }
}

/// Returns whether a 429 is one of Resource Manager itself. Providers also use the status, about one resource.
fn is_of_manager(headers: &Headers, left: Option<f64>) -> bool {
    match headers.text(&FAILURE_CAUSE) {
        Some(cause) => cause.eq_ignore_ascii_case("gateway"),
        None => left.is_some_and(|left| left < 1.0),
    }
}

/// Returns the segment after the one of this name.
fn after<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    path.split('/').skip_while(|part| !part.eq_ignore_ascii_case(name)).nth(1)
}

/// Returns the subscription in the path of a request; empty for requests of the tenant.
fn subscription(path: &str) -> String {
    after(path, "subscriptions").unwrap_or_default().to_ascii_lowercase()
}

/// Returns the region in the path of an operation's status, if the operation is one of AKS.
fn operation_status(path: &str) -> Option<String> {
    let provider = after(path, "providers")?;
    after(path, "operations")?;
    let is_aks = provider.eq_ignore_ascii_case("Microsoft.ContainerService");
    after(path, "locations").filter(|_| is_aks).map(str::to_ascii_lowercase)
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

    #[test]
    fn the_subscription_and_the_region_of_an_operation_are_those_of_the_path() {
        assert_eq!(subscription("/subscriptions/AB-1/resourceGroups/rg"), "ab-1");
        assert_eq!(subscription("/subscriptions"), "");
        assert_eq!(subscription("/providers/Microsoft.Graph"), "");
        let of =
            |provider: &str| format!("/subscriptions/s/providers/{provider}/locations/EastUS/operations/1");
        assert_eq!(operation_status(&of("microsoft.containerservice")).as_deref(), Some("eastus"));
        assert_eq!(operation_status(&of("Microsoft.Network")), None);
    }

    #[test]
    fn the_rest_is_the_lowest_number_of_its_class() {
        let of = [
            ("x-ms-ratelimit-remaining-subscription-reads", "90"),
            ("x-ms-ratelimit-remaining-subscription-global-reads", "7"),
        ];
        assert_eq!(Class::Reads.left(&headers(&of)), Some(7.0));
        assert_eq!(Class::Writes.left(&headers(&of)), None);
    }

    #[test]
    fn a_refusal_of_a_provider_is_not_one_of_the_manager() {
        assert!(is_of_manager(&headers(&[("x-ms-failure-cause", "gateway")]), None));
        assert!(!is_of_manager(&headers(&[("x-ms-failure-cause", "service")]), Some(0.0)));
        assert!(!is_of_manager(&headers(&[]), Some(180.0)));
        assert!(is_of_manager(&headers(&[]), Some(0.0)));
    }

    #[test]
    fn the_region_is_the_one_that_answered_last() {
        let budgets = RequestBudgets::default();
        let key = |region: &str| Key::Manager {
            subscription: "s".into(),
            class: Class::Reads,
            region: region.into(),
        };
        let first = budgets.budget(key(""), 1.0);
        assert_eq!(budgets.answered_by("s", &headers(&[])), "");
        let routing = headers(&[("x-ms-routing-request-id", "WESTEUROPE:20261123T081500Z:1")]);
        assert_eq!(budgets.answered_by("s", &routing), "WESTEUROPE");
        assert_eq!((budgets.region("s").as_str(), budgets.region("other").as_str()), ("WESTEUROPE", ""));
        let moved = budgets.budget(key("WESTEUROPE"), 1.0);
        assert!(Arc::ptr_eq(&moved, &first), "the requests before the first answer count");
        assert!(Arc::ptr_eq(&moved, &budgets.budget(key("WESTEUROPE"), 1.0)));
        assert!(!Arc::ptr_eq(&moved, &budgets.budget(key("NORTHEUROPE"), 1.0)));
    }
}
