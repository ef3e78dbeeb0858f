//! Changes of a CA by faults.

use serde_json::{Value, json};

use super::ca::{CAA_IDENTITY, CaName};
use super::encoding::decode;
use super::encoding::seconds;
use super::problem::{Problem, RetryAfter};
use super::settings::{RenewalInformation, Settings};
use super::store::Progress;
use crate::arm::dns;
use crate::clock::{SimTime, Timing};
use crate::request::{Reply, Request};
use crate::state::{CloudState, DOMAIN};

/// The CA of a request, if it is for one.
fn ca(request: &Request) -> Option<CaName> {
    let host = request.host.strip_suffix(DOMAIN)?.strip_suffix('.')?;
    CaName::ALL.into_iter().find(|ca| ca.host() == host)
}

/// Returns whether a request is for a CA.
pub(crate) fn is_for_ca(request: &Request) -> bool {
    ca(request).is_some()
}

/// Returns an error in the form of a CA.
pub(crate) fn refused(status: u16, kind: &'static str, detail: &str) -> Reply {
    Problem::new(status, kind, detail).reply_without_wait()
}

/// Returns the payload of a request, unverified.
fn payload(request: &Request) -> Value {
    let body: Value = request.json().unwrap_or_default();
    let bytes = decode(body["payload"].as_str().unwrap_or_default()).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn account(request: &Request) -> Option<String> {
    let body: Value = request.json().ok()?;
    let header: Value = serde_json::from_slice(&decode(body["protected"].as_str()?)?).ok()?;
    header["kid"].as_str()?.rsplit('/').next().map(str::to_owned)
}

/// Returns the last segment of a path.
fn last(request: &Request) -> String {
    request.segments().pop().unwrap_or_default()
}

/// Refuses the nonce of a request.
pub(crate) fn bad_nonce(state: &mut CloudState, request: &Request, timing: &Timing) -> Option<Reply> {
    let ca = ca(request)?;
    let nonce = state.hex("acme nonce");
    state.acme.get_mut(ca).nonces.push_back(nonce.clone());
    let problem = Problem::new(400, "badNonce", "JWS has an invalid anti-replay nonce");
    Some(problem.reply(timing).with_header("replay-nonce", &nonce))
}

/// Refuses a request because of a limit, with the time at which it ends.
pub(crate) fn rate_limited(
    request: &Request,
    now: SimTime,
    timing: &Timing,
    cloud_seconds: f64,
) -> Option<Reply> {
    ca(request)?;
    let until = timing.after(now, cloud_seconds).timestamp().strftime("%Y-%m-%d %H:%M:%S UTC");
    let detail = format!(
        "too many new orders (300) from this account in the last 3h0m0s, retry after {until}: see \
         https://letsencrypt.org/docs/rate-limits/#new-orders-per-account"
    );
    Some(Problem::rate_limited(detail, Some(RetryAfter::Cloud(cloud_seconds))).reply(timing))
}

/// Refuses a request because the terms of service have changed.
pub(crate) fn terms_changed(state: &CloudState, request: &Request, timing: &Timing) -> Option<Reply> {
    let terms = format!("{}/terms", state.origin(ca(request)?.host()));
    let detail = "Terms of service have changed; agree to them at the URL of the terms-of-service link";
    let problem = Problem::new(403, "userActionRequired", detail).with_link(&terms, "terms-of-service");
    Some(problem.reply(timing))
}

/// Refuses the `replaces` of a new order.
pub(crate) fn replaces_refused(request: &Request, timing: &Timing) -> Option<Reply> {
    ca(request)?;
    payload(request)["replaces"].as_str()?;
    let detail = "Could not validate ARI 'replaces' field :: cannot indicate an order replaces certificate with serial, \
                  which already has a replacement order";
    Some(Problem::new(409, "alreadyReplaced", detail).reply(timing))
}

/// Returns renewal information whose window is empty.
pub(crate) fn window_invalid(request: &Request, now: SimTime) -> Option<Reply> {
    ca(request)?;
    let at = seconds(now);
    let body = json!({ "suggestedWindow": { "start": at, "end": at } });
    Some(Reply::json(200, &body).with_header("retry-after", "21600"))
}

/// Changes the settings of the CA of a request; returns whether they differ.
pub(crate) fn change_settings(
    state: &mut CloudState,
    request: &Request,
    change: impl FnOnce(&mut Settings),
) -> bool {
    let Some(ca) = ca(request) else { return false };
    let settings = &mut state.acme.get_mut(ca).settings;
    let before = settings.clone();
    change(settings);
    *settings != before
}

/// Announces an incident: the renewal windows are in the past.
pub(crate) fn incident(settings: &mut Settings) {
    settings.renewal = RenewalInformation::Incident;
}

/// Pauses the names of a new order.
pub(crate) fn pause_names(state: &mut CloudState, request: &Request) -> bool {
    let Some(ca) = ca(request) else { return false };
    let payload = payload(request);
    let names = payload["identifiers"].as_array().into_iter().flatten();
    let names: Vec<String> = names
        .filter_map(|one| one["value"].as_str())
        .map(|name| name.strip_prefix("*.").unwrap_or(name).to_ascii_lowercase())
        .collect();
    let paused = &mut state.acme.get_mut(ca).paused;
    let before = paused.len();
    paused.extend(names);
    paused.len() > before
}

/// Forgets the order of a request.
pub(crate) fn forget_order(state: &mut CloudState, request: &Request) -> bool {
    ca(request).is_some_and(|ca| state.acme.get_mut(ca).orders.remove(&last(request)).is_some())
}

/// Forgets the account of a request.
pub(crate) fn forget_account(state: &mut CloudState, request: &Request) -> bool {
    let (Some(ca), Some(account)) = (ca(request), account(request)) else { return false };
    state.acme.get_mut(ca).accounts.remove(&account).is_some()
}

/// Lets the validation of a challenge fail at a secondary place.
pub(crate) fn fail_secondary(state: &mut CloudState, request: &Request) -> bool {
    let (Some(ca), segments) = (ca(request), request.segments()) else { return false };
    let [.., id, kind] = segments.as_slice() else { return false };
    let authorization = state.acme.get_mut(ca).authorizations.get_mut(id);
    let challenges = authorization.into_iter().flat_map(|one| one.challenges.iter_mut());
    let mut changed = false;
    for challenge in challenges.filter(|one| one.kind == *kind && one.status == "pending") {
        challenge.fails_secondary = true;
        changed = true;
    }
    changed
}

/// Delays the issuance of an order that was finalized just now.
pub(crate) fn delay_issuance(
    state: &mut CloudState,
    request: &Request,
    (now, timing): (SimTime, &Timing),
    cloud_seconds: f64,
) -> bool {
    let Some(ca) = ca(request) else { return false };
    match state.acme.get_mut(ca).orders.get_mut(&last(request)).map(|order| &mut order.progress) {
        Some(Progress::Finalized { due, .. }) => {
            *due = timing.after(now, cloud_seconds);
            true
        }
        _ => false,
    }
}

/// Writes a CAA set that allows only another CA into the zone of an order's first name.
pub(crate) fn forbid_by_caa(state: &mut CloudState, request: &Request) -> bool {
    let Some(ca) = ca(request) else { return false };
    let Some(name) = state.acme.get(ca).orders.get(&last(request)).and_then(|order| order.names.first())
    else {
        return false;
    };
    let name = name.strip_prefix("*.").unwrap_or(name).to_owned();
    let issuer = format!("not-{}", CAA_IDENTITY);
    dns::write_set(state, &name, "CAA", json!({ "flags": 0, "tag": "issue", "value": issuer }))
}
