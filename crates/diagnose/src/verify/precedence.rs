//! The rule that matches a request among several, and the hosts that a listener accepts. Pure.
//!
//! Source: `HTTPRouteRule.matches` and `HTTPRouteSpec.hostnames` of gateway.networking.k8s.io/v1. The order
//! is: the most specific host, an exact path, the longest prefix, a method, the most headers, the most query
//! parameters, the name, the index.

use crate::route_model::{Listener, Match, Route, Rule, ValueMatch};
use std::cmp::Reverse;

/// The parts of a request that rules match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// The method in upper case; `GET` unless a rule requires another one.
    pub(super) method: String,
    /// The path without the query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
}

/// The rules that are reachable through one listener.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    entries: Vec<Entry<'a>>,
}

#[derive(Debug)]
struct Entry<'a> {
    host: String,
    route: &'a Route,
    /// The rule's index in its route.
    at: usize,
    wanted: Match,
}

/// The rule that a request matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct RouteMatch<'a> {
    pub(super) route: &'a Route,
    /// The rule's index in its route.
    pub(super) at: usize,
    pub(super) rule: &'a Rule,
}

impl RouteMatch<'_> {
    /// Returns whether this is the given rule of the route.
    pub(super) fn is(&self, route: &Route, at: usize) -> bool {
        self.at == at && self.route.name == route.name && self.route.namespace == route.namespace
    }
}

impl<'a> Table<'a> {
    /// Adds the rules of a route under each host that it shares with the listener.
    pub(super) fn add(&mut self, listener: &Listener, route: &'a Route) {
        for host in hosts(listener, route) {
            for (at, rule) in route.spec.rules.iter().enumerate() {
                let every = [Match::default()];
                let matches = if rule.matches.is_empty() { &every[..] } else { &rule.matches };
                let entries = matches.iter().map(|wanted| Entry {
                    host: host.clone(),
                    route,
                    at,
                    wanted: wanted.clone(),
                });
                self.entries.extend(entries);
            }
        }
    }

    /// Returns the rule that a request to a host matches; `None` if there is none. A regular expression never
    /// matches here, because its result is not certain.
    pub(super) fn find_rule(&self, host: &str, request: &Request) -> Option<RouteMatch<'a>> {
        let candidates = || self.entries.iter().filter(|entry| matches_host(&entry.host, host));
        let most = candidates().map(|entry| rank(&entry.host)).max()?;
        let fitting = candidates().filter(|entry| rank(&entry.host) == most && fits(&entry.wanted, request));
        let best = fitting.min_by_key(|entry| {
            let Match { path, method, headers, query_params } = &entry.wanted;
            let exact = path.as_ref().is_some_and(|path| path.kind == "Exact");
            let length = path.as_ref().map_or(1, |path| path.value.len());
            let narrow = Reverse((exact, length, method.is_some(), headers.len(), query_params.len()));
            (narrow, &entry.route.namespace, &entry.route.name, entry.at)
        })?;
        Some(RouteMatch { route: best.route, at: best.at, rule: &best.route.spec.rules[best.at] })
    }
}

fn fits(wanted: &Match, request: &Request) -> bool {
    let path = wanted.path.as_ref().is_none_or(|path| match path.kind.as_str() {
        "Exact" => request.path == path.value,
        "RegularExpression" => false,
        _ => is_below(&request.path, &path.value),
    });
    let among = |one: &ValueMatch, all: &[(String, String)], same_name: fn(&str, &str) -> bool| {
        one.kind != "RegularExpression"
            && all.iter().any(|(name, value)| same_name(name, &one.name) && *value == one.value)
    };
    path && wanted.method.as_ref().is_none_or(|method| *method == request.method)
        && wanted.headers.iter().all(|one| among(one, &request.headers, str::eq_ignore_ascii_case))
        && wanted.query_params.iter().all(|one| among(one, &request.query, |a, b| a == b))
}

/// Matches a prefix by whole segments: `/v1` matches `/v1` and `/v1/x`, and not `/v10`.
fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the hosts that a listener and a route have in common; an empty string means every host.
pub(super) fn hosts(listener: &Listener, route: &Route) -> Vec<String> {
    let own = listener.hostname.to_ascii_lowercase();
    if route.spec.hostnames.is_empty() {
        return vec![own];
    }
    let names = route.spec.hostnames.iter().map(|name| name.to_ascii_lowercase());
    names.filter_map(|name| shared(&own, &name)).collect()
}

/// Returns the narrower of two hosts if the wider one includes it.
fn shared(one: &str, other: &str) -> Option<String> {
    let (wide, narrow) = if rank(one) > rank(other) { (other, one) } else { (one, other) };
    let common = match wide.strip_prefix('*') {
        _ if wide.is_empty() || wide == narrow => true,
        Some(suffix) => narrow.len() > suffix.len() && narrow.ends_with(suffix),
        None => false,
    };
    common.then(|| narrow.to_owned())
}

/// Returns whether a host of a listener or route includes a name. The host may begin with `*.` or be empty.
pub(super) fn matches_host(host: &str, name: &str) -> bool {
    match host.strip_prefix('*') {
        _ if host.is_empty() => true,
        Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
        None => host == name,
    }
}

/// Ranks hosts: exact before wildcard, longer before shorter.
fn rank(host: &str) -> (u8, usize) {
    match host.starts_with('*') {
        _ if host.is_empty() => (0, 0),
        true => (1, host.len()),
        false => (2, host.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn route(name: &str, spec: Value) -> Route {
        let spec = serde_json::from_value(spec).unwrap();
        Route { namespace: "default".into(), name: name.into(), spec }
    }

    fn get(path: &str, headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { method: "GET".into(), path: path.into(), headers, query: Vec::new() }
    }

    #[test]
    fn the_most_specific_rule_wins() {
        let wide = route("wide", json!({ "rules": [{}] }));
        let own = route(
            "own",
            json!({ "hostnames": ["app.example.com"], "rules": [
                {}, { "matches": [{ "path": { "type": "PathPrefix", "value": "/v1" } }] },
                { "matches": [{ "headers": [{ "name": "version", "value": "v2" }] }] },
                { "matches": [{ "path": { "type": "Exact", "value": "/v1/x" } }] },
            ]}),
        );
        let listener = Listener { hostname: "*.example.com".into(), ..Listener::default() };
        let mut table = Table::default();
        table.add(&listener, &wide);
        table.add(&listener, &own);
        let find_rule = |host: &str, request: &Request| {
            table.find_rule(host, request).map(|matched| (matched.route.name.clone(), matched.at))
        };
        let at = |at: usize| Some(("own".to_owned(), at));
        assert_eq!(find_rule("app.example.com", &get("/", &[])), at(0));
        assert_eq!(find_rule("app.example.com", &get("/v10", &[])), at(0));
        assert_eq!(find_rule("app.example.com", &get("/v1/y", &[("version", "v2")])), at(1));
        assert_eq!(find_rule("app.example.com", &get("/", &[("Version", "v2")])), at(2));
        assert_eq!(find_rule("app.example.com", &get("/v1/x", &[])), at(3));
        assert_eq!(find_rule("other.example.com", &get("/v1", &[])), Some(("wide".to_owned(), 0)));
        assert_eq!(find_rule("example.com", &get("/", &[])), None);
    }

    #[test]
    fn a_shared_host_is_the_narrower_one() {
        for (one, other, common) in [
            ("", "a.example.com", Some("a.example.com")),
            ("*.example.com", "a.example.com", Some("a.example.com")),
            ("*.example.com", "*.a.example.com", Some("*.a.example.com")),
            ("a.example.com", "b.example.com", None),
            ("*.example.com", "example.com", None),
        ] {
            assert_eq!(shared(one, other).as_deref(), common, "{one} and {other}");
            assert_eq!(shared(other, one).as_deref(), common, "{other} and {one}");
        }
    }
}
