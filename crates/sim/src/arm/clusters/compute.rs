//! What Compute says about the machines of a region: sizes, and how many cores the subscription may still take.
//!
//! Source: Microsoft.Compute/skus (2021-07-01) and locations/usages.

use serde_json::{Value, json};

use super::refusal::bad;
use super::{ManagedCluster, sizes};
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::request::Reply;
use crate::world::World;

/// Api-versions of both.
pub(super) const VERSIONS: &[&str] =
    &["2019-04-01", "2021-07-01", "2022-08-01", "2023-07-01", "2024-03-01", "2024-07-01", "2025-04-01"];
/// Cores that a new subscription may use of one family, and of all together, in a region.
const CORES: u64 = 100;

/// The sizes of all regions, or of the one of `$filter=location eq '…'`.
pub(super) fn skus(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    let filter = call.request.query("$filter").and_then(|text| text.split('\'').nth(1)).map(str::to_owned);
    let locations: Vec<&String> = world
        .locations
        .iter()
        .filter(|location| filter.as_ref().is_none_or(|wanted| location.eq_ignore_ascii_case(wanted)))
        .collect();
    let value: Vec<Value> = sizes::ALL
        .iter()
        .flat_map(|size| locations.iter().map(move |location| sku(size, location)))
        .collect();
    Ok(Reply::json(200, &json!({"value": value})))
}

fn sku(size: &sizes::Size, location: &str) -> Value {
    json!({
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": "Standard",
        "size": size.name.trim_start_matches("Standard_"),
        "family": size.family,
        "locations": [location],
        "capabilities": [
            {"name": "vCPUs", "value": size.cores.to_string()},
            {"name": "MemoryGB", "value": size.memory_gib.to_string()},
        ],
        "restrictions": [],
    })
}

/// The cores in use by family in a region.
pub(super) fn usages(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    let location = call.param("location");
    let mut families: Vec<&str> = sizes::ALL.iter().map(|size| size.family).collect();
    families.sort_unstable();
    families.dedup();
    let row = |name: &str, used: u64| json!({"unit": "Count", "currentValue": used, "limit": CORES, "name": {"value": name, "localizedValue": name}});
    let mut value = vec![row("cores", used(world, location, None))];
    value.extend(families.into_iter().map(|family| row(family, used(world, location, Some(family)))));
    Ok(Reply::json(200, &json!({"value": value})))
}

fn used(world: &World, location: &str, family: Option<&str>) -> u64 {
    let here =
        world.clusters.all.values().filter(|cluster| cluster.location().eq_ignore_ascii_case(location));
    here.map(ManagedCluster::properties).map(|properties| cores(properties, family)).sum()
}

/// Cores of the nodes that a body asks for now.
fn cores(properties: &Value, family: Option<&str>) -> u64 {
    let pools = properties["agentPoolProfiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |pool: &Value| {
        let size = pool["vmSize"].as_str().filter(|name| !name.is_empty()).unwrap_or(sizes::DEFAULT);
        let size = sizes::find(size).filter(|size| family.is_none_or(|family| family == size.family))?;
        Some(u64::from(size.cores) * pool["count"].as_u64().unwrap_or(1))
    };
    pools.iter().filter_map(of).sum()
}

/// Whether the subscription has the cores that a new cluster asks for.
///
/// # Errors
/// 400 `ErrCode_InsufficientVCPUQuota`.
pub(super) fn enough(world: &World, body: &Value) -> Result<(), ArmError> {
    let (location, properties) = (body["location"].as_str().unwrap_or_default(), &body["properties"]);
    let pools = properties["agentPoolProfiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    for pool in pools {
        let name = pool["vmSize"].as_str().filter(|name| !name.is_empty()).unwrap_or(sizes::DEFAULT);
        let Some(size) = sizes::find(name) else { continue };
        let wanted = cores(properties, Some(size.family));
        let left = CORES.saturating_sub(used(world, location, Some(size.family)));
        if wanted > left {
            let message = format!(
                "Insufficient vcpu quota requested {wanted}, remaining {left} for family {} for region {location}. \
                 Surge nodes would also consume vcpu quota.",
                size.family
            );
            return Err(bad("ErrCode_InsufficientVCPUQuota", message));
        }
    }
    Ok(())
}
