//! The inventory of a teardown, and the preconditions that prevent it.

pub(crate) mod inventory;
pub(crate) mod preconditions;
