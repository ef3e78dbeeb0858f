//! DNS zones and their A records.

use serde::{Deserialize, Serialize};

use crate::arm::family::Family;

/// The zones of a world.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Zones {}

/// The family of DNS zones.
pub const FAMILY: Family = Family::still("dns", Vec::new);
