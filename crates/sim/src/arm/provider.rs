//! The resource families (providers) of the simulated cloud.
//!
//! Most resource types need none: each is a row of [`TABLE`](super::TABLE).
//! To add one: a module with its state (a field of [`CloudState`]), its handlers, and a [`Provider`]; then one row
//! in [`PROVIDERS`]. A family never runs by itself. It stores the instants of its state changes, returns the
//! earliest, and applies each change when the clock reaches it.

use serde_json::Value;

use crate::arm::{
    Route, clusters, dns, features, groups, locks, networks, operation, policies, provider_registration,
    resource_type, roles, storage, subscriptions, vaults,
};
use crate::clock::{SimTime, Timing};
use crate::fault;
use crate::state::CloudState;

/// A family of resource types: its routes, its resources in a group, and its timed state changes.
pub struct Provider {
    /// The name in logs.
    pub name: &'static str,
    /// The routes of the family.
    pub routes: fn() -> Vec<Route>,
    /// Returns the ARM bodies of its top-level resources in a group (by name, case-insensitive).
    pub members: fn(&CloudState, group: &str) -> Vec<Value>,
    /// Starts the deletion of all its resources in a group, not before `from`. Returns when the last one will
    /// be gone. `from` is the instant at which everything listed before it in [`DELETION_ORDER`] is gone.
    pub delete_members: fn(&mut CloudState, group: &str, from: SimTime, timing: &Timing) -> SimTime,
    /// Returns the instant of its earliest pending change, past or future.
    pub next_due: fn(&CloudState) -> Option<SimTime>,
    /// Applies every change due at or before `due`, with the timestamp `due`.
    pub advance_to: fn(&mut CloudState, due: SimTime, timing: &Timing),
}

impl Provider {
    /// A family without group members and timed changes; override the fields that differ.
    pub const fn stateless(name: &'static str, routes: fn() -> Vec<Route>) -> Self {
        Self {
            name,
            routes,
            members: |_, _| Vec::new(),
            delete_members: |_, _, from, _| from,
            next_due: |_| None,
            advance_to: |_, _, _| {},
        }
    }
}

/// All families, in the order in which changes due at the same instant are applied.
pub const PROVIDERS: &[Provider] = &[
    Provider::stateless("subscriptions", subscriptions::routes),
    Provider::stateless("operations", operation::routes),
    provider_registration::PROVIDER,
    features::PROVIDER,
    roles::PROVIDER,
    policies::PROVIDER,
    locks::PROVIDER,
    resource_type::PROVIDER,
    networks::PROVIDER,
    storage::PROVIDER,
    dns::PROVIDER,
    vaults::PROVIDER,
    clusters::PROVIDER,
    groups::PROVIDER,
    fault::delay::PROVIDER,
];

/// The order in which the members of a deleted group go: dependents before their dependencies.
pub const DELETION_ORDER: &[&Provider] =
    &[&clusters::PROVIDER, &vaults::PROVIDER, &dns::PROVIDER, &resource_type::PROVIDER];
