//! Certificate authorities with ACME: one like Let's Encrypt's production, one like its staging.
//!
//! An independent reading of RFC 8555 and RFC 9773, with the texts and limits of Boulder and the habits of Pebble. It
//! refuses what they refuse. Validations ask the simulated name servers ([`crate::dns_server`]).
//!
//! Durations of the service (expiry, limits, waits) are in cloud time. The validity of a certificate and its renewal
//! window are in real time, like everything else that a certificate is compared with.
//!
//! * `directory`, `nonce`, `account`, `order`, `authorization`, `finalize`, `certificate`, `renewal`, `key_change`,
//!   `revocation`: the resources.
//! * `jws`, `jwk`, `problem`: signed requests, account keys, errors.
//! * `work`, `resolver`, `caa`: validation and issuance when they are due.
//! * `issuer`, `csr`, `profile`: keys and certificates. `limits`: rate limits. `settings`: switches.

mod account;
pub(crate) mod admin;
mod authorization;
pub(crate) mod ca;
mod caa;
mod call;
mod certificate;
mod csr;
mod directory;
mod encoding;
pub(crate) mod fault_hooks;
mod finalize;
mod identifiers;
mod issuer;
mod jwk;
mod jws;
mod key_change;
mod limits;
mod nonce;
mod order;
mod problem;
mod profile;
mod renewal;
pub(crate) mod resolver;
mod revocation;
pub(crate) mod settings;
pub(crate) mod store;
#[cfg(test)]
pub(crate) mod tests;
mod work;

use http::Method;

use crate::clock::{SimTime, Timing};
use crate::request::{Reply, Request};
use crate::state::CloudState;

use ca::DIRECTORY_PATH;
use call::AcmeCall;
use problem::{Answer, Problem};

pub use ca::CaName;
pub use store::Servers;
pub(crate) use work::{complete, due_work, perform};

/// Answers a request to a CA.
pub(crate) fn serve(
    state: &mut CloudState,
    ca: CaName,
    request: &Request,
    now: SimTime,
    timing: &Timing,
) -> Reply {
    let mut call = AcmeCall { state, ca, request, now, timing };
    let mut reply = match route(&mut call) {
        Ok(reply) => reply,
        Err(problem) => problem.reply(timing),
    };
    if reply.status == 404 && reply.body.is_empty() {
        reply = Problem::not_found("Page not found").reply(timing);
    }
    let is_directory = request.path == DIRECTORY_PATH;
    if request.method == Method::POST || request.path.ends_with("/new-nonce") {
        let nonce = nonce::draw(&mut call);
        reply = reply.with_header("replay-nonce", &nonce);
    }
    if !is_directory {
        reply = problem::add_link(reply, &call.directory_url(), "index");
    }
    reply.with_header("cache-control", "public, max-age=0, no-cache")
}

fn route(call: &mut AcmeCall<'_>) -> Answer {
    if call.request.header("user-agent").is_none_or(str::is_empty) {
        return Err(Problem::malformed("User-Agent header is required"));
    }
    let (get, post) =
        (matches!(call.request.method, Method::GET | Method::HEAD), call.request.method == Method::POST);
    let segments = call.request.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let base = call.base();
    match segments.as_slice() {
        ["directory"] if get => Ok(directory::show(call)),
        ["root.pem"] if get => Ok(directory::root(call)),
        ["terms"] if get => Ok(Reply::text(200, "These terms ask for nothing.\n")),
        [own, rest @ ..] if *own == base => match rest {
            ["new-nonce"] if get => Ok(nonce::new_nonce(call)),
            ["renewal-info", id] if get => renewal::show(call, id),
            ["new-account"] if post => account::create(call),
            ["account", id] if post => account::update(call, id),
            ["key-change"] if post => key_change::change(call),
            ["new-order"] if post => order::create(call),
            ["order", id] if post => order::show(call, id),
            ["finalize", id] if post => finalize::finalize(call, id),
            ["authorization", id] if post => authorization::show(call, id),
            ["challenge", id, kind] if post => authorization::answer(call, id, kind),
            ["certificate", serial] if post => certificate::show(call, serial),
            ["revoke-cert"] if post => revocation::revoke(call),
            _ => Err(missing(get)),
        },
        _ => Err(missing(get)),
    }
}

fn missing(get: bool) -> Problem {
    match get {
        // Everything but the directory, nonces and renewal information is read by POST-as-GET.
        true => Problem::new(405, "malformed", "Method not allowed"),
        false => Problem::not_found("Page not found"),
    }
}
