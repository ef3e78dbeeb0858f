//! Available upgrades of a cluster (managedClusters - Get Upgrade Profile).

use serde_json::{Value, json};

use super::operations::today;
use super::{find, read, version_support};
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::request::Reply;
use crate::state::CloudState;

/// Handles `agentPools/{pool}/upgradeProfiles/default`.
pub(super) fn of_pool(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let cluster = find(state, call)?;
    let pool = read::pool_body(cluster, call.param("pool"))?;
    let version = &pool["properties"]["currentOrchestratorVersion"];
    let later = version_support::upgrades_of(version.as_str().unwrap_or_default(), today(call.now));
    let upgrades: Vec<Value> = later.iter().map(|version| json!({"kubernetesVersion": version})).collect();
    Ok(Reply::json(
        200,
        &json!({
            "id": format!("{}/upgradeProfiles/default", pool["id"].as_str().unwrap_or_default()),
            "name": "default",
            "type": "Microsoft.ContainerService/managedClusters/agentPools/upgradeProfiles",
            "properties": {
                "kubernetesVersion": version,
                "osType": pool["properties"]["osType"],
                "latestNodeImageVersion": pool["properties"]["nodeImageVersion"],
                "upgrades": upgrades,
            },
        }),
    ))
}

/// Handles `upgradeProfiles/default`.
pub(super) fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let cluster = find(state, call)?;
    let profile = |name: Option<&Value>, version: &Value| {
        let all = version_support::upgrades_of(version.as_str().unwrap_or_default(), today(call.now));
        let upgrades: Vec<Value> = all.iter().map(|version| json!({"kubernetesVersion": version})).collect();
        let mut profile = json!({"kubernetesVersion": version, "osType": "Linux", "upgrades": upgrades});
        if let Some(name) = name {
            profile["name"] = name.clone();
        }
        profile
    };
    let properties = cluster.properties();
    let pools = properties["agentPoolProfiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    let pools: Vec<Value> =
        pools.iter().map(|pool| profile(Some(&pool["name"]), &pool["currentOrchestratorVersion"])).collect();
    Ok(Reply::json(
        200,
        &json!({
            "id": format!("{}/upgradeprofiles/default", cluster.id()),
            "name": "default",
            "type": "Microsoft.ContainerService/ManagedClusters/upgradeProfiles",
            "properties": {
                "controlPlaneProfile": profile(None, &properties["currentKubernetesVersion"]),
                "agentPoolProfiles": pools,
            },
        }),
    ))
}
