//! The node pool that the settings of the nodes apply to. Its owner may have replaced the one of the creation.

use crate::settings::Settings;
use serde_json::Value;

/// The node pool of every new cluster.
pub(crate) const POOL: &str = "nodepool1";

/// The node pool of the settings in an existing cluster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodePool<'a> {
    /// The pool of the creation.
    Own(&'a Value),
    /// The pool that replaced it: the only system pool in the subnet.
    Replacement(&'a Value),
    /// None; with the names of the system pools in the subnet, among which nothing decides.
    Unknown(Vec<&'a str>),
}

impl<'a> NodePool<'a> {
    /// Finds it among the pools of a cluster whose nodes are in this subnet.
    pub(crate) fn find(body: &'a Value, subnet: &str) -> Self {
        let pools = || body["properties"]["agentPoolProfiles"].as_array().into_iter().flatten();
        let is =
            |value: &Value, wanted: &str| value.as_str().is_some_and(|is| is.eq_ignore_ascii_case(wanted));
        if let Some(own) = pools().find(|pool| is(&pool["name"], POOL)) {
            return Self::Own(own);
        }
        let system: Vec<&Value> =
            pools().filter(|pool| is(&pool["mode"], "System") && is(&pool["vnetSubnetID"], subnet)).collect();
        match system.as_slice() {
            [one] => Self::Replacement(one),
            several => Self::Unknown(several.iter().filter_map(|pool| pool["name"].as_str()).collect()),
        }
    }

    /// Returns the pool; `None` if there is no pool that the settings apply to.
    pub(crate) fn of_settings(&self) -> Option<&'a Value> {
        match self {
            Self::Own(pool) | Self::Replacement(pool) => Some(pool),
            Self::Unknown(_) => None,
        }
    }
}

/// Lists the settings of the nodes that cannot apply, because the pool of the creation was replaced.
pub(crate) fn inapplicable(body: &Value, s: &Settings, subnet: &str) -> Vec<String> {
    let (name, cluster) = (&s.cluster.name, &s.cluster);
    match NodePool::find(body, subnet) {
        NodePool::Own(_) => Vec::new(),
        NodePool::Replacement(pool) => {
            let (pool_name, size) =
                (pool["name"].as_str().unwrap_or_default(), pool["vmSize"].as_str().unwrap_or_default());
            let differs = !size.is_empty() && !size.eq_ignore_ascii_case(&cluster.node_size);
            let warning = || {
                format!(
                    "cluster.node_size = \"{}\" cannot apply to cluster {name}: node pool {pool_name} replaced {POOL} \
                     and has {size}; set cluster.node_size = \"{size}\"",
                    cluster.node_size
                )
            };
            differs.then(warning).into_iter().collect()
        }
        NodePool::Unknown(system) => {
            let pools = match system.as_slice() {
                [] => "no system pool is in the subnet".to_owned(),
                several => format!("{} are system pools in the subnet", several.join(", ")),
            };
            vec![format!(
                "cluster.node_size, cluster.nodes_min and cluster.nodes_max have no node pool to apply to: cluster \
                 {name} has no {POOL}, and {pools}"
            )]
        }
    }
}

/// Returns the note about a node count that the autoscaler decides; `None` if the count is as in the settings.
pub(crate) fn autoscaled(body: &Value, s: &Settings, subnet: &str) -> Option<String> {
    let pool = NodePool::find(body, subnet).of_settings()?;
    let (count, wanted) = (pool["count"].as_u64()?, s.cluster.nodes);
    (pool["enableAutoScaling"] == true && count != u64::from(wanted)).then(|| {
        format!("the autoscaler set the node count to {count}; cluster.nodes = {wanted} applies to a new cluster only")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;
    use serde_json::json;

    const SUBNET: &str = "/s/subnets/snet-aks";

    fn body(pools: &[(&str, &str, &str)]) -> Value {
        let pool = |(name, mode, size): &(&str, &str, &str)| {
            json!({ "name": name, "mode": mode, "vmSize": size, "vnetSubnetID": "/S/subnets/snet-AKS",
                "enableAutoScaling": true, "count": 9 })
        };
        json!({ "properties": { "agentPoolProfiles": pools.iter().map(pool).collect::<Vec<_>>() } })
    }

    #[test]
    fn the_only_system_pool_in_the_subnet_replaces_the_first_one() {
        let both = body(&[("sys2", "System", "a"), (POOL, "System", "a")]);
        assert!(matches!(NodePool::find(&both, SUBNET), NodePool::Own(pool) if pool["name"] == POOL));
        let rotated = body(&[("user", "User", "a"), ("sys2", "System", "a")]);
        let found = NodePool::find(&rotated, SUBNET);
        assert!(matches!(found, NodePool::Replacement(pool) if pool["name"] == "sys2"));
        assert_eq!(NodePool::find(&rotated, "/other"), NodePool::Unknown(Vec::new()));
    }

    #[test]
    fn a_setting_without_a_pool_is_reported() {
        let s = settings();
        let own = body(&[(POOL, "System", "a")]);
        assert_eq!(inapplicable(&own, &s, SUBNET), [""; 0]);
        let several = body(&[("sys2", "System", "a"), ("sys3", "System", "a")]);
        assert!(inapplicable(&several, &s, SUBNET)[0].contains("sys2, sys3 are system pools"));
        let resized = body(&[("sys2", "System", "Standard_D8s_v5")]);
        assert!(
            inapplicable(&resized, &s, SUBNET)[0].contains("set cluster.node_size = \"Standard_D8s_v5\"")
        );
        assert!(autoscaled(&own, &s, SUBNET).unwrap().contains("the node count to 9"));
    }
}
