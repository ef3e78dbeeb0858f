//! The requests, and their expected responses, that a set of Gateways and HTTPRoutes implies. Pure.
//!
//! Every rule yields requests that match it and no other rule, for each host through which it is reachable.
//! Some rules are untestable: a regular expression, a method that writes, a backend whose responses do not
//! identify it. The report lists them as left out.

use super::{
    CheckId,
    backend_signature::{Workload, Workloads},
    rule_requests::RuleRequests,
};
use crate::{
    route_model::{Gateway, Listener, Route},
    route_precedence::{Request, Table, hosts, is_parent},
};
use std::collections::{BTreeMap, BTreeSet};

/// All testable requests.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    pub(super) host_ports: Vec<HostPort>,
    pub(super) test_requests: Vec<TestRequest>,
    pub(super) splits: Vec<Split>,
    /// The untestable rules, with the reason.
    pub(super) left_out: BTreeMap<CheckId, BTreeSet<String>>,
}

/// A port of a gateway, with a host that it serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostPort {
    /// The gateway's index in the set.
    pub(super) gateway: usize,
    pub(super) port: u16,
    pub(super) secure: bool,
    /// True if the certificate is the vault's.
    pub(super) pinned: bool,
    pub(super) host: String,
}

/// A request and its expected response.
#[derive(Debug, Clone)]
pub(super) struct TestRequest {
    pub(super) check: CheckId,
    pub(super) host_port: HostPort,
    pub(super) request: Request,
    pub(super) times: u32,
    pub(super) expect: ExpectedResponse,
    /// The expectation as display text: `/v1 → echo-v1`.
    pub(super) label: String,
}

/// The expected response to a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ExpectedResponse {
    /// A response of one of these workloads, to this path.
    FromWorkload { workloads: Vec<Workload>, upstream_path: String },
    /// A redirect.
    Redirect { status: u16, to: String },
    /// A 404, because no rule matches.
    NotFound,
}

/// A rule that splits its requests between backends.
#[derive(Debug, Clone)]
pub(super) struct Split {
    pub(super) host_port: HostPort,
    pub(super) request: Request,
    /// The backends with their weights.
    pub(super) backends: Vec<(Workload, u32)>,
}

/// A parsed set of manifests.
pub(super) struct Set<'a> {
    pub(super) gateways: &'a [Gateway],
    pub(super) routes: &'a [Route],
    pub(super) workloads: &'a Workloads,
    /// The Secrets that contain the vault's certificate, by namespace and name.
    pub(super) synced_secrets: &'a BTreeSet<(String, String)>,
    /// A random string, unique to this verification.
    pub(super) nonce: &'a str,
}

impl Set<'_> {
    /// Returns the requests that the set implies.
    pub(super) fn expectations(&self) -> Expectations {
        let mut expectations = Expectations::default();
        for (at, gateway) in self.gateways.iter().enumerate() {
            let known = self.known_hosts(gateway);
            for listener in &gateway.listeners {
                match listener.is_secure() {
                    Some(secure) => self.listener(&mut expectations, at, listener, secure, &known),
                    None => {
                        let why = format!("{} of {} uses {}", listener.name, gateway.name, listener.protocol);
                        expectations.left_out.entry(CheckId::Gateways).or_default().insert(why);
                    }
                }
            }
        }
        expectations.host_ports.sort();
        expectations.host_ports.dedup();
        expectations
    }

    /// Returns the hosts, without wildcards, that the routes of a gateway name.
    pub(super) fn known_hosts(&self, gateway: &Gateway) -> Vec<String> {
        let mut known: Vec<String> = Vec::new();
        for route in
            self.routes.iter().filter(|route| gateway.listeners.iter().any(|l| is_parent(gateway, l, route)))
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
        expectations: &mut Expectations,
        at: usize,
        listener: &Listener,
        secure: bool,
        known: &[String],
    ) {
        let gateway = &self.gateways[at];
        let attached: Vec<&Route> =
            self.routes.iter().filter(|route| is_parent(gateway, listener, route)).collect();
        let mut table = Table::default();
        attached.iter().for_each(|route| table.add(listener, route));
        for route in attached {
            for shared in hosts(listener, route) {
                for (rule_index, rule) in route.spec.rules.iter().enumerate() {
                    let rule_requests = RuleRequests {
                        set: self,
                        gateway: at,
                        listener,
                        secure,
                        table: &table,
                        route,
                        rule_index,
                        rule,
                    };
                    rule_requests.add(expectations, &shared, known);
                }
            }
        }
    }

    pub(super) fn pinned(&self, gateway: &Gateway, listener: &Listener) -> bool {
        listener
            .secrets(&gateway.namespace)
            .next()
            .is_some_and(|secret| self.synced_secrets.contains(&secret))
    }
}

/// Returns a path with its query.
pub(super) fn with_query(path: &str, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{query}")
}
