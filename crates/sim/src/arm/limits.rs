//! How much a subscription may use of a region: cores, public addresses, sizes of machines.
//!
//! Every region begins with what a new subscription has. Support raises and lowers it, which nobody sees in Resource
//! Manager but by its usages and its refusals; both read from here, so they cannot disagree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The row of all cores together, as usages and limits name it.
pub const ALL_CORES: &str = "cores";
/// The row of public addresses, as usages and limits name it.
pub const PUBLIC_ADDRESSES: &str = "PublicIPAddresses";

/// Cores that a new subscription may use of one family, and of all together, in a region.
const CORES: u64 = 100;
/// Public addresses that a new subscription may have in a region.
const ADDRESSES: u64 = 1000;

/// The limits that are not as they were in the beginning, by region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// By `{region}/{row}`, lower case.
    changed: BTreeMap<String, u64>,
    /// `{region}/{size}`, lower case.
    withheld: BTreeSet<String>,
}

impl Limits {
    /// Returns the limit of a row of usages: [`ALL_CORES`], a family of machines, or [`PUBLIC_ADDRESSES`].
    pub fn of(&self, location: &str, row: &str) -> u64 {
        let usual = if row.eq_ignore_ascii_case(PUBLIC_ADDRESSES) { ADDRESSES } else { CORES };
        self.changed.get(&key(location, row)).copied().unwrap_or(usual)
    }

    /// Returns the limit of public addresses where it is another than a new subscription's.
    pub fn changed_addresses(&self, location: &str) -> Option<u64> {
        self.changed.get(&key(location, PUBLIC_ADDRESSES)).copied()
    }

    /// Sets a limit, as support does.
    pub fn set(&mut self, location: &str, row: &str, limit: u64) {
        self.changed.insert(key(location, row), limit);
    }

    /// Withholds a size from the subscription in a region, as happens where capacity is short.
    pub fn withhold(&mut self, location: &str, size: &str) {
        self.withheld.insert(key(location, size));
    }

    /// Whether the subscription may not have machines of that size there.
    pub fn withholds(&self, location: &str, size: &str) -> bool {
        self.withheld.contains(&key(location, size))
    }

    /// Changes what a document says: `{"location", "limits": {row: limit}, "withheld": [size]}`.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn change(&mut self, wished: &Value) -> Result<(), String> {
        let location = wished["location"].as_str().ok_or("location must name a region")?;
        for (row, limit) in wished["limits"].as_object().into_iter().flatten() {
            let limit = limit.as_u64().ok_or_else(|| format!("the limit of {row} must be a whole number"))?;
            self.set(location, row, limit);
        }
        for size in wished["withheld"].as_array().into_iter().flatten() {
            self.withhold(location, size.as_str().ok_or("withheld must list names of sizes")?);
        }
        Ok(())
    }

    /// Shows what is not as it was in the beginning.
    pub fn view(&self) -> Value {
        json!({ "limits": self.changed, "withheld": self.withheld })
    }
}

fn key(location: &str, row: &str) -> String {
    format!("{}/{}", location.replace(' ', ""), row).to_ascii_lowercase()
}

/// Writes a row of usages as Compute and Network write it.
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
