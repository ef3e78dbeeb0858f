//! The Kubernetes API of a simulated cluster: its objects, its kinds, and the API server.
//!
//! [`Store`] holds the objects; the cluster's controllers write to it directly, clients through [`serve`].
//! Both use the same path through `write`: server-managed fields, defaults, ownership, generation, storing.
//! Only writes of clients are validated (`admission`). A kind is a [`Definition`]: a structural schema and a
//! few facts. No other code knows the kinds, except the rules in `admission` that a schema cannot express.
//!
//! Contract: <https://kubernetes.io/docs/reference/using-api/api-concepts/>.

mod access_review;
mod admission;
pub mod aggregation;
#[cfg(test)]
mod apply_tests;
pub mod authorization;
mod cel;
#[cfg(test)]
mod client_tests;
mod competing_writer;
mod conversion;
mod custom_kinds;
mod decode;
pub mod definition;
mod discovery;
mod dispatch;
mod embedded;
#[cfg(test)]
mod error_tests;
mod field_error;
pub mod fields;
#[cfg(test)]
mod fixture;
mod lifecycle;
mod openapi;
mod openapi_v2;
pub mod ownership;
mod patch;
mod path;
mod protobuf;
mod query;
mod response_format;
pub mod schema;
pub mod selector;
pub mod service_accounts;
mod service_addresses;
pub mod status;
pub mod store;
#[cfg(test)]
mod store_tests;
mod table;
#[cfg(test)]
mod tests;
mod verbs;
pub mod watch;
#[cfg(test)]
mod watch_tests;
mod write;
mod yaml;

pub(crate) use competing_writer::{compact_store, overwrite_as_other_client};
pub use definition::Definition;
pub use dispatch::{ANONYMOUS, ApiResponse, serve, serve_as};
pub use lifecycle::Propagation;
pub use status::{too_many_requests, unauthorized, unavailable};
pub use store::Store;
