//! Reading clusters, and the versions that a region offers.

use serde_json::{Value, json};

use super::operations::today;
use super::{ManagedCluster, find, version_support};
use crate::arm::error::ArmError;
use crate::arm::{Call, subscriptions};
use crate::request::Reply;
use crate::state::CloudState;

/// Returns one cluster.
pub(super) fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &find(state, call)?.resource))
}

/// Lists the clusters of a resource group, or of the subscription.
pub(super) fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let group = call.param("group");
    let within = state.clusters.all.values().filter(|cluster| group.is_empty() || cluster.in_group(group));
    let value: Vec<&Value> = within.map(|cluster| &cluster.resource).collect();
    Ok(Reply::json(200, &json!({"value": value})))
}

/// Lists the node pools of a cluster.
pub(super) fn pools(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let value = pool_bodies(find(state, call)?);
    Ok(Reply::json(200, &json!({"value": value})))
}

/// Returns one node pool.
pub(super) fn pool(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &pool_body(find(state, call)?, call.param("pool"))?))
}

/// Returns the body of one node pool.
///
/// # Errors
/// 404.
pub(super) fn pool_body(cluster: &ManagedCluster, name: &str) -> Result<Value, ArmError> {
    let named = |body: &Value| body["name"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name));
    let missing = || ArmError::aks(404, "NotFound", format!("The agent pool {name} could not be found."));
    pool_bodies(cluster).into_iter().find(named).ok_or_else(missing)
}

fn pool_bodies(cluster: &ManagedCluster) -> Vec<Value> {
    let pools = cluster.properties()["agentPoolProfiles"].as_array().cloned().unwrap_or_default();
    let body = |mut properties: Value| {
        let name =
            properties.as_object_mut().and_then(|object| object.shift_remove("name")).unwrap_or_default();
        json!({
            "id": format!("{}/agentPools/{}", cluster.id(), name.as_str().unwrap_or_default()),
            "name": name,
            "type": "Microsoft.ContainerService/managedClusters/agentPools",
            "properties": properties,
        })
    };
    pools.into_iter().map(body).collect()
}

/// Lists the Kubernetes versions of a region.
pub(super) fn versions(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    subscriptions::region(state, call.param("location"), "locations/kubernetesVersions")?;
    Ok(Reply::json(200, &version_support::listing(today(call.now))))
}
