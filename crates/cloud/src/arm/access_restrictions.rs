//! Restrictions that the bodies of clusters and vaults declare: who may sign in, and from where.
//!
//! Sources: <https://learn.microsoft.com/azure/aks/managed-azure-ad>,
//! <https://learn.microsoft.com/azure/aks/api-server-authorized-ip-ranges>,
//! <https://learn.microsoft.com/azure/aks/private-clusters> and
//! <https://learn.microsoft.com/azure/key-vault/general/network-security>.

use serde_json::Value;

/// The restrictions of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterRestrictions {
    /// The API server accepts Entra tokens, and the user kubeconfig contains no other credential.
    pub entra: bool,
    /// There are no local accounts (`disableLocalAccounts`).
    pub no_local_accounts: bool,
    /// Azure roles authorize, in addition to the bindings in the cluster (`aadProfile.enableAzureRBAC`).
    pub azure_rbac: bool,
    /// The object ids of the groups whose members may do everything (`aadProfile.adminGroupObjectIDs`).
    pub admin_groups: Vec<String>,
    /// The API server has no public address (`apiServerAccessProfile.enablePrivateCluster`).
    pub private: bool,
    /// The only client addresses that the API server admits, in CIDR notation; empty if it admits all.
    pub authorized_ranges: Vec<String>,
}

impl ClusterRestrictions {
    /// Reads a cluster's body.
    #[must_use]
    pub fn of(body: &Value) -> Self {
        let properties = &body["properties"];
        let (entra, access) = (&properties["aadProfile"], &properties["apiServerAccessProfile"]);
        Self {
            entra: entra.is_object(),
            no_local_accounts: is_true(&properties["disableLocalAccounts"]),
            azure_rbac: is_true(&entra["enableAzureRBAC"]),
            admin_groups: texts(&entra["adminGroupObjectIDs"]),
            private: is_true(&access["enablePrivateCluster"]),
            authorized_ranges: texts(&access["authorizedIPRanges"]),
        }
    }

    /// Returns whether there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self { admin_groups: self.admin_groups.clone(), ..Self::default() }
    }

    /// Lists the restrictions as fragments, each with the property that declares it.
    #[must_use]
    pub fn listed(&self) -> Vec<String> {
        let mut listed = Vec::new();
        if self.entra {
            let by = if self.azure_rbac { "Azure RBAC" } else { "Kubernetes RBAC" };
            listed.push(format!("sign-in through Microsoft Entra ID with {by} (aadProfile)"));
        }
        if self.no_local_accounts {
            listed.push("no local accounts (disableLocalAccounts)".to_owned());
        }
        if self.private {
            listed.push("no public API server (apiServerAccessProfile.enablePrivateCluster)".to_owned());
        }
        if !self.authorized_ranges.is_empty() {
            let ranges = self.authorized_ranges.join(", ");
            listed.push(format!("API server only for {ranges} (apiServerAccessProfile.authorizedIPRanges)"));
        }
        listed
    }

    /// Returns the restriction because of which the API server may not answer this machine, and its remedy;
    /// `None` if it admits every network.
    #[must_use]
    pub fn network_restriction(&self, body: &Value) -> Option<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, group) = (text(&body["name"]), group_of(body["id"].as_str().unwrap_or_default()));
        if self.private {
            let host = text(&body["properties"]["privateFQDN"]);
            return Some((
                format!(
                    "cluster {name} is private (apiServerAccessProfile.enablePrivateCluster): only networks that reach \
                     its private endpoint get an answer{}",
                    if host.is_empty() { host } else { format!(" from {host}") }
                ),
                "run landfall in the cluster's virtual network, or in one that is peered with it and resolves its private \
                 DNS zone; or set HTTPS_PROXY to a proxy there"
                    .to_owned(),
            ));
        }
        (!self.authorized_ranges.is_empty()).then(|| {
            let ranges = self.authorized_ranges.join(", ");
            (
                format!(
                    "cluster {name} admits only {ranges} (apiServerAccessProfile.authorizedIPRanges), and this machine \
                     may be outside"
                ),
                format!(
                    "add this machine's public address: az aks update -g {group} -n {name} \
                     --api-server-authorized-ip-ranges {ranges},ADDRESS; or run landfall in one of these networks",
                    ranges = self.authorized_ranges.join(",")
                ),
            )
        })
    }
}

/// The network restrictions of a vault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VaultRestrictions {
    /// Only private endpoints reach the data plane (`publicNetworkAccess` is `Disabled`).
    pub private: bool,
    /// Only the listed networks reach the data plane (`networkAcls.defaultAction` is `Deny`).
    pub firewall: bool,
    /// The admitted addresses, in CIDR notation (`networkAcls.ipRules`).
    pub addresses: Vec<String>,
}

impl VaultRestrictions {
    /// Reads a vault's body.
    #[must_use]
    pub fn of(body: &Value) -> Self {
        let properties = &body["properties"];
        let is = |value: &Value, word: &str| value.as_str().is_some_and(|is| is.eq_ignore_ascii_case(word));
        let rules = properties["networkAcls"]["ipRules"].as_array();
        let addresses = rules.into_iter().flatten().filter_map(|rule| rule["value"].as_str());
        Self {
            private: is(&properties["publicNetworkAccess"], "Disabled"),
            firewall: is(&properties["networkAcls"]["defaultAction"], "Deny"),
            addresses: addresses.map(str::to_owned).collect(),
        }
    }

    /// Returns whether there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        self.private || self.firewall
    }

    /// Lists the restrictions as fragments, each with the property that declares it.
    #[must_use]
    pub fn listed(&self) -> Vec<String> {
        let mut listed = Vec::new();
        if self.private {
            listed.push("publicNetworkAccess is Disabled".to_owned());
        }
        if self.firewall {
            let admitted = match self.addresses.as_slice() {
                [] => "no address".to_owned(),
                addresses => addresses.join(", "),
            };
            listed.push(format!("networkAcls.defaultAction is Deny, and ipRules admit {admitted}"));
        }
        listed
    }

    /// Returns the remedy for a client that the vault does not admit.
    #[must_use]
    pub fn remedy(&self, vault: &str) -> String {
        match self.private {
            true => format!(
                "run landfall in a network with a private endpoint of the vault, or enable public access: az keyvault \
                 update --name {vault} --public-network-access Enabled; if an Azure Policy disables it, ask the owner \
                 of the policy for an exemption"
            ),
            false => format!(
                "add this machine's public address: az keyvault network-rule add --name {vault} --ip-address ADDRESS; or \
                 run landfall in one of the admitted networks"
            ),
        }
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns the resource group in an id, in the id's own case.
pub(crate) fn group_of(id: &str) -> &str {
    let mut segments = id.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case("resourceGroups"));
    segments.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cluster_without_restrictions_has_none() {
        let body = json!({ "properties": {
            "disableLocalAccounts": false, "aadProfile": null, "apiServerAccessProfile": { "authorizedIPRanges": [] },
        } });
        let restrictions = ClusterRestrictions::of(&body);
        assert!(!restrictions.any() && restrictions.listed().is_empty());
        assert_eq!(restrictions.network_restriction(&body), None);
    }

    #[test]
    fn every_restriction_is_listed_with_its_property() {
        let body = json!({ "id": "/subscriptions/s/resourcegroups/rg/x", "name": "aks", "properties": {
            "disableLocalAccounts": true, "aadProfile": { "managed": true, "enableAzureRBAC": true },
            "apiServerAccessProfile": { "authorizedIPRanges": ["203.0.113.7/32"] },
        } });
        let restrictions = ClusterRestrictions::of(&body);
        assert!(restrictions.any());
        let listed = restrictions.listed().join("; ");
        for property in
            ["aadProfile", "Azure RBAC", "disableLocalAccounts", "authorizedIPRanges", "203.0.113.7/32"]
        {
            assert!(listed.contains(property), "{property}: {listed}");
        }
        let (_, remedy) = restrictions.network_restriction(&body).unwrap();
        assert!(
            remedy.contains("-g rg -n aks --api-server-authorized-ip-ranges 203.0.113.7/32,"),
            "{remedy}"
        );
    }

    #[test]
    fn a_vault_is_private_or_behind_a_firewall() {
        let body = |access: &str, action: &str| json!({ "properties": { "publicNetworkAccess": access, "networkAcls": { "defaultAction": action } } });
        assert!(!VaultRestrictions::of(&body("Enabled", "Allow")).any());
        let private = VaultRestrictions::of(&body("disabled", "Allow"));
        assert!(private.private && private.remedy("kv").contains("--public-network-access Enabled"));
        let firewall = VaultRestrictions::of(&body("Enabled", "Deny"));
        assert!(firewall.listed()[0].contains("admit no address"), "{firewall:?}");
    }
}
