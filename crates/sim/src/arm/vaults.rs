//! Key vaults as Resource Manager sees them.

use serde::{Deserialize, Serialize};

use crate::arm::family::Family;

/// The vaults of a world and what is soft-deleted of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Vaults {}

/// The family of vaults.
pub const FAMILY: Family = Family::still("vaults", Vec::new);
