//! Clients of Azure Resource Manager, Key Vault and Kubernetes that talk to whatever [`Endpoints`] name.
//!
//! Everything here is concrete and speaks HTTPS: a simulated cloud differs from the public one in the
//! values of [`Endpoints`] only. Three things hold for every request that leaves this crate:
//!
//! * it is counted by a [`Meter`], whether it is a retry, a poll or a request for a token;
//! * it carries a token only to the origin that was configured, see `pipeline::OnlyTo`;
//! * it is repeated by one policy, [`retry`], which says for how long and never sleeps itself.
//!
//! What a caller must wait for (a role to take effect, another operation to end) is not repeated here but
//! told apart by [`ApiErrorKind`], because only the caller knows how long such a wait may last.

pub mod arm;
pub mod carrier;
pub mod certificate;
mod endpoint_trust;
mod endpoints;
pub mod error;
mod known_clouds;
pub mod kubeconfig;
pub mod kubernetes;
mod meter;
mod pipeline;
pub mod resolve;
pub mod retry;
mod secret;
pub mod sign_in;
mod transport;
pub mod vault;
mod ways;
mod yaml;

pub use arm::Arm;
pub use carrier::{AnswerBody, Carrier, Lost};
pub use endpoint_trust::EndpointMismatch;
pub use endpoints::{Endpoints, Roots};
pub use error::{ApiError, ApiErrorKind, Sent};
pub use known_clouds::{EndpointOwner, KNOWN_CLOUDS, KnownCloud};
pub use meter::Meter;
pub use secret::Secret;
pub use sign_in::{Credential, Identity, PrincipalKind, SignIn, SignInFacts};
pub use vault::Vaults;
pub use ways::Ways;
