//! What goes wrong on purpose.

use serde::{Deserialize, Serialize};

/// The faults that are armed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Faults {}
