//! What a set of Gateways and HTTPRoutes promises, as requests with the answers they must get. Pure.
//!
//! Every rule becomes requests that lead to it and to no other, for each host through which it is reached. What cannot be
//! asked so (a regular expression, a method that writes, a backend whose answers do not say whose they are) is left out,
//! and said to be.

use super::{
    CheckId,
    precedence::{self, Request, Table, hosts, takes},
    route::{Gate, Listener, Match, Redirect, Route, Rule},
    workload::{Voice, Workload, Workloads},
};
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// How often a rule by header is asked each way: once would not show one that only some of the gateway's pods have.
const REPEATED: u32 = 10;
/// The path below which nothing is that anybody has put there.
const NOWHERE: &str = "landfall-verify";

/// Everything that can be asked.
#[derive(Debug, Default)]
pub(super) struct Promises {
    pub(super) doors: Vec<DoorWay>,
    pub(super) asks: Vec<Ask>,
    pub(super) splits: Vec<Split>,
    /// What is left out, and why.
    pub(super) left_out: BTreeMap<CheckId, BTreeSet<String>>,
}

/// A port of a gateway and a host that it serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DoorWay {
    /// The gateway's place in the set.
    pub(super) gate: usize,
    pub(super) port: u16,
    pub(super) secure: bool,
    /// Whether the certificate is the vault's.
    pub(super) pinned: bool,
    pub(super) host: String,
}

/// A request, and what must come of it.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) check: CheckId,
    pub(super) way: DoorWay,
    pub(super) request: Request,
    pub(super) times: u32,
    pub(super) expect: Expect,
    /// The promise in a few words: `/v1 → echo-v1`.
    pub(super) words: String,
}

/// What must come of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expect {
    /// One of these answers, under this path.
    From { workloads: Vec<Workload>, arrives_as: String },
    /// The client is sent on.
    Redirect { status: u16, to: String },
    /// No rule takes it: 404.
    Nobody,
}

/// A rule that spreads its requests.
#[derive(Debug, Clone)]
pub(super) struct Split {
    pub(super) way: DoorWay,
    pub(super) request: Request,
    /// The backends with their weights.
    pub(super) backends: Vec<(Workload, u32)>,
}

/// A set, read.
pub(super) struct Set<'a> {
    pub(super) gates: &'a [Gate],
    pub(super) routes: &'a [Route],
    pub(super) workloads: &'a Workloads,
    /// The Secrets that carry the vault's certificate, by namespace and name.
    pub(super) fed: &'a BTreeSet<(String, String)>,
    /// A word that nobody has used before.
    pub(super) nonce: &'a str,
}

impl Set<'_> {
    /// Returns what the set promises.
    pub(super) fn promises(&self) -> Promises {
        let mut promises = Promises::default();
        for (at, gate) in self.gates.iter().enumerate() {
            let known = self.known_hosts(gate);
            for listener in &gate.listeners {
                match listener.is_secure() {
                    Some(secure) => self.listener(&mut promises, at, listener, secure, &known),
                    None => {
                        let why = format!("{} of {} speaks {}", listener.name, gate.name, listener.protocol);
                        promises.left_out.entry(CheckId::Gateways).or_default().insert(why);
                    }
                }
            }
        }
        promises.doors.sort();
        promises.doors.dedup();
        promises
    }

    /// The hosts that some route of a gateway names in full.
    pub(super) fn known_hosts(&self, gate: &Gate) -> Vec<String> {
        let mut known: Vec<String> = Vec::new();
        for route in
            self.routes.iter().filter(|route| gate.listeners.iter().any(|l| is_parent(gate, l, route)))
        {
            let names = route.spec.hostnames.iter().map(|name| name.to_ascii_lowercase());
            for name in names.filter(|name| !name.starts_with('*')) {
                if !known.contains(&name) {
                    known.push(name);
                }
            }
        }
        known
    }

    fn listener(
        &self,
        promises: &mut Promises,
        at: usize,
        listener: &Listener,
        secure: bool,
        known: &[String],
    ) {
        let gate = &self.gates[at];
        let attached: Vec<&Route> =
            self.routes.iter().filter(|route| is_parent(gate, listener, route)).collect();
        let mut table = Table::default();
        attached.iter().for_each(|route| table.enter(listener, route));
        for route in attached {
            for shared in hosts(listener, route) {
                for (place, rule) in route.spec.rules.iter().enumerate() {
                    let here =
                        Here { set: self, gate: at, listener, secure, table: &table, route, place, rule };
                    here.enter(promises, &shared, known);
                }
            }
        }
    }

    fn pinned(&self, gate: &Gate, listener: &Listener) -> bool {
        listener.tls.certificate_refs.first().is_some_and(|secret| {
            let space = secret.namespace.as_ref().unwrap_or(&gate.namespace);
            self.fed.contains(&(space.clone(), secret.name.clone()))
        })
    }
}

/// Tells whether a route names this listener, or the whole gateway, as its parent.
fn is_parent(gate: &Gate, listener: &Listener, route: &Route) -> bool {
    route.spec.parent_refs.iter().any(|parent| {
        parent.kind.as_deref().is_none_or(|kind| kind == "Gateway")
            && parent.name == gate.name
            && *parent.namespace.as_ref().unwrap_or(&route.namespace) == gate.namespace
            && parent.section_name.as_ref().is_none_or(|section| *section == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
    })
}

/// One rule, as it is reached through one listener.
#[derive(Clone, Copy)]
struct Here<'a> {
    set: &'a Set<'a>,
    gate: usize,
    listener: &'a Listener,
    secure: bool,
    table: &'a Table<'a>,
    route: &'a Route,
    place: usize,
    rule: &'a Rule,
}

impl Here<'_> {
    fn enter(&self, promises: &mut Promises, shared: &str, known: &[String]) {
        let every = [Match::default()];
        let matches = if self.rule.matches.is_empty() { &every[..] } else { &self.rule.matches };
        for wanted in matches {
            let check = self.check(wanted);
            let Some(request) = request(wanted) else {
                let why =
                    format!("route {} compares by a pattern or takes a method that writes", self.route.name);
                promises.left_out.entry(check).or_default().insert(why);
                continue;
            };
            for host in self.hosts(shared, known, &request) {
                let gate = &self.set.gates[self.gate];
                let way = DoorWay {
                    gate: self.gate,
                    port: self.listener.port,
                    secure: self.secure,
                    pinned: self.secure && self.set.pinned(gate, self.listener),
                    host,
                };
                promises.doors.push(way.clone());
                self.asks(promises, wanted, &way, &request);
            }
        }
    }

    fn check(&self, wanted: &Match) -> CheckId {
        let by_more_than_path =
            !wanted.headers.is_empty() || !wanted.query_params.is_empty() || wanted.method.is_some();
        let is_root = wanted.path.as_ref().is_none_or(|path| path.kind != "Exact" && path.value == "/");
        match () {
            () if self.rule.redirect().is_some() => CheckId::Redirect,
            () if by_more_than_path => CheckId::HeaderRouting,
            () if !is_root => CheckId::PathRouting,
            () => CheckId::CatchAll,
        }
    }

    /// The names by which a request leads here: those that routes name, or one that a wildcard takes.
    fn hosts(&self, shared: &str, known: &[String], request: &Request) -> Vec<String> {
        let leads = |host: &String| {
            let led = self.table.lead(host, request);
            led.is_some_and(|led| led.is(self.route, self.place))
        };
        if !shared.is_empty() && !shared.starts_with('*') {
            return [shared.to_owned()].into_iter().filter(leads).collect();
        }
        let named: Vec<String> =
            known.iter().filter(|host| takes(shared, host)).filter(|host| leads(host)).cloned().collect();
        let sample = shared.strip_prefix('*').map(|suffix| format!("{}{suffix}", self.set.nonce));
        match named.is_empty() {
            true => sample.into_iter().filter(leads).collect(),
            false => named,
        }
    }

    fn asks(&self, promises: &mut Promises, wanted: &Match, way: &DoorWay, request: &Request) {
        let check = self.check(wanted);
        if let Some(wish) = self.rule.redirect() {
            let asks = self.redirects(wish, wanted, way, request);
            return promises.asks.extend(asks);
        }
        let backends = self.backends();
        if backends.len() > 1 {
            let (way, request) = (way.clone(), request.clone());
            promises.splits.push(Split { way, request, backends: backends.clone() });
        }
        let heard: Vec<Workload> =
            backends.iter().filter(|(_, weight)| *weight > 0).map(|(workload, _)| workload.clone()).collect();
        let who: Vec<&str> = heard.iter().map(|workload| workload.name.as_str()).collect();
        let who = who.join(" or ");
        let prefix = prefix(wanted);
        let ask = |check, path: &str, times| {
            let arrives_as = self.rule.arrives_as(path, prefix);
            let known = heard.iter().all(|one| one.voice.is_known_at(&arrives_as));
            let request = Request { path: path.to_owned(), ..request.clone() };
            let led = self.table.lead(&way.host, &request)?;
            let expect = Expect::From { workloads: heard.clone(), arrives_as };
            let words = words(check, wanted, way, &who, path);
            let here = led.is(self.route, self.place);
            let ask = Ask { check, way: way.clone(), request, times, expect, words };
            here.then_some((ask, known))
        };
        match check {
            CheckId::HeaderRouting => {
                promises.asks.extend(ask(check, &request.path, REPEATED).map(|(ask, _)| ask));
                promises.asks.extend(self.otherwise(wanted, way, request));
            }
            CheckId::PathRouting => {
                let mut paths = vec![request.path.clone()];
                if wanted.path.as_ref().is_some_and(|path| path.kind != "Exact") {
                    let start = request.path.trim_end_matches('/');
                    paths.push(format!("{start}/anything/{}", self.set.nonce));
                }
                let asked: Vec<(Ask, bool)> = paths.iter().filter_map(|path| ask(check, path, 1)).collect();
                // A workload that knows only some paths is asked for those.
                let telling = asked.iter().any(|(_, known)| *known);
                let asked = asked.into_iter().filter(|(_, known)| *known || !telling);
                promises.asks.extend(asked.map(|(ask, _)| ask));
            }
            _ => {
                promises.asks.extend(ask(check, "/", 1).map(|(ask, _)| ask));
                let paths = self.any_paths(&heard);
                if paths.is_empty() {
                    let why = format!("what {who} answers to a path is its own affair");
                    promises.left_out.entry(CheckId::AnyPath).or_default().insert(why);
                }
                let asked = paths.iter().filter_map(|path| ask(CheckId::AnyPath, path, 1));
                promises.asks.extend(asked.map(|(ask, _)| ask));
            }
        }
    }

    fn backends(&self) -> Vec<(Workload, u32)> {
        let backend = |one: &super::route::Backend| {
            let space = one.namespace.as_ref().unwrap_or(&self.route.namespace);
            (self.set.workloads.get(space, &one.name), one.weight())
        };
        self.rule.backend_refs.iter().map(backend).collect()
    }

    /// The paths that every one of these answers in its own voice.
    fn any_paths(&self, heard: &[Workload]) -> Vec<String> {
        let nonce = self.set.nonce;
        let all = ["/get".to_owned(), format!("/anything/{nonce}"), "/headers".to_owned()];
        let says = |one: &Workload| matches!(one.voice, Voice::Says(_));
        let echoes = |one: &Workload| one.voice == Voice::Httpbin;
        match () {
            () if !heard.is_empty() && heard.iter().all(echoes) => all.into(),
            () if !heard.is_empty() && heard.iter().all(says) => vec![format!("/{NOWHERE}/{nonce}")],
            () => Vec::new(),
        }
    }

    /// The root of what the rule takes and something below it, with a query that must come through.
    fn redirects(&self, wish: &Redirect, wanted: &Match, way: &DoorWay, request: &Request) -> Vec<Ask> {
        let below = format!("{}/{NOWHERE}/{}", request.path.trim_end_matches('/'), self.set.nonce);
        let exact = wanted.path.as_ref().is_some_and(|path| path.kind == "Exact");
        let paths = if exact { vec![request.path.clone()] } else { vec![request.path.clone(), below] };
        let status = wish.status_code.unwrap_or(302);
        let ask = |path: String| {
            let mut request = Request { path, ..request.clone() };
            if request.path != "/" {
                request.query.push(("a".to_owned(), "1".to_owned()));
            }
            let led = self.table.lead(&way.host, &request)?;
            let to = leads_to(wish, wanted, way, &request)?;
            let words = format!("{status} → {to}");
            let expect = Expect::Redirect { status, to };
            let here = led.is(self.route, self.place);
            let (check, way) = (CheckId::Redirect, way.clone());
            here.then_some(Ask { check, way, request, times: 1, expect, words })
        };
        paths.into_iter().filter_map(ask).collect()
    }

    /// The same request without what the rule asks for, and with another value of it.
    fn otherwise(&self, wanted: &Match, way: &DoorWay, request: &Request) -> Vec<Ask> {
        let others = |pairs: &[(String, String)]| {
            let other = |(name, value): &(String, String)| (name.clone(), format!("{value}-{NOWHERE}"));
            pairs.iter().map(other).collect::<Vec<_>>()
        };
        let without = Request { headers: Vec::new(), query: Vec::new(), ..request.clone() };
        let other =
            Request { headers: others(&request.headers), query: others(&request.query), ..request.clone() };
        let ask = |(request, how): (Request, &str)| {
            let (expect, who) = match self.table.lead(&way.host, &request) {
                Some(led) if led.is(self.route, self.place) || led.rule.redirect().is_some() => return None,
                Some(led) => {
                    let there = Here { route: led.route, place: led.at, rule: led.rule, ..*self };
                    let heard = there.backends().into_iter().filter(|(_, weight)| *weight > 0);
                    let workloads: Vec<Workload> = heard.map(|(workload, _)| workload).collect();
                    let who: Vec<&str> = workloads.iter().map(|one| one.name.as_str()).collect();
                    let who = who.join(" or ");
                    let arrives_as = led.rule.arrives_as(&request.path, "/");
                    (Expect::From { workloads, arrives_as }, who)
                }
                None => (Expect::Nobody, "nobody".to_owned()),
            };
            let words = format!("{how} → {who}");
            let (check, way) = (self.check(wanted), way.clone());
            Some(Ask { check, way, request, times: REPEATED, expect, words })
        };
        let asked = [(without, "without it"), (other, "with another value")];
        asked
            .into_iter()
            .filter(|(request, _)| wanted.method.is_none() || !request.headers.is_empty())
            .filter_map(ask)
            .collect()
    }
}

/// What a match takes of the path, for what is put in its place.
fn prefix(wanted: &Match) -> &str {
    wanted.path.as_ref().filter(|path| path.kind != "Exact").map_or("/", |path| path.value.as_str())
}

/// Returns a request that a match takes; none when that cannot be written down, or would write something.
fn request(wanted: &Match) -> Option<Request> {
    let pattern = |one: &super::route::Compared| one.kind == "RegularExpression";
    let compared = wanted.path.iter().chain(&wanted.headers).chain(&wanted.query_params);
    let method = wanted.method.clone().unwrap_or_else(|| "GET".to_owned());
    if compared.into_iter().any(pattern) || !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") {
        return None;
    }
    let pairs = |all: &[super::route::Compared]| {
        all.iter().map(|one| (one.name.clone(), one.value.clone())).collect::<Vec<_>>()
    };
    let path = wanted.path.as_ref().map_or_else(|| "/".to_owned(), |path| path.value.clone());
    Some(Request { method, path, headers: pairs(&wanted.headers), query: pairs(&wanted.query_params) })
}

/// Returns where a redirect leads, as a URL in its normal form: a port is left out when it is the scheme's own.
fn leads_to(wish: &Redirect, wanted: &Match, way: &DoorWay, request: &precedence::Request) -> Option<String> {
    let came_by = if way.secure { "https" } else { "http" };
    let scheme = wish.scheme.as_deref().unwrap_or(came_by);
    let host = wish.hostname.as_deref().unwrap_or(&way.host);
    let path = match &wish.path {
        Some(replacement) => replacement.applied(&request.path, prefix(wanted)),
        None => request.path.clone(),
    };
    // Without a port the scheme's own is meant, and without a scheme the listener's.
    let port = wish.port.or(wish.scheme.is_none().then_some(way.port));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let url = Url::parse(&format!("{scheme}://{host}{port}{}", with_query(&path, &request.query))).ok()?;
    Some(url.into())
}

/// Returns a path with its query.
pub(super) fn with_query(path: &str, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{query}")
}

fn words(check: CheckId, wanted: &Match, way: &DoorWay, who: &str, path: &str) -> String {
    match check {
        CheckId::HeaderRouting => {
            let headers = wanted.headers.iter().map(|one| format!("{}: {}", one.name, one.value));
            let query = wanted.query_params.iter().map(|one| format!("?{}={}", one.name, one.value));
            let all: Vec<String> = headers.chain(query).chain(wanted.method.clone()).collect();
            format!("{} → {who}", all.join(", "))
        }
        CheckId::PathRouting => {
            format!("{} → {who}", wanted.path.as_ref().map_or("/", |path| path.value.as_str()))
        }
        _ => format!("GET {}://{}{path}", if way.secure { "https" } else { "http" }, way.host),
    }
}
