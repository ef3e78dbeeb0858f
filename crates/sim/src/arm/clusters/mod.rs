//! Managed clusters as Resource Manager sees them.

use serde::{Deserialize, Serialize};

use crate::arm::family::Family;
use crate::clock::{Moment, Timing};
use crate::request::{Reply, Request};
use crate::world::World;

/// The clusters of a world.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Clusters {}

/// The family of managed clusters.
pub const FAMILY: Family = Family::still("clusters", Vec::new);

/// Returns the ids of the IP configurations that clusters hold in a subnet; empty when it is free.
pub fn using_subnet(_world: &World, _subnet: &str) -> Vec<String> {
    Vec::new()
}

/// Answers a request to the Kubernetes API of the cluster with that resource UID; `request.path` is below its prefix.
pub fn serve_kubernetes(
    _world: &mut World,
    uid: &str,
    _request: &Request,
    _now: Moment,
    _timing: &Timing,
) -> Reply {
    Reply::text(404, format!("no cluster has the resource UID {uid}\n"))
}
