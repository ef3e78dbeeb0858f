//! One rule on one listener: the requests that match it, and their expected responses. Pure.

use super::{
    CheckId,
    precedence::{Request, Table, takes},
    promise::{Ask, DoorWay, Expect, Promises, Set, Split, with_query},
    workload::{Voice, Workload},
};
use crate::route_model::{Backend, Compared, Listener, Match, Redirect, Route, Rule};
use url::Url;

/// The number of requests per variant of a header rule. One request would miss a rule that only some of the
/// gateway's pods have.
const REPEATED: u32 = 10;
/// A path under which no resource exists.
const NOWHERE: &str = "landfall-verify";

/// One rule on one listener.
#[derive(Clone, Copy)]
pub(super) struct Here<'a> {
    pub(super) set: &'a Set<'a>,
    pub(super) gate: usize,
    pub(super) listener: &'a Listener,
    pub(super) secure: bool,
    pub(super) table: &'a Table<'a>,
    pub(super) route: &'a Route,
    pub(super) place: usize,
    pub(super) rule: &'a Rule,
}

impl Here<'_> {
    pub(super) fn enter(&self, promises: &mut Promises, shared: &str, known: &[String]) {
        let every = [Match::default()];
        let matches = if self.rule.matches.is_empty() { &every[..] } else { &self.rule.matches };
        for wanted in matches {
            let check = self.check(wanted);
            let Some(request) = request(wanted) else {
                let why = format!("route {} matches by a pattern or a method that writes", self.route.name);
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

    /// Returns the hosts that lead to this rule: those that routes name, or one that a wildcard matches.
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
                // A workload that answers only some paths gets requests to those.
                let telling = asked.iter().any(|(_, known)| *known);
                let asked = asked.into_iter().filter(|(_, known)| *known || !telling);
                promises.asks.extend(asked.map(|(ask, _)| ask));
            }
            _ => {
                promises.asks.extend(ask(check, "/", 1).map(|(ask, _)| ask));
                let paths = self.any_paths(&heard);
                if paths.is_empty() {
                    let why = format!("the response of {who} to a path is unknown");
                    promises.left_out.entry(CheckId::AnyPath).or_default().insert(why);
                }
                let asked = paths.iter().filter_map(|path| ask(CheckId::AnyPath, path, 1));
                promises.asks.extend(asked.map(|(ask, _)| ask));
            }
        }
    }

    fn backends(&self) -> Vec<(Workload, u32)> {
        let backend = |one: &Backend| {
            let space = one.namespace.as_ref().unwrap_or(&self.route.namespace);
            (self.set.workloads.get(space, &one.name), one.weight())
        };
        self.rule.backend_refs.iter().map(backend).collect()
    }

    /// Returns the paths on which the response of every workload identifies it.
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

    /// Returns requests to the root of the matched paths and to a path below it, with a query that must be
    /// preserved.
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

    /// Returns the same request without the rule's condition, and with another value of it.
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
                None => (Expect::Nobody, "404".to_owned()),
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

/// Returns the part of the path that a match replaces.
fn prefix(wanted: &Match) -> &str {
    wanted.path.as_ref().filter(|path| path.kind != "Exact").map_or("/", |path| path.value.as_str())
}

/// Returns a request that a match accepts; `None` if it cannot be expressed, or would be a write.
fn request(wanted: &Match) -> Option<Request> {
    let pattern = |one: &Compared| one.kind == "RegularExpression";
    let compared = wanted.path.iter().chain(&wanted.headers).chain(&wanted.query_params);
    let method = wanted.method.clone().unwrap_or_else(|| "GET".to_owned());
    if compared.into_iter().any(pattern) || !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") {
        return None;
    }
    let pairs =
        |all: &[Compared]| all.iter().map(|one| (one.name.clone(), one.value.clone())).collect::<Vec<_>>();
    let path = wanted.path.as_ref().map_or_else(|| "/".to_owned(), |path| path.value.clone());
    Some(Request { method, path, headers: pairs(&wanted.headers), query: pairs(&wanted.query_params) })
}

/// Returns the target of a redirect as a normalized URL, without the scheme's default port.
fn leads_to(wish: &Redirect, wanted: &Match, way: &DoorWay, request: &Request) -> Option<String> {
    let came_by = if way.secure { "https" } else { "http" };
    let scheme = wish.scheme.as_deref().unwrap_or(came_by);
    let host = wish.hostname.as_deref().unwrap_or(&way.host);
    let path = match &wish.path {
        Some(replacement) => replacement.applied(&request.path, prefix(wanted)),
        None => request.path.clone(),
    };
    // Without a port the target has the default port of its scheme, and without a scheme the listener's.
    let port = wish.port.or(wish.scheme.is_none().then_some(way.port));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let url = Url::parse(&format!("{scheme}://{host}{port}{}", with_query(&path, &request.query))).ok()?;
    Some(url.into())
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
