//! What a teardown deletes, and what prevents it.

pub(crate) mod inventory;
pub(crate) mod preconditions;
