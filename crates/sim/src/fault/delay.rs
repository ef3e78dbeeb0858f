//! Delays from faults: their durations, and the effect of refused requests on them.

use crate::clock::SimTime;
use crate::request::Reply;
use crate::state::CloudState;

/// The additional delay of a role assignment in seconds of cloud time (documented: up to 10 min).
pub(crate) const GRANT: f64 = 300.0;
/// The time during which the name of a new vault does not resolve, in seconds of cloud time (observed: about
/// 2 min).
pub(crate) const VAULT_NAME: f64 = 120.0;
/// The outage of the Kubernetes API in seconds of cloud time (observed: a minute).
pub(crate) const API_SERVER: f64 = 60.0;

/// Counts a 403 response for all delayed role assignments. An assignment without remaining refusals takes
/// effect.
pub(super) fn count(state: &mut CloudState, reply: &Reply, now: SimTime) {
    if reply.status != 403 {
        return;
    }
    let Some(names) = state.delays.count_forbidden() else { return };
    for name in names {
        if let Some(assignment) = state.roles.assignments.get_mut(&name.to_ascii_lowercase()) {
            assignment.effective = assignment.effective.min(now);
        }
    }
    state.touch();
}
