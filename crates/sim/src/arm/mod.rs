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
mod middleware;
pub mod networks;
pub mod operation;
pub mod policies;
mod precondition;
pub mod provider;
pub mod provider_registration;
pub mod quota;
pub mod resource_type;
pub mod roles;
mod routing;
pub mod storage;
pub mod subscriptions;
mod tags;
pub mod vaults;
pub mod versions;

use serde_json::Value;

use crate::arm::error::ArmError;
use crate::clock::{SimTime, Timing};
use crate::entra::Caller;
use crate::request::{Reply, Request};
use crate::state::CloudState;

pub(crate) use middleware::with_common_headers;
pub use middleware::{expired, serve};
#[cfg(test)]
pub(crate) use routing::accepted_versions;
pub(crate) use routing::unavailable;

/// The resource types that are declared as data, one row each; a child stands after its parent.
pub const TABLE: &[&resource_type::ResourceType] = &[
    &networks::NETWORK,
    &networks::SUBNET,
    &networks::SECURITY_GROUP,
    &networks::PUBLIC_ADDRESS,
    &networks::LOAD_BALANCER,
    &networks::ROUTE_TABLE,
    &identities::IDENTITY,
    &identities::CREDENTIAL,
    &storage::ACCOUNT,
    &clusters::SCALE_SET,
    #[cfg(test)]
    &resource_type::tests::WIDGETS,
];

/// Handles a call that has passed the checks of Resource Manager.
pub type Handler = fn(&mut CloudState, &Call<'_>) -> Result<Reply, ArmError>;

/// One row of the route table.
#[derive(Clone)]
pub struct Route {
    /// The HTTP method, upper case.
    pub method: &'static str,
    /// The path; `{name}` matches one segment, a leading `{scope*}` any number. Literals match
    /// case-insensitively.
    pub pattern: &'static str,
    /// The resource type, such as `Microsoft.Network/virtualNetworks`; it names the required right.
    pub kind: &'static str,
    /// The supported api-versions, newest last; if empty, any well-formed one.
    pub versions: &'static [&'static str],
    /// True if the route checks the caller's rights; reading one's own subscriptions, for example, requires
    /// none.
    pub guarded: bool,
    /// The handler.
    pub handler: Handler,
}

impl Route {
    /// Creates a route that requires the right `{kind}/read|write|delete`, or `{kind}/{last segment}/action`
    /// for POST.
    pub const fn new(
        method: &'static str,
        pattern: &'static str,
        kind: &'static str,
        versions: &'static [&'static str],
        handler: Handler,
    ) -> Self {
        Self { method, pattern, kind, versions, guarded: true, handler }
    }

    /// Creates a route for any authenticated caller.
    pub const fn any(
        method: &'static str,
        pattern: &'static str,
        kind: &'static str,
        versions: &'static [&'static str],
        handler: Handler,
    ) -> Self {
        Self { method, pattern, kind, versions, guarded: false, handler }
    }
}

/// A call that has passed all checks: route, version, caller, subscription, group and rights.
pub struct Call<'a> {
    /// The request.
    pub request: &'a Request,
    /// The matching route.
    pub route: &'a Route,
    /// The path parameters by name, decoded, in the case of the request.
    pub params: Vec<(&'a str, String)>,
    /// The requested api-version.
    pub api_version: String,
    /// The authenticated caller.
    pub caller: Caller,
    /// The current time.
    pub now: SimTime,
    /// The scaling of durations.
    pub timing: Timing,
}

impl Call<'_> {
    /// Returns a path parameter; empty if the pattern does not have it.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
    }

    /// Parses the body as a JSON object.
    ///
    /// # Errors
    /// 400 `InvalidRequestContent` if it is not one.
    pub fn body(&self) -> Result<Value, ArmError> {
        let body: Value = self.request.json().map_err(|error| ArmError::invalid_body(&error.to_string()))?;
        if body.is_object() { Ok(body) } else { Err(ArmError::invalid_body("an object was expected")) }
    }
}
