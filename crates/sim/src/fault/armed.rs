//! Armed faults in the state, and the requests into which they are injected.

use serde::{Deserialize, Serialize};

use super::variants::Fault;
use crate::clock::{SimTime, Timing};
use crate::request::Request;

/// The `Retry-After` of a throttled request in seconds of cloud time.
pub(super) const RETRY_AFTER: f64 = 5.0;

/// An armed fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// The fault.
    pub fault: Fault,
    /// The method of matching requests; any if empty.
    pub method: String,
    /// The part of host and path of matching requests, lower case; any if empty.
    pub path: String,
    /// The number of matching requests that pass before the first injection.
    #[serde(default)]
    pub skip: u32,
    /// The remaining number of injections.
    pub left: u32,
    /// The time until which a throttled request is refused again.
    pub(super) until: Option<SimTime>,
}

impl Armed {
    fn matches(&self, request: &Request) -> bool {
        let place = format!("{}{}", request.host, request.path).to_ascii_lowercase();
        (self.method.is_empty() || request.method.as_str() == self.method) && place.contains(&self.path)
    }

    fn is_throttling(&self, now: SimTime) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Returns whether the fault can be injected into this request. Counts a matching request that must pass.
    fn is_due(&mut self, request: &Request, now: SimTime) -> bool {
        if !self.matches(request) {
            return false;
        }
        if self.is_throttling(now) {
            return true;
        }
        if self.left == 0 || self.skip > 0 {
            self.skip = self.skip.saturating_sub(1);
            return false;
        }
        true
    }

    fn is_exhausted(&self, now: SimTime) -> bool {
        self.left == 0 && !self.is_throttling(now)
    }
}

/// The armed faults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// The faults in their injection order.
    pub armed: Vec<Armed>,
}

impl Faults {
    /// Returns the faults that can be injected into this request, with their index in the list.
    pub(super) fn matching(&mut self, request: &Request, now: SimTime) -> Vec<(usize, Fault)> {
        self.armed.retain(|armed| !armed.is_exhausted(now));
        let each = self.armed.iter_mut().enumerate();
        each.filter_map(|(at, armed)| armed.is_due(request, now).then_some((at, armed.fault))).collect()
    }

    /// Records the injection of the fault at that index.
    pub(super) fn record_injection(&mut self, at: usize, now: SimTime, timing: &Timing) {
        let Some(armed) = self.armed.get_mut(at) else { return };
        if !armed.is_throttling(now) {
            armed.left = armed.left.saturating_sub(1);
        }
        armed.until = (armed.fault == Fault::Throttled).then(|| timing.after(now, RETRY_AFTER));
        self.armed.retain(|armed| !armed.is_exhausted(now));
    }
}
