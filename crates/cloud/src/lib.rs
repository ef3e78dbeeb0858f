//! Clients of what landfall brings up: Azure Resource Manager, Key Vault, Kubernetes.
//!
//! Everything here takes its endpoints, trust roots and pace as data and prints nothing.

pub mod certificate;
pub mod error;
pub mod kubeconfig;
pub mod kubernetes;
pub mod meter;
pub mod secret;
mod yaml;

pub use error::{ApiError, ApiErrorKind, Sent};
pub use meter::Meter;
pub use secret::Secret;
