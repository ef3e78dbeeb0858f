//! The table of one listener: every match of every route that it takes, in the order in which they are tried.
//!
//! The order is the Gateway API's: host name, path (exact before the longest prefix), method, number of headers,
//! number of query parameters; then the older route, the first by namespace and name, and the first rule of it.
//! Where the API leaves it open, regular expressions come after prefixes, as Istio has it.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use http::HeaderMap;
use regex_lite::Regex;

use super::host::Host;
use super::spec::{Match, Rule, Spec, Value};

/// A route that a listener takes.
#[derive(Debug)]
pub struct Source<'a> {
    /// Its creation, RFC 3339 in UTC, which sorts as text.
    pub created: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub spec: Spec,
}

/// What a request asks for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Lower case, without a port.
    pub host: &'a str,
    pub path: &'a str,
    pub query: &'a [(String, String)],
    pub method: &'a str,
    pub headers: &'a HeaderMap,
}

/// The rule that a request meets.
#[derive(Debug, Clone)]
pub struct Met {
    /// The namespace and name of its route.
    pub route: Arc<(String, String)>,
    pub rule: Arc<Rule>,
    /// The prefix that matched; `/` when none was asked for.
    pub prefix: String,
}

/// The matches of one listener, first to last.
#[derive(Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    host: Host,
    path: PathMatch,
    method: Option<String>,
    headers: Vec<(String, Text)>,
    query: Vec<(String, Text)>,
    met: Met,
}

#[derive(Debug)]
enum PathMatch {
    Exact(String),
    /// Without a slash at its end; empty for all paths.
    Prefix(String),
    Pattern(Text),
}

/// A value that must be this, or match this to its ends.
#[derive(Debug)]
enum Text {
    Exact(String),
    Pattern(Option<Regex>),
}

impl Text {
    fn read(value: &Value) -> Self {
        match value.kind.as_str() {
            // A pattern that does not parse matches nothing.
            "RegularExpression" => Self::Pattern(Regex::new(&format!("^(?:{})$", value.value)).ok()),
            _ => Self::Exact(value.value.clone()),
        }
    }

    fn takes(&self, text: &str) -> bool {
        match self {
            Self::Exact(own) => own == text,
            Self::Pattern(pattern) => pattern.as_ref().is_some_and(|pattern| pattern.is_match(text)),
        }
    }
}

impl Table {
    /// Sorts the matches of the routes that a listener of this host name takes.
    pub fn of(listener: &Host, mut sources: Vec<Source<'_>>) -> Self {
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
        // Stable, so that what ties stays in the order of age, name and place.
        entries.sort_by(|one: &Entry, other: &Entry| one.order(other));
        Self { entries }
    }

    /// Finds the rule that a request meets.
    pub fn meet(&self, asked: &Asked<'_>) -> Option<&Met> {
        self.entries.iter().find(|entry| entry.takes(asked)).map(|entry| &entry.met)
    }
}

/// The names under which a listener serves a route: what both have in common.
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
            "RegularExpression" => PathMatch::Pattern(Text::read(&path)),
            _ => PathMatch::Prefix(value.trim_end_matches('/').to_owned()),
        };
        let prefix = match &path {
            PathMatch::Prefix(prefix) if !prefix.is_empty() => prefix.clone(),
            _ => "/".to_owned(),
        };
        let named = |values: &[Value], fold: bool| -> Vec<(String, Text)> {
            let mut named: Vec<(String, Text)> = Vec::new();
            for value in values {
                let name = if fold { value.name.to_ascii_lowercase() } else { value.name.clone() };
                // Of several for one name only the first counts.
                if !named.iter().any(|(known, _)| *known == name) {
                    named.push((name, Text::read(value)));
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
            met: Met { route: Arc::clone(route), rule: Arc::clone(rule), prefix },
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let rank = |entry: &Self| {
            let path = match &entry.path {
                PathMatch::Exact(path) => (3, path.len()),
                PathMatch::Prefix(prefix) => (2, prefix.len()),
                PathMatch::Pattern(_) => (1, 0),
            };
            Reverse((path, entry.method.is_some(), entry.headers.len(), entry.query.len()))
        };
        other.host.specificity(&self.host).then_with(|| rank(self).cmp(&rank(other)))
    }

    fn takes(&self, asked: &Asked<'_>) -> bool {
        let header = |(name, wanted): &(String, Text)| {
            let values: Vec<&str> =
                asked.headers.get_all(name.as_str()).iter().filter_map(|value| value.to_str().ok()).collect();
            !values.is_empty() && wanted.takes(&values.join(","))
        };
        let query = |(name, wanted): &(String, Text)| {
            asked.query.iter().find(|(known, _)| known == name).is_some_and(|(_, value)| wanted.takes(value))
        };
        self.host.takes(asked.host)
            && self.path.takes(asked.path)
            && self.method.as_deref().is_none_or(|method| method == asked.method)
            && self.headers.iter().all(header)
            && self.query.iter().all(query)
    }
}

impl PathMatch {
    /// A prefix matches whole elements: `/abc` takes `/abc`, `/abc/` and `/abc/def`, and not `/abcd`.
    fn takes(&self, path: &str) -> bool {
        match self {
            Self::Exact(own) => own == path,
            Self::Prefix(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Pattern(pattern) => pattern.takes(path),
        }
    }
}

#[cfg(test)]
#[path = "table_cases.rs"]
mod cases;
