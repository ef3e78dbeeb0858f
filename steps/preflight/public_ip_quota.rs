//! Check of the public IP address quota, for the gateways and outbound traffic.

use super::{PreflightCheckId, finding::Finding};
use landfall_cloud::arm::Usage;

/// The required addresses: one per gateway, and one for the cluster's outbound traffic.
pub(super) const NEEDED: u64 = 3;
/// The usage rows that count addresses: all of them, and those of the SKU that AKS uses.
pub(super) const ROWS: [&str; 2] = ["PublicIPAddresses", "StandardSkuPublicIpAddresses"];

/// Evaluates the region's limits of public addresses.
pub(super) fn evaluate(location: &str, usages: &[Usage]) -> Option<Finding> {
    let rows = usages.iter().filter(|usage| ROWS.iter().any(|row| row.eq_ignore_ascii_case(&usage.name)));
    let short = rows.filter(|usage| usage.remaining() < NEEDED).min_by_key(|usage| usage.remaining())?;
    let Usage { label, used, limit, .. } = short;
    Some(
        Finding::refused(PreflightCheckId::Addresses, format!("allocate public addresses in {location}"))
            .code("PublicIPCountLimitReached")
            .cause(format!(
                "{label} in {location} allows {limit} with {used} in use, but {NEEDED} are needed (two \
                 gateways and outbound)"
            ))
            .fix(
                "delete unused addresses, choose another location, or request a quota increase: \
                 https://aka.ms/quota",
            )
            .for_a_new_cluster(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(name: &str, used: u64, limit: u64) -> Usage {
        Usage { name: name.to_owned(), label: name.to_owned(), used, limit }
    }

    #[test]
    fn the_row_with_the_least_left_decides() {
        let wide = usage("PublicIPAddresses", 5, 1000);
        assert_eq!(evaluate("eastus", &[wide.clone(), usage("VirtualNetworks", 9, 9)]), None);
        let finding = evaluate("eastus", &[wide, usage("StandardSkuPublicIpAddresses", 8, 10)]).unwrap();
        assert!(
            finding.causes[0].starts_with("StandardSkuPublicIpAddresses in eastus allows 10 with 8 in use")
        );
    }
}
