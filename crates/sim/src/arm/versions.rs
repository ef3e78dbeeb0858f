//! The supported api-versions of each resource type, oldest first, from the public REST specifications.
//!
//! As of 28 November 2026. The newest version of each list is at least the default of Azure's Python SDK of that day,
//! which the table of the tests has, with those of az that differ; the SDKs of other languages use the same or older ones.

/// The default version of an SDK package for the types that this cloud has, as published on 28 November 2026:
/// package with its version, the list here, the default.
#[cfg(test)]
const SDK_DEFAULTS: &[(&str, &[&str], &str)] = &[
    ("azure-mgmt-authorization 4.0.0", ROLE_ASSIGNMENTS, "2022-04-01"),
    ("azure-mgmt-authorization 4.0.0", ROLE_DEFINITIONS, "2022-04-01"),
    ("azure-mgmt-authorization 4.0.0", PERMISSIONS, "2022-04-01"),
    ("azure-mgmt-compute 39.0.0", COMPUTE, "2026-04-01"),
    ("azure-mgmt-compute 39.0.0, skus", COMPUTE, "2021-07-01"),
    ("azure-mgmt-containerservice 41.8.0", CLUSTERS, "2026-08-01"),
    ("azure-mgmt-dns 9.0.0", DNS, "2018-05-01"),
    ("azure-mgmt-keyvault 14.1.0", VAULTS, "2026-05-15"),
    ("azure-mgmt-msi 7.1.0", IDENTITIES, "2024-11-30"),
    ("azure-mgmt-network 33.1.0", NETWORKS, "2026-03-01"),
    ("azure-mgmt-resource 26.0.0", RESOURCES, "2025-04-01"),
    ("azure-mgmt-resource-features 1.0.0", FEATURES, "2021-07-01"),
    ("azure-mgmt-resource-locks 1.0.0", LOCKS, "2020-05-01"),
    ("azure-mgmt-resource-policy 1.0.0", POLICIES, "2026-06-01"),
    ("azure-mgmt-resource-subscriptions 1.0.0", SUBSCRIPTIONS, "2022-12-01"),
    ("azure-mgmt-storage 25.3.0", STORAGE, "2026-09-01"),
    ("azure-cli 2.91.0, identity", IDENTITIES, "2025-05-31-preview"),
    ("azure-cli 2.91.0, identity federated-credential", IDENTITIES, "2025-01-31-preview"),
    ("azure-cli 2.91.0, keyvault key", VAULT_CONTENTS, "7.6-preview.2"),
    ("azure-keyvault-certificates 4.12.0", VAULT_CONTENTS, "2026-04-01"),
    ("azure-keyvault-keys 4.11.3", VAULT_CONTENTS, "2025-07-01"),
    ("azure-keyvault-secrets 4.12.0", VAULT_CONTENTS, "2026-04-01"),
];

/// Resource groups, resources, providers.
pub const RESOURCES: &[&str] = &[
    "2015-01-01",
    "2015-11-01",
    "2016-02-01",
    "2016-06-01",
    "2017-05-10",
    "2018-05-01",
    "2019-05-01",
    "2019-10-01",
    "2020-06-01",
    "2020-10-01",
    "2021-01-01",
    "2021-04-01",
    "2022-09-01",
    "2023-07-01",
    "2024-03-01",
    "2024-07-01",
    "2024-11-01",
    "2025-03-01",
    "2025-04-01",
];
/// Subscriptions, tenants, locations.
pub const SUBSCRIPTIONS: &[&str] = &[
    "2014-04-01",
    "2015-01-01",
    "2016-06-01",
    "2018-06-01",
    "2019-06-01",
    "2019-11-01",
    "2020-01-01",
    "2021-01-01",
    "2022-12-01",
    "2024-11-01",
];
/// Preview features.
pub const FEATURES: &[&str] = &["2015-12-01", "2021-07-01"];
/// Virtual networks and subnets.
pub const NETWORKS: &[&str] = &[
    "2018-11-01",
    "2019-11-01",
    "2020-11-01",
    "2021-08-01",
    "2022-01-01",
    "2022-07-01",
    "2023-02-01",
    "2023-04-01",
    "2023-05-01",
    "2023-06-01",
    "2023-09-01",
    "2023-11-01",
    "2024-01-01",
    "2024-03-01",
    "2024-05-01",
    "2024-07-01",
    "2024-10-01",
    "2025-01-01",
    "2025-03-01",
    "2025-05-01",
    "2025-07-01",
    "2025-09-01",
    "2026-01-01",
    "2026-03-01",
];
/// The version from which a PUT keeps the omitted subnets of a virtual network instead of deleting them.
pub const NETWORKS_KEEP_SUBNETS: &str = "2023-09-01";
/// DNS zones and record sets.
pub const DNS: &[&str] =
    &["2016-04-01", "2017-09-01", "2017-10-01", "2018-03-01-preview", "2018-05-01", "2023-07-01-preview"];
/// Role assignments.
pub const ROLE_ASSIGNMENTS: &[&str] =
    &["2015-07-01", "2018-01-01-preview", "2020-04-01-preview", "2020-10-01-preview", "2022-04-01"];
/// Role definitions.
pub const ROLE_DEFINITIONS: &[&str] =
    &["2015-07-01", "2018-01-01-preview", "2022-04-01", "2022-05-01-preview", "2023-07-01-preview"];
/// Management locks.
pub const LOCKS: &[&str] = &["2015-01-01", "2016-09-01", "2017-04-01", "2020-05-01"];
/// Effective permissions.
pub const PERMISSIONS: &[&str] = &["2015-07-01", "2018-01-01-preview", "2022-04-01"];
/// Policy definitions and assignments.
pub const POLICIES: &[&str] = &[
    "2019-09-01",
    "2020-09-01",
    "2021-06-01",
    "2022-06-01",
    "2023-04-01",
    "2024-04-01",
    "2024-05-01",
    "2025-01-01",
    "2025-03-01",
    "2025-11-01",
    "2026-06-01",
];
/// Checks of a request against the policies. The response contains the effect of a policy from 2023-03-01 on.
pub const POLICY_RESTRICTIONS: &[&str] = &["2023-03-01", "2024-10-01"];
/// User-assigned identities and federated credentials.
pub const IDENTITIES: &[&str] = &[
    "2018-11-30",
    "2023-01-31",
    "2023-07-31-preview",
    "2024-11-30",
    "2025-01-31-preview",
    "2025-05-31-preview",
];
/// The resources that an identity is assigned to, preview only.
pub const ASSOCIATED_RESOURCES: &[&str] = &["2021-09-30-preview", "2022-01-31-preview"];
/// Vaults; those before [`VAULTS_USE_ROLES`] default to access policies.
pub const VAULTS: &[&str] = &[
    "2016-10-01",
    "2018-02-14",
    "2019-09-01",
    "2021-10-01",
    "2022-07-01",
    "2022-11-01",
    "2023-02-01",
    "2023-07-01",
    "2024-11-01",
    "2025-05-01",
    "2026-02-01",
    "2026-05-15",
];
/// The first version in which a new vault uses RBAC authorization by default.
pub const VAULTS_USE_ROLES: &str = "2026-02-01";
/// The data plane of vaults: certificates, keys, secrets.
pub const VAULT_CONTENTS: &[&str] = &[
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6",
    "7.6-preview.2",
    "2025-06-01-preview",
    "2025-07-01",
    "2026-04-01",
];
/// Managed clusters and node pools. The gateway properties are in stable versions from 2026-02-01 on.
pub const CLUSTERS: &[&str] = &[
    "2023-10-01",
    "2024-02-01",
    "2024-05-01",
    "2024-09-01",
    "2025-01-01",
    "2025-03-01",
    "2025-05-01",
    "2025-07-01",
    "2025-10-01",
    "2026-01-01",
    "2026-02-01",
    "2026-03-01",
    "2026-04-01",
    "2026-05-01",
    "2026-06-01",
    "2026-07-01",
    "2026-08-01",
];
/// Storage accounts and their containers.
pub const STORAGE: &[&str] = &[
    "2023-01-01",
    "2023-05-01",
    "2024-01-01",
    "2025-01-01",
    "2025-06-01",
    "2025-08-01",
    "2026-04-01",
    "2026-06-01",
    "2026-09-01",
];
/// Sizes and usages of virtual machines, scale sets.
pub const COMPUTE: &[&str] = &[
    "2019-04-01",
    "2021-07-01",
    "2022-08-01",
    "2022-11-01",
    "2023-03-01",
    "2023-07-01",
    "2023-09-01",
    "2024-03-01",
    "2024-07-01",
    "2024-11-01",
    "2025-04-01",
    "2025-11-01",
    "2026-03-01",
    "2026-04-01",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_version_of_every_sdk_is_supported() {
        for (package, versions, default) in SDK_DEFAULTS {
            assert!(versions.contains(default), "{package} sends {default}");
        }
    }

    #[test]
    fn versions_are_in_order() {
        for (package, versions, _) in SDK_DEFAULTS {
            // Before its dates, the data plane of vaults had numbers.
            let dated: Vec<&str> =
                versions.iter().copied().filter(|version| version.starts_with('2')).collect();
            assert!(dated.windows(2).all(|pair| pair[0] < pair[1]), "{package}: {versions:?}");
        }
    }
}
