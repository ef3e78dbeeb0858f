//! Resource types that are declared as data: one [`ResourceType`], one store, one set of handlers.
//!
//! To add a type: a file with its [`ResourceType`], and one row in [`TABLE`]. Routes, rights,
//! registration of the namespace, group membership, operations, preconditions, paging, deletion with the group and
//! persistence follow from the declaration. A declaration names only what differs from [`ResourceType::new`]:
//!
//! ```ignore
//! pub const TYPE: ResourceType = ResourceType {
//!     versions: &["2023-09-01"],
//!     put: Write::in_background(15.0),
//!     ..ResourceType::new("Microsoft.OperationalInsights/workspaces")
//! };
//! ```
//!
//! A kind with two names is a child: its resources are below a resource of its parent's kind. It must stand after its
//! parent in the table. What a type does beyond this is in its [`Hooks`].

mod declaration;
mod handlers;
mod location;
mod store;
mod test_hooks;
#[cfg(test)]
pub(super) mod tests;

use std::sync::LazyLock;

use serde_json::Value;

use crate::arm::provider::Provider;
use crate::arm::{Call, Route, TABLE, id};
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

pub use declaration::{Action, Course, Draft, Hooks, Location, Properties, ResourceType, Write};
pub use store::{Progress, Resource, Resources};
pub(crate) use test_hooks::{fail_operation, postpone, start_noop_write};

/// Returns the declaration of a type.
pub(super) fn declared(kind: &str) -> Option<&'static ResourceType> {
    TABLE.iter().copied().find(|declared| declared.kind.eq_ignore_ascii_case(kind))
}

/// The family of the declared types.
pub const PROVIDER: Provider = Provider {
    members,
    delete_members,
    next_due: |state| state.tracked.next_due(),
    advance_to: store::advance_to,
    ..Provider::stateless("tracked", || ROUTES.clone())
};

/// The patterns are formatted once per process.
static ROUTES: LazyLock<Vec<Route>> =
    LazyLock::new(|| TABLE.iter().flat_map(|declared| declared.routes()).collect());

fn members(state: &CloudState, group: &str) -> Vec<Value> {
    let top = |one: &&Resource| declared(one.kind()).is_some_and(|declared| declared.child_parts().is_none());
    state.tracked.in_group(group).filter(top).map(|one| one.body(state)).collect()
}

/// Starts the deletion of the resources of a group. A type with a synchronous deletion takes no time here.
fn delete_members(state: &mut CloudState, group: &str, from: SimTime, timing: &Timing) -> SimTime {
    let ids: Vec<String> = state.tracked.in_group(group).map(|one| one.id.clone()).collect();
    let mut last = from;
    for id in ids {
        let Some(resource) = state.tracked.get_mut(&id) else { continue };
        let seconds = match declared(resource.kind()).map(|declared| declared.delete) {
            Some(Write { course: Course::Operation { .. }, seconds }) => seconds,
            _ => 0.0,
        };
        let done = timing.after(from, seconds);
        resource.start(Progress::Deleting, done);
        last = last.max(done);
    }
    last
}

/// Deletes the resources of a group at once, as with the owner of a managed group.
pub(super) fn drop_group(state: &mut CloudState, group: &str) {
    let ids: Vec<String> = state.tracked.in_group(group).map(|one| one.id.clone()).collect();
    ids.iter().for_each(|id| store::remove(state, id));
}

/// Stores a resource that the service itself creates or updates.
pub(super) fn set(state: &mut CloudState, resource: Resource) {
    state.tracked.insert(resource);
}

/// Deletes a resource and its children at once.
pub(super) fn remove(state: &mut CloudState, id: &str) {
    store::remove(state, id);
}

/// Returns the id of the resource in a call's URL.
pub(super) fn requested_id(call: &Call<'_>) -> String {
    let declared = declared(call.route.kind);
    let groups = match declared.is_some_and(|declared| declared.lower_case_group) {
        true => "resourcegroups",
        false => "resourceGroups",
    };
    let path = declared.map(ResourceType::path).unwrap_or_default().replace("{parent}", call.param("parent"));
    let (subscription, group, name) = (call.param("subscription"), call.param("group"), call.param("name"));
    format!("/subscriptions/{subscription}/{groups}/{group}{path}/{name}")
}

/// Returns the id of a child's parent. The child's name may be empty, as in the URL of a list.
pub(super) fn parent_id(child: &str) -> &str {
    child.rsplitn(3, '/').nth(2).unwrap_or_default()
}

/// Returns whether an id is in a group.
fn is_in_group(id: &str, group: &str) -> bool {
    id::part(id, "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
}
