//! Validations and issuances that are due.
//!
//! Both ask name servers, so they have three parts: what is due ([`due_work`]) and what follows ([`complete`]) are under
//! the lock of the state, the questions in between ([`perform`]) are not. The questions name the time at which the work
//! was due, so that it does not matter when the next request arrives.

use futures::future::join_all;

use super::ca::{CaName, lifetime_end};
use super::caa;
use super::call::{draw, url};
use super::csr;
use super::encoding::decode;
use super::jws::dns_value;
use super::limits::{self, Limit, registered_domain};
use super::problem::Problem;
use super::profile;
use super::renewal::hex;
use super::resolver::{AskNameServer, Resolver};
use super::store::{Issued, Progress, Server};
use crate::arm::dns::publication;
use crate::clock::{SimTime, Timing};
use crate::dns_server::rdata::text_of;
use crate::dns_server::record::kind;
use crate::state::CloudState;

/// The number of places from which a name is validated: the first is the primary one (Boulder has five, Pebble three).
const PLACES: usize = 3;

/// A piece of work of a CA.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    ca: CaName,
    due: SimTime,
    task: Task,
    account_url: String,
    zones: Vec<(String, Vec<String>)>,
    /// The first name server to ask, as a number.
    place: usize,
}

#[derive(Debug, Clone)]
enum Task {
    /// Validates a challenge.
    Validate { authorization: String, kind: String, name: String, wildcard: bool, expected: String },
    /// Issues the certificate of an order.
    Issue { order: String, names: Vec<String> },
}

/// A finished piece of work.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    work: Work,
    result: Result<(), Problem>,
}

/// Returns all work that is due, in order of the due times.
pub(crate) fn due_work(state: &CloudState, now: SimTime) -> Vec<Work> {
    let mut due = Vec::new();
    for ca in CaName::ALL {
        let server = state.acme.get(ca);
        let tasks = validations(server).chain(issuances(server)).filter(|(at, _, _)| *at <= now);
        let tasks: Vec<_> = tasks.collect();
        for (at, account, task) in tasks {
            let account_url = url(state, ca, &format!("account/{account}"));
            let place = usize::try_from(at.0.unsigned_abs() % 4).unwrap_or(0);
            let zones = publication::delegations(state);
            due.push(Work { ca, due: at, task, account_url, zones, place });
        }
    }
    due.sort_by_key(|work| work.due);
    due
}

fn validations(server: &Server) -> impl Iterator<Item = (SimTime, &str, Task)> {
    server.authorizations.iter().flat_map(move |(id, authorization)| {
        let asked = authorization.challenges.iter().filter(|challenge| challenge.status == "processing");
        asked.filter_map(move |challenge| {
            let key = &server.accounts.get(&authorization.account)?.key;
            let task = Task::Validate {
                authorization: id.clone(),
                kind: challenge.kind.clone(),
                name: authorization.name.clone(),
                wildcard: authorization.wildcard,
                expected: dns_value(&challenge.token, key),
            };
            Some((challenge.due?, authorization.account.as_str(), task))
        })
    })
}

fn issuances(server: &Server) -> impl Iterator<Item = (SimTime, &str, Task)> {
    server.orders.iter().filter_map(|(id, order)| match &order.progress {
        Progress::Finalized { due, .. } => Some((
            *due,
            order.account.as_str(),
            Task::Issue { order: id.clone(), names: order.names.clone() },
        )),
        _ => None,
    })
}

/// Asks the name servers.
pub(crate) async fn perform(network: &impl AskNameServer, due: Vec<Work>) -> Vec<Outcome> {
    let each = due.into_iter().map(|work| async move {
        let result = match &work.task {
            Task::Validate { kind, name, wildcard, expected, .. } => {
                validate(network, &work, kind, (name, *wildcard), expected).await
            }
            Task::Issue { names, .. } => check_names(network, &work, names).await,
        };
        Outcome { work, result }
    });
    join_all(each).await
}

impl Work {
    fn resolver<'a, A: AskNameServer>(&'a self, network: &'a A, place: usize) -> Resolver<'a, A> {
        Resolver { network, zones: &self.zones, at: self.due, place: self.place + place }
    }
}

/// Validates a name from several places, and then its CAA records.
async fn validate(
    network: &impl AskNameServer,
    work: &Work,
    kind: &str,
    (name, wildcard): (&str, bool),
    expected: &str,
) -> Result<(), Problem> {
    if kind != "dns-01" {
        let detail =
            format!("127.0.0.1: Fetching http://{name}/.well-known/acme-challenge/: Connection refused");
        return Err(Problem::new(400, "connection", detail));
    }
    let places = (0..PLACES).map(|place| {
        let resolver = work.resolver(network, place);
        async move { validate_from(&resolver, name, expected).await }
    });
    for (place, result) in join_all(places).await.into_iter().enumerate() {
        result.map_err(|problem| match place {
            0 => problem,
            _ => secondary(problem),
        })?;
    }
    caa::check(&work.resolver(network, 0), name, wildcard, &work.account_url).await
}

/// Marks a problem of a secondary place.
fn secondary(problem: Problem) -> Problem {
    problem.prefixed("During secondary validation: ")
}

async fn validate_from<A: AskNameServer>(
    resolver: &Resolver<'_, A>,
    name: &str,
    expected: &str,
) -> Result<(), Problem> {
    let owner = format!("_acme-challenge.{name}");
    let records = resolver.lookup(&owner, kind::TXT).await;
    let records = records.map_err(|error| Problem::new(400, "dns", error.detail("TXT", &owner)))?;
    let texts: Vec<String> = records.iter().map(|record| text_of(&record.data)).collect();
    if texts.iter().any(|text| text == expected) {
        return Ok(());
    }
    let detail = match texts.as_slice() {
        [] => format!("No TXT record found at {owner}"),
        [one] => format!("Incorrect TXT record \"{one}\" found at {owner}"),
        [one, rest @ ..] => {
            format!("Incorrect TXT record \"{one}\" (and {} more) found at {owner}", rest.len())
        }
    };
    Err(Problem::unauthorized(detail))
}

/// Checks the CAA records of an order's names again before its certificate is issued.
async fn check_names(network: &impl AskNameServer, work: &Work, names: &[String]) -> Result<(), Problem> {
    let resolver = work.resolver(network, 0);
    let resolver = &resolver;
    let checks = names.iter().map(|name| async move {
        let base = name.strip_prefix("*.").unwrap_or(name);
        (name, caa::check(resolver, base, base != name.as_str(), &work.account_url).await)
    });
    let refused = join_all(checks).await.into_iter();
    let refused = refused.filter_map(|(name, result)| Some((name.clone(), result.err()?))).collect();
    match Problem::combined("Error finalizing order :: While processing CAA", refused) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

/// Applies the results. Work that another request completed meanwhile stays as it is.
pub(crate) fn complete(state: &mut CloudState, outcomes: Vec<Outcome>, timing: &Timing) {
    for Outcome { work, result } in outcomes {
        match &work.task {
            Task::Validate { authorization, kind, .. } => {
                end_validation(state, &work, (authorization, kind), result, timing);
            }
            Task::Issue { order, .. } => end_issuance(state, &work, order, result, timing),
        }
    }
    state.touch();
}

fn end_validation(
    state: &mut CloudState,
    work: &Work,
    (id, kind): (&str, &str),
    result: Result<(), Problem>,
    timing: &Timing,
) {
    let server = state.acme.get_mut(work.ca);
    let Some(authorization) = server.authorizations.get_mut(id) else { return };
    let challenge = authorization.challenges.iter_mut().find(|challenge| challenge.kind == kind);
    let Some(challenge) = challenge.filter(|challenge| challenge.status == "processing") else { return };
    let owner = format!("_acme-challenge.{}", authorization.name);
    let result = match challenge.fails_secondary {
        true => Err(secondary(Problem::unauthorized(format!("No TXT record found at {owner}")))),
        false => result,
    };
    match result {
        Ok(()) => {
            challenge.status = "valid".to_owned();
            challenge.validated = Some(work.due);
            if authorization.status == "pending" {
                authorization.status = "valid".to_owned();
                authorization.expires = lifetime_end(timing, work.due, authorization.valid_lifetime);
            }
        }
        Err(problem) => {
            challenge.status = "invalid".to_owned();
            challenge.error = Some(problem.document());
            if authorization.status == "pending" {
                authorization.status = "invalid".to_owned();
            }
            let subject = format!("{} {}", authorization.account, authorization.name);
            let limit = Limit::FailedAuthorizations;
            limits::record(&mut server.limits, limit, work.ca, &subject, work.due, timing);
        }
    }
}

fn end_issuance(state: &mut CloudState, work: &Work, id: &str, result: Result<(), Problem>, timing: &Timing) {
    let Some(csr) = state.acme.get(work.ca).orders.get(id).and_then(|order| match &order.progress {
        Progress::Finalized { csr, .. } => Some(csr.clone()),
        _ => None,
    }) else {
        return;
    };
    let issued = result.and_then(|()| issue(state, work, id, &csr));
    let server = state.acme.get_mut(work.ca);
    let Some(order) = server.orders.get_mut(id) else { return };
    match issued {
        Ok((serial, certificate)) => {
            order.progress = Progress::Issued(serial.clone());
            if !order.exempt {
                let mut domains: Vec<&str> = order.names.iter().map(|name| registered_domain(name)).collect();
                domains.dedup();
                let set = order.names.join(",");
                let subjects = domains.into_iter().map(|domain| (Limit::CertificatesPerDomain, domain));
                for (limit, subject) in subjects.chain([(Limit::CertificatesPerSet, set.as_str())]) {
                    limits::record(&mut server.limits, limit, work.ca, subject, work.due, timing);
                }
            }
            server.certificates.insert(serial, certificate);
        }
        Err(problem) => {
            order.progress = Progress::Invalid;
            order.error = Some(problem.document());
        }
    }
}

/// Issues the certificate of an order.
fn issue(state: &mut CloudState, work: &Work, id: &str, csr: &str) -> Result<(String, Issued), Problem> {
    let internal =
        |why: String| Problem::new(500, "serverInternal", format!("Error finalizing order :: {why}"));
    let serial = serial(state);
    state.acme.ensure_issuers(work.due).map_err(|error| internal(error.to_string()))?;
    let server = state.acme.get(work.ca);
    let order = server.orders.get(id).ok_or_else(|| internal("the order is gone".to_owned()))?;
    let profile = profile::named(&order.profile).unwrap_or(&profile::PROFILES[0]);
    let request = csr::read(&decode(csr).unwrap_or_default())?;
    let issuer = server.issuer.as_ref().ok_or_else(|| internal("the CA has no key".to_owned()))?;
    let leaf = issuer.issue(&request, profile, &serial, work.due);
    let leaf = leaf.map_err(|error| Problem::bad_csr(error.to_string()))?;
    let issued = Issued {
        account: order.account.clone(),
        names: order.names.clone(),
        pem: leaf.pem,
        not_before: leaf.not_before,
        not_after: leaf.not_after,
        revoked: None,
        replaced_by: None,
    };
    Ok((hex(&serial), issued))
}

/// Draws a serial number of 18 bytes. Half of them need a leading zero in DER, which identifiers of certificates keep.
fn serial(state: &mut CloudState) -> Vec<u8> {
    let mut serial = vec![draw(state, "acme serial", 255) | 1];
    while serial.len() < 18 {
        serial.push(draw(state, "acme serial", 255));
    }
    serial
}
