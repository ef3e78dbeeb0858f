//! Request checks of Resource Manager before the provider, in their real order.

use http::Method;

use crate::arm::error::ArmError;
use crate::arm::policies::{check, effect};
use crate::arm::roles::Right;
use crate::arm::routing;
use crate::arm::{Call, groups, id, locks, provider_registration, scope, tags, throttling};
use crate::clock::{SimTime, Timing};
use crate::entra::{self, Caller, TokenError};
use crate::request::{Reply, Request, segments};
use crate::state::{CloudState, uuid_from};

/// Answers a request to Resource Manager.
pub fn serve(state: &mut CloudState, request: &Request, now: SimTime, timing: &Timing) -> Reply {
    let caller = entra::bearer(state, request, &state.arm_audience(), now);
    let reply = if request.path.trim_end_matches('/').eq_ignore_ascii_case("/metadata/endpoints") {
        Reply::json(200, &super::subscriptions::endpoints(state))
    } else {
        answer(state, request, caller.as_ref(), now, timing).unwrap_or_else(ArmError::into_reply)
    };
    let reply = with_common_headers(state, request, now, reply);
    match &caller {
        Ok(caller) => throttling::with_rest(state, request, caller, reply),
        Err(_) => reply,
    }
}

/// Responds as if the caller's token had just expired.
pub fn expired(state: &CloudState, request: &Request, now: SimTime) -> Reply {
    let reply = unauthenticated(state, request, TokenError::Expired(now.plus_ms(-1)), now).into_reply();
    with_common_headers(state, request, now, reply)
}

fn answer(
    state: &mut CloudState,
    request: &Request,
    caller: Result<&Caller, &TokenError>,
    now: SimTime,
    timing: &Timing,
) -> Result<Reply, ArmError> {
    let api_version = api_version(request)?;
    let caller = caller.map_err(|refused| unauthenticated(state, request, *refused, now))?.clone();
    throttling::admit(state, request, &caller, now, timing)?;
    let segments = request.segments();
    let found = routing::find((state.registry.routes)(), request.method.as_str(), &segments);
    let (route, params) = found.ok_or_else(|| routing::no_route(state, request, &segments))?;
    let call = Call { request, route, params, api_version, caller, now, timing: *timing };
    subscription(state, &call)?;
    supported_version(state, &call)?;
    rights(state, &call)?;
    enabled(state, &call)?;
    locks::check(state, &call, &scope_of(&call))?;
    group(state, &call)?;
    registration(state, &call)?;
    let modified = effect::modified(state, &call);
    let call = match &modified {
        Some(request) => Call { request, ..call },
        None => call,
    };
    tags::check(&call)?;
    check::check(state, &call)?;
    throttling::admit_to_provider(state, &call)?;
    let handler = route.handler;
    handler(state, &call)
}

fn api_version(request: &Request) -> Result<String, ArmError> {
    let version = request.query("api-version").unwrap_or_default();
    if version.is_empty() {
        let why = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(ArmError::gateway(400, "MissingApiVersionParameter", why));
    }
    Ok(version.to_owned())
}

fn unauthenticated(state: &CloudState, request: &Request, refused: TokenError, now: SimTime) -> ArmError {
    let (code, why) = match refused {
        TokenError::Missing => (
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.".to_owned(),
        ),
        TokenError::Expired(at) => (
            "ExpiredAuthenticationToken",
            format!(
                "The access token expiry UTC time '{}' is earlier than current UTC time '{}'.",
                at.timestamp().strftime("%-m/%-d/%Y %-I:%M:%S %p"),
                now.timestamp().strftime("%-m/%-d/%Y %-I:%M:%S %p")
            ),
        ),
        TokenError::WrongAudience => (
            "InvalidAuthenticationTokenAudience",
            format!(
                "The access token has been obtained for wrong audience or resource. It should exactly match with one \
                 of the allowed audiences '{0}','{0}/'.",
                state.arm_audience()
            ),
        ),
        TokenError::Malformed => ("InvalidAuthenticationToken", "The access token is invalid.".to_owned()),
        TokenError::BadSignature => (
            "InvalidAuthenticationToken",
            "The access token could not be validated: invalid signature.".to_owned(),
        ),
    };
    tracing::debug!(path = request.path, code, "token refused");
    ArmError::gateway(401, code, why).with_header("www-authenticate", &entra::challenge(state, refused))
}

fn subscription(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    let named = match call.param("subscription") {
        "" => id::part(call.param("scope"), "subscriptions").unwrap_or_default(),
        named => named,
    };
    if named.is_empty() || named.eq_ignore_ascii_case(&state.subscription) {
        return Ok(());
    }
    if uuid::Uuid::parse_str(named).is_err() {
        let why = format!("The provided subscription identifier '{named}' is malformed or invalid.");
        return Err(ArmError::gateway(400, "InvalidSubscriptionId", why));
    }
    Err(scope::subscription_not_found(named))
}

fn supported_version(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    let known = call.route.versions;
    if known.is_empty() || known.iter().any(|known| known.eq_ignore_ascii_case(&call.api_version)) {
        return Ok(());
    }
    let list = known.iter().rev().copied().collect::<Vec<_>>().join(", ");
    let version = &call.api_version;
    let (namespace, kind) = call.route.kind.split_once('/').unwrap_or((call.route.kind, ""));
    if namespace == "Microsoft.Resources" {
        let why = format!("The api-version '{version}' is invalid. The supported versions are '{list}'.");
        return Err(ArmError::gateway(400, "InvalidApiVersionParameter", why));
    }
    let locations = state.locations.join(", ");
    let location = call.request.json::<serde_json::Value>().ok();
    let location = location.as_ref().and_then(|body| body["location"].as_str()).unwrap_or_default();
    let why = format!(
        "No registered resource provider found for location '{location}' and API version '{version}' for type '{kind}'. \
         The supported api-versions are '{list}'. The supported locations are '{locations}'."
    );
    Err(ArmError::gateway(400, "NoRegisteredProviderFound", why))
}

fn writes(method: &Method) -> bool {
    matches!(*method, Method::PUT | Method::PATCH | Method::POST)
}

/// Returns the right that a route requires, `{type}/read|write|delete` or `{type}/{last segment}/action`.
fn needed(call: &Call<'_>) -> String {
    let kind = call.route.kind;
    match call.request.method {
        Method::PUT | Method::PATCH => format!("{kind}/write"),
        Method::DELETE => format!("{kind}/delete"),
        Method::POST => format!("{kind}/{}/action", id::name(call.route.pattern)),
        _ => format!("{kind}/read"),
    }
}

/// Returns the scope of the required right: the resource itself.
fn scope_of(call: &Call<'_>) -> String {
    if call.route.pattern.starts_with("/{scope*}") {
        return format!("/{}", call.param("scope"));
    }
    format!("/{}", segments(&call.request.path).join("/"))
}

fn rights(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    let action = needed(call);
    let scope = scope_of(call);
    let oid = &call.caller.object_id;
    if !call.route.guarded || state.allows(oid, Right::Action(&action), &scope, call.now) {
        return Ok(());
    }
    let client_name = if call.caller.is_user { &call.caller.name } else { &call.caller.app_id };
    let why = format!(
        "The client '{client_name}' with object id '{oid}' does not have authorization to perform action '{action}' over scope \
         '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    );
    Err(ArmError::gateway(403, "AuthorizationFailed", why))
}

/// Refuses writes on a disabled subscription; reads and deletions are allowed.
fn enabled(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    if !(state.disabled && writes(&call.request.method)) {
        return Ok(());
    }
    let why = format!(
        "The subscription '{}' is disabled and therefore marked as read only. You cannot perform any write actions on this \
         subscription until it is re-enabled.",
        state.subscription
    );
    Err(ArmError::gateway(409, "ReadOnlyDisabledSubscription", why))
}

/// Checks that the group of a resource exists, and for writes that it is not being deleted.
fn group(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    let named = call.param("group");
    if named.is_empty() || call.route.kind == groups::KIND {
        return Ok(());
    }
    let group = state.groups.get(&named.to_lowercase()).ok_or_else(|| ArmError::group_not_found(named))?;
    if writes(&call.request.method) { group.check_writable() } else { Ok(()) }
}

fn registration(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    let namespace = call.route.kind.split('/').next().unwrap_or_default();
    if writes(&call.request.method) && call.route.kind != provider_registration::KIND {
        return provider_registration::check_registered(state, namespace);
    }
    Ok(())
}

/// Adds the headers of every Resource Manager response, above all the ids for support.
pub(crate) fn with_common_headers(
    state: &CloudState,
    request: &Request,
    now: SimTime,
    mut reply: Reply,
) -> Reply {
    let id = uuid_from(state.seed, "request", request.number);
    let correlation = request.header("x-ms-correlation-request-id").unwrap_or(&id).to_owned();
    let stamp = now.timestamp().strftime("%Y%m%dT%H%M%SZ");
    if !reply.headers.contains_key("x-ms-request-id") {
        reply = reply.with_header("x-ms-request-id", &id);
    }
    reply = reply
        .with_header("x-ms-correlation-request-id", &correlation)
        .with_header("x-ms-routing-request-id", &format!("{}:{stamp}:{id}", state.throttling.region()))
        .with_header("strict-transport-security", "max-age=31536000; includeSubDomains")
        .with_header("x-content-type-options", "nosniff")
        .with_header("cache-control", "no-cache")
        .with_header("pragma", "no-cache");
    let echo = request
        .header("x-ms-return-client-request-id")
        .is_some_and(|requested| requested.eq_ignore_ascii_case("true"));
    if let Some(client) = request.header("x-ms-client-request-id").filter(|_| echo) {
        reply = reply.with_header("x-ms-client-request-id", client);
    }
    if reply.status.is_success() {
        let (name, left) = match request.method {
            Method::DELETE => ("x-ms-ratelimit-remaining-subscription-deletes", "199"),
            Method::GET | Method::HEAD => ("x-ms-ratelimit-remaining-subscription-reads", "249"),
            _ => ("x-ms-ratelimit-remaining-subscription-writes", "199"),
        };
        reply = reply.with_header(name, left);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};

    #[test]
    fn the_middleware_refuses_with_azures_messages() {
        let mut cloud = TestCloud::new();
        let group = cloud.path("/resourceGroups/rg");
        let vnet = cloud.in_group("Microsoft.Network/virtualNetworks/vn");
        let cases = [
            (group.clone(), 400, "MissingApiVersionParameter"),
            (format!("{group}?api-version=1999-01-01"), 400, "InvalidApiVersionParameter"),
            (format!("{vnet}?api-version=1999-01-01"), 400, "NoRegisteredProviderFound"),
            (format!("{vnet}?api-version=2025-07-01"), 404, "ResourceNotFound"),
            (
                format!("{}?api-version=2025-07-01", vnet.replace("/rg/", "/other/")),
                404,
                "ResourceGroupNotFound",
            ),
            (
                "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups?api-version=2024-11-01"
                    .to_owned(),
                404,
                "SubscriptionNotFound",
            ),
            (
                format!("{}?api-version=1", cloud.in_group("Microsoft.Quantum/things/x")),
                404,
                "InvalidResourceNamespace",
            ),
            (
                format!("{}?api-version=1", cloud.in_group("Microsoft.Network/things/x")),
                404,
                "InvalidResourceType",
            ),
            ("/nowhere?api-version=1".to_owned(), 404, "NotFound"),
        ];
        for (target, status, wanted) in cases {
            let reply = cloud.get(&target);
            assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (status, wanted), "{target}");
        }
    }

    #[test]
    fn paths_match_without_case_and_with_a_trailing_slash() {
        let mut cloud = TestCloud::new();
        let target = cloud.path("/ReSourceGroups/RG/?API-Version=2024-11-01");
        let reply = cloud.get(&target);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.value()["name"], "rg", "the case it was made with is kept");
    }

    #[test]
    fn authentication_comes_before_all_other_checks() {
        let mut cloud = TestCloud::new();
        let target = cloud.path("/resourceGroups/none?api-version=2024-11-01");
        let none = Request::new(Method::GET, "management.landfall.localhost", &target);
        let reply = cloud.send(&none);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (401, "AuthenticationFailed"));
        assert!(
            reply.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Bearer authorization_uri=\"https://login.")
        );

        let owner = cloud.state.directory.owner().object_id.clone();
        let vault = entra::token_for(&cloud.state, &owner, &cloud.state.vault_audience(), cloud.now);
        let reply = cloud.send(&none.clone().with_header("authorization", &format!("Bearer {vault}")));
        assert_eq!(code(&reply), "InvalidAuthenticationTokenAudience");

        let token = cloud.request(Method::GET, &target);
        let mut forged = token.clone();
        let text = token.header("authorization").unwrap().to_owned();
        let (head, _) = text.rsplit_once('.').unwrap();
        forged.headers.insert("authorization", format!("{head}.AAAA").parse().unwrap());
        assert_eq!(code(&cloud.send(&forged)), "InvalidAuthenticationToken");

        cloud.advance(3_600.0);
        let reply = cloud.send(&token);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (401, "ExpiredAuthenticationToken"));
    }

    #[test]
    fn an_unauthorized_caller_gets_the_action_and_the_scope() {
        let mut cloud = TestCloud::new();
        cloud.state.directory.add_managed_identity(
            "7d0c4b7e-58c1-4f2a-9c1f-0d6e3a3b8f11".to_owned(),
            "c".to_owned(),
            "m",
            "/x",
            SimTime(0),
        );
        let target = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
        let request = cloud.request_as("7d0c4b7e-58c1-4f2a-9c1f-0d6e3a3b8f11", Method::DELETE, &target);
        let reply = cloud.send(&request);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (403, "AuthorizationFailed"));
        let message = reply.value()["error"]["message"].to_string();
        assert!(message.contains("Microsoft.Resources/subscriptions/resourceGroups/delete"), "{message}");
    }

    #[test]
    fn every_response_has_request_and_correlation_ids() {
        let mut cloud = TestCloud::new();
        let target = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
        let request = cloud
            .request(Method::GET, &target)
            .with_header("x-ms-correlation-request-id", "corr")
            .with_header("x-ms-client-request-id", "mine")
            .with_header("x-ms-return-client-request-id", "true");
        let reply = cloud.send(&request);
        assert_eq!(reply.headers["x-ms-correlation-request-id"], "corr");
        assert_eq!(reply.headers["x-ms-client-request-id"], "mine");
        assert!(reply.headers.contains_key("x-ms-request-id"));
        assert!(reply.headers.contains_key("x-ms-routing-request-id"));
        assert_eq!(reply.headers["x-ms-ratelimit-remaining-subscription-reads"], "249");
    }
}
