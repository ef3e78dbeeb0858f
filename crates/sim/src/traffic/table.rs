//! The match table of one listener: all matches of its routes, in order of precedence.
//!
//! The order is the Gateway API's: hostname, path (exact before the longest prefix), method, number of
//! headers, number of query parameters. Then come the older route, the first by namespace and name, and the
//! first rule of it. Where the API does not define an order, regular expressions come after prefixes, the
//! longest first, as in Istio.
//!
//! A request is matched against the entries of its most specific hostname only: Envoy selects one virtual
//! host, and a path without a rule there is not found.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use http::HeaderMap;
use regex_lite::Regex;

use super::host::Host;
use super::spec::{Match, Rule, Spec, Value};

/// A route that is attached to a listener.
#[derive(Debug)]
pub struct RouteSource<'a> {
    /// The creation time, RFC 3339 in UTC, which sorts as text.
    pub created: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub spec: Spec,
}

/// The matched parts of a request.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// The host in lower case, without a port.
    pub host: &'a str,
    /// The normalized path.
    pub path: &'a str,
    /// The query parameters, undecoded.
    pub query: &'a [(String, String)],
    pub method: &'a str,
    pub headers: &'a HeaderMap,
}

/// The matched rule of a request.
#[derive(Debug, Clone)]
pub struct RouteMatch {
    /// The namespace and name of the route.
    pub route: Arc<(String, String)>,
    pub rule: Arc<Rule>,
    /// The matched prefix; `/` without a prefix match.
    pub prefix: String,
}

/// The matches of one listener, in order of precedence.
#[derive(Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    host: Host,
    path: PathMatch,
    method: Option<String>,
    headers: Vec<(String, ValueMatch)>,
    query: Vec<(String, ValueMatch)>,
    route_match: RouteMatch,
}

#[derive(Debug)]
enum PathMatch {
    Exact(String),
    /// A prefix without a trailing slash; empty for all paths.
    Prefix(String),
    /// A regular expression, with its length.
    Pattern(ValueMatch, usize),
}

/// An exact value, or a regular expression that must match the whole value.
#[derive(Debug)]
enum ValueMatch {
    Exact(String),
    Pattern(Option<Regex>),
}

impl ValueMatch {
    fn read(value: &Value) -> Self {
        match value.kind.as_str() {
            // An invalid pattern matches nothing.
            "RegularExpression" => Self::Pattern(Regex::new(&format!("^(?:{})$", value.value)).ok()),
            _ => Self::Exact(value.value.clone()),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(own) => own == text,
            Self::Pattern(pattern) => pattern.as_ref().is_some_and(|pattern| pattern.is_match(text)),
        }
    }
}

impl Table {
    /// Builds the table from the routes of a listener with this hostname.
    pub fn of(listener: &Host, mut sources: Vec<RouteSource<'_>>) -> Self {
        sources.sort_by(|one, other| {
            (one.created, one.namespace, one.name).cmp(&(other.created, other.namespace, other.name))
        });
        let mut entries = Vec::new();
        for source in sources {
            let hosts = hosts(listener, &source.spec.hostnames);
            let route = Arc::new((source.namespace.to_owned(), source.name.to_owned()));
            for rule in source.spec.rules {
                let rule = Arc::new(rule);
                let everything = [Match::default()];
                let matches = if rule.matches.is_empty() { &everything[..] } else { &rule.matches };
                for one in matches {
                    entries.extend(hosts.iter().map(|host| Entry::of(host.clone(), one, &rule, &route)));
                }
            }
        }
        // The sort is stable: equal entries stay in the order of age, name and position.
        entries.sort_by(|one: &Entry, other: &Entry| one.order(other));
        Self { entries }
    }

    /// Returns the matching rule of a request.
    pub fn find(&self, head: &RequestHead<'_>) -> Option<&RouteMatch> {
        // The entries are sorted by hostname, the most specific first.
        let host = &self.entries.iter().find(|entry| entry.host.matches(head.host))?.host;
        let mut entries = self.entries.iter().filter(|entry| entry.host == *host);
        entries.find(|entry| entry.matches(head)).map(|entry| &entry.route_match)
    }
}

/// Returns the intersection of the hostnames of a listener and a route.
fn hosts(listener: &Host, names: &[String]) -> Vec<Host> {
    match names {
        [] => vec![listener.clone()],
        names => names.iter().filter_map(|name| listener.intersection(&Host::read(name))).collect(),
    }
}

impl Entry {
    fn of(host: Host, one: &Match, rule: &Arc<Rule>, route: &Arc<(String, String)>) -> Self {
        let path = one.path.clone().unwrap_or_default();
        let value = if path.value.is_empty() { "/" } else { &path.value };
        let path = match path.kind.as_str() {
            "Exact" => PathMatch::Exact(value.to_owned()),
            "RegularExpression" => PathMatch::Pattern(ValueMatch::read(&path), value.len()),
            _ => PathMatch::Prefix(value.trim_end_matches('/').to_owned()),
        };
        let prefix = match &path {
            PathMatch::Prefix(prefix) if !prefix.is_empty() => prefix.clone(),
            _ => "/".to_owned(),
        };
        let named = |values: &[Value], fold: bool| -> Vec<(String, ValueMatch)> {
            let mut named: Vec<(String, ValueMatch)> = Vec::new();
            for value in values {
                let name = if fold { value.name.to_ascii_lowercase() } else { value.name.clone() };
                // Of several entries with one name only the first counts.
                if !named.iter().any(|(known, _)| *known == name) {
                    named.push((name, ValueMatch::read(value)));
                }
            }
            named
        };
        Self {
            host,
            path,
            method: one.method.clone(),
            headers: named(&one.headers, true),
            query: named(&one.query_params, false),
            route_match: RouteMatch { route: Arc::clone(route), rule: Arc::clone(rule), prefix },
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let rank = |entry: &Self| {
            let path = match &entry.path {
                PathMatch::Exact(path) => (3, path.len()),
                PathMatch::Prefix(prefix) => (2, prefix.len()),
                PathMatch::Pattern(_, length) => (1, *length),
            };
            Reverse((path, entry.method.is_some(), entry.headers.len(), entry.query.len()))
        };
        other.host.specificity(&self.host).then_with(|| rank(self).cmp(&rank(other)))
    }

    /// Returns whether all conditions but the hostname hold.
    fn matches(&self, head: &RequestHead<'_>) -> bool {
        let header = |(name, wanted): &(String, ValueMatch)| {
            let values: Vec<&str> =
                head.headers.get_all(name.as_str()).iter().filter_map(|value| value.to_str().ok()).collect();
            !values.is_empty() && wanted.matches(&values.join(","))
        };
        let query = |(name, wanted): &(String, ValueMatch)| {
            head.query.iter().find(|(known, _)| known == name).is_some_and(|(_, value)| wanted.matches(value))
        };
        self.path.matches(head.path)
            && self.method.as_deref().is_none_or(|method| method == head.method)
            && self.headers.iter().all(header)
            && self.query.iter().all(query)
    }
}

impl PathMatch {
    /// Returns whether the path matches. A prefix matches whole elements: `/abc` matches `/abc`, `/abc/` and
    /// `/abc/def`, but not `/abcd`.
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(own) => own == path,
            Self::Prefix(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Pattern(pattern, _) => pattern.matches(path),
        }
    }
}

#[cfg(test)]
#[path = "table_cases.rs"]
mod cases;
