//! The admin API for people and tests, under `/_sim/` of any host of the simulated cloud.
//!
//! Requests from pages of other sites are refused. All but the page, `ca.pem`, `serving`, `env` and `name-servers` need the header
//! [`KEY_HEADER`] with the key of this cloud, which the page and the registration contain.
//!
//! * `GET /_sim/`: the web page.
//! * `GET /_sim/world`: an overview of the state, without secrets.
//! * `GET /_sim/ledger`: the requests since the start; `?after=N` those with a higher number, `&last=M` the
//!   last of them.
//! * `GET /_sim/doors`: the sockets of the gateways; a `socket` of null is not open yet.
//! * `GET /_sim/ca.pem`: the CA certificate.
//! * `GET /_sim/serving`, `GET /_sim/env`: the process that serves it for others, and shell exports for
//!   `kubectl`, `az` and `curl`.
//! * `GET`, `PUT`, `POST`, `DELETE /_sim/faults`: the armed faults. `{"faults":["throttled@PUT vaults*2"]}`
//!   replaces them (`PUT`) or adds to them (`POST`). `DELETE` disarms all, or those of one name with
//!   `/_sim/faults/{name}`.
//! * `GET`, `POST /_sim/limits`: the quota of the subscription.
//!   `{"location": "eastus", "limits": {"cores": 10}, "withheld": ["Standard_D4s_v5"]}` changes it like Azure
//!   support.
//! * `GET`, `POST`, `DELETE /_sim/request-limits`: the token buckets of Resource Manager and AKS.
//!   `{"reads": {"size": 50, "per_second": 1}}` sets them; what is missing is Azure's. `DELETE` removes them.
//! * `GET`, `POST /_sim/policies`: the policies that deny. `{"policies": [{"name": "p", "field": "location",
//!   "operator": "notIn", "values": ["westeurope"]}]}` replaces them.
//! * `GET`, `POST /_sim/acme`: the settings of the CAs and their counts. `{"ca": "staging", "settings":
//!   {"bad_nonce_percent": 0}}` changes settings, `{"ca": "production", "paused": []}` replaces the paused names.
//! * `GET /_sim/name-servers`: the zones, their name servers and the addresses of these.
//! * `POST /_sim/zones`: creates DNS zones in the group `rg-dns`: `{"zones": ["example.com"]}`.
//! * `POST /_sim/advance`: moves the clock by `{"seconds": 60}` of cloud time, or `{"real_seconds": 3600}`.

use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::acme::admin as acme;
use crate::arm::dns::{publication, zones};
use crate::clock::{SimTime, Timing};
use crate::dns_server::NameServers;
use crate::fault::{self, Armed};
use crate::page::{self, overview};
use crate::registration::ServerRegistration;
use crate::request::{Reply, Request};
use crate::request_log::RequestLog;
use crate::state::{CloudState, DOMAIN};
use crate::traffic::addresses::Listeners;

/// Returns whether a request is for the admin API.
pub fn is_admin(request: &Request) -> bool {
    request.path == "/_sim" || request.path.starts_with("/_sim/")
}

/// The context of the admin API besides the state.
pub struct AdminApi {
    /// The CA certificate, PEM.
    pub ca_pem: String,
    /// The sockets of the gateways.
    pub listeners: watch::Receiver<Listeners>,
    /// The registration for other processes; `None` if only this process uses the cloud.
    pub registration: Option<ServerRegistration>,
    /// The addresses of the name servers.
    pub name_servers: NameServers,
}

/// A request to the admin API, with its time.
pub struct AdminCall<'a> {
    /// The request.
    pub request: &'a Request,
    /// The current time of the simulated cloud.
    pub now: SimTime,
    /// The time scale of its durations.
    pub timing: &'a Timing,
}

impl AdminApi {
    /// Creates the context without gateways, for this process only.
    pub fn in_process(ca_pem: String) -> Self {
        Self {
            ca_pem,
            listeners: watch::channel(Listeners::new()).1,
            registration: None,
            name_servers: NameServers::new(),
        }
    }

    /// Answers a request.
    pub fn serve(&self, state: &mut CloudState, request_log: &RequestLog, call: &AdminCall<'_>) -> Reply {
        let request = call.request;
        let path = request.path.trim_end_matches('/');
        if let Err(why) = check_origin(request) {
            return Reply::text(403, format!("{why}\n"));
        }
        if !is_public(path) && request.header(KEY_HEADER) != Some(&state.admin_key) {
            let how = "the page has it, and `landfall sim env` names a file with the header for curl";
            return Reply::text(401, format!("the header {KEY_HEADER} must contain the key: {how}\n"));
        }
        match request.method {
            Method::GET | Method::HEAD => self.get(state, request_log, call, path),
            _ => change(state, call, path).unwrap_or_else(not_found),
        }
    }

    fn get(&self, state: &CloudState, request_log: &RequestLog, call: &AdminCall<'_>, path: &str) -> Reply {
        match path {
            // The page's own links are relative to the folder.
            "/_sim" if call.request.path == "/_sim" => Reply::empty(308).with_header("location", "/_sim/"),
            "/_sim/world" => {
                Reply::json(200, &overview::of(state, &self.listeners.borrow(), call.now, call.timing))
            }
            "/_sim/ledger" => lines(request_log, call.request),
            "/_sim/doors" => Reply::json(200, &overview::sockets(state, &self.listeners.borrow())),
            "/_sim/ca.pem" => Reply::bytes(200, "application/x-pem-file", self.ca_pem.clone()),
            "/_sim/serving" => match &self.registration {
                Some(registration) => {
                    let mut serving = registration.public();
                    serving["aheadSeconds"] = json!(state.clock_offset_ms as f64 / 1000.0);
                    Reply::json(200, &serving)
                }
                None => Reply::text(404, NOT_SERVED),
            },
            "/_sim/env" => match &self.registration {
                Some(registration) => {
                    Reply::bytes(200, "text/x-shellscript; charset=utf-8", registration.shell())
                }
                None => Reply::text(404, NOT_SERVED),
            },
            "/_sim/faults" => Reply::json(200, &faults(state)),
            "/_sim/limits" => Reply::json(200, &state.limits.view()),
            "/_sim/request-limits" => Reply::json(200, &state.throttling.view()),
            "/_sim/acme" => Reply::json(200, &acme::view(state)),
            "/_sim/name-servers" => Reply::json(200, &self.name_servers(state)),
            "/_sim/policies" => Reply::json(200, &json!({ "policies": state.policies })),
            _ => page::asset(path, &state.admin_key).unwrap_or_else(not_found),
        }
    }
}

impl AdminApi {
    /// Lists the zones with their name servers and the addresses of these.
    fn name_servers(&self, state: &CloudState) -> Value {
        let zone = |(zone, servers): (String, Vec<String>)| {
            let server = |name: String| {
                let address = self.name_servers.get(&name).map(ToString::to_string);
                json!({ "name": name, "address": address })
            };
            json!({ "zone": zone, "servers": servers.into_iter().map(server).collect::<Vec<_>>() })
        };
        publication::delegations(state).into_iter().map(zone).collect()
    }
}

/// The maximum number of real seconds per step of the clock. A cluster that retries something every few minutes
/// makes some hundred thousand attempts in that time.
const ADVANCE_MAX: f64 = 1e8;
/// The start of the year 2200. Tokens and certificates must have dates after it.
const LATEST: SimTime = SimTime(7_258_118_400_000);

const NOT_SERVED: &str = "this simulated cloud is not served to other processes; run `landfall sim`\n";

fn not_found() -> Reply {
    let paths = "ledger, doors, ca.pem, serving, env, faults, limits, request-limits, policies, acme, \
                 name-servers, zones and advance";
    Reply::text(404, format!("there are /_sim/, /_sim/world, {paths}\n"))
}

/// The header with the key of the admin API.
pub const KEY_HEADER: &str = "x-landfall-key";

/// Returns whether a path needs no key: the page, the root certificate, and what contains no secret.
fn is_public(path: &str) -> bool {
    let public = ["/_sim", "/_sim/page.css", "/_sim/page.js", "/_sim/ca.pem", "/_sim/serving", "/_sim/env"];
    public.contains(&path) || path == "/_sim/name-servers"
}

/// Refuses requests that a browser sends for a page of another site. Once a user has accepted the certificate,
/// the browser would not ask.
///
/// A name that is not of this cloud comes from a resolver under foreign control (DNS rebinding): the browser then
/// takes the foreign page for one of this server.
fn check_origin(request: &Request) -> Result<(), String> {
    if !is_own_host(&request.host) {
        return Err(format!("{} is not a name of the simulated cloud; use 127.0.0.1", request.host));
    }
    let foreign = "another site may not use the admin API of the simulated cloud";
    let of_here = |origin: &str| {
        let url = url::Url::parse(origin).ok();
        url.is_some_and(|url| url.scheme() == "https" && url.host_str().is_some_and(is_own_host))
    };
    if request.header("origin").is_some_and(|origin| !of_here(origin)) {
        return Err(foreign.to_owned());
    }
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    let site = request.header("sec-fetch-site");
    match site.is_some_and(|site| !is_read && !matches!(site, "same-origin" | "none")) {
        true => Err(foreign.to_owned()),
        false => Ok(()),
    }
}

fn is_own_host(host: &str) -> bool {
    let below = host.strip_suffix(DOMAIN).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    below || matches!(host, "127.0.0.1" | "localhost")
}

fn change(state: &mut CloudState, call: &AdminCall<'_>, path: &str) -> Option<Reply> {
    let request = call.request;
    Some(match (&request.method, path) {
        (&Method::PUT, "/_sim/faults") => arm(state, request, true),
        (&Method::POST, "/_sim/faults") => arm(state, request, false),
        (&Method::DELETE, "/_sim/faults") => {
            state.faults.armed.clear();
            Reply::json(200, &faults(state))
        }
        (&Method::DELETE, "/_sim/request-limits") => {
            state.throttling.set(None);
            Reply::json(200, &state.throttling.view())
        }
        (&Method::POST, "/_sim/request-limits") => {
            match state.throttling.change(request.json().unwrap_or_default()) {
                Ok(()) => Reply::json(200, &state.throttling.view()),
                Err(why) => Reply::text(400, format!("{why}\n")),
            }
        }
        (&Method::DELETE, path) => disarm(state, path.strip_prefix("/_sim/faults/")?),
        (&Method::POST, "/_sim/limits") => set_limits(state, request),
        (&Method::POST, "/_sim/policies") => set_policies(state, request),
        (&Method::POST, "/_sim/acme") => match acme::change(state, &request.json().unwrap_or_default()) {
            Ok(()) => Reply::json(200, &acme::view(state)),
            Err(why) => Reply::text(400, format!("{why}\n")),
        },
        (&Method::POST, "/_sim/zones") => add_zones(state, request, call.now),
        (&Method::POST, "/_sim/advance") => advance(state, request, call.timing),
        _ => return None,
    })
}

fn lines(request_log: &RequestLog, request: &Request) -> Reply {
    let number = |name: &str| request.query(name).map_or(Ok(None), |text| text.parse::<u64>().map(Some));
    let (Ok(after), Ok(last)) = (number("after"), number("last")) else {
        return Reply::text(400, "after and last are numbers\n");
    };
    let lines = request_log.after(after.unwrap_or(0));
    let last = last.and_then(|last| usize::try_from(last).ok()).unwrap_or(usize::MAX);
    Reply::json(200, &&lines[lines.len().saturating_sub(last)..])
}

fn faults(state: &CloudState) -> Value {
    let row = |row: &fault::Row| {
        json!({
            "name": row.name, "kind": row.kind, "method": row.method, "path": row.path, "what": row.what,
            "client": row.client, "heals": row.heals,
        })
    };
    let known: Vec<Value> = fault::table().map(row).collect();
    json!({ "armed": state.faults.armed, "known": known })
}

fn arm(state: &mut CloudState, request: &Request, replace: bool) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    let Some(texts) = body["faults"].as_array() else {
        return Reply::text(400, "the body must be {\"faults\": [\"name@METHOD path*times\"]}\n");
    };
    let read: Result<Vec<Armed>, _> =
        texts.iter().map(|text| Armed::read(text.as_str().unwrap_or_default())).collect();
    match read {
        Ok(armed) => {
            if replace {
                state.faults.armed.clear();
            }
            state.faults.armed.extend(armed);
        }
        Err(error) => return Reply::text(400, format!("failed to {error}\n")),
    }
    Reply::json(200, &faults(state))
}

fn disarm(state: &mut CloudState, name: &str) -> Reply {
    let Some(row) = fault::table().find(|row| row.name == name) else {
        return Reply::text(404, format!("no fault is called '{name}'\n"));
    };
    state.faults.armed.retain(|armed| armed.fault != row.fault);
    Reply::json(200, &faults(state))
}

fn set_limits(state: &mut CloudState, request: &Request) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    match state.limits.change(&body) {
        Ok(()) => Reply::json(200, &state.limits.view()),
        Err(why) => Reply::text(400, format!("{why}\n")),
    }
}

fn set_policies(state: &mut CloudState, request: &Request) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    match serde_json::from_value(body["policies"].clone()) {
        Ok(policies) => state.policies = policies,
        Err(error) => return Reply::text(400, format!("failed to read the policies: {error}\n")),
    }
    Reply::json(200, &json!({ "policies": state.policies }))
}

fn add_zones(state: &mut CloudState, request: &Request, now: SimTime) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    let zones: Option<Vec<&str>> =
        body["zones"].as_array().and_then(|zones| zones.iter().map(Value::as_str).collect());
    let Some(zones) = zones.filter(|zones| zones.iter().all(|zone| zones::is_zone_name(zone))) else {
        return Reply::text(
            400,
            "the body must be {\"zones\": [\"example.com\"]}, with names of at least two labels\n",
        );
    };
    for zone in &zones {
        zones::add_zone(state, zone, now);
    }
    Reply::json(200, &json!({ "zones": zones }))
}

fn advance(state: &mut CloudState, request: &Request, timing: &Timing) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    let real = match (body["seconds"].as_f64(), body["real_seconds"].as_f64()) {
        (Some(cloud), None) => timing.real(cloud).as_secs_f64(),
        (None, Some(real)) => real,
        _ => return Reply::text(400, "the body must be {\"seconds\": n} or {\"real_seconds\": n}\n"),
    };
    if !(0.0..=ADVANCE_MAX).contains(&real) {
        return Reply::text(
            400,
            "the clock only moves forward, by at most 100,000,000 seconds (three years)\n",
        );
    }
    if state.now().plus_ms((real * 1000.0).ceil() as i64) > LATEST {
        return Reply::text(400, "the clock of the simulated cloud ends in the year 2200\n");
    }
    state.clock_offset_ms += (real * 1000.0).ceil() as i64;
    state.advance_to(state.now(), timing);
    Reply::json(200, &json!({ "now": state.now().rfc3339() }))
}
