//! Public IP addresses of the clusters: one for outbound traffic, and one for every public load balancer.

use serde_json::Value;

use super::ManagedCluster;
use super::error::bad;
use crate::arm::error::ArmError;
use crate::arm::quota::PUBLIC_ADDRESSES;
use crate::state::CloudState;

/// Returns the number of public IP addresses that the clusters of a region hold.
pub(crate) fn public_addresses(state: &CloudState, location: &str) -> u64 {
    let all = state.clusters.all.values();
    all.filter(|cluster| cluster.location().eq_ignore_ascii_case(location)).map(held).sum()
}

fn held(cluster: &ManagedCluster) -> u64 {
    outbound(cluster.properties()) + cluster.controllers.public_addresses() as u64
}

/// Returns 1 if outbound traffic goes through a load balancer (the default), which needs a public IP address
/// of its own.
fn outbound(properties: &Value) -> u64 {
    let by = properties["networkProfile"]["outboundType"].as_str().unwrap_or("loadBalancer");
    u64::from(by.eq_ignore_ascii_case("loadBalancer"))
}

/// Checks that a public IP address is left for the outbound traffic of a new cluster.
///
/// # Errors
/// 400 `PublicIPCountLimitReached`.
pub(super) fn enough(state: &CloudState, body: &Value) -> Result<(), ArmError> {
    let location = body["location"].as_str().unwrap_or_default();
    let limit = state.limits.of(location, PUBLIC_ADDRESSES);
    if public_addresses(state, location) + outbound(&body["properties"]) <= limit {
        return Ok(());
    }
    let message = format!(
        "Cannot create more than {limit} public IP addresses for this subscription in this region. For more details, \
         please visit https://aka.ms/aks/publicipquota"
    );
    Err(bad("PublicIPCountLimitReached", message))
}

/// Returns the maximum number of public IP addresses for the load balancers of a cluster; `None` if no limit
/// is set. The caller has removed the cluster from the state, so only the other clusters count.
pub(super) fn left_for(state: &CloudState, cluster: &ManagedCluster) -> Option<u32> {
    let limit = state.limits.changed_addresses(cluster.location())?;
    let others = public_addresses(state, cluster.location()) + outbound(cluster.properties());
    Some(u32::try_from(limit.saturating_sub(others)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use crate::arm::quota::PUBLIC_ADDRESSES;
    use crate::test_cloud::{TestCloud, code};
    use serde_json::{Value, json};

    fn put(cloud: &mut TestCloud) -> crate::request::Reply {
        let body = json!({
            "location": "eastus",
            "identity": { "type": "SystemAssigned" },
            "properties": {
                "dnsPrefix": "demo",
                "nodeResourceGroup": "rg-nodes",
                "agentPoolProfiles": [{ "name": "pool", "mode": "System", "vmSize": "Standard_D4s_v5", "count": 2 }],
            },
        });
        let at = cloud.in_group("Microsoft.ContainerService/managedClusters/aks-demo?api-version=2026-06-01");
        cloud.put(&at, &body)
    }

    fn row(cloud: &mut TestCloud, provider: &str, api: &str, name: &str) -> Value {
        let at = cloud.path(&format!("/providers/{provider}/locations/eastus/usages?api-version={api}"));
        let rows = cloud.get(&at).value()["value"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["name"]["value"] == name).expect("the usages have that row")
    }

    #[test]
    fn outbound_traffic_takes_an_address_that_usages_count() {
        let mut cloud = TestCloud::new();
        cloud.state.limits.set("eastus", PUBLIC_ADDRESSES, 0);
        assert_eq!(code(&put(&mut cloud)), "PublicIPCountLimitReached");
        cloud.state.limits.set("eastus", PUBLIC_ADDRESSES, 1);
        assert_eq!(put(&mut cloud).status, 201);
        let usage = row(&mut cloud, "Microsoft.Network", "2025-07-01", PUBLIC_ADDRESSES);
        assert_eq!((&usage["currentValue"], &usage["limit"]), (&json!(1), &json!(1)));
    }

    #[test]
    fn all_cores_together_are_refused_by_the_operation_and_not_by_the_write() {
        let mut cloud = TestCloud::new();
        cloud.state.limits.set("eastus", "cores", 7);
        assert_eq!(put(&mut cloud).status, 201);
        cloud.advance(600.0);
        let at = cloud.in_group("Microsoft.ContainerService/managedClusters/aks-demo?api-version=2026-06-01");
        let failed = cloud.get(&at).value();
        assert_eq!(failed["properties"]["provisioningState"], "Failed", "{failed}");
        let usage = row(&mut cloud, "Microsoft.Compute", "2024-07-01", "cores");
        assert_eq!(usage["limit"], 7);
    }
}
