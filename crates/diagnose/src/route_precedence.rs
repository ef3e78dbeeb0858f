//! The rule that matches a request among several, and the hosts that a listener accepts. Pure.
//!
//! Source: `HTTPRouteRule.matches` and `HTTPRouteSpec.hostnames` of gateway.networking.k8s.io/v1. The order
//! is: the most specific host, an exact path, the longest prefix, a method, the most headers, the most query
//! parameters, the oldest route, its namespace and name, the index.

use crate::route_model::{Gateway, Listener, Match, Route, Rule, ValueMatch};
use jiff::Timestamp;
use std::cmp::Reverse;

/// The parts of a request that rules match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The method in upper case; `GET` unless a rule requires another one.
    pub(crate) method: String,
    /// The path without the query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
}

/// The rules that are reachable through one listener.
#[derive(Debug, Default)]
pub(crate) struct Table<'a> {
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
pub(crate) struct RouteMatch<'a> {
    pub(crate) route: &'a Route,
    /// The rule's index in its route.
    pub(crate) at: usize,
    pub(crate) rule: &'a Rule,
}

impl RouteMatch<'_> {
    /// Returns whether this is the given rule of the route.
    pub(crate) fn is(&self, route: &Route, at: usize) -> bool {
        self.at == at && self.route.name == route.name && self.route.namespace == route.namespace
    }
}

impl<'a> Table<'a> {
    /// Adds the rules of a route under each host that it shares with the listener.
    pub(crate) fn add(&mut self, listener: &Listener, route: &'a Route) {
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
    pub(crate) fn find_rule(&self, host: &str, request: &Request) -> Option<RouteMatch<'a>> {
        let candidates = || self.entries.iter().filter(|entry| matches_host(&entry.host, host));
        let most = candidates().map(|entry| rank(&entry.host)).max()?;
        let fitting = candidates().filter(|entry| rank(&entry.host) == most && fits(&entry.wanted, request));
        let best = fitting.min_by_key(|entry| {
            let Match { path, method, headers, query_params } = &entry.wanted;
            let exact = path.as_ref().is_some_and(|path| path.kind == "Exact");
            let length = path.as_ref().map_or(1, |path| path.value.len());
            let narrow = Reverse((exact, length, method.is_some(), headers.len(), query_params.len()));
            (narrow, seniority(entry.route), entry.at)
        })?;
        Some(RouteMatch { route: best.route, at: best.at, rule: &best.route.spec.rules[best.at] })
    }

    /// Returns the route that takes requests from a route with an equal match, and the host of these requests:
    /// the older one of the two.
    pub(crate) fn preceding(&self, route: &Route) -> Option<(&'a Route, &str)> {
        let is_own = |other: &Route| other.name == route.name && other.namespace == route.namespace;
        let mut own = self.entries.iter().filter(|entry| is_own(entry.route));
        own.find_map(|own| {
            let wanted = normalized(&own.wanted);
            let equal = self.entries.iter().filter(|other| {
                !is_own(other.route) && other.host == own.host && normalized(&other.wanted) == wanted
            });
            let first = equal.min_by_key(|other| seniority(other.route))?;
            (seniority(first.route) < seniority(own.route)).then_some((first.route, own.host.as_str()))
        })
    }
}

/// Returns whether a route names this listener, or the whole gateway, as its parent.
pub(crate) fn is_parent(gateway: &Gateway, listener: &Listener, route: &Route) -> bool {
    route.spec.parent_refs.iter().any(|parent| {
        parent.kind.as_deref().is_none_or(|kind| kind == "Gateway")
            && parent.name == gateway.name
            && *parent.namespace.as_ref().unwrap_or(&route.namespace) == gateway.namespace
            && parent.section_name.as_ref().is_none_or(|section| *section == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
    })
}

/// Returns the order of routes with equal matches. A manifest has no time of creation.
fn seniority(route: &Route) -> (Option<Timestamp>, &str, &str) {
    (route.created, &route.namespace, &route.name)
}

/// Returns a match in a form that is equal for all matches of the same requests.
fn normalized(wanted: &Match) -> Match {
    let kind = |one: &ValueMatch, default: &str| match one.kind.as_str() {
        "" => default.to_owned(),
        kind => kind.to_owned(),
    };
    let path = wanted.path.clone().unwrap_or_default();
    let value = match path.value.trim_end_matches('/') {
        "" => "/".to_owned(),
        value => value.to_owned(),
    };
    let path = Some(ValueMatch { kind: kind(&path, "PathPrefix"), name: String::new(), value });
    let values = |all: &[ValueMatch], lower: bool| {
        let one = |one: &ValueMatch| ValueMatch {
            kind: kind(one, "Exact"),
            name: if lower { one.name.to_ascii_lowercase() } else { one.name.clone() },
            value: one.value.clone(),
        };
        let mut all: Vec<ValueMatch> = all.iter().map(one).collect();
        all.sort();
        all
    };
    Match {
        path,
        method: wanted.method.clone(),
        headers: values(&wanted.headers, true),
        query_params: values(&wanted.query_params, false),
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
pub(crate) fn hosts(listener: &Listener, route: &Route) -> Vec<String> {
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
pub(crate) fn matches_host(host: &str, name: &str) -> bool {
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
        Route { namespace: "default".into(), name: name.into(), created: None, spec }
    }

    #[test]
    fn of_two_equal_matches_the_older_route_wins_and_then_the_name() {
        let of = |name: &str, created: Option<&str>, spec: Value| Route {
            created: created.map(|time| time.parse().unwrap()),
            ..route(name, spec)
        };
        let spec =
            |path: Value| json!({ "hostnames": ["App.example.com"], "rules": [{ "matches": [path] }] });
        let early = Some("2026-11-23T08:00:00Z");
        let late = Some("2026-11-23T09:00:00Z");
        let own = of("own", late, json!({ "hostnames": ["app.example.com"], "rules": [{}] }));
        let listener = Listener { hostname: "*.example.com".into(), ..Listener::default() };
        let preceding = |other: &Route| {
            let mut table = Table::default();
            table.add(&listener, &own);
            table.add(&listener, other);
            let found = table.find_rule("app.example.com", &get("/", &[])).unwrap().route.name.clone();
            (table.preceding(&own).map(|(route, host)| (route.name.clone(), host.to_owned())), found)
        };
        let taken = (Some(("web".to_owned(), "app.example.com".to_owned())), "web".to_owned());
        assert_eq!(
            preceding(&of("web", early, spec(json!({ "path": { "type": "PathPrefix", "value": "/" } })))),
            taken
        );
        let kept = (None, "own".to_owned());
        assert_eq!(preceding(&of("web", late, spec(json!({})))), kept, "own comes before web");
        assert_eq!(preceding(&of("a", Some("2026-11-23T10:00:00Z"), spec(json!({})))), kept, "it is younger");
        let narrower = spec(json!({ "headers": [{ "name": "x", "value": "y" }] }));
        assert_eq!(preceding(&of("web", early, narrower)), kept, "it takes other requests");
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
