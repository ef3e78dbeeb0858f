//! The VM sizes of node pools, with the data that the scheduler and the quota need.
//!
//! Source: "Sizes for virtual machines in Azure"; vCPUs, memory and the family name that the quota counts.

/// A VM size.
pub(crate) struct Size {
    /// The name as in the portal; the service compares it case-insensitively.
    pub(crate) name: &'static str,
    /// The VM family, whose cores the quota counts.
    pub(crate) family: &'static str,
    /// vCPUs per node.
    pub(crate) cores: u32,
    /// Memory per node in GiB.
    pub(crate) memory_gib: u32,
}

/// The default size of a pool.
pub(crate) const DEFAULT: &str = "standard_e2s_v3";

const fn size(name: &'static str, family: &'static str, cores: u32, memory_gib: u32) -> Size {
    Size { name, family, cores, memory_gib }
}

/// All sizes; every region offers the same.
pub(crate) const ALL: &[Size] = &[
    size("Standard_B2ms", "standardBSFamily", 2, 8),
    size("Standard_B4ms", "standardBSFamily", 4, 16),
    size("Standard_B2s_v2", "standardBsv2Family", 2, 8),
    size("Standard_B4s_v2", "standardBsv2Family", 4, 16),
    size("Standard_D2s_v3", "standardDSv3Family", 2, 8),
    size("Standard_D4s_v3", "standardDSv3Family", 4, 16),
    size("Standard_D8s_v3", "standardDSv3Family", 8, 32),
    size("Standard_D2s_v4", "standardDSv4Family", 2, 8),
    size("Standard_D4s_v4", "standardDSv4Family", 4, 16),
    size("Standard_D2s_v5", "standardDSv5Family", 2, 8),
    size("Standard_D4s_v5", "standardDSv5Family", 4, 16),
    size("Standard_D8s_v5", "standardDSv5Family", 8, 32),
    size("Standard_D16s_v5", "standardDSv5Family", 16, 64),
    size("Standard_D2ds_v5", "standardDDSv5Family", 2, 8),
    size("Standard_D4ds_v5", "standardDDSv5Family", 4, 16),
    size("Standard_D2as_v5", "standardDASv5Family", 2, 8),
    size("Standard_D4as_v5", "standardDASv5Family", 4, 16),
    size("Standard_D2s_v6", "standardDSv6Family", 2, 8),
    size("Standard_D4s_v6", "standardDSv6Family", 4, 16),
    size("Standard_DS2_v2", "standardDSv2Family", 2, 7),
    size("Standard_DS3_v2", "standardDSv2Family", 4, 14),
    size("Standard_E2s_v3", "standardESv3Family", 2, 16),
    size("Standard_E4s_v3", "standardESv3Family", 4, 32),
    size("Standard_E2s_v5", "standardESv5Family", 2, 16),
    size("Standard_E4s_v5", "standardESv5Family", 4, 32),
    size("Standard_F4s_v2", "standardFSv2Family", 4, 8),
    size("Standard_F8s_v2", "standardFSv2Family", 8, 16),
];

/// Finds a size by name, case-insensitively.
pub(crate) fn find(name: &str) -> Option<&'static Size> {
    ALL.iter().find(|size| size.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_found_in_any_case_and_the_default_is_one() {
        assert_eq!(super::find("STANDARD_d4S_V5").unwrap().cores, 4);
        assert!(super::find(super::DEFAULT).is_some());
        assert!(super::find("Standard_Z1").is_none());
    }
}
