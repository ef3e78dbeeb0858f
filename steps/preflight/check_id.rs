//! Identifiers of the preflight checks.

/// A check; its name is the value of `--skip-preflight`. The check of the sign-in has no name, because it
/// cannot be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PreflightCheckId {
    /// The subscription accepts writes, and trusts the tenant of the signed-in principal.
    Subscription,
    /// The region is available in the subscription.
    Location,
    /// The resource providers are registered, or landfall may register them.
    Providers,
    /// The signed-in principal may create the resources.
    Rights,
    /// The signed-in principal may create role assignments.
    RoleGrants,
    /// The vault's name is valid and free, or the vault is owned.
    VaultName,
    /// The region offers the Kubernetes version to clusters of this tier.
    Version,
    /// The node size is available to the subscription in the region.
    NodeSize,
    /// The core quota of the VM family is sufficient for the autoscaler's maximum and an upgrade's surge
    /// nodes.
    Quota,
    /// The core quota of the region, over all VM families, is sufficient for the same nodes.
    RegionalQuota,
    /// The public IP address quota is sufficient for the gateways and outbound traffic.
    Addresses,
    /// The address ranges fit the existing network, and its subnet is not delegated to a service.
    Ranges,
    /// The DNS zone of the settings exists, and no record set of it is in the way.
    Dns,
    /// An order of a certificate by ACME would succeed.
    Acme,
    /// No policy denies the resources.
    Policy,
    /// The existing vault and cluster admit this machine and the signed-in principal, and no lock forbids
    /// writes.
    Access,
}

impl PreflightCheckId {
    /// All checks, in the order of the report.
    pub const ALL: [Self; 16] = [
        Self::Subscription,
        Self::Location,
        Self::Providers,
        Self::Rights,
        Self::RoleGrants,
        Self::VaultName,
        Self::Version,
        Self::NodeSize,
        Self::Quota,
        Self::RegionalQuota,
        Self::Addresses,
        Self::Ranges,
        Self::Dns,
        Self::Acme,
        Self::Policy,
        Self::Access,
    ];

    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Location => "location",
            Self::Providers => "providers",
            Self::Rights => "rights",
            Self::RoleGrants => "role-grants",
            Self::VaultName => "vault-name",
            Self::Version => "version",
            Self::NodeSize => "node-size",
            Self::Quota => "quota",
            Self::RegionalQuota => "regional-quota",
            Self::Addresses => "addresses",
            Self::Ranges => "ranges",
            Self::Dns => "dns",
            Self::Acme => "acme",
            Self::Policy => "policy",
            Self::Access => "access",
        }
    }

    /// Returns the check of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check_id| check_id.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::PreflightCheckId;

    #[test]
    fn every_check_is_found_by_its_own_name() {
        for check_id in PreflightCheckId::ALL {
            assert_eq!(PreflightCheckId::from_name(check_id.name()), Some(check_id));
        }
        assert_eq!(PreflightCheckId::from_name("Quota"), None);
    }
}
