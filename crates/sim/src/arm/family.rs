//! The families of resource types in a world, and what each owes to it.
//!
//! To add one: a module with its state (a field of [`World`]), its handlers, and a [`Family`]; then one row in
//! [`FAMILIES`]. A family never runs by itself: it stores the instants at which its things change, tells the
//! earliest, and changes them when the world reaches it.

use serde_json::Value;

use crate::arm::{
    Route, clusters, dns, features, groups, locks, networks, operation, policies, providers, roles,
    subscriptions, vaults,
};
use crate::clock::{Moment, Timing};
use crate::fault;
use crate::world::World;

/// What a family of resource types owes to the world.
pub struct Family {
    /// Its name in logs.
    pub name: &'static str,
    /// The routes it answers.
    pub routes: fn() -> Vec<Route>,
    /// Returns the ARM bodies of its top-level resources in a group (by name, compared without case).
    pub members: fn(&World, group: &str) -> Vec<Value>,
    /// Begins to delete all its resources in a group, not before `from`; returns when the last will be gone.
    /// `from` is the instant at which everything listed before it in [`DELETION_ORDER`] is gone.
    pub delete_members: fn(&mut World, group: &str, from: Moment, timing: &Timing) -> Moment,
    /// Returns the instant of its earliest change that has not been made yet, past or future.
    pub next_due: fn(&World) -> Option<Moment>,
    /// Makes every change due at or before `due`, stamped with `due`.
    pub settle: fn(&mut World, due: Moment, timing: &Timing),
}

impl Family {
    /// A family whose things neither live in groups nor change by themselves; override what differs.
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

/// Every family, in the order in which changes due at the same instant are made.
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

/// The order in which a dying group's members go: what uses others goes before what is used.
pub const DELETION_ORDER: &[&Family] = &[&clusters::FAMILY, &vaults::FAMILY, &dns::FAMILY, &networks::FAMILY];
