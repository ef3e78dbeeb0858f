//! Resource types that are declared as data: one [`ResourceType`], one store, one set of handlers.
//!
//! To add a type: a file with its [`ResourceType`], and one row in [`TABLE`](crate::registry::TABLE). Routes, rights,
//! registration of the namespace, group membership, operations, preconditions, paging, deletion with the group and
//! persistence follow from the declaration. A declaration names only what differs from `ResourceType::new`:
//!
//! ```ignore
//! pub const TYPE: ResourceType = ResourceType {
//!     versions: &["2023-09-01"],
//!     put: Write::in_background(15.0),
//!     ..ResourceType::new("Microsoft.OperationalInsights/workspaces")
//! };
//! ```
//!
//! A kind with two names is a child: its resources are below a resource of its parent's kind. It must stand after its
//! parent in the table. What a type does beyond this is in its [`Hooks`].

pub(crate) mod declaration;
pub(crate) mod handlers;
mod lifecycle;
mod location;
pub(crate) mod provider;
pub(crate) mod store;
pub(crate) mod test_hooks;
#[cfg(test)]
pub(crate) mod tests;

use crate::state::CloudState;

pub use declaration::{Course, Draft, Location, Write};
pub(crate) use lifecycle::{declared, drop_group, id_of, remove, requested_id, set};
pub use store::{Progress, Properties, Resource, Resources};
pub(crate) use store::{is_in_group, parent_id};

/// A POST action of a resource.
pub type Action = declaration::Action<CloudState>;
/// The functions of a type.
pub type Hooks = declaration::Hooks<CloudState>;
/// A resource type.
pub type ResourceType = declaration::ResourceType<CloudState>;
