//! Check that the region offers the Kubernetes version to clusters of this tier.

use super::{PreflightCheckId, finding::Finding};
use landfall_cloud::arm::KubernetesVersion;

/// Returns the requested version if the region offers it to every tier; without a request, the newest one
/// that it does.
pub(super) fn choose(
    wanted: Option<&str>,
    location: &str,
    offered: &[KubernetesVersion],
) -> Result<String, Finding> {
    let refuse = |wanted: &str, why: &str| refuse(wanted, location, offered, why);
    let Some(wanted) = wanted else {
        let newest = offered.iter().find(|version| version.is_community() && !version.is_preview);
        let none = || refuse("of any version", "no version is available to clusters of this tier");
        return newest.map(|version| version.version.clone()).ok_or_else(none);
    };
    let minor: String = wanted.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let Some(found) = offered.iter().find(|version| version.version == minor) else {
        return Err(refuse(wanted, &format!("{location} does not offer {wanted}")));
    };
    if !found.is_community() {
        let why = format!("{wanted} is available only to clusters with long-term support (Premium tier)");
        return Err(refuse(wanted, &why));
    }
    if *wanted != minor && !found.patches.iter().any(|patch| patch == wanted) {
        return Err(refuse(wanted, &format!("{location} does not offer the patch {wanted}")));
    }
    Ok(wanted.to_owned())
}

fn refuse(wanted: &str, location: &str, offered: &[KubernetesVersion], why: &str) -> Finding {
    let list: Vec<String> = offered.iter().map(describe).collect();
    Finding::refused(PreflightCheckId::Version, format!("use Kubernetes {wanted} in {location}"))
        .code("K8sVersionNotSupported")
        .cause(why)
        .cause(format!("{location} offers {}", list.join(", ")))
        .fix("set cluster.version (K8S_VERSION) to one of these, or omit it for the newest")
        .for_a_new_cluster()
}

fn describe(version: &KubernetesVersion) -> String {
    let mark = if !version.is_community() {
        " (long-term support only)"
    } else if version.is_preview {
        " (preview)"
    } else if version.is_default {
        " (default)"
    } else {
        ""
    };
    format!("{}{mark}", version.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(version: &str, plan: &str) -> KubernetesVersion {
        KubernetesVersion {
            version: version.to_owned(),
            plans: vec![plan.to_owned()],
            is_default: false,
            is_preview: false,
            patches: vec![format!("{version}.1")],
        }
    }

    #[test]
    fn a_version_with_only_long_term_support_is_distinguished() {
        let all = [offered("1.36", "KubernetesOfficial"), offered("1.33", "AKSLongTermSupport")];
        assert_eq!(choose(None, "eastus", &all).unwrap(), "1.36");
        assert_eq!(choose(Some("1.36.1"), "eastus", &all).unwrap(), "1.36.1");
        assert!(choose(Some("1.33"), "eastus", &all).unwrap_err().causes[0].contains("long-term support"));
        assert!(choose(Some("1.36.9"), "eastus", &all).unwrap_err().causes[0].contains("the patch 1.36.9"));
        let unknown = choose(Some("1.12"), "eastus", &all).unwrap_err();
        assert_eq!(unknown.causes[1], "eastus offers 1.36, 1.33 (long-term support only)");
    }
}
