//! Azure Resource Manager.
//!
//! [`Arm`] speaks the protocol that all resources share: reading, writing, paging, long operations. A resource type
//! gets a file of its own beside this one, with its request and reply and its API version, once a caller needs it
//! typed. Whoever changes a resource reads it, changes the JSON and writes all of it back: a PUT replaces, and a
//! typed copy would drop what it does not know.

mod azure;
mod client;
pub mod cluster;
pub mod dns;
pub mod group;
pub mod id;
pub mod lock;
pub mod machine;
pub mod network;
mod operation;
pub mod permission;
pub mod policy;
pub mod provider;
pub mod role;
mod state;
mod subscription;
pub mod usage;
pub mod vault;

pub use azure::Azure;
pub use client::{Arm, Condition};
pub use cluster::Offered;
pub use dns::{Record, Zone};
pub use id::ResourceId;
pub use lock::Lock;
pub use machine::MachineSize;
pub use operation::{Begun, Operation, Progress, Style, Verb};
pub use permission::Permissions;
pub use policy::Denial;
pub use provider::Registration;
pub use role::{Assignment, Role};
pub use state::State;
pub use subscription::Subscription;
pub use usage::Usage;
pub use vault::NameTaken;
