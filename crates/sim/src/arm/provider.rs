//! Resource families (providers), and the registry through which they reach each other.
//!
//! Most resource types need no family: each is a row of [`TABLE`](crate::registry::TABLE).
//! To add one: a folder with its slice of the state (`store.rs`, a field of [`CloudState`](crate::state::CloudState)),
//! its handlers, and a [`Provider`]; then one row in [`PROVIDERS`](crate::registry::PROVIDERS). A family never runs by
//! itself. It stores the instants of its state changes, returns the earliest, and applies each change when the clock
//! reaches it.
//!
//! The types are generic over the state `S`, because the state holds the [`Registry`]: it applies the changes of all
//! families and imports none.

use serde_json::Value;

use crate::aks::VaultReader;
use crate::arm::resource_type::declaration::ResourceType;
use crate::arm::route::Route;
use crate::clock::{SimTime, Timing};

/// A family of resource types: its routes, its resources in a group, and its timed state changes.
pub struct Provider<S> {
    /// The name in logs.
    pub name: &'static str,
    /// The routes of the family.
    pub routes: fn() -> Vec<Route<S>>,
    /// Returns the ARM bodies of its top-level resources in a group (by name, case-insensitive).
    pub members: fn(&S, group: &str) -> Vec<Value>,
    /// Starts the deletion of all its resources in a group, not before `from`. Returns when the last one will
    /// be gone. `from` is the instant at which everything listed before it in [`Registry::deletion_order`] is gone.
    pub delete_members: fn(&mut S, group: &str, from: SimTime, timing: &Timing) -> SimTime,
    /// Returns the instant of its earliest pending change, past or future.
    pub next_due: fn(&S) -> Option<SimTime>,
    /// Returns the instant of its earliest pending change that other families see; `None` if they see all.
    pub next_visible: Option<fn(&S) -> Option<SimTime>>,
    /// Applies every change due at or before `due`, with the timestamp `due`.
    pub advance_to: fn(&mut S, due: SimTime, timing: &Timing),
}

impl<S> Provider<S> {
    /// A family without group members and timed changes; override the fields that differ.
    pub const fn stateless(name: &'static str, routes: fn() -> Vec<Route<S>>) -> Self {
        Self {
            name,
            routes,
            members: |_, _| Vec::new(),
            delete_members: |_, _, from, _| from,
            next_due: |_| None,
            next_visible: None,
            advance_to: |_, _, _| {},
        }
    }
}

/// The parts that the families and the state reach without an import.
pub struct Registry<S: 'static> {
    /// All families, in the order in which changes due at the same instant are applied.
    pub providers: &'static [Provider<S>],
    /// The order in which the members of a deleted group go: dependents before their dependencies.
    pub deletion_order: &'static [&'static Provider<S>],
    /// The resource types that are declared as data.
    pub types: &'static [&'static ResourceType<S>],
    /// Returns the route table.
    pub routes: fn() -> &'static [Route<S>],
    /// Returns the access of a cluster's nodes to vaults and to the token endpoint.
    pub vault_reader: for<'a> fn(&'a S) -> Box<dyn VaultReader + 'a>,
}

impl<S> Registry<S> {
    /// Returns the registry of a state that is being read, before it has its own.
    pub fn empty() -> &'static Self {
        &Self {
            providers: &[],
            deletion_order: &[],
            types: &[],
            routes: || &[],
            vault_reader: |_| unreachable!("clusters advance only in a state with a registry"),
        }
    }

    /// Returns the bodies of all top-level resources in a group.
    pub fn members<'a>(&self, state: &'a S, group: &'a str) -> impl Iterator<Item = Value> + use<'a, S> {
        self.providers.iter().flat_map(move |provider| (provider.members)(state, group))
    }
}

impl<S> std::fmt::Debug for Registry<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.providers.iter().map(|provider| provider.name)).finish()
    }
}
