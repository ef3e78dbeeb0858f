//! Management locks in the state.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arm::id;

pub(super) const KIND: &str = "Microsoft.Authorization/locks";

/// The level of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Forbids deletions.
    CanNotDelete,
    /// Forbids deletions and writes.
    ReadOnly,
}

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The name, unique at its scope.
    pub name: String,
    /// The scope, in its original case.
    pub scope: String,
    /// The level.
    pub level: Level,
    /// The notes of its creator.
    pub notes: Option<String>,
}

impl Lock {
    pub(super) fn id(&self) -> String {
        format!("{}/providers/{KIND}/{}", self.scope, self.name)
    }

    pub(super) fn body(&self) -> Value {
        let mut properties = json!({ "level": self.level });
        if let Some(notes) = &self.notes {
            properties["notes"] = json!(notes);
        }
        json!({ "id": self.id(), "name": self.name, "type": KIND, "properties": properties })
    }

    /// Returns whether the lock refuses the method on a scope; `whole` if the request affects everything
    /// below the scope.
    pub(super) fn refuses(&self, method: &Method, scope: &str, whole: bool) -> bool {
        let above = id::within(scope, &self.scope);
        match *method {
            Method::DELETE => above || (whole && id::within(&self.scope, scope)),
            Method::PUT | Method::PATCH | Method::POST => above && self.level == Level::ReadOnly,
            _ => false,
        }
    }
}

/// All locks, by lower-case id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Locks(pub(super) BTreeMap<String, Lock>);

impl Locks {
    /// Adds a lock without checks.
    pub fn set(&mut self, lock: Lock) {
        self.0.insert(id::key(&lock.id()), lock);
    }

    /// Removes the locks of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|_, lock| lock.name != name);
    }

    /// Returns whether there is a lock of that name at that scope.
    pub(crate) fn holds(&self, scope: &str, name: &str) -> bool {
        self.0.values().any(|lock| lock.name == name && id::same(&lock.scope, scope))
    }
}
