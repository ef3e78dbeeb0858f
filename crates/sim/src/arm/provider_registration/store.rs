//! The registrations of resource providers in the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::SimTime;

/// The state of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Registration {
    NotRegistered,
    Registering { done: SimTime },
    Registered,
    Unregistering { done: SimTime },
    Unregistered,
}

impl Registration {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotRegistered => "NotRegistered",
            Self::Registering { .. } => "Registering",
            Self::Registered => "Registered",
            Self::Unregistering { .. } => "Unregistering",
            Self::Unregistered => "Unregistered",
        }
    }

    pub(super) const fn due(self) -> Option<SimTime> {
        match self {
            Self::Registering { done } | Self::Unregistering { done } => Some(done),
            _ => None,
        }
    }
}

/// The registrations of the subscription, by namespace in Azure's spelling.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Providers {
    pub(super) registrations: BTreeMap<String, Registration>,
}

impl Providers {
    /// Creates a subscription in which everything is registered except those namespaces. `known` has all namespaces,
    /// and whether they are always registered.
    pub fn new(unregistered: &[String], known: impl Iterator<Item = (&'static str, bool)>) -> Self {
        let missing =
            |namespace: &str| unregistered.iter().any(|other| other.eq_ignore_ascii_case(namespace));
        let registrations = known.map(|(namespace, always)| {
            let registration = if missing(namespace) && !always {
                Registration::NotRegistered
            } else {
                Registration::Registered
            };
            (namespace.to_owned(), registration)
        });
        Self { registrations: registrations.collect() }
    }
}
