//! `PUT` of a cluster: preconditions, then validation, then a long-running operation.

use serde_json::Value;

use super::address_plan::Subnet;
use super::validation::{self, Case};
use super::{
    Fate, KIND, ManagedCluster, Work, addresses, compute, condition, create, features, id_of, intervention,
    power, refusal, update,
};
use crate::arm::error::ArmError;
use crate::arm::operation::{self, Operation, Plan, Style};
use crate::arm::{Call, id, networks, subscriptions};
use crate::clock::Moment;
use crate::request::Reply;
use crate::world::World;

/// The api-version in the operation URLs of the provider, independent of the write's.
const OPERATION_VERSION: &str = "2025-03-01";

/// Creates or replaces a cluster.
pub(super) fn put(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    let mut wished = call.body()?;
    let location = location(world, &wished)?;
    wished["location"] = Value::String(location);
    let id = id_of(call);
    let existing = world.clusters.all.get(&id::key(&id));
    condition::check(call.request, existing)?;
    if let Some(existing) = existing {
        free(existing)?;
        same_location(existing, &wished)?;
    }
    let merged = match existing {
        Some(existing) => update::merged(existing, &wished)?,
        None => wished,
    };
    judge(world, call, &merged, existing.is_some())?;
    features::allowed(&merged["properties"], |feature| world.features.allows(feature))?;
    if existing.is_some() {
        return update::begin(world, call, merged);
    }
    compute::allowed(world, &merged)?;
    compute::enough(world, &merged)?;
    addresses::enough(world, &merged)?;
    let exceeded = compute::exceeded(world, &merged);
    let reply = create::begin(world, call, &merged)?;
    // The quota of all cores in the region is only checked when Compute allocates the machines.
    if let Some(why) = exceeded {
        intervention::decide(world, &id, Fate::Fails("QuotaExceeded".to_owned(), why));
    }
    Ok(reply)
}

/// Checks that no other write is in progress and that the cluster is not stopped.
///
/// # Errors
/// 409, in one of the two forms of the provider.
pub(super) fn free(existing: &ManagedCluster) -> Result<(), ArmError> {
    if existing.pending.is_none() && power::is_stopped(existing) {
        return Err(power::refusal(existing));
    }
    match existing.pending.as_ref().map(|pending| pending.kind) {
        None => Ok(()),
        Some(Work::Create) => Err(refusal::etag_mismatch()),
        Some(running) => Err(refusal::busy(running.state())),
    }
}

pub(super) fn judge(world: &World, call: &Call<'_>, body: &Value, update: bool) -> Result<(), ArmError> {
    let subnet = |id: &str| subnet(world, id);
    let group_exists = |name: &str| world.groups.contains_key(&name.to_lowercase());
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

/// Returns the day in UTC, which selects the versions in the calendar.
pub(super) fn today(now: Moment) -> jiff::civil::Date {
    now.timestamp().to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn subnet(world: &World, id: &str) -> Option<Subnet> {
    let found = networks::subnet(world, id)?;
    let ranges: Vec<_> = found.prefixes.iter().filter_map(|text| text.parse().ok()).collect();
    Some(Subnet { range: *ranges.first()?, network: ranges, state: found.state, location: found.location })
}

fn location(world: &World, wished: &Value) -> Result<String, ArmError> {
    let given = wished["location"].as_str().unwrap_or_default();
    let short = given.replace(' ', "").to_ascii_lowercase();
    if short.is_empty() {
        let message = "The location property is required for this definition.";
        return Err(ArmError::gateway(400, "LocationRequired", message));
    }
    subscriptions::region(world, given, KIND)
}

fn same_location(existing: &ManagedCluster, wished: &Value) -> Result<(), ArmError> {
    if wished["location"] == existing.location() {
        return Ok(());
    }
    let message = format!(
        "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same name cannot be \
         created in location {}. Please select a new resource name.",
        existing.name(),
        existing.location(),
        id::part(existing.id(), "resourceGroups").unwrap_or_default(),
        wished["location"]
    );
    Err(ArmError::gateway(409, "InvalidResourceLocation", message))
}

/// Starts the operation of a write. The provider sends no `Retry-After`.
pub(super) fn operation(
    world: &mut World,
    cluster: &Named<'_>,
    style: Style,
    now: Moment,
    ends: Moment,
) -> Operation {
    let plan = Plan {
        resource: cluster.id,
        provider: "Microsoft.ContainerService",
        location: cluster.location,
        name: cluster.work.state(),
        style,
        api_version: OPERATION_VERSION,
        retry_after: None,
        signed: true,
    };
    operation::begin(world, &plan, now, ends)
}

/// The target of an operation.
pub(super) struct Named<'a> {
    /// The id of the cluster.
    pub(super) id: &'a str,
    /// The region of the cluster.
    pub(super) location: &'a str,
    /// The kind of the write.
    pub(super) work: Work,
}
