//! One rule on one listener: the requests that match it, and their expected responses. Pure.

use super::{
    CheckId,
    backend_signature::{BackendSignature, Workload},
    expectations::{Expectations, ExpectedResponse, HostPort, Set, Split, TestRequest, with_query},
};
use crate::{
    route_model::{Backend, Listener, Match, Redirect, Route, Rule, ValueMatch},
    route_precedence::{Request, Table, matches_host},
};
use url::Url;

/// The number of requests per variant of a header rule. One request would miss a rule that only some of the
/// gateway's pods have.
const REPETITIONS: u32 = 10;
/// A path under which no resource exists.
const UNKNOWN_PATH: &str = "landfall-verify";

/// One rule on one listener.
#[derive(Clone, Copy)]
pub(super) struct RuleRequests<'a> {
    pub(super) set: &'a Set<'a>,
    pub(super) gateway: usize,
    pub(super) listener: &'a Listener,
    pub(super) secure: bool,
    pub(super) table: &'a Table<'a>,
    pub(super) route: &'a Route,
    pub(super) rule_index: usize,
    pub(super) rule: &'a Rule,
}

impl RuleRequests<'_> {
    pub(super) fn add(&self, expectations: &mut Expectations, shared: &str, known: &[String]) {
        let every = [Match::default()];
        let matches = if self.rule.matches.is_empty() { &every[..] } else { &self.rule.matches };
        for wanted in matches {
            let check = self.check(wanted);
            let Some(request) = request(wanted) else {
                let why = format!("route {} matches by a pattern or a method that writes", self.route.name);
                expectations.left_out.entry(check).or_default().insert(why);
                continue;
            };
            for host in self.hosts(shared, known, &request) {
                let gateway = &self.set.gateways[self.gateway];
                let host_port = HostPort {
                    gateway: self.gateway,
                    port: self.listener.port,
                    secure: self.secure,
                    pinned: self.secure && self.set.pinned(gateway, self.listener),
                    host,
                };
                expectations.host_ports.push(host_port.clone());
                self.add_test_requests(expectations, wanted, &host_port, &request);
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
        let reaches_rule = |host: &String| {
            let matched = self.table.find_rule(host, request);
            matched.is_some_and(|matched| matched.is(self.route, self.rule_index))
        };
        if !shared.is_empty() && !shared.starts_with('*') {
            return [shared.to_owned()].into_iter().filter(reaches_rule).collect();
        }
        let named: Vec<String> = known
            .iter()
            .filter(|host| matches_host(shared, host))
            .filter(|host| reaches_rule(host))
            .cloned()
            .collect();
        let sample = shared.strip_prefix('*').map(|suffix| format!("{}{suffix}", self.set.nonce));
        match named.is_empty() {
            true => sample.into_iter().filter(reaches_rule).collect(),
            false => named,
        }
    }

    fn add_test_requests(
        &self,
        expectations: &mut Expectations,
        wanted: &Match,
        host_port: &HostPort,
        request: &Request,
    ) {
        let check = self.check(wanted);
        if let Some(redirect) = self.rule.redirect() {
            let test_requests = self.redirects(redirect, wanted, host_port, request);
            return expectations.test_requests.extend(test_requests);
        }
        let backends = self.backends();
        if backends.len() > 1 {
            let (host_port, request) = (host_port.clone(), request.clone());
            expectations.splits.push(Split { host_port, request, backends: backends.clone() });
        }
        let weighted: Vec<Workload> =
            backends.iter().filter(|(_, weight)| *weight > 0).map(|(workload, _)| workload.clone()).collect();
        let backend_names: Vec<&str> = weighted.iter().map(|workload| workload.name.as_str()).collect();
        let backend_names = backend_names.join(" or ");
        let prefix = prefix(wanted);
        let test_request = |check, path: &str, times| {
            let upstream_path = self.rule.upstream_path(path, prefix);
            let known = weighted.iter().all(|one| one.signature.is_identifiable_at(&upstream_path));
            let request = Request { path: path.to_owned(), ..request.clone() };
            let matched = self.table.find_rule(&host_port.host, &request)?;
            let expect = ExpectedResponse::FromWorkload { workloads: weighted.clone(), upstream_path };
            let label = label(check, wanted, host_port, &backend_names, path);
            let is_selected = matched.is(self.route, self.rule_index);
            let test_request =
                TestRequest { check, host_port: host_port.clone(), request, times, expect, label };
            is_selected.then_some((test_request, known))
        };
        match check {
            CheckId::HeaderRouting => {
                expectations.test_requests.extend(
                    test_request(check, &request.path, REPETITIONS).map(|(test_request, _)| test_request),
                );
                expectations.test_requests.extend(self.non_matching_requests(wanted, host_port, request));
            }
            CheckId::PathRouting => {
                let mut paths = vec![request.path.clone()];
                if wanted.path.as_ref().is_some_and(|path| path.kind != "Exact") {
                    let start = request.path.trim_end_matches('/');
                    paths.push(format!("{start}/anything/{}", self.set.nonce));
                }
                let requests: Vec<(TestRequest, bool)> =
                    paths.iter().filter_map(|path| test_request(check, path, 1)).collect();
                // A workload that answers only some paths gets requests to those.
                let identifiable = requests.iter().any(|(_, known)| *known);
                let requests = requests.into_iter().filter(|(_, known)| *known || !identifiable);
                expectations.test_requests.extend(requests.map(|(test_request, _)| test_request));
            }
            _ => {
                expectations
                    .test_requests
                    .extend(test_request(check, "/", 1).map(|(test_request, _)| test_request));
                let paths = self.any_paths(&weighted);
                if paths.is_empty() {
                    let why = format!("the response of {backend_names} to a path is unknown");
                    expectations.left_out.entry(CheckId::AnyPath).or_default().insert(why);
                }
                let requests = paths.iter().filter_map(|path| test_request(CheckId::AnyPath, path, 1));
                expectations.test_requests.extend(requests.map(|(test_request, _)| test_request));
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
    fn any_paths(&self, weighted: &[Workload]) -> Vec<String> {
        let nonce = self.set.nonce;
        let all = ["/get".to_owned(), format!("/anything/{nonce}"), "/headers".to_owned()];
        let has_fixed_text = |one: &Workload| matches!(one.signature, BackendSignature::FixedText(_));
        let is_httpbin = |one: &Workload| one.signature == BackendSignature::Httpbin;
        match () {
            () if !weighted.is_empty() && weighted.iter().all(is_httpbin) => all.into(),
            () if !weighted.is_empty() && weighted.iter().all(has_fixed_text) => {
                vec![format!("/{UNKNOWN_PATH}/{nonce}")]
            }
            () => Vec::new(),
        }
    }

    /// Returns requests to the root of the matched paths and to a path below it, with a query that must be
    /// preserved.
    fn redirects(
        &self,
        redirect: &Redirect,
        wanted: &Match,
        host_port: &HostPort,
        request: &Request,
    ) -> Vec<TestRequest> {
        let below = format!("{}/{UNKNOWN_PATH}/{}", request.path.trim_end_matches('/'), self.set.nonce);
        let exact = wanted.path.as_ref().is_some_and(|path| path.kind == "Exact");
        let paths = if exact { vec![request.path.clone()] } else { vec![request.path.clone(), below] };
        let status = redirect.status_code.unwrap_or(302);
        let test_request = |path: String| {
            let mut request = Request { path, ..request.clone() };
            if request.path != "/" {
                request.query.push(("a".to_owned(), "1".to_owned()));
            }
            let matched = self.table.find_rule(&host_port.host, &request)?;
            let to = redirect_target(redirect, wanted, host_port, &request)?;
            let label = format!("{status} → {to}");
            let expect = ExpectedResponse::Redirect { status, to };
            let is_selected = matched.is(self.route, self.rule_index);
            let (check, host_port) = (CheckId::Redirect, host_port.clone());
            is_selected.then_some(TestRequest { check, host_port, request, times: 1, expect, label })
        };
        paths.into_iter().filter_map(test_request).collect()
    }

    /// Returns the same request without the rule's condition, and with another value of it.
    fn non_matching_requests(
        &self,
        wanted: &Match,
        host_port: &HostPort,
        request: &Request,
    ) -> Vec<TestRequest> {
        let others = |pairs: &[(String, String)]| {
            let other = |(name, value): &(String, String)| (name.clone(), format!("{value}-{UNKNOWN_PATH}"));
            pairs.iter().map(other).collect::<Vec<_>>()
        };
        let without = Request { headers: Vec::new(), query: Vec::new(), ..request.clone() };
        let other =
            Request { headers: others(&request.headers), query: others(&request.query), ..request.clone() };
        let test_request = |(request, how): (Request, &str)| {
            let (expect, backend_names) = match self.table.find_rule(&host_port.host, &request) {
                Some(matched)
                    if matched.is(self.route, self.rule_index) || matched.rule.redirect().is_some() =>
                {
                    return None;
                }
                Some(matched) => {
                    let other_rule = RuleRequests {
                        route: matched.route,
                        rule_index: matched.at,
                        rule: matched.rule,
                        ..*self
                    };
                    let weighted = other_rule.backends().into_iter().filter(|(_, weight)| *weight > 0);
                    let workloads: Vec<Workload> = weighted.map(|(workload, _)| workload).collect();
                    let backend_names: Vec<&str> = workloads.iter().map(|one| one.name.as_str()).collect();
                    let backend_names = backend_names.join(" or ");
                    let upstream_path = matched.rule.upstream_path(&request.path, "/");
                    (ExpectedResponse::FromWorkload { workloads, upstream_path }, backend_names)
                }
                None => (ExpectedResponse::NotFound, "404".to_owned()),
            };
            let label = format!("{how} → {backend_names}");
            let (check, host_port) = (self.check(wanted), host_port.clone());
            Some(TestRequest { check, host_port, request, times: REPETITIONS, expect, label })
        };
        let requests = [(without, "without it"), (other, "with another value")];
        requests
            .into_iter()
            .filter(|(request, _)| wanted.method.is_none() || !request.headers.is_empty())
            .filter_map(test_request)
            .collect()
    }
}

/// Returns the part of the path that a match replaces.
fn prefix(wanted: &Match) -> &str {
    wanted.path.as_ref().filter(|path| path.kind != "Exact").map_or("/", |path| path.value.as_str())
}

/// Returns a request that a match accepts; `None` if it cannot be expressed, or would be a write.
fn request(wanted: &Match) -> Option<Request> {
    let pattern = |one: &ValueMatch| one.kind == "RegularExpression";
    let compared = wanted.path.iter().chain(&wanted.headers).chain(&wanted.query_params);
    let method = wanted.method.clone().unwrap_or_else(|| "GET".to_owned());
    if compared.into_iter().any(pattern) || !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") {
        return None;
    }
    let pairs =
        |all: &[ValueMatch]| all.iter().map(|one| (one.name.clone(), one.value.clone())).collect::<Vec<_>>();
    let path = wanted.path.as_ref().map_or_else(|| "/".to_owned(), |path| path.value.clone());
    Some(Request { method, path, headers: pairs(&wanted.headers), query: pairs(&wanted.query_params) })
}

/// Returns the target of a redirect as a normalized URL, without the scheme's default port.
fn redirect_target(
    redirect: &Redirect,
    wanted: &Match,
    host_port: &HostPort,
    request: &Request,
) -> Option<String> {
    let request_scheme = if host_port.secure { "https" } else { "http" };
    let scheme = redirect.scheme.as_deref().unwrap_or(request_scheme);
    let host = redirect.hostname.as_deref().unwrap_or(&host_port.host);
    let path = match &redirect.path {
        Some(replacement) => replacement.redirected(&request.path, prefix(wanted)),
        None => request.path.clone(),
    };
    // Without a port the target has the default port of its scheme, and without a scheme the listener's.
    let port = redirect.port.or(redirect.scheme.is_none().then_some(host_port.port));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    // A query of the replacement has precedence over that of the request.
    let query = if path.contains('?') { &[][..] } else { &request.query[..] };
    let url = Url::parse(&format!("{scheme}://{host}{port}{}", with_query(&path, query))).ok()?;
    Some(url.into())
}

fn label(check: CheckId, wanted: &Match, host_port: &HostPort, backend_names: &str, path: &str) -> String {
    match check {
        CheckId::HeaderRouting => {
            let headers = wanted.headers.iter().map(|one| format!("{}: {}", one.name, one.value));
            let query = wanted.query_params.iter().map(|one| format!("?{}={}", one.name, one.value));
            let all: Vec<String> = headers.chain(query).chain(wanted.method.clone()).collect();
            format!("{} → {backend_names}", all.join(", "))
        }
        CheckId::PathRouting => {
            format!("{} → {backend_names}", wanted.path.as_ref().map_or("/", |path| path.value.as_str()))
        }
        _ => format!("GET {}://{}{path}", if host_port.secure { "https" } else { "http" }, host_port.host),
    }
}
