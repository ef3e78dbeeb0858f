//! Clients of Azure Resource Manager, Key Vault and Kubernetes for the servers in [`Endpoints`].
//!
//! Everything here is concrete and uses HTTPS: a simulated cloud differs from the public one only in the
//! values of [`Endpoints`]. Three rules hold for every request of this crate:
//!
//! * a [`Meter`] counts it, whether it is a retry, a poll or a token request;
//! * it carries a token only to the configured origin, see `pipeline::OnlyTo`;
//! * one policy, [`retry`], decides on retries; it returns the wait and never sleeps itself.
//!
//! Conditions that a caller must wait for (a role assignment to take effect, another operation to end) are
//! not retried here. [`ApiErrorKind`] distinguishes them, because only the caller knows the maximum wait.

pub mod arm;
pub mod carrier;
pub mod certificate;
mod clients;
mod endpoint_trust;
mod endpoints;
pub mod environment;
pub mod error;
mod known_clouds;
pub mod kubeconfig;
pub mod kubernetes;
mod meter;
mod pipeline;
pub mod resolve;
pub mod retry;
mod secret;
pub mod secret_sync;
pub mod sign_in;
mod transport;
pub mod vault;
mod ways;
mod yaml;

pub use arm::Arm;
pub use carrier::{AnswerBody, Carrier, Lost};
pub use clients::{AddOnIdentity, Clouds, Clusters, Opened, ReadyCluster};
pub use endpoint_trust::EndpointMismatch;
pub use endpoints::{Endpoints, Roots};
pub use error::{ApiError, ApiErrorKind, Sent};
pub use known_clouds::{EndpointOwner, KNOWN_CLOUDS, KnownCloud};
pub use meter::Meter;
pub use secret::Secret;
pub use sign_in::{Credential, Identity, PrincipalKind, SignIn, SignInFacts};
pub use vault::Vaults;
pub use ways::Ways;
