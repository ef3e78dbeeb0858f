//! The limits of a region that several new environments share: the quota for all of them, not for one.

use super::{PreflightCheckId, public_ip_quota, quota};
use crate::settings::Settings;
use landfall_cloud::{
    ApiError,
    arm::{MachineSize, SubscriptionClient, Usage},
};
use std::collections::BTreeMap;

/// A limit that several environments exceed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedLimit {
    /// The check of one environment that this one sums up.
    pub check_id: PreflightCheckId,
    /// The name of the limit, `Standard DSv5 Family vCPUs`.
    pub label: String,
    /// The limit.
    pub limit: u64,
    /// The current usage.
    pub used: u64,
    /// What the environments need together.
    pub needed: u64,
    /// The environments that need it.
    pub environments: Vec<String>,
}

/// Reads the limits of a region, and returns those that these environments exceed together. None of them has a cluster
/// yet: an existing one is part of the usage.
///
/// # Errors
/// Returns the error of a request.
pub async fn shared_limits(
    azure: &SubscriptionClient,
    location: &str,
    environments: &[(&str, &Settings)],
) -> Result<Vec<SharedLimit>, ApiError> {
    let (sizes, cores, addresses) = tokio::join!(
        azure.machine_sizes(location),
        azure.core_usages(location),
        azure.network_usages(location)
    );
    Ok(exceeded(environments, &sizes?, &cores?, &addresses?))
}

fn exceeded(
    environments: &[(&str, &Settings)],
    sizes: &[MachineSize],
    cores: &[Usage],
    addresses: &[Usage],
) -> Vec<SharedLimit> {
    // What each environment needs of a row, by the row's name in lower case.
    let mut needs: BTreeMap<(PreflightCheckId, String), Vec<(&str, u64)>> = BTreeMap::new();
    for (name, settings) in environments {
        let is_enabled = |check_id: &PreflightCheckId| !settings.skip_preflight.contains(check_id);
        let size = sizes.iter().find(|size| size.name.eq_ignore_ascii_case(&settings.cluster.node_size));
        let mut add = |check_id: PreflightCheckId, row: &str, needed: u64| {
            if is_enabled(&check_id) {
                needs.entry((check_id, row.to_lowercase())).or_default().push((*name, needed));
            }
        };
        if let Some((size, cores)) = size.and_then(|size| Some((size, quota::cores_needed(settings, size)?)))
        {
            add(PreflightCheckId::Quota, &size.family, cores);
            add(PreflightCheckId::RegionalQuota, quota::ALL, cores);
        }
        for row in public_ip_quota::ROWS {
            add(PreflightCheckId::Addresses, row, public_ip_quota::NEEDED);
        }
    }
    let exceeded = |((check_id, row), needs): ((PreflightCheckId, String), Vec<(&str, u64)>)| {
        let usages = if check_id == PreflightCheckId::Addresses { addresses } else { cores };
        let usage = usages.iter().find(|usage| usage.name.eq_ignore_ascii_case(&row))?;
        let needed = needs.iter().map(|(_, needed)| needed).sum();
        // One environment by itself is its own preflight's to refuse.
        (needed > usage.remaining() && needs.len() > 1).then(|| SharedLimit {
            check_id,
            label: usage.label.clone(),
            limit: usage.limit,
            used: usage.used,
            needed,
            environments: needs.into_iter().map(|(name, _)| name.to_owned()).collect(),
        })
    };
    needs.into_iter().filter_map(exceeded).collect()
}

#[cfg(test)]
mod tests {
    use super::super::node_size::tests::size;
    use super::*;

    #[test]
    fn the_quota_is_for_all_environments_together() {
        let usage = |name: &str, used: u64, limit: u64| Usage {
            name: name.to_owned(),
            label: name.to_owned(),
            used,
            limit,
        };
        let settings = crate::settings::tests::settings();
        let sizes = [size("Standard_D4s_v5", 4, None)];
        let environments = [("a", &settings), ("b", &settings), ("c", &settings)];
        let cores = [usage("standardDSv5Family", 4, 40), usage("cores", 4, 1000)];
        let found = exceeded(&environments, &sizes, &cores, &[usage("PublicIPAddresses", 0, 8)]);
        let found: Vec<_> =
            found.iter().map(|one| (one.check_id, one.needed, one.environments.len())).collect();
        assert_eq!(found, [(PreflightCheckId::Quota, 48, 3), (PreflightCheckId::Addresses, 9, 3)]);
        assert_eq!(exceeded(&environments[..2], &sizes, &cores, &[usage("PublicIPAddresses", 0, 8)]), []);
    }
}
