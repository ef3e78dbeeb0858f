//! Azure Resource Manager.
//!
//! [`Arm`] speaks the protocol that all resources share: reading, writing, paging, long operations. A resource type
//! gets a file of its own beside this one, with its request and reply and its API version, once a caller needs it
//! typed. Whoever changes a resource reads it, changes the JSON and writes all of it back: a PUT replaces, and a
//! typed copy would drop what it does not know.

mod client;
pub mod id;
mod operation;
mod subscription;

pub use client::{Arm, Condition};
pub use id::ResourceId;
pub use operation::{Begun, Operation, Progress, Style, Verb};
pub use subscription::Subscription;
