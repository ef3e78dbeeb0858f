//! The supported api-versions of each resource type, newest last, from the public REST specifications.

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
