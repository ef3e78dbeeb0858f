//! Compute: the VM sizes of a region, and the core quota of the subscription.
//!
//! Source: Microsoft.Compute/skus (2021-07-01) and locations/usages.

use serde_json::{Value, json};

use super::error::bad;
use super::{ManagedCluster, sizes};
use crate::arm::error::ArmError;
use crate::arm::quota::{self, ALL_CORES};
use crate::arm::{Call, subscriptions};
use crate::request::Reply;
use crate::state::CloudState;

/// Returns the VM families that the quota counts, each once.
fn families() -> Vec<&'static str> {
    let mut families: Vec<&str> = sizes::ALL.iter().map(|size| size.family).collect();
    families.sort_unstable();
    families.dedup();
    families
}

/// Lists the sizes of all regions, or of the region in `$filter=location eq '…'`.
pub(super) fn skus(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let filter = call.request.query("$filter").and_then(|text| text.split('\'').nth(1)).map(str::to_owned);
    let locations: Vec<&String> = state
        .locations
        .iter()
        .filter(|location| filter.as_ref().is_none_or(|wanted| location.eq_ignore_ascii_case(wanted)))
        .collect();
    let value: Vec<Value> = sizes::ALL
        .iter()
        .flat_map(|size| locations.iter().map(|location| sku(state, size, location)))
        .collect();
    Ok(Reply::json(200, &json!({"value": value})))
}

fn sku(state: &CloudState, size: &sizes::Size, location: &str) -> Value {
    let restriction = json!({
        "type": "Location",
        "values": [location],
        "reasonCode": "NotAvailableForSubscription",
        "restrictionInfo": { "locations": [location] },
    });
    let withheld = state.limits.withholds(location, size.name);
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
        "restrictions": if withheld { vec![restriction] } else { Vec::new() },
    })
}

/// Lists the cores in use in a region: the total and one row per family.
pub(super) fn usages(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let location = subscriptions::region(state, call.param("location"), "locations/usages")?;
    let subscription = &state.subscription;
    let id = format!("/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/usages");
    let row = |name: &str, label: &str, family: Option<&str>| {
        quota::usage(&id, name, label, used(state, &location, family), state.limits.of(&location, name))
    };
    let mut value = vec![row(ALL_CORES, "Total Regional vCPUs", None)];
    value.extend(families().into_iter().map(|family| row(family, &label(family), Some(family))));
    Ok(Reply::json(200, &json!({"value": value})))
}

/// Returns the display name of a family: `Standard DSv5 Family vCPUs` for `standardDSv5Family`.
fn label(family: &str) -> String {
    let series = family.trim_start_matches("standard").trim_end_matches("Family");
    format!("Standard {series} Family vCPUs")
}

/// Sets the same limit for every family in a region.
pub(crate) fn limit_families(state: &mut CloudState, location: &str, limit: u64) {
    for family in families() {
        state.limits.set(location, family, limit);
    }
}

fn used(state: &CloudState, location: &str, family: Option<&str>) -> u64 {
    let here =
        state.clusters.all.values().filter(|cluster| cluster.location().eq_ignore_ascii_case(location));
    here.map(ManagedCluster::properties).map(|properties| cores(properties, family)).sum()
}

/// Returns the number of cores of the nodes that a body requests now.
fn cores(properties: &Value, family: Option<&str>) -> u64 {
    let pools = properties["agentPoolProfiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |pool: &Value| {
        let size = pool["vmSize"].as_str().filter(|name| !name.is_empty()).unwrap_or(sizes::DEFAULT);
        let size = sizes::find(size).filter(|size| family.is_none_or(|family| family == size.family))?;
        Some(u64::from(size.cores) * pool["count"].as_u64().unwrap_or(1))
    };
    pools.iter().filter_map(of).sum()
}

/// Checks that the subscription can use the VM sizes that a new cluster requests.
///
/// # Errors
/// 400 `VMSizeNotSupported`.
pub(super) fn allowed(state: &CloudState, body: &Value) -> Result<(), ArmError> {
    let location = body["location"].as_str().unwrap_or_default();
    let is_withheld = |name: &str| state.limits.withholds(location, name);
    let mut names = sizes_of(&body["properties"]);
    let Some(withheld) = names.find(|name| is_withheld(name)) else { return Ok(()) };
    let offered = sizes::ALL.iter().map(|size| size.name).filter(|name| !is_withheld(name));
    let message = format!(
        "The VM size of {withheld} is not allowed in your subscription in location '{location}'. The available VM sizes \
         are '{}'. For more details, please visit https://aka.ms/aks/quotas-skus-regions",
        offered.map(str::to_ascii_lowercase).collect::<Vec<_>>().join(",")
    );
    Err(bad("VMSizeNotSupported", message).with_target("agentPoolProfile.vmSize"))
}

fn sizes_of(properties: &Value) -> impl Iterator<Item = &str> {
    let pools = properties["agentPoolProfiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    pools.iter().map(|pool| pool["vmSize"].as_str().filter(|name| !name.is_empty()).unwrap_or(sizes::DEFAULT))
}

/// Checks the core quota of each VM family that a new cluster requests.
///
/// # Errors
/// 400 `ErrCode_InsufficientVCPUQuota`.
pub(super) fn enough(state: &CloudState, body: &Value) -> Result<(), ArmError> {
    let (location, properties) = (body["location"].as_str().unwrap_or_default(), &body["properties"]);
    for size in sizes_of(properties).filter_map(sizes::find) {
        let wanted = cores(properties, Some(size.family));
        let limit = state.limits.of(location, size.family);
        let left = limit.saturating_sub(used(state, location, Some(size.family)));
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

/// Returns the error message if a new cluster exceeds the quota of all cores in the region.
pub(super) fn exceeded(state: &CloudState, body: &Value) -> Option<String> {
    let (location, properties) = (body["location"].as_str().unwrap_or_default(), &body["properties"]);
    let (limit, used) = (state.limits.of(location, ALL_CORES), used(state, location, None));
    let wanted = cores(properties, None);
    (used + wanted > limit).then(|| {
        format!(
            "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional \
             details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {limit}, Current Usage: \
             {used}, Additional Required: {wanted}, (Minimum) New Limit Required: {}.",
            used + wanted
        )
    })
}
