//! Test hooks for writes in progress: failures, and writes of other clients.

use super::{Course, Progress, declared, parent_id};
use crate::arm::operation::{self, Plan};
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

/// Returns the id of the resource on which a write of that id is in progress: itself, or the parent of a child.
fn root_of<'a>(state: &CloudState, id: &'a str) -> &'a str {
    let is_known = |id: &str| state.tracked.get(id).is_some();
    let is_child = is_known(parent_id(id));
    if is_child { parent_id(id) } else { id }
}

/// Lets the write in progress on a resource, or on one of its children, fail. Returns whether there was one.
pub(crate) fn fail_operation(state: &mut CloudState, id: &str) -> bool {
    let root = root_of(state, id);
    let below: Vec<String> = state.tracked.below(root).iter().map(|one| one.id.clone()).collect();
    let Some(resource) = state.tracked.get_mut(root) else { return false };
    let fails = resource.fail();
    for id in below {
        state.tracked.get_mut(&id).map(super::Resource::fail);
    }
    fails
}

/// Lets a resource take effect later than it would. Returns whether it exists.
pub(crate) fn postpone(state: &mut CloudState, id: &str, cloud_seconds: f64, timing: &Timing) -> bool {
    let Some(resource) = state.tracked.get_mut(id) else { return false };
    resource.effective = timing.delayed_until(resource.effective, cloud_seconds);
    true
}

/// Starts a write by another client on a sibling of a resource, which takes that long. Returns whether the parent
/// exists and had no write in progress.
pub(crate) fn start_write_of_sibling(
    state: &mut CloudState,
    id: &str,
    cloud_seconds: f64,
    now: SimTime,
    timing: &Timing,
) -> bool {
    let Some(parent) = state.tracked.get_mut(parent_id(id)).filter(|parent| parent.busy_until(now).is_none())
    else {
        return false;
    };
    parent.start(Progress::Updating, timing.after(now, cloud_seconds).max(now.plus_ms(1)));
    true
}

/// Starts a write by another client that changes nothing. Returns whether the resource exists and had no write in
/// progress.
pub(crate) fn start_noop_write(state: &mut CloudState, id: &str, now: SimTime, timing: &Timing) -> bool {
    let root = root_of(state, id);
    let Some(found) = state.tracked.get(root).filter(|root| root.busy_until(now).is_none()) else {
        return false;
    };
    let Some(declared) = declared(state, found.kind()) else { return false };
    let Course::Operation { name, style, retry_after } = declared.put.course else { return false };
    let (id, location) = (found.id.clone(), found.location.clone());
    let done = timing.after(now, declared.put.seconds).max(now.plus_ms(1));
    if let Some(resource) = state.tracked.get_mut(&id) {
        resource.start(Progress::Updating, done);
    }
    let plan = Plan {
        resource: &id,
        provider: declared.parts().0,
        location: &location,
        name,
        style,
        api_version: declared.versions.last().copied().unwrap_or_default(),
        retry_after: Some(retry_after),
        signed: false,
    };
    operation::begin(state, &plan, now, done);
    true
}
