//! Quota of a subscription per region: cores, public addresses, VM sizes.
//!
//! Every region starts with the quota of a new subscription. Azure support raises and lowers it. In Resource
//! Manager the change is visible only in usages and errors; both read it from here, so they agree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The usage row of all cores together.
pub const ALL_CORES: &str = "cores";
/// The usage row of public addresses.
pub const PUBLIC_ADDRESSES: &str = "PublicIPAddresses";

/// The core quota of a new subscription per region, for each family and for all together.
const CORES: u64 = 100;
/// The quota of public addresses of a new subscription per region.
const ADDRESSES: u64 = 1000;

/// The changed limits, by region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The limits by `{region}/{row}`, lower case.
    changed: BTreeMap<String, u64>,
    /// The withheld sizes, `{region}/{size}`, lower case.
    withheld: BTreeSet<String>,
}

impl Limits {
    /// Returns the limit of a usage row: [`ALL_CORES`], a VM family, or [`PUBLIC_ADDRESSES`].
    pub fn of(&self, location: &str, row: &str) -> u64 {
        let usual = if row.eq_ignore_ascii_case(PUBLIC_ADDRESSES) { ADDRESSES } else { CORES };
        self.changed.get(&key(location, row)).copied().unwrap_or(usual)
    }

    /// Returns the limit of public addresses if it was changed.
    pub fn changed_addresses(&self, location: &str) -> Option<u64> {
        self.changed.get(&key(location, PUBLIC_ADDRESSES)).copied()
    }

    /// Sets a limit, as Azure support does.
    pub fn set(&mut self, location: &str, row: &str, limit: u64) {
        self.changed.insert(key(location, row), limit);
    }

    /// Withholds a VM size from the subscription in a region, as happens when capacity is short.
    pub fn withhold(&mut self, location: &str, size: &str) {
        self.withheld.insert(key(location, size));
    }

    /// Returns whether a VM size is withheld from the subscription in a region.
    pub fn withholds(&self, location: &str, size: &str) -> bool {
        self.withheld.contains(&key(location, size))
    }

    /// Applies a document `{"location", "limits": {row: limit}, "withheld": [size]}`.
    ///
    /// # Errors
    /// A message about the invalid property.
    pub fn change(&mut self, desired: &Value) -> Result<(), String> {
        let location = desired["location"].as_str().ok_or("location must name a region")?;
        for (row, limit) in desired["limits"].as_object().into_iter().flatten() {
            let limit = limit.as_u64().ok_or_else(|| format!("the limit of {row} must be a whole number"))?;
            self.set(location, row, limit);
        }
        for size in desired["withheld"].as_array().into_iter().flatten() {
            self.withhold(location, size.as_str().ok_or("withheld must list names of sizes")?);
        }
        Ok(())
    }

    /// Returns the changes from the initial limits.
    pub fn view(&self) -> Value {
        json!({ "limits": self.changed, "withheld": self.withheld })
    }
}

fn key(location: &str, row: &str) -> String {
    format!("{}/{}", location.replace(' ', ""), row).to_ascii_lowercase()
}

/// Returns a usage row in the format of Compute and Network.
pub(crate) fn usage(id: &str, row: &str, label: &str, used: u64, limit: u64) -> Value {
    json!({
        "id": format!("{id}/{row}"),
        "unit": "Count",
        "currentValue": used,
        "limit": limit,
        "name": { "value": row, "localizedValue": label },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_the_regions_own_and_compared_without_case() {
        let mut limits = Limits::default();
        limits
            .change(&json!({ "location": "eastus", "limits": { "standardDSv5Family": 10 }, "withheld": ["Standard_D2s_v5"] }))
            .unwrap();
        assert_eq!(limits.of("EastUS", "standarddsv5family"), 10);
        assert_eq!(limits.of("eastus2", "standardDSv5Family"), 100);
        assert!(limits.withholds("East US", "standard_d2s_v5"));
        assert!(limits.change(&json!({ "location": "eastus", "limits": { "cores": "ten" } })).is_err());
    }
}
