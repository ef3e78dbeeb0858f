//! Orders (RFC 8555 §7.4) with profiles and `replaces` (RFC 9773 §5).

use serde_json::{Value, json};

use super::authorization;
use super::ca::{CaName, lifetime_end};
use super::call::{AcmeCall, url};
use super::encoding::seconds;
use super::identifiers;
use super::jws;
use super::limits::{Limit, registered_domain};
use super::problem::{Answer, Problem};
use super::profile::{self, PROFILES, Profile};
use super::renewal;
use super::store::{Order, Progress, Server};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::request::{Reply, with_retry_after};
use crate::state::CloudState;

/// Creates an order: 201. A pending or ready order of the account with the same names and profile is returned again.
pub(super) fn create(call: &mut AcmeCall<'_>) -> Answer {
    let (account, signed) = jws::by_account(call)?;
    let payload = signed.json()?;
    if !payload["notBefore"].is_null() || !payload["notAfter"].is_null() {
        return Err(Problem::malformed("NotBefore and NotAfter are not supported"));
    }
    let names = identifiers::read(&payload["identifiers"])?;
    let asked = payload["profile"].as_str().filter(|name| !name.is_empty());
    let profile = chosen_profile(call, asked)?;
    if names.len() > profile.names_max {
        let detail = format!("Order cannot contain more than {} identifiers", profile.names_max);
        return Err(Problem::malformed(detail));
    }
    let replaces = payload["replaces"].as_str().filter(|id| !id.is_empty());
    let exempt = replaces.map(|id| renewal::check_replaces(call, id, &account, &names)).transpose()?;
    let exempt = exempt.unwrap_or(false);
    check_paused(call, &names)?;
    if replaces.is_none()
        && let Some(id) = reusable(call, &account, &names, asked.map(|_| profile.name))
    {
        return Ok(reply(call.state, call.ca, &id, call.now, call.timing, 201));
    }
    if !exempt {
        check_limits(call, &account, &names)?;
    }
    let id = call.id("order");
    let authorizations: Vec<String> =
        names.iter().map(|name| authorization::for_order(call, &account, name, profile)).collect();
    let order = Order {
        account,
        names,
        profile: profile.name.to_owned(),
        profile_asked: asked.is_some(),
        created: call.now,
        expires: lifetime_end(call.timing, call.now, profile.order),
        authorizations,
        progress: Progress::Open,
        error: None,
        replaces: replaces.map(str::to_owned),
        exempt,
    };
    let server = call.server_mut();
    if let Some(serial) = replaces.and_then(renewal::serial_of)
        && let Some(replaced) = server.certificates.get_mut(&serial)
    {
        replaced.replaced_by = Some(id.clone());
    }
    server.orders.insert(id.clone(), order);
    Ok(reply(call.state, call.ca, &id, call.now, call.timing, 201))
}

/// Reads an order.
pub(super) fn show(call: &mut AcmeCall<'_>, id: &str) -> Answer {
    let (account, signed) = jws::by_account(call)?;
    signed.must_be_post_as_get()?;
    find(call, id, &account)?;
    Ok(reply(call.state, call.ca, id, call.now, call.timing, 200))
}

/// Finds an order of an account.
///
/// # Errors
/// 404 `malformed` if there is none, or it has expired without a certificate.
pub(super) fn find<'a>(call: &'a AcmeCall<'_>, id: &str, account: &str) -> Result<&'a Order, Problem> {
    let order = call.server().orders.get(id).filter(|order| order.account == account);
    let order = order.ok_or_else(|| Problem::not_found(format!("No order found for ID {id}")))?;
    match order.expires <= call.now && !matches!(order.progress, Progress::Issued(_)) {
        true => Err(Problem::not_found(format!("Order {id} has expired"))),
        false => Ok(order),
    }
}

/// Returns an order with its location.
pub(super) fn reply(
    state: &CloudState,
    ca: CaName,
    id: &str,
    now: SimTime,
    timing: &Timing,
    status: u16,
) -> Reply {
    let server = state.acme.get(ca);
    let Some(order) = server.orders.get(id) else { return Reply::empty(404) };
    let url = |path: String| url(state, ca, &path);
    let identifiers: Vec<Value> =
        order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    let authorizations: Vec<String> =
        order.authorizations.iter().map(|one| url(format!("authorization/{one}"))).collect();
    let order_status = order.status(server, now);
    let mut body = json!({
        "status": order_status,
        "expires": seconds(order.expires),
        "identifiers": identifiers,
        "authorizations": authorizations,
        "finalize": url(format!("finalize/{id}")),
    });
    if order.profile_asked {
        body["profile"] = json!(order.profile);
    }
    if let Some(replaces) = order.replaces.as_ref().filter(|_| server.settings.shows_replaces) {
        body["replaces"] = json!(replaces);
    }
    if let Progress::Issued(serial) = &order.progress {
        body["certificate"] = json!(url(format!("certificate/{serial}")));
    }
    if let Some(error) = &order.error {
        body["error"] = error.clone();
    }
    let reply = Reply::json(status, &body).with_header("location", &url(format!("order/{id}")));
    match order_status {
        "processing" => with_retry_after(reply, timing, Some(durations::ACME_RETRY_AFTER)),
        _ => reply,
    }
}

impl Order {
    /// Returns the status (RFC 8555 §7.1.6).
    pub(super) fn status(&self, server: &Server, now: SimTime) -> &'static str {
        match &self.progress {
            Progress::Issued(_) => "valid",
            Progress::Finalized { .. } => "processing",
            Progress::Invalid => "invalid",
            Progress::Open => {
                let status = |id: &String| server.authorizations.get(id).map_or("", |one| one.status(now));
                let statuses: Vec<&str> = self.authorizations.iter().map(status).collect();
                let failed = statuses.iter().any(|one| *one != "pending" && *one != "valid");
                match failed {
                    true if server.settings.failed_order_stays_pending => "pending",
                    true => "invalid",
                    false if statuses.contains(&"pending") => "pending",
                    false => "ready",
                }
            }
        }
    }
}

fn chosen_profile(call: &mut AcmeCall<'_>, asked: Option<&str>) -> Result<&'static Profile, Problem> {
    if let Some(name) = asked {
        return profile::named(name).ok_or_else(|| {
            Problem::new(
                400,
                "invalidProfile",
                format!("Profile \"{name}\" not recognized, see the directory for valid profiles"),
            )
        });
    }
    let default = call.server().settings.default_profile.clone();
    if default == "random" {
        let drawn = call.draw_percent("acme profile");
        return Ok(&PROFILES[usize::from(drawn) % PROFILES.len()]);
    }
    Ok(profile::named(&default).unwrap_or(&PROFILES[0]))
}

fn check_paused(call: &AcmeCall<'_>, names: &[String]) -> Result<(), Problem> {
    let paused: Vec<&str> = names
        .iter()
        .map(|name| name.strip_prefix("*.").unwrap_or(name))
        .filter(|name| call.server().paused.contains(*name))
        .collect();
    let Some(first) = paused.first() else { return Ok(()) };
    let detail = format!(
        "Your account is temporarily prevented from requesting certificates for {first} and possibly others. Please visit: \
         {}/unpause",
        call.origin()
    );
    Err(Problem::rate_limited(detail, None))
}

fn check_limits(call: &mut AcmeCall<'_>, account: &str, names: &[String]) -> Result<(), Problem> {
    for name in names {
        let name = name.strip_prefix("*.").unwrap_or(name);
        call.check(Limit::FailedAuthorizations, &format!("{account} {name}"))?;
    }
    call.check(Limit::CertificatesPerSet, &names.join(","))?;
    let mut domains: Vec<&str> = names.iter().map(|name| registered_domain(name)).collect();
    domains.dedup();
    for domain in domains {
        call.check(Limit::CertificatesPerDomain, domain)?;
    }
    call.spend(Limit::NewOrders, account)
}

/// Finds an order that is returned again.
fn reusable(call: &AcmeCall<'_>, account: &str, names: &[String], profile: Option<&str>) -> Option<String> {
    let server = call.server();
    let fits = |order: &Order| {
        order.account == account
            && order.names == names
            && order.replaces.is_none()
            && profile == order.profile_asked.then_some(order.profile.as_str())
            && order.expires > call.now
            && matches!(order.status(server, call.now), "pending" | "ready")
            && order.authorizations.iter().all(|id| {
                let status = server.authorizations.get(id).map(|one| one.status(call.now));
                matches!(status, Some("pending" | "valid"))
            })
    };
    server.orders.iter().find(|(_, order)| fits(order)).map(|(id, _)| id.clone())
}
