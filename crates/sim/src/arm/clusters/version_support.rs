//! Kubernetes versions with which a cluster can be created on a given day.
//!
//! Source: the AKS Kubernetes release calendar ("Supported Kubernetes versions in AKS"). A month there means
//! its last day. During community support a version is available on every tier. After that only long-term
//! support offers it, which requires the Premium tier and the plan `AKSLongTermSupport`.

use jiff::civil::{Date, date};
use serde_json::{Map, Value, json};

/// The plan with community support only.
pub(crate) const COMMUNITY: &str = "KubernetesOfficial";
/// The support plan that adds a second year of support for a version.
pub(crate) const LONG_TERM: &str = "AKSLongTermSupport";

/// One minor version with its support dates, both ends inclusive.
pub(crate) struct Release {
    /// The minor version, such as `1.35`.
    pub(crate) minor: &'static str,
    generally: Date,
    community_until: Date,
    long_term_until: Date,
    /// The full patch versions, ascending.
    patches: &'static [&'static str],
}

const RELEASES: &[Release] = &[
    Release {
        minor: "1.32",
        generally: date(2025, 3, 31),
        community_until: date(2026, 3, 31),
        long_term_until: date(2027, 3, 31),
        patches: &["1.32.10", "1.32.11"],
    },
    Release {
        minor: "1.33",
        generally: date(2025, 6, 30),
        community_until: date(2026, 7, 31),
        long_term_until: date(2027, 7, 31),
        patches: &["1.33.7", "1.33.8"],
    },
    Release {
        minor: "1.34",
        generally: date(2025, 11, 30),
        community_until: date(2026, 11, 30),
        long_term_until: date(2027, 11, 30),
        patches: &["1.34.3", "1.34.4"],
    },
    Release {
        minor: "1.35",
        generally: date(2026, 3, 31),
        community_until: date(2027, 3, 31),
        long_term_until: date(2028, 3, 31),
        patches: &["1.35.1", "1.35.2"],
    },
    Release {
        minor: "1.36",
        generally: date(2026, 6, 30),
        community_until: date(2027, 6, 30),
        long_term_until: date(2028, 6, 30),
        patches: &["1.36.0", "1.36.1"],
    },
    Release {
        minor: "1.37",
        generally: date(2026, 10, 31),
        community_until: date(2027, 10, 31),
        long_term_until: date(2028, 10, 31),
        patches: &["1.37.0"],
    },
];

impl Release {
    /// Returns whether the version is in community support on that day: any tier can create a cluster with
    /// it.
    pub(crate) fn community(&self, today: Date) -> bool {
        self.generally <= today && today <= self.community_until
    }

    /// Returns whether the version is in any support on that day.
    pub(crate) fn offered(&self, today: Date) -> bool {
        self.generally <= today && today <= self.long_term_until
    }

    /// Returns the newest patch, which a cluster runs if only a minor version was requested.
    pub(crate) fn newest(&self) -> &'static str {
        self.patches.last().expect("every release of the table has a patch")
    }
}

/// Resolves a requested version (`1.35` or `1.35.2`) to its release and full version. Returns `None` if the
/// region does not offer it.
pub(crate) fn resolve(desired: &str, today: Date) -> Option<(&'static Release, &'static str)> {
    offered(today).into_iter().find_map(|release| {
        if release.minor == desired {
            return Some((release, release.newest()));
        }
        release.patches.iter().find(|patch| **patch == desired).map(|patch| (release, *patch))
    })
}

/// Returns the default release of a new cluster: the second newest in community support.
pub(crate) fn default_release(today: Date) -> &'static Release {
    let all: Vec<_> = RELEASES.iter().filter(|release| release.community(today)).collect();
    let behind = all.len().saturating_sub(2);
    // After the last day of the table the newest row is the fallback: a cloud always offers some version.
    all.get(behind).copied().unwrap_or(&RELEASES[RELEASES.len() - 1])
}

fn offered(today: Date) -> Vec<&'static Release> {
    let mut all: Vec<_> = RELEASES.iter().filter(|release| release.offered(today)).collect();
    if all.is_empty() {
        all.push(default_release(today));
    }
    all
}

/// Returns the response body of `locations/{location}/kubernetesVersions`.
pub(crate) fn listing(today: Date) -> Value {
    let default = default_release(today).minor;
    let values: Vec<Value> = offered(today)
        .into_iter()
        .map(|release| {
            let mut plans = vec![];
            if release.community(today) || release.minor == default {
                plans.push(COMMUNITY);
            }
            plans.push(LONG_TERM);
            let mut patches = Map::new();
            for patch in release.patches {
                patches.insert((*patch).to_owned(), json!({"upgrades": upgrades(release, patch, today)}));
            }
            json!({
                "version": release.minor,
                "capabilities": {"supportPlan": plans},
                "isDefault": release.minor == default,
                "patchVersions": patches,
            })
        })
        .collect();
    json!({"values": values})
}

/// Returns the versions to which a cluster of a full version can be upgraded.
pub(crate) fn upgrades_of(version: &str, today: Date) -> Vec<&'static str> {
    let release = offered(today).into_iter().find(|release| release.patches.contains(&version));
    release.map(|release| upgrades(release, version, today)).unwrap_or_default()
}

/// Returns the later patches of the same minor version and every patch of the next.
fn upgrades(release: &Release, patch: &str, today: Date) -> Vec<&'static str> {
    let all = offered(today);
    let at = all.iter().position(|other| other.minor == release.minor).unwrap_or_default();
    let later = release.patches.iter().skip_while(|other| **other != patch).skip(1);
    let next = all.get(at + 1).map(|next| next.patches).unwrap_or_default();
    later.chain(next).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_leaves_the_community_plan_after_the_last_day_of_its_month() {
        let (release, _) = resolve("1.34", date(2026, 11, 30)).unwrap();
        assert!(release.community(date(2026, 11, 30)));
        assert!(!release.community(date(2026, 12, 1)));
        assert!(release.offered(date(2026, 12, 1)));
    }

    #[test]
    fn a_minor_version_means_its_newest_patch() {
        assert_eq!(resolve("1.34", date(2026, 11, 23)).unwrap().1, "1.34.4");
        assert_eq!(resolve("1.34.3", date(2026, 11, 23)).unwrap().1, "1.34.3");
        assert!(resolve("1.34.99", date(2026, 11, 23)).is_none());
        assert!(resolve("1.30", date(2026, 11, 23)).is_none());
        assert!(resolve("1.37", date(2026, 9, 1)).is_none());
    }

    #[test]
    fn the_listing_has_one_default_that_the_community_supports() {
        let all = listing(date(2026, 11, 23));
        let defaults: Vec<_> =
            all["values"].as_array().unwrap().iter().filter(|v| v["isDefault"] == true).collect();
        assert_eq!(defaults.len(), 1);
        assert_eq!(defaults[0]["version"], "1.36");
        assert_eq!(defaults[0]["capabilities"]["supportPlan"], json!([COMMUNITY, LONG_TERM]));
    }

    #[test]
    fn a_version_past_its_community_support_is_listed_for_long_term_support_only() {
        let all = listing(date(2026, 12, 1));
        let old = all["values"].as_array().unwrap().iter().find(|v| v["version"] == "1.34").unwrap();
        assert_eq!(old["capabilities"]["supportPlan"], json!([LONG_TERM]));
    }

    #[test]
    fn upgrades_lead_to_later_patches_and_the_next_minor_version() {
        let (release, _) = resolve("1.34", date(2026, 11, 23)).unwrap();
        assert_eq!(upgrades(release, "1.34.3", date(2026, 11, 23)), ["1.34.4", "1.35.1", "1.35.2"]);
    }

    #[test]
    fn a_cloud_offers_some_version_on_any_day() {
        assert_eq!(listing(date(2060, 1, 1))["values"].as_array().unwrap().len(), 1);
    }
}
