//! Azure Resource Manager.
//!
//! [`ArmClient`] implements the protocol that all resources share: reads, writes, paging, long-running operations.
//! A resource type gets its own file here, with its request, response and API version, when a caller needs it
//! typed. To change a resource, read it, change the JSON and write all of it back: a PUT replaces the
//! resource, and a typed copy would drop unknown fields.

mod access_restrictions;
mod client;
pub mod cluster;
pub mod dns;
pub mod group;
pub mod id;
pub mod identity;
pub mod lock;
pub mod machine;
pub mod network;
mod operation;
pub mod permission;
pub mod policy_denials;
pub mod policy_modify;
pub mod provider;
mod provisioning_state;
pub mod role;
pub mod storage;
mod subscription;
mod subscription_client;
mod txt;
pub mod usage;
pub mod vault;

pub(crate) use access_restrictions::group_of;
pub use access_restrictions::{ClusterRestrictions, VaultRestrictions};
pub use client::{ArmClient, Condition};
pub use cluster::KubernetesVersion;
pub use dns::{Record, Zone};
pub use id::ResourceId;
pub use identity::FederatedCredential;
pub use lock::Lock;
pub use machine::MachineSize;
pub use operation::{Operation, Progress, Style, Verb, WriteResult};
pub use permission::Permissions;
pub use policy_denials::Denial;
pub use policy_modify::ModifyPolicy;
pub use provider::Registration;
pub use provisioning_state::State;
pub use role::{Assignment, Role};
pub use subscription::Subscription;
pub use subscription_client::SubscriptionClient;
pub use txt::TxtSet;
pub use usage::Usage;
pub use vault::NameTaken;
