//! The requests, and their expected responses, that a set of Gateways and HTTPRoutes implies. Pure.
//!
//! Every rule yields requests that match it and no other rule, for each host through which it is reachable.
//! Some rules are untestable: a regular expression, a method that writes, a backend whose responses do not
//! identify it. The report lists them as left out.

use super::{
    CheckId,
    here::Here,
    precedence::{Request, Table, hosts},
    workload::{Workload, Workloads},
};
use crate::route_model::{Gate, Listener, Route};
use std::collections::{BTreeMap, BTreeSet};

/// All testable requests.
#[derive(Debug, Default)]
pub(super) struct Promises {
    pub(super) doors: Vec<DoorWay>,
    pub(super) asks: Vec<Ask>,
    pub(super) splits: Vec<Split>,
    /// The untestable rules, with the reason.
    pub(super) left_out: BTreeMap<CheckId, BTreeSet<String>>,
}

/// A port of a gateway, with a host that it serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DoorWay {
    /// The gateway's index in the set.
    pub(super) gate: usize,
    pub(super) port: u16,
    pub(super) secure: bool,
    /// True if the certificate is the vault's.
    pub(super) pinned: bool,
    pub(super) host: String,
}

/// A request and its expected response.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) check: CheckId,
    pub(super) way: DoorWay,
    pub(super) request: Request,
    pub(super) times: u32,
    pub(super) expect: Expect,
    /// The expectation as display text: `/v1 → echo-v1`.
    pub(super) words: String,
}

/// The expected response to a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expect {
    /// A response of one of these workloads, to this path.
    From { workloads: Vec<Workload>, arrives_as: String },
    /// A redirect.
    Redirect { status: u16, to: String },
    /// A 404, because no rule matches.
    Nobody,
}

/// A rule that splits its requests between backends.
#[derive(Debug, Clone)]
pub(super) struct Split {
    pub(super) way: DoorWay,
    pub(super) request: Request,
    /// The backends with their weights.
    pub(super) backends: Vec<(Workload, u32)>,
}

/// A parsed set of manifests.
pub(super) struct Set<'a> {
    pub(super) gates: &'a [Gate],
    pub(super) routes: &'a [Route],
    pub(super) workloads: &'a Workloads,
    /// The Secrets that contain the vault's certificate, by namespace and name.
    pub(super) fed: &'a BTreeSet<(String, String)>,
    /// A random string, unique to this verification.
    pub(super) nonce: &'a str,
}

impl Set<'_> {
    /// Returns the requests that the set implies.
    pub(super) fn promises(&self) -> Promises {
        let mut promises = Promises::default();
        for (at, gate) in self.gates.iter().enumerate() {
            let known = self.known_hosts(gate);
            for listener in &gate.listeners {
                match listener.is_secure() {
                    Some(secure) => self.listener(&mut promises, at, listener, secure, &known),
                    None => {
                        let why = format!("{} of {} uses {}", listener.name, gate.name, listener.protocol);
                        promises.left_out.entry(CheckId::Gateways).or_default().insert(why);
                    }
                }
            }
        }
        promises.doors.sort();
        promises.doors.dedup();
        promises
    }

    /// Returns the hosts, without wildcards, that the routes of a gateway name.
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

    pub(super) fn pinned(&self, gate: &Gate, listener: &Listener) -> bool {
        listener.secrets(&gate.namespace).next().is_some_and(|secret| self.fed.contains(&secret))
    }
}

/// Returns whether a route names this listener, or the whole gateway, as its parent.
fn is_parent(gate: &Gate, listener: &Listener, route: &Route) -> bool {
    route.spec.parent_refs.iter().any(|parent| {
        parent.kind.as_deref().is_none_or(|kind| kind == "Gateway")
            && parent.name == gate.name
            && *parent.namespace.as_ref().unwrap_or(&route.namespace) == gate.namespace
            && parent.section_name.as_ref().is_none_or(|section| *section == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
    })
}

/// Returns a path with its query.
pub(super) fn with_query(path: &str, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{query}")
}
