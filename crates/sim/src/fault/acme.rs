//! Faults of certificate authorities and of name servers.

use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::acme::fault_hooks as hooks;
use crate::arm::dns::publication;
use crate::arm::error::ArmError;
use crate::request::{Reply, with_retry_after};
use crate::state::CloudState;

/// The `Retry-After` of a rate limit in seconds of cloud time.
const LIMIT: f64 = 600.0;
/// The `Retry-After` of an unavailable CA in seconds of cloud time.
const UNAVAILABLE: f64 = 30.0;
/// The duration of a slow issuance in seconds of cloud time.
const ISSUANCE: f64 = 120.0;
/// The outage of a name server in seconds of cloud time.
const OUTAGE: f64 = 120.0;
/// The delay of a publication on one server in seconds of cloud time.
const LATE: f64 = 300.0;

const fn row(
    (fault, name, kind): (Fault, &'static str, Kind),
    (method, path): (&'static str, &'static str),
    what: &'static str,
    client: &'static str,
    heals: bool,
    injection: Injection,
) -> Row {
    Row { fault, name, kind, method, path, what, client, heals, injection }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        (Fault::AcmeBadNonce, "acme-bad-nonce", Kind::Refusal),
        ("POST", "acme."),
        "400 `badNonce` for a valid nonce, as for 5 % of all requests",
        "sends the request again with the nonce of the answer",
        true,
        Injection::Respond(|state, context| hooks::bad_nonce(state, context.request, context.timing)),
    ),
    row(
        (Fault::AcmeUnavailable, "acme-unavailable", Kind::Refusal),
        ("POST", "acme."),
        "503 with an HTML body and `Retry-After`, before the request had any effect",
        "waits for `Retry-After`, and tolerates the body",
        true,
        Injection::Respond(unavailable),
    ),
    row(
        (Fault::AcmeRateLimited, "acme-rate-limited", Kind::Refusal),
        ("POST", "/new-order"),
        "429 `rateLimited` with `Retry-After`, also in the text",
        "stores the time and asks no sooner",
        true,
        Injection::Respond(|_, context| {
            hooks::rate_limited(context.request, context.now, context.timing, LIMIT)
        }),
    ),
    row(
        (Fault::AcmePaused, "acme-paused", Kind::StateChange),
        ("POST", "/new-order"),
        "the CA has paused the names after many failures: 429 `rateLimited` without a time, until a person unpauses them",
        "reports the link, and does not repeat the order",
        false,
        Injection::Before(|state, context| hooks::pause_names(state, context.request)),
    ),
    row(
        (Fault::AcmeTermsChanged, "acme-terms-changed", Kind::Refusal),
        ("POST", "/new-order"),
        "403 `userActionRequired` with a link to new terms of service",
        "reports the link",
        false,
        Injection::Respond(|state, context| hooks::terms_changed(state, context.request, context.timing)),
    ),
    row(
        (Fault::AcmeAccountGone, "acme-account-gone", Kind::StateChange),
        ("POST", "/new-order"),
        "the CA has forgotten the account: 400 `accountDoesNotExist`",
        "registers again with the same key",
        true,
        Injection::Before(|state, context| hooks::forget_account(state, context.request)),
    ),
    row(
        (Fault::AcmeOrderGone, "acme-order-gone", Kind::StateChange),
        ("POST", "/order/"),
        "the CA has forgotten the order, as after its expiry: 404",
        "orders again",
        true,
        Injection::Before(|state, context| hooks::forget_order(state, context.request)),
    ),
    row(
        (Fault::AcmeOrderStaysPending, "acme-order-stays-pending", Kind::StateChange),
        ("POST", "/challenge/"),
        "from now on, a failed authorization leaves its order `pending`",
        "reads the authorizations, not the order alone",
        true,
        Injection::Before(|state, context| {
            hooks::change_settings(state, context.request, |set| set.failed_order_stays_pending = true)
        }),
    ),
    row(
        (Fault::AcmeSecondaryFails, "acme-secondary-fails", Kind::Operation),
        ("POST", "/challenge/"),
        "the validation fails at a secondary place, although the record is there",
        "reports the problem of the challenge, and orders again",
        true,
        Injection::Before(|state, context| hooks::fail_secondary(state, context.request)),
    ),
    row(
        (Fault::AcmeSlowIssuance, "acme-slow-issuance", Kind::Operation),
        ("POST", "/finalize/"),
        "the order stays `processing` for 120 s of cloud time",
        "polls the order at the pace of `Retry-After`",
        true,
        Injection::After(slow_issuance),
    ),
    row(
        (Fault::AcmeCaa, "acme-caa", Kind::StateChange),
        ("POST", "/finalize/"),
        "the zone gets a CAA record set that allows only another CA: the order fails with `caa`",
        "shows the record set, and the record to add",
        false,
        Injection::Before(|state, context| hooks::forbid_by_caa(state, context.request)),
    ),
    row(
        (Fault::AcmeReplacesRefused, "acme-replaces-refused", Kind::Refusal),
        ("POST", "/new-order"),
        "409 `alreadyReplaced` for an order with `replaces`",
        "orders again without it",
        true,
        Injection::Respond(|_, context| hooks::replaces_refused(context.request, context.timing)),
    ),
    row(
        (Fault::AcmeReplacesHidden, "acme-replaces-hidden", Kind::StateChange),
        ("POST", "/new-order"),
        "from now on, an order does not show its `replaces`",
        "goes on with the order",
        true,
        Injection::Before(|state, context| {
            hooks::change_settings(state, context.request, |set| set.shows_replaces = false)
        }),
    ),
    row(
        (Fault::AcmeProfileRandom, "acme-profile-random", Kind::StateChange),
        ("POST", "/new-order"),
        "from now on, an order without a profile gets a random one",
        "asks for a profile, and assumes no lifetime",
        true,
        Injection::Before(|state, context| {
            hooks::change_settings(state, context.request, |set| set.default_profile = "random".to_owned())
        }),
    ),
    row(
        (Fault::AcmeBindingRequired, "acme-binding-required", Kind::StateChange),
        ("GET", "/directory"),
        "from now on, new accounts need an external account binding, and the CA knows none",
        "reports that the binding is required, and where to set it",
        false,
        Injection::Before(|state, context| {
            hooks::change_settings(state, context.request, |set| set.binding_required = true)
        }),
    ),
    row(
        (Fault::AcmeIncident, "acme-incident", Kind::StateChange),
        ("GET", "/renewal-info/"),
        "from now on, the CA wants all certificates renewed at once: the windows are in the past",
        "renews now",
        true,
        Injection::Before(|state, context| hooks::change_settings(state, context.request, hooks::incident)),
    ),
    row(
        (Fault::AcmeWindowInvalid, "acme-window-invalid", Kind::Refusal),
        ("GET", "/renewal-info/"),
        "the renewal window ends when it starts",
        "decides by the remaining lifetime",
        true,
        Injection::Respond(|_, context| hooks::window_invalid(context.request, context.now)),
    ),
    row(
        (Fault::DnsServerDown, "dns-server-down", Kind::StateChange),
        ("PUT", "/dnszones/"),
        "the last name server of the zone answers SERVFAIL for 120 s of cloud time",
        "asks every name server, and waits until all have the record",
        true,
        Injection::Before(server_down),
    ),
    row(
        (Fault::DnsServerLate, "dns-server-late", Kind::StateChange),
        ("PUT", "/dnszones/"),
        "the write reaches the last name server of the zone 300 s of cloud time later than the others",
        "asks every name server, and waits until all have the record",
        true,
        Injection::Before(server_late),
    ),
    row(
        (Fault::DnsZoneUndelegated, "dns-zone-undelegated", Kind::StateChange),
        ("GET", "dnszones"),
        "from now on, the parents of the zones delegate to the name servers of a registrar",
        "compares the delegation before it orders, and prints the name servers to enter",
        false,
        Injection::Before(|state, _| publication::undelegate(state)),
    ),
    row(
        (Fault::DnsWriteDenied, "dns-write-denied", Kind::Refusal),
        ("PUT", "/txt/"),
        "the caller has no role at the zone: 403 `AuthorizationFailed`",
        "names the role that is missing, DNS Zone Contributor",
        true,
        Injection::Respond(write_denied),
    ),
];

fn write_denied(_: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let message = format!(
        "The client does not have authorization to perform action 'Microsoft.Network/dnszones/TXT/write' over scope '{}' or \
         the scope is invalid. If access was recently granted, please refresh your credentials.",
        context.request.path
    );
    Some(ArmError::gateway(403, "AuthorizationFailed", message).into_reply())
}

fn unavailable(_: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let page = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n</html>\r\n";
    Some(with_retry_after(Reply::bytes(503, "text/html", page), context.timing, Some(UNAVAILABLE)))
}

fn slow_issuance(state: &mut CloudState, context: &RequestContext<'_>, _: &mut Reply) -> bool {
    hooks::delay_issuance(state, context.request, (context.now, context.timing), ISSUANCE)
}

/// Returns the id of the zone in the path.
fn zone(context: &RequestContext<'_>) -> Option<String> {
    let segments = context.request.segments();
    let at = segments.iter().position(|segment| segment.eq_ignore_ascii_case("dnszones"))?;
    (segments.len() > at + 2).then(|| format!("/{}", segments[..=at + 1].join("/")))
}

fn server_down(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let until = context.timing.delayed_until(context.now, OUTAGE);
    zone(context).is_some_and(|zone| publication::fail_last_server(state, &zone, until))
}

fn server_late(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let until = context.timing.delayed_until(context.now, LATE);
    zone(context).is_some_and(|zone| publication::hold_next_write(state, &zone, until))
}
