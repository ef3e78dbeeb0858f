//! Reading clusters, and what the region offers.

use serde_json::{Value, json};

use super::put::today;
use super::{calendar, find};
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::request::Reply;
use crate::world::World;

/// One cluster.
pub(super) fn get(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &find(world, call)?.resource))
}

/// The clusters of a group, or of the subscription.
pub(super) fn list(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    let group = call.param("group");
    let within = world.clusters.all.values().filter(|cluster| group.is_empty() || cluster.in_group(group));
    let value: Vec<&Value> = within.map(|cluster| &cluster.resource).collect();
    Ok(Reply::json(200, &json!({"value": value})))
}

/// The Kubernetes versions of a region.
pub(super) fn versions(_world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &calendar::listing(today(call.now))))
}
