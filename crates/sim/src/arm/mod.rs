//! Azure Resource Manager: the route table, and the checks before a request reaches a provider.

pub mod clusters;
pub mod dns;
pub mod error;
pub mod features;
mod filter;
pub mod groups;
pub mod id;
pub mod identities;
pub mod locks;
pub(crate) mod middleware;
pub mod networks;
pub mod operation;
pub mod policies;
mod precondition;
pub mod provider;
pub mod provider_registration;
pub mod quota;
pub mod resource_type;
pub mod roles;
mod route;
pub(crate) mod routing;
mod scope;
pub mod storage;
pub mod subscriptions;
mod tags;
pub mod throttling;
pub mod vaults;
pub mod versions;

use crate::state::CloudState;

/// A call of a handler.
pub type Call<'a> = route::Call<'a, CloudState>;
/// The handler of a route.
pub type Handler = route::Handler<CloudState>;
/// A family of resource types.
pub type Provider = provider::Provider<CloudState>;
/// The functions and tables that the providers share.
pub type Registry = provider::Registry<CloudState>;
/// A row of the route table.
pub type Route = route::Route<CloudState>;

/// Returns the message for a part of a service that does not exist here.
pub(crate) fn unavailable(what: &str) -> String {
    format!("{what} is not available in the simulated cloud; see docs/az.md")
}
