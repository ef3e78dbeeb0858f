//! Request limits of Resource Manager and AKS: token buckets. They are off until a fault or the admin API switches them on.
//!
//! Resource Manager has a bucket for each subscription, principal and region of the service, and one each for reads,
//! writes and deletes (<https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>).
//! AKS has its own behind it, for each subscription and region of the resource, or for each cluster
//! (<https://learn.microsoft.com/azure/aks/quotas-skus-regions>). A request that comes before the `Retry-After` of a
//! refusal is over is refused too, and renews the wait. At instant speed every bucket is always full.

pub mod store;

use self::store::{Rate, RequestLimits};
use crate::arm::error::ArmError;
use crate::arm::{Call, clusters, id};
use crate::clock::{SimTime, Timing};
use crate::entra::Caller;
use crate::request::{Reply, Request};
use crate::state::CloudState;
use http::Method;

/// The `Retry-After` of Resource Manager in seconds of cloud time. The service documents no number.
const RETRY_AFTER: f64 = 5.0;
/// The shortest `Retry-After` of AKS in seconds of cloud time.
const PROVIDER_RETRY_AFTER: f64 = 1.0;

/// A kind of request with a bucket of its own.
struct Class {
    /// Its name in texts.
    name: &'static str,
    /// The headers with the rest of the bucket of a subscription, and of a tenant.
    headers: [&'static str; 2],
    rate: fn(&RequestLimits) -> Rate,
}

const READS: Class = Class {
    name: "read",
    headers: ["x-ms-ratelimit-remaining-subscription-reads", "x-ms-ratelimit-remaining-tenant-reads"],
    rate: |limits| limits.reads,
};
const WRITES: Class = Class {
    name: "write",
    headers: ["x-ms-ratelimit-remaining-subscription-writes", "x-ms-ratelimit-remaining-tenant-writes"],
    rate: |limits| limits.writes,
};
const DELETES: Class = Class {
    name: "delete",
    headers: ["x-ms-ratelimit-remaining-subscription-deletes", "x-ms-ratelimit-remaining-tenant-deletes"],
    rate: |limits| limits.deletes,
};

fn class(method: &Method) -> Class {
    match *method {
        Method::GET | Method::HEAD => READS,
        Method::DELETE => DELETES,
        _ => WRITES,
    }
}

/// Returns the subscription of a request, lower case; `None` for requests of the tenant.
fn subscription(request: &Request) -> Option<String> {
    id::part(&request.path, "subscriptions").map(str::to_ascii_lowercase)
}

fn key(state: &CloudState, request: &Request, caller: &Caller) -> String {
    let scope = subscription(request).unwrap_or_else(|| "tenant".to_owned());
    let class = class(&request.method).name;
    format!("{class} {scope} {} {}", caller.object_id, state.throttling.region())
}

/// Admits a request to Resource Manager, or refuses it.
pub(super) fn admit(
    state: &mut CloudState,
    request: &Request,
    caller: &Caller,
    now: SimTime,
    timing: &Timing,
) -> Result<(), ArmError> {
    let class = class(&request.method);
    let Some(rate) = state.throttling.limits.as_ref().map(class.rate) else { return Ok(()) };
    let key = key(state, request, caller);
    let Err(wait) = state.throttling.take(key, rate, RETRY_AFTER, now, timing) else { return Ok(()) };
    let scope = subscription(request).map_or("tenant".to_owned(), |id| format!("subscription '{id}'"));
    let why = format!(
        "Number of '{}' requests for {scope} actor '{}' exceeded. Please try again after '{}' seconds after additional \
         tokens are available. Refer to https://aka.ms/arm-throttling for additional information.",
        class.name,
        caller.object_id,
        timing.retry_after(wait).0
    );
    let code =
        if subscription(request).is_some() { "SubscriptionRequestsThrottled" } else { "TooManyRequests" };
    Err(with_wait(ArmError::gateway(429, code, why), wait, timing))
}

/// Adds the rest of the bucket to a success.
pub(super) fn with_rest(state: &CloudState, request: &Request, caller: &Caller, reply: Reply) -> Reply {
    let Some(limits) = state.throttling.limits.as_ref().filter(|_| reply.status.is_success()) else {
        return reply;
    };
    let class = class(&request.method);
    let left = state.throttling.buckets.get(&key(state, request, caller));
    let left = left.map_or((class.rate)(limits).size, |bucket| bucket.left).floor();
    let name = class.headers[usize::from(subscription(request).is_none())];
    reply.with_header(name, &format!("{left}"))
}

/// Admits a request to AKS, or refuses it.
pub(super) fn admit_to_provider(state: &mut CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    let Some(limits) = &state.throttling.limits else { return Ok(()) };
    let Some((key, rate, handler)) = provider_bucket(limits, call) else { return Ok(()) };
    let taken = state.throttling.take(key, rate, PROVIDER_RETRY_AFTER, call.now, &call.timing);
    let Err(wait) = taken else { return Ok(()) };
    let why = format!(
        "The {handler} request limit has been exceeded for SubID='{}', please retry again in {} seconds. For more \
         information, please visit aka.ms/aks/throttling",
        state.subscription,
        call.timing.retry_after(wait).0
    );
    Err(with_wait(ArmError::aks(429, "Throttled", why), wait, &call.timing))
}

/// Returns the key of AKS's bucket of a call, its rate, and AKS's name of the call.
fn provider_bucket(limits: &RequestLimits, call: &Call<'_>) -> Option<(String, Rate, &'static str)> {
    let location = call.param("location").to_ascii_lowercase();
    let is_status = call.route.pattern.ends_with("/locations/{location}/operations/{operation}");
    if is_status && call.param("provider").eq_ignore_ascii_case("Microsoft.ContainerService") {
        let key = format!("operation-status {location}");
        return Some((key, limits.operation_status, "GetOperationStatusHandler.GET"));
    }
    if call.route.kind != clusters::KIND || !call.route.pattern.ends_with("/{cluster}") {
        return None;
    }
    let cluster = format!("{}/{}", call.param("group"), call.param("cluster")).to_ascii_lowercase();
    match call.request.method {
        Method::GET => {
            let key = format!("cluster-reads {cluster}");
            Some((key, limits.cluster_reads, "GetManagedClusterHandler.GET"))
        }
        Method::PUT => {
            let key = format!("cluster-writes {cluster}");
            Some((key, limits.cluster_writes, "PutManagedClusterHandler.PUT"))
        }
        _ => None,
    }
}

fn with_wait(refused: ArmError, wait: f64, timing: &Timing) -> ArmError {
    let (seconds, ms) = timing.retry_after(wait);
    refused.with_header("retry-after", &seconds.to_string()).with_header("retry-after-ms", &ms.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::store::Throttling;
    use super::*;
    use crate::clock::Speed;
    use crate::test_cloud::{TestCloud, code};

    fn limited(limits: Value) -> (TestCloud, String) {
        let mut cloud = TestCloud::new();
        cloud.state.throttling.change(limits).unwrap();
        let target = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
        (cloud, target)
    }

    fn left(reply: &Reply, class: &str) -> String {
        let name = format!("x-ms-ratelimit-remaining-subscription-{class}");
        reply.headers.get(&name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_bucket_refuses_when_it_is_empty_and_an_early_request_renews_the_wait() {
        let (mut cloud, target) = limited(json!({ "reads": { "size": 2, "per_second": 0.5 } }));
        let statuses: Vec<u16> = (0..3).map(|_| cloud.get(&target).status.as_u16()).collect();
        assert_eq!(statuses, [200, 200, 429]);
        cloud.advance(4.0);
        let early = cloud.get(&target);
        assert_eq!((early.status.as_u16(), code(&early).as_str()), (429, "SubscriptionRequestsThrottled"));
        assert_eq!(
            (&early.headers["retry-after"], &early.headers["x-ms-failure-cause"]),
            (&"5".parse().unwrap(), &"gateway".parse().unwrap())
        );
        assert_eq!(left(&early, "reads"), "");
        cloud.advance(4.9);
        assert_eq!(cloud.get(&target).status, 429, "the wait was renewed");
        cloud.advance(5.0);
        let admitted = cloud.get(&target);
        assert_eq!((admitted.status.as_u16(), left(&admitted, "reads").as_str()), (200, "1"));
        let bucket = &cloud.state.throttling.view()["buckets"];
        let bucket = bucket.as_object().unwrap().values().next().unwrap();
        assert_eq!(
            (&bucket["admitted"], &bucket["refused"], &bucket["refused_early"]),
            (&json!(3), &json!(3), &json!(2))
        );
    }

    #[test]
    fn each_principal_region_and_kind_of_request_has_a_bucket_of_its_own() {
        let one = json!({ "size": 1, "per_second": 0.001 });
        let (mut cloud, target) = limited(json!({ "reads": one, "writes": one, "deletes": one }));
        assert_eq!([cloud.get(&target).status, cloud.get(&target).status], [200, 429]);
        let body = json!({ "location": "eastus" });
        assert_eq!(left(&cloud.put(&target, &body), "writes"), "0");
        assert_eq!([cloud.put(&target, &body).status, cloud.delete(&target).status], [429, 202]);
        let user = cloud.state.directory.user().object_id.clone();
        let request = cloud.request_as(&user, Method::GET, &target);
        assert_ne!(cloud.send(&request).status, 429);
        let limits = json!({ "reads": one, "writes": one, "deletes": one, "region": "WESTEUROPE" });
        cloud.state.throttling.change(limits).unwrap();
        let moved = cloud.get(&target);
        assert_ne!(moved.status, 429);
        assert!(moved.headers["x-ms-routing-request-id"].to_str().unwrap().starts_with("WESTEUROPE:"));
    }

    #[test]
    fn aks_limits_the_status_of_operations_by_region_and_the_writes_of_each_cluster() {
        let one = json!({ "size": 1, "per_second": 0.05 });
        let (mut cloud, _) = limited(json!({ "operation_status": one, "cluster_writes": one }));
        let status = |provider: &str, location: &str| {
            let of =
                format!("/providers/{provider}/locations/{location}/operations/x?api-version=2026-01-01");
            format!("/subscriptions/{{}}{of}")
        };
        let mut get = |provider, location| {
            let target = status(provider, location).replace("{}", &cloud.state.subscription);
            let reply = cloud.get(&target);
            (
                reply.status.as_u16(),
                reply.headers.get("retry-after").map(|wait| wait.to_str().unwrap().to_owned()),
            )
        };
        assert_eq!(get("Microsoft.ContainerService", "eastus").0, 404);
        assert_eq!(get("microsoft.containerservice", "EastUS"), (429, Some("20".to_owned())));
        assert_eq!(get("Microsoft.ContainerService", "westus3").0, 404);
        assert_eq!([get("Microsoft.Network", "eastus").0, get("Microsoft.Network", "eastus").0], [404, 404]);
        let cluster =
            |name: &str| format!("Microsoft.ContainerService/managedClusters/{name}?api-version=2025-10-01");
        let (a, b) = (cloud.in_group(&cluster("a")), cloud.in_group(&cluster("b")));
        let mut put = |target: &str| code(&cloud.put(target, &json!({})));
        assert_ne!(put(&a), "Throttled");
        assert_eq!(put(&a), "Throttled");
        assert_ne!(put(&b), "Throttled");
    }

    #[test]
    fn buckets_fill_in_cloud_time_and_never_run_dry_at_instant_speed() {
        let (mut cloud, target) = limited(json!({ "reads": { "size": 1, "per_second": 0.1 } }));
        cloud.timing = Timing::new(Speed::Times(60.0));
        assert_eq!([cloud.get(&target).status, cloud.get(&target).status], [200, 429]);
        cloud.advance(10.0);
        assert_eq!(cloud.get(&target).status, 200);
        cloud.timing = Timing::new(Speed::Instant);
        assert!((0..9).all(|_| cloud.get(&target).status == 200));
    }

    #[test]
    fn wrong_limits_are_refused_and_the_region_alone_keeps_the_buckets() {
        let mut throttling = Throttling::default();
        assert!(throttling.change(json!({ "reads": { "size": 0, "per_second": 1 } })).is_err());
        assert!(throttling.change(json!({ "read": { "size": 1, "per_second": 1 } })).is_err());
        assert_eq!(throttling.view()["limits"], Value::Null);
        throttling.change(json!({})).unwrap();
        assert!(!throttling.set(Some(RequestLimits::default())));
        assert_eq!(throttling.view()["limits"]["reads"]["size"], 250.0);
    }
}
