//! Preview features in the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::SimTime;

/// A feature with its registration state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Feature {
    /// `Microsoft.ContainerService/Name`.
    pub(super) name: String,
    pub(super) state: String,
    /// The end of `Registering` or `Unregistering`.
    pub(super) done: Option<SimTime>,
}

/// The features that still exist, by lower-case name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Features {
    pub(super) features: BTreeMap<String, Feature>,
}

impl Features {
    /// Creates features of those names, not registered.
    pub fn new(names: &[String]) -> Self {
        let feature =
            |name: &String| Feature { name: name.clone(), state: "NotRegistered".to_owned(), done: None };
        Self { features: names.iter().map(|name| (name.to_ascii_lowercase(), feature(name))).collect() }
    }

    /// Restores a removed feature as not registered; returns whether it was missing.
    pub(crate) fn restore(&mut self, name: &str) -> bool {
        let is_missing = !self.features.contains_key(&name.to_ascii_lowercase());
        if is_missing {
            self.features.extend(Self::new(&[name.to_owned()]).features);
        }
        is_missing
    }

    /// Removes a feature, as general availability does; returns whether it existed.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.features.remove(&name.to_ascii_lowercase()).is_some()
    }

    /// Returns whether a feature (`Microsoft.ContainerService/Name`) can be used: it is registered, or no
    /// longer needed.
    pub fn allows(&self, name: &str) -> bool {
        self.features.get(&name.to_ascii_lowercase()).is_none_or(|feature| feature.state == "Registered")
    }
}
