//! The resource family of the declared types.

use serde_json::Value;

use super::{Course, Progress, Resource, Write, declared, lifecycle};
use crate::arm::Provider;
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

/// The family of the declared types. Their routes come from the table of types.
pub const PROVIDER: Provider = Provider {
    members,
    delete_members,
    next_due: |state| state.tracked.next_due(),
    advance_to: lifecycle::advance_to,
    ..Provider::stateless("tracked", Vec::new)
};

fn members(state: &CloudState, group: &str) -> Vec<Value> {
    let top = |one: &&Resource| {
        declared(state, one.kind()).is_some_and(|declared| declared.child_parts().is_none())
    };
    state.tracked.in_group(group).filter(top).map(|one| one.body(state)).collect()
}

/// Starts the deletion of the resources of a group. A type with a synchronous deletion takes no time here.
fn delete_members(state: &mut CloudState, group: &str, from: SimTime, timing: &Timing) -> SimTime {
    let ids: Vec<String> = state.tracked.in_group(group).map(|one| one.id.clone()).collect();
    let mut last = from;
    for id in ids {
        let kind = state.tracked.get(&id).map(Resource::kind).unwrap_or_default();
        let seconds = match declared(state, kind).map(|declared| declared.delete) {
            Some(Write { course: Course::Operation { .. }, seconds }) => seconds,
            _ => 0.0,
        };
        let done = timing.after(from, seconds);
        if let Some(resource) = state.tracked.get_mut(&id) {
            resource.start(Progress::Deleting, done);
        }
        last = last.max(done);
    }
    last
}
