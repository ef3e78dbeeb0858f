//! Resource ids: case-preserving, and compared without case.
//!
//! Services return `resourcegroups` for `resourceGroups` and `microsoft.keyvault` for `Microsoft.KeyVault`
//! (<https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>). Ids must
//! therefore never be compared as strings.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// The id of a resource, a group or a subscription, in its original case.
///
/// ```
/// use landfall_cloud::arm::ResourceId;
/// let id = ResourceId::new("/subscriptions/0f3a/resourceGroups/rg-demo/providers/Microsoft.KeyVault/vaults/kv");
/// assert_eq!((id.name(), id.resource_group()), ("kv", Some("rg-demo")));
/// assert!(id.is_within("/subscriptions/0F3A/resourcegroups/RG-DEMO"));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceId(String);

/// Returns whether two ids name the same resource.
pub fn same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (segments(one), segments(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(its), Some(others)) if its.eq_ignore_ascii_case(others) => {}
            _ => return false,
        }
    }
}

impl ResourceId {
    /// Creates an id from a string of a service or a user.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id in its original case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last segment: the resource's name.
    pub fn name(&self) -> &str {
        segments(&self.0).last().unwrap_or_default()
    }

    /// Returns the subscription's id.
    pub fn subscription(&self) -> Option<&str> {
        self.after("subscriptions")
    }

    /// Returns the name of the resource group.
    pub fn resource_group(&self) -> Option<&str> {
        self.after("resourceGroups")
    }

    /// Returns whether this is `scope` itself or below it.
    pub fn is_within(&self, scope: &str) -> bool {
        let mut own = segments(&self.0);
        segments(scope).all(|wanted| own.next().is_some_and(|has| has.eq_ignore_ascii_case(wanted)))
    }

    /// Returns the id of a child of this one; `rest` begins without a slash.
    pub fn join(&self, rest: &str) -> Self {
        Self(format!("{}/{rest}", self.0.trim_end_matches('/')))
    }

    fn after(&self, marker: &str) -> Option<&str> {
        let mut segments = segments(&self.0);
        segments.find(|segment| segment.eq_ignore_ascii_case(marker))?;
        segments.next()
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for ResourceId {}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        segments(&self.0).for_each(|segment| segment.to_ascii_lowercase().hash(state));
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn segments(id: &str) -> impl Iterator<Item = &str> {
    id.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const VAULT: &str = "/subscriptions/S1/resourceGroups/rg-Demo/providers/Microsoft.KeyVault/vaults/kv";

    #[test]
    fn ids_ignore_case_and_trailing_slashes() {
        let shouted = format!("{}/", VAULT.to_uppercase());
        assert!(same(VAULT, &shouted));
        let both: HashSet<_> = [ResourceId::new(VAULT), ResourceId::new(shouted)].into_iter().collect();
        assert_eq!(both.len(), 1);
        assert!(!same(VAULT, "/subscriptions/S1/resourceGroups/rg-Demo"));
        assert!(!same(VAULT, &format!("{VAULT}2")));
    }

    #[test]
    fn segments_are_found_in_either_spelling() {
        let id = ResourceId::new(
            "/subscriptions/S1/resourcegroups/rg-Demo/providers/microsoft.keyvault/vaults/kv",
        );
        assert_eq!((id.subscription(), id.resource_group(), id.name()), (Some("S1"), Some("rg-Demo"), "kv"));
        assert!(id.is_within("/SUBSCRIPTIONS/s1/resourceGroups/RG-demo"));
        assert!(!id.is_within("/subscriptions/S1/resourceGroups/rg"));
        assert_eq!(ResourceId::new("/a/b/").join("c").as_str(), "/a/b/c");
    }
}
