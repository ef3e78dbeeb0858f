//! What preflight looks at, by the names that people know.

/// One check; its name is what `--skip-preflight` takes. Signing in is looked at too, and cannot be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concern {
    /// The subscription takes writes, and trusts the tenant of whoever is signed in.
    Subscription,
    /// The region is one of the subscription's.
    Location,
    /// The resource providers are registered, or may be registered by us.
    Providers,
    /// Whoever is signed in may make what is wanted.
    Rights,
    /// Whoever is signed in may grant roles.
    RoleGrants,
    /// The vault's name is valid and free, or the vault is our own.
    VaultName,
    /// The region offers the Kubernetes version to clusters of this tier.
    Version,
    /// The subscription may have machines of the size in the region.
    NodeSize,
    /// The family's cores are enough for the autoscaler's most nodes, and those of an upgrade.
    Quota,
    /// The same for the cores of all families together.
    RegionalQuota,
    /// There are public addresses for the gateways and for what goes out.
    Addresses,
    /// The ranges fit the network that is there.
    Ranges,
    /// No policy denies what is wanted.
    Policy,
}

impl Concern {
    /// All of them, in the order in which findings are told.
    pub const ALL: [Self; 13] = [
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
        Self::Policy,
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
            Self::Policy => "policy",
        }
    }

    /// Returns the check of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|concern| concern.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Concern;

    #[test]
    fn every_check_is_found_by_its_own_name() {
        for concern in Concern::ALL {
            assert_eq!(Concern::named(concern.name()), Some(concern));
        }
        assert_eq!(Concern::named("Quota"), None);
    }
}
