//! Virtual networks and their subnets.

use serde::{Deserialize, Serialize};

use crate::arm::family::Family;
use crate::world::World;

/// A subnet, as clusters look at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The full id.
    pub id: String,
    /// The address ranges, CIDR.
    pub prefixes: Vec<String>,
    /// `Succeeded`, `Updating`, `Deleting`.
    pub state: String,
    /// The region of its network.
    pub location: String,
}

/// The virtual networks of a world.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Networks {}

/// The family of virtual networks.
pub const FAMILY: Family = Family::still("networks", Vec::new);

/// Returns the subnet with that id, compared without case.
pub fn subnet(_world: &World, _id: &str) -> Option<Subnet> {
    None
}
