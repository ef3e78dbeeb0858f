//! The Kubernetes version of an existing cluster, compared with the setting.

use serde_json::Value;

/// The relation of a cluster's version to the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Relation {
    /// It satisfies the setting.
    Satisfied,
    /// It is newer; with its minor version. AKS supports no downgrade.
    Ahead(String),
    /// It is older; with the version of the next upgrade, at most one minor version further.
    /// <https://learn.microsoft.com/azure/aks/upgrade-aks-cluster>
    Behind(String),
}

/// Returns the version that the cluster runs; empty if the service does not report it.
pub(crate) fn of(body: &Value) -> &str {
    body["properties"]["currentKubernetesVersion"].as_str().unwrap_or_default()
}

/// Compares a version with the setting. A minor version matches all its patches, and a later patch satisfies an
/// earlier one.
pub(crate) fn compare(version: &str, wanted: &str) -> Relation {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    let (is, target) = (numbers(version), numbers(wanted));
    let ([major, minor, ..], [_, target_minor, ..]) = (is.as_slice(), target.as_slice()) else {
        return Relation::Satisfied;
    };
    if is[..2] == target[..2] {
        return if is[2..] >= target[2..] {
            Relation::Satisfied
        } else {
            Relation::Behind(wanted.to_owned())
        };
    }
    if is[..2] > target[..2] {
        return Relation::Ahead(format!("{major}.{minor}"));
    }
    match *target_minor == minor + 1 {
        true => Relation::Behind(wanted.to_owned()),
        false => Relation::Behind(format!("{major}.{}", minor + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_version_matches_its_patches_and_a_later_patch_satisfies_an_earlier_one() {
        for (is, wanted) in [("1.37.2", "1.37"), ("1.37.2", "1.37.1"), ("", "1.37")] {
            assert_eq!(compare(is, wanted), Relation::Satisfied, "{is} {wanted}");
        }
    }

    #[test]
    fn an_upgrade_takes_one_minor_version_at_a_time_and_never_goes_back() {
        let behind = |text: &str| Relation::Behind(text.to_owned());
        assert_eq!(compare("1.36.9", "1.37"), behind("1.37"));
        assert_eq!(compare("1.37.1", "1.37.2"), behind("1.37.2"));
        assert_eq!(compare("1.34.4", "1.37"), behind("1.35"));
        assert_eq!(compare("1.38.0", "1.37"), Relation::Ahead("1.38".to_owned()));
    }
}
