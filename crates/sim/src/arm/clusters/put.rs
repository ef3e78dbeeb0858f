//! `PUT` of a cluster: preconditions, then validation, then a long-running operation.

use serde_json::Value;

use super::address_plan::SubnetPlan;
use super::operations::{free, today};
use super::validation::{self, Case};
use super::{
    KIND, ManagedCluster, WriteOutcome, compute, create, etag, fault_hooks, features, id_of,
    public_addresses, update,
};
use crate::arm::error::ArmError;
use crate::arm::{Call, id, networks, subscriptions};
use crate::request::Reply;
use crate::state::CloudState;

/// Creates or replaces a cluster.
pub(super) fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let mut desired = call.body()?;
    let location = location(state, &desired)?;
    desired["location"] = Value::String(location);
    let id = id_of(call);
    let existing = state.clusters.all.get(&id::key(&id));
    etag::check(call.request, existing)?;
    if let Some(existing) = existing {
        free(existing)?;
        same_location(existing, &desired)?;
    }
    let merged = match existing {
        Some(existing) => update::merged(existing, &desired)?,
        None => desired,
    };
    validate(state, call, &merged, existing.is_some())?;
    features::allowed(&merged["properties"], |feature| state.features.allows(feature))?;
    if existing.is_some() {
        return update::begin(state, call, merged);
    }
    compute::allowed(state, &merged)?;
    compute::enough(state, &merged)?;
    public_addresses::enough(state, &merged)?;
    let exceeded = compute::exceeded(state, &merged);
    let reply = create::begin(state, call, &merged)?;
    // The quota of all cores in the region is only checked when Compute allocates the machines.
    if let Some(why) = exceeded {
        fault_hooks::set_outcome(state, &id, WriteOutcome::Fails("QuotaExceeded".to_owned(), why));
    }
    Ok(reply)
}

pub(super) fn validate(
    state: &CloudState,
    call: &Call<'_>,
    body: &Value,
    update: bool,
) -> Result<(), ArmError> {
    let subnet = |id: &str| subnet(state, id);
    let group_exists = |name: &str| state.groups.contains_key(&name.to_lowercase());
    let case = Case {
        name: call.param("cluster"),
        group: call.param("group"),
        subscription: call.param("subscription"),
        body,
        today: today(call.now),
        update,
        subnet: &subnet,
        group_exists: &group_exists,
    };
    validation::check(&case)
}

fn subnet(state: &CloudState, id: &str) -> Option<SubnetPlan> {
    let found = networks::subnet(state, id)?;
    let ranges: Vec<_> = found.prefixes.iter().filter_map(|text| text.parse().ok()).collect();
    Some(SubnetPlan {
        range: *ranges.first()?,
        network: ranges,
        state: found.state,
        location: found.location,
        delegated: found.delegated,
    })
}

fn location(state: &CloudState, desired: &Value) -> Result<String, ArmError> {
    let given = desired["location"].as_str().unwrap_or_default();
    let short = given.replace(' ', "").to_ascii_lowercase();
    if short.is_empty() {
        let message = "The location property is required for this definition.";
        return Err(ArmError::gateway(400, "LocationRequired", message));
    }
    subscriptions::region(state, given, KIND)
}

fn same_location(existing: &ManagedCluster, desired: &Value) -> Result<(), ArmError> {
    if desired["location"] == existing.location() {
        return Ok(());
    }
    let message = format!(
        "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same name cannot be \
         created in location {}. Please select a new resource name.",
        existing.name(),
        existing.location(),
        id::part(existing.id(), "resourceGroups").unwrap_or_default(),
        desired["location"]
    );
    Err(ArmError::gateway(409, "InvalidResourceLocation", message))
}
