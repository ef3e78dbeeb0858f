//! Azure RBAC: role assignments, and the built-in roles they grant.

pub(crate) mod assignments;
mod builtin;
mod definitions;
mod grants;
mod permissions;
pub(crate) mod provider;
pub(crate) mod store;
pub(crate) mod test_hooks;

pub use builtin::{BUILTIN, Role};
pub use grants::{drop_scope, grant_due, own_subscription};
pub use store::{Assignment, Right, Roles};
