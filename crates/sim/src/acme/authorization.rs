//! Authorizations and challenges (RFC 8555 §7.5, §8).

use serde_json::{Value, json};

use super::ca::{CaName, lifetime_end};
use super::call::{AcmeCall, draw, url};
use super::encoding::encode;
use super::encoding::seconds;
use super::jws;
use super::problem::{Answer, Problem, add_link};
use super::profile::Profile;
use super::store::{Authorization, Challenge};
use crate::clock::SimTime;
use crate::durations;
use crate::request::{Reply, with_retry_after};
use crate::state::CloudState;

/// The types of challenges, in the order of their listing.
const KINDS: [&str; 3] = ["http-01", "dns-01", "tls-alpn-01"];

impl Authorization {
    /// Returns the status (RFC 8555 §7.1.6).
    pub(super) fn status(&self, now: SimTime) -> &str {
        match self.status.as_str() {
            "pending" | "valid" if self.expires <= now => "expired",
            status => status,
        }
    }
}

/// Returns an authorization for an order: a valid or pending one of the account, or a new one.
pub(super) fn for_order(call: &mut AcmeCall<'_>, account: &str, name: &str, profile: &Profile) -> String {
    let wildcard = name.starts_with("*.");
    let name = name.strip_prefix("*.").unwrap_or(name);
    let now = call.now;
    let with_status = |call: &AcmeCall<'_>, status: &str| {
        let fits = |one: &Authorization| {
            one.account == account
                && one.name == name
                && one.wildcard == wildcard
                && one.status(now) == status
        };
        call.server().authorizations.iter().find(|(_, one)| fits(one)).map(|(id, _)| id.clone())
    };
    let reuse = call.server().settings.reuse_percent;
    if let Some(id) = with_status(call, "valid")
        && (reuse >= 100 || call.draw_percent("acme reuse") < reuse)
    {
        return id;
    }
    // One that is being validated is not offered again.
    let idle = |call: &AcmeCall<'_>, id: &str| {
        call.server().authorizations[id].challenges.iter().all(|challenge| challenge.due.is_none())
    };
    if let Some(id) = with_status(call, "pending").filter(|id| idle(call, id)) {
        return id;
    }
    let kinds = KINDS.into_iter().filter(|kind| !wildcard || *kind == "dns-01");
    let challenges = kinds
        .map(|kind| Challenge {
            kind: kind.to_owned(),
            token: encode(call.state.hex("acme token").as_bytes()),
            status: "pending".to_owned(),
            due: None,
            validated: None,
            error: None,
            fails_secondary: false,
        })
        .collect();
    let id = call.id("authorization");
    let authorization = Authorization {
        account: account.to_owned(),
        name: name.to_owned(),
        wildcard,
        status: "pending".to_owned(),
        expires: lifetime_end(call.timing, now, profile.pending_authorization),
        challenges,
        valid_lifetime: profile.valid_authorization,
    };
    call.server_mut().authorizations.insert(id.clone(), authorization);
    id
}

/// Reads or deactivates an authorization.
pub(super) fn show(call: &mut AcmeCall<'_>, id: &str) -> Answer {
    let (account, signed) = jws::by_account(call)?;
    find(call, id, &account)?;
    if !signed.is_post_as_get() {
        if signed.json()?["status"] != "deactivated" {
            return Err(Problem::malformed("Invalid status value"));
        }
        if let Some(authorization) = call.server_mut().authorizations.get_mut(id) {
            authorization.status = "deactivated".to_owned();
        }
    }
    let authorization = find(call, id, &account)?;
    let challenges: Vec<Value> =
        authorization.challenges.iter().map(|one| challenge(call.state, call.ca, id, one)).collect();
    let mut body = json!({
        "identifier": { "type": "dns", "value": authorization.name },
        "status": authorization.status(call.now),
        "expires": seconds(authorization.expires),
        "challenges": challenges,
    });
    if authorization.wildcard {
        body["wildcard"] = json!(true);
    }
    let reply = Reply::json(200, &body);
    Ok(match authorization.status(call.now) {
        "pending" => with_retry_after(reply, call.timing, Some(durations::ACME_RETRY_AFTER)),
        _ => reply,
    })
}

fn find<'a>(call: &'a AcmeCall<'_>, id: &str, account: &str) -> Result<&'a Authorization, Problem> {
    let found = call.server().authorizations.get(id);
    let found = found.ok_or_else(|| Problem::not_found("No such authorization"))?;
    match found.account == account {
        true => Ok(found),
        false => Err(Problem::unauthorized("User account ID doesn't match account ID in authorization")),
    }
}

/// Reads a challenge, or starts its validation: one attempt per authorization, as with Let's Encrypt.
pub(super) fn answer(call: &mut AcmeCall<'_>, id: &str, kind: &str) -> Answer {
    let (account, signed) = jws::by_account(call)?;
    let authorization = find(call, id, &account)?;
    if authorization.status(call.now) == "expired" {
        return Err(Problem::not_found("Expired authorization"));
    }
    let is_pending = authorization.status == "pending"
        && authorization.challenges.iter().all(|challenge| challenge.due.is_none());
    if !authorization.challenges.iter().any(|challenge| challenge.kind == kind) {
        return Err(Problem::not_found("No such challenge"));
    }
    if !signed.is_post_as_get() {
        signed.json()?;
        if !is_pending {
            return Err(Problem::malformed("authorization must be pending"));
        }
        let wait = f64::from(draw(call.state, "acme validation", 51)) / 10.0;
        let due = call.timing.after(call.now, wait.min(durations::ACME_VALIDATION_MAX));
        let authorization = call.server_mut().authorizations.get_mut(id);
        let challenges = authorization.into_iter().flat_map(|one| one.challenges.iter_mut());
        for challenge in challenges.filter(|challenge| challenge.kind == kind) {
            challenge.due = Some(due);
            challenge.status = "processing".to_owned();
        }
    }
    let authorization = find(call, id, &account)?;
    let shown = authorization.challenges.iter().find(|challenge| challenge.kind == kind);
    let body = shown.map(|one| challenge(call.state, call.ca, id, one)).unwrap_or_default();
    let reply = Reply::json(200, &body);
    let reply = match body["status"] == "processing" {
        true => with_retry_after(reply, call.timing, Some(durations::ACME_RETRY_AFTER)),
        false => reply,
    };
    Ok(add_link(reply, &call.url(&format!("authorization/{id}")), "up"))
}

fn challenge(state: &CloudState, ca: CaName, id: &str, challenge: &Challenge) -> Value {
    let mut body = json!({
        "type": challenge.kind,
        "url": url(state, ca, &format!("challenge/{id}/{}", challenge.kind)),
        "status": challenge.status,
        "token": challenge.token,
    });
    if let Some(validated) = challenge.validated {
        body["validated"] = json!(seconds(validated));
    }
    if let Some(error) = &challenge.error {
        body["error"] = error.clone();
    }
    body
}
