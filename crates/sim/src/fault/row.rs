//! Rows of the fault table, and the injections in them.

use serde::Serialize;

use super::variants::Fault;
use crate::clock::{SimTime, Timing};
use crate::request::{Reply, Request};
use crate::state::CloudState;

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A request or its response is lost, late or rejected, whatever its target.
    Transport,
    /// A service refuses this request now.
    Refusal,
    /// A long-running operation does not go as planned.
    Operation,
    /// The state has changed: another client, or the cloud itself, modified it.
    #[serde(rename = "world")]
    StateChange,
}

impl Kind {
    /// Returns the name of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Refusal => "refusal",
            Self::Operation => "operation",
            Self::StateChange => "world",
        }
    }
}

/// A row of the fault table.
#[derive(Debug)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// The name in texts.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The default method of matching requests; any if empty.
    pub method: &'static str,
    /// The default part of host and path of matching requests; any if empty.
    pub path: &'static str,
    /// The effect, as text for users.
    pub what: &'static str,
    /// The correct reaction of a client, as text for users.
    pub client: &'static str,
    /// True if another run of `up` alone recovers in the end.
    pub heals: bool,
    /// The injection.
    pub(super) injection: Injection,
}

impl Row {
    /// Returns the default place in the format after the `@`; `any request` if it matches everything.
    pub fn place(&self) -> String {
        match (self.method, self.path) {
            ("", "") => "any request".to_owned(),
            ("", path) => path.to_owned(),
            (method, "") => method.to_owned(),
            (method, path) => format!("{method} {path}"),
        }
    }
}

/// The handling of a request without faults.
pub(crate) type Serve = fn(&mut CloudState, &Request, SimTime, &Timing) -> Reply;

/// The request with its context for faults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestContext<'a> {
    /// The request.
    pub(crate) request: &'a Request,
    /// The current time.
    pub(crate) now: SimTime,
    /// The scaling of durations.
    pub(crate) timing: &'a Timing,
    /// Handles a request without faults.
    pub(crate) serve: Serve,
}

impl RequestContext<'_> {
    /// Handles the request without faults.
    pub(crate) fn serve(&self, state: &mut CloudState) -> Reply {
        (self.serve)(state, self.request, self.now, self.timing)
    }

    /// Returns the path segment after the one with that name, decoded, in its original case.
    pub(crate) fn after(&self, name: &str) -> Option<String> {
        let segments = self.request.segments();
        let at = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case(name))?;
        segments.get(at + 1).cloned()
    }

    /// Returns the decoded path without a trailing slash, like an id.
    pub(crate) fn id(&self) -> String {
        format!("/{}", self.request.segments().join("/"))
    }
}

/// The way to inject a fault. If a fault has no effect on a request, the request passes and the fault stays
/// armed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Injection {
    /// Responds in place of the service.
    Respond(fn(&mut CloudState, &RequestContext<'_>) -> Option<Reply>),
    /// Changes the state before the request is handled normally.
    Before(fn(&mut CloudState, &RequestContext<'_>) -> bool),
    /// Changes the effect of the request, and optionally the response.
    After(fn(&mut CloudState, &RequestContext<'_>, &mut Reply) -> bool),
    /// Changes only the delivery of the response.
    Disrupt(fn(&mut Reply)),
}
