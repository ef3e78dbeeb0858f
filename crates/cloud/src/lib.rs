//! Clients of Azure Resource Manager, Key Vault, blob storage and Kubernetes for the servers in [`Endpoints`].
//!
//! Everything here is concrete and uses HTTPS: a simulated cloud differs from the public one only in the
//! values of [`Endpoints`]. Four rules hold for every request of this crate:
//!
//! * a [`RequestCounter`] counts it, whether it is a retry, a poll or a token request;
//! * it carries a token only to the configured origin, see `pipeline::OriginPolicy`;
//! * one policy, [`retry`], decides on retries; it returns the wait and never sleeps itself;
//! * if it changes something, it first passes the [`WriteGate`], if there is one.
//!
//! Conditions that a caller must wait for (a role assignment to take effect, another operation to end) are
//! not retried here. [`ApiErrorKind`] distinguishes them, because only the caller knows the maximum wait.

pub mod acme;
mod address_map;
pub mod arm;
pub mod auth;
pub mod blob;
pub mod certificate;
mod clients;
mod clock;
mod endpoints;
pub mod environment_description;
pub mod error;
mod foreign_answer;
mod header_text;
mod http_client;
mod known_clouds;
pub mod kubeconfig;
pub mod kubernetes;
mod pipeline;
mod recent_reads;
mod request_budget;
mod request_counter;
pub mod resolve;
pub mod retry;
mod secret;
pub mod sync_diagnosis;
#[cfg(test)]
mod tests;
pub mod text_file;
mod token_recipients;
pub mod transport;
pub mod vault;
mod write_gate;
mod yaml;

pub use address_map::AddressMap;
pub use arm::ArmClient;
pub use auth::{Credential, Identity, PrincipalKind, SignIn, SignInFacts};
pub use clients::{AddOnIdentity, Clients, ClusterSession, Clusters, ReadyCluster};
pub use clock::Clock;
pub use endpoints::{Endpoints, Roots};
pub use error::{ApiError, ApiErrorKind, SendStatus};
pub use http_client::ConnectionPool;
pub use known_clouds::{EndpointOwner, KNOWN_CLOUDS, KnownCloud};
pub use request_counter::{ActiveRequest, RequestCounter, RequestObserver, RequestStart};
pub use secret::Secret;
pub use token_recipients::EndpointMismatch;
pub use transport::{ResponseBody, Transport, TransportError};
pub use vault::Vaults;
pub use write_gate::WriteGate;
