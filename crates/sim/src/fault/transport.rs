//! Faults of the transport: requests and responses that are lost, late or rejected, whatever their target.

use http::Method;

use super::armed::RETRY_AFTER;
use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::acme::fault_hooks as acme;
use crate::arm::{error::ArmError, middleware};
use crate::blob::BlobError;
use crate::entra::TokenError;
use crate::kubernetes::{self, status::StatusError as StatusRefusal};
use crate::request::{Delivery, Reply, Request, with_retry_after};
use crate::state::CloudState;
use crate::vault::error::VaultError as VaultRefusal;

/// The duration of a slow response in seconds of cloud time.
const SLOW: f64 = 30.0;
/// The provider timeout of Resource Manager in seconds of cloud time (Resource Provider Contract).
const PROVIDER_MAX: f64 = 60.0;

const fn row(
    fault: Fault,
    name: &'static str,
    method: &'static str,
    what: &'static str,
    client: &'static str,
    injection: Injection,
) -> Row {
    Row {
        fault,
        name,
        kind: Kind::Transport,
        method,
        path: "management.",
        what,
        client,
        heals: true,
        injection,
    }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::Throttled,
        "throttled",
        "",
        "429 with `Retry-After`; asking again too early renews the wait",
        "waits for `Retry-After`, then retries",
        Injection::Respond(|_, context| {
            Some(with_retry_after(throttled(context.request), context.timing, Some(RETRY_AFTER)))
        }),
    ),
    row(
        Fault::ThrottledSilently,
        "throttled-silently",
        "",
        "429 without `Retry-After`",
        "backs off, then retries",
        Injection::Respond(|_, context| Some(throttled(context.request))),
    ),
    row(
        Fault::ServerError,
        "server-error",
        "",
        "500 before the request had any effect",
        "retries idempotent requests",
        Injection::Respond(|_, context| {
            let why = "Encountered internal server error.";
            Some(refused(context.request, 500, "InternalServerError", why))
        }),
    ),
    row(
        Fault::Unavailable,
        "unavailable",
        "",
        "503 with an HTML body before the request had any effect",
        "retries, and tolerates the body",
        Injection::Respond(|_, _| Some(page(503, "503 Service Unavailable"))),
    ),
    row(
        Fault::BadGateway,
        "bad-gateway",
        "",
        "502 with an HTML body before the request had any effect",
        "retries, and tolerates the body",
        Injection::Respond(|_, _| Some(page(502, "502 Bad Gateway"))),
    ),
    row(
        Fault::GatewayTimeout,
        "gateway-timeout",
        "",
        "504 `GatewayTimeout` after 60 s of cloud time, as when a provider does not respond to Resource \
         Manager",
        "reads the resource before it writes again",
        Injection::Respond(gateway_timeout),
    ),
    row(
        Fault::ResetBefore,
        "reset-before",
        "",
        "the connection breaks before the request had any effect",
        "retries; reads the resource before it repeats a write that is not idempotent",
        Injection::Respond(|_, _| Some(undelivered(Delivery::Cut))),
    ),
    row(
        Fault::ResetAfter,
        "reset-after",
        "PUT",
        "the request takes effect, but the connection breaks before the response",
        "reads the resource, and continues the operation of the lost write",
        Injection::Disrupt(|reply| reply.delivery = Delivery::Cut),
    ),
    row(
        Fault::Truncated,
        "truncated",
        "PUT",
        "the request takes effect, but the response is truncated",
        "treats the truncated response as none: reads the resource",
        Injection::Disrupt(|reply| reply.delivery = Delivery::Truncated),
    ),
    row(
        Fault::Slow,
        "slow",
        "",
        "the response takes 30 s of cloud time",
        "waits that long",
        Injection::Disrupt(|reply| reply.latency += SLOW),
    ),
    row(
        Fault::StalledBefore,
        "stalled-before",
        "",
        "the request has no effect, and no response arrives",
        "cancels the request after its timeout, then retries",
        Injection::Respond(|_, _| Some(undelivered(Delivery::Withheld))),
    ),
    row(
        Fault::StalledAfter,
        "stalled-after",
        "PUT",
        "the request takes effect, but no response arrives",
        "cancels the request after its timeout, then reads the resource",
        Injection::Disrupt(|reply| reply.delivery = Delivery::Withheld),
    ),
    row(
        Fault::TokenExpired,
        "token-expired",
        "GET",
        "401 `ExpiredAuthenticationToken` during an operation, or the other hosts' response to an old token",
        "signs in again and repeats the request; the operation continues",
        Injection::Respond(|state, context| Some(expired(state, context))),
    ),
];

/// The service of a request; each has its own error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Arm,
    Vault,
    Blob,
    Kubernetes,
    Acme,
}

impl Service {
    fn of(request: &Request) -> Self {
        match request {
            _ if request.path.starts_with("/kubernetes/") => Self::Kubernetes,
            _ if request.host.contains(".vault.") => Self::Vault,
            _ if request.host.contains(".blob.") => Self::Blob,
            _ if acme::is_for_ca(request) => Self::Acme,
            _ => Self::Arm,
        }
    }
}

fn refused(request: &Request, status: u16, code: &'static str, why: &str) -> Reply {
    match Service::of(request) {
        Service::Arm => ArmError::gateway(status, code, why).into_reply(),
        Service::Vault => VaultRefusal::new(status, code, why).reply(),
        Service::Blob => BlobError::new(status, code, why).reply(),
        Service::Kubernetes => StatusRefusal::new(status, code_of_status(status), why).reply(),
        Service::Acme if status == 429 => acme::refused(status, "rateLimited", why),
        Service::Acme => acme::refused(status, "serverInternal", why),
    }
}

/// Returns the `reason` of a Kubernetes `Status`, which has its own values.
const fn code_of_status(status: u16) -> &'static str {
    match status {
        429 => "TooManyRequests",
        504 => "Timeout",
        _ => "InternalError",
    }
}

fn throttled(request: &Request) -> Reply {
    match Service::of(request) {
        Service::Arm => {
            let why = "The request is being throttled as the limit has been reached for operation type. For more \
                       information, see - https://aka.ms/arm-throttling";
            refused(request, 429, "TooManyRequests", why)
        }
        Service::Vault => {
            let why = "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
            refused(request, 429, "Throttled", why)
        }
        // The blob service throttles with its code for a busy partition.
        Service::Blob => BlobError::busy().reply(),
        Service::Kubernetes => refused(
            request,
            429,
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        Service::Acme => {
            let why = "Service busy; retry later.";
            refused(request, 429, "rateLimited", why)
        }
    }
}

fn page(status: u16, title: &str) -> Reply {
    let text = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    Reply::bytes(status, "text/html", text)
}

fn gateway_timeout(_: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let provider = context.after("providers").unwrap_or_else(|| "Microsoft.Resources".to_owned());
    let why =
        format!("The gateway did not receive a response from '{provider}' within the specified time period.");
    Some(refused(context.request, 504, "GatewayTimeout", &why).with_latency(PROVIDER_MAX))
}

fn undelivered(delivery: Delivery) -> Reply {
    Reply { delivery, ..Reply::empty(503) }
}

fn expired(state: &CloudState, context: &RequestContext<'_>) -> Reply {
    match Service::of(context.request) {
        Service::Arm => middleware::expired(state, context.request, context.now),
        Service::Vault => {
            VaultRefusal::unauthorized(state, TokenError::Expired(context.now.plus_ms(-1))).reply()
        }
        Service::Blob => BlobError::unauthorized(state, TokenError::Expired(context.now.plus_ms(-1))).reply(),
        Service::Kubernetes => kubernetes::unauthorized(),
        Service::Acme => acme::refused(401, "unauthorized", "the request is not authorized"),
    }
}

/// Returns whether a request changes something.
pub(super) fn writes(request: &Request) -> bool {
    !matches!(request.method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixture::{arm, exists, group};
    use super::*;
    use crate::test_cloud::{TestCloud, code};

    /// Returns the response, and whether the request created the group.
    fn put(fault: &str) -> (Reply, bool) {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, fault);
        let reply = cloud.put(&group(&cloud, "web"), &json!({ "location": "eastus" }));
        assert!(cloud.state.faults.armed.is_empty(), "{fault} is spent");
        let created = exists(&cloud, "web");
        (reply, created)
    }

    #[test]
    fn what_is_refused_has_no_effect_and_the_right_body() {
        for (fault, status, wanted) in [
            ("throttled-silently", 429, "TooManyRequests"),
            ("server-error", 500, "InternalServerError"),
            ("gateway-timeout", 504, "GatewayTimeout"),
        ] {
            let (reply, created) = put(fault);
            assert_eq!(
                (reply.status.as_u16(), code(&reply).as_str(), created),
                (status, wanted, false),
                "{fault}"
            );
            assert!(reply.value()["error"]["message"].is_string());
            assert_eq!(reply.headers["x-ms-failure-cause"], "gateway");
        }
        for (fault, status) in [("unavailable", 503), ("bad-gateway", 502)] {
            let (reply, created) = put(fault);
            assert_eq!((reply.status.as_u16(), reply.value(), created), (status, Value::Null, false));
            assert_eq!(reply.headers["content-type"], "text/html");
        }
        assert_eq!(put("gateway-timeout").0.latency, PROVIDER_MAX);
    }

    #[test]
    fn an_early_throttled_request_restarts_the_wait() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "throttled");
        let at = group(&cloud, "rg");
        let reply = cloud.get(&at);
        assert_eq!((reply.status.as_u16(), reply.headers["retry-after"].to_str().unwrap()), (429, "5"));
        assert_eq!(reply.headers["retry-after-ms"], "5000");
        cloud.advance(4.0);
        assert_eq!(cloud.get(&at).status, 429);
        cloud.advance(5.0);
        assert_eq!(cloud.get(&at).status, 200);
    }

    #[test]
    fn before_and_after_differ_in_whether_the_request_took_effect() {
        for (fault, delivery, effect) in [
            ("reset-before", Delivery::Cut, false),
            ("reset-after", Delivery::Cut, true),
            ("stalled-before", Delivery::Withheld, false),
            ("stalled-after", Delivery::Withheld, true),
            ("truncated", Delivery::Truncated, true),
        ] {
            let (reply, created) = put(fault);
            assert_eq!((reply.delivery, created), (delivery, effect), "{fault}");
        }
        let (reply, created) = put("slow");
        assert_eq!((reply.status.as_u16(), created), (201, true));
        assert!(reply.latency >= SLOW);
    }

    #[test]
    fn an_expired_token_is_refused_with_the_hosts_message() {
        let mut cloud = TestCloud::new();
        cloud.make_vault("kv-demo");
        arm(&mut cloud, "token-expired");
        let reply = cloud.get(&group(&cloud, "rg"));
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (401, "ExpiredAuthenticationToken"));
        arm(&mut cloud, "token-expired@.vault.");
        let reply = cloud.vault("kv-demo", Method::GET, "/certificates?api-version=7.4", None);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (401, "Unauthorized"));
        assert!(reply.headers.contains_key("www-authenticate"));
        arm(&mut cloud, "token-expired@/kubernetes/");
        let reply = cloud.send(&Request::new(Method::GET, "x", "/kubernetes/u/api"));
        assert_eq!((reply.status.as_u16(), &reply.value()["reason"]), (401, &json!("Unauthorized")));
    }
}
