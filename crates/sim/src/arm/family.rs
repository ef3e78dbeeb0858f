//! The resource families (providers) of the simulated cloud.
//!
//! To add one: a module with its state (a field of [`World`]), its handlers, and a [`Family`]; then one row
//! in [`FAMILIES`]. A family never runs by itself. It stores the instants of its state changes, returns the
//! earliest, and applies each change when the clock reaches it.

use serde_json::Value;

use crate::arm::{
    Route, clusters, dns, features, groups, locks, networks, operation, policies, providers, roles,
    subscriptions, vaults,
};
use crate::clock::{Moment, Timing};
use crate::fault;
use crate::world::World;

/// A family of resource types: its routes, its resources in a group, and its timed state changes.
pub struct Family {
    /// The name in logs.
    pub name: &'static str,
    /// The routes of the family.
    pub routes: fn() -> Vec<Route>,
    /// Returns the ARM bodies of its top-level resources in a group (by name, case-insensitive).
    pub members: fn(&World, group: &str) -> Vec<Value>,
    /// Starts the deletion of all its resources in a group, not before `from`. Returns when the last one will
    /// be gone. `from` is the instant at which everything listed before it in [`DELETION_ORDER`] is gone.
    pub delete_members: fn(&mut World, group: &str, from: Moment, timing: &Timing) -> Moment,
    /// Returns the instant of its earliest pending change, past or future.
    pub next_due: fn(&World) -> Option<Moment>,
    /// Applies every change due at or before `due`, with the timestamp `due`.
    pub settle: fn(&mut World, due: Moment, timing: &Timing),
}

impl Family {
    /// A family without group members and timed changes; override the fields that differ.
    pub const fn still(name: &'static str, routes: fn() -> Vec<Route>) -> Self {
        Self {
            name,
            routes,
            members: |_, _| Vec::new(),
            delete_members: |_, _, from, _| from,
            next_due: |_| None,
            settle: |_, _, _| {},
        }
    }
}

/// All families, in the order in which changes due at the same instant are applied.
pub const FAMILIES: &[Family] = &[
    Family::still("subscriptions", subscriptions::routes),
    Family::still("operations", operation::routes),
    providers::FAMILY,
    features::FAMILY,
    roles::FAMILY,
    policies::FAMILY,
    locks::FAMILY,
    networks::FAMILY,
    dns::FAMILY,
    vaults::FAMILY,
    clusters::FAMILY,
    groups::FAMILY,
    fault::lag::FAMILY,
];

/// The order in which the members of a deleted group go: dependents before their dependencies.
pub const DELETION_ORDER: &[&Family] = &[&clusters::FAMILY, &vaults::FAMILY, &dns::FAMILY, &networks::FAMILY];
