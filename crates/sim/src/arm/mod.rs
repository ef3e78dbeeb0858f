//! Azure Resource Manager: one table of routes, and what its front door checks before a provider is asked.

pub mod clusters;
pub mod dns;
pub mod error;
pub mod family;
pub mod features;
mod filter;
mod front_door;
pub mod groups;
pub mod id;
pub mod limits;
pub mod locks;
pub mod networks;
pub mod operation;
pub mod policies;
pub mod providers;
pub mod roles;
mod routing;
pub mod subscriptions;
pub mod vaults;
pub mod versions;

use serde_json::Value;

use crate::arm::error::ArmError;
use crate::clock::{Moment, Timing};
use crate::entra::Caller;
use crate::request::{Reply, Request};
use crate::world::World;

pub(crate) use front_door::with_common_headers;
pub use front_door::{expired, serve};

/// Answers one call that has passed the front door.
pub type Handler = fn(&mut World, &Call<'_>) -> Result<Reply, ArmError>;

/// One row of the route table.
#[derive(Clone)]
pub struct Route {
    /// The verb, upper case.
    pub method: &'static str,
    /// The path; `{name}` takes one segment, a leading `{scope*}` any number. Literals match without case.
    pub pattern: &'static str,
    /// The resource type, `Microsoft.Network/virtualNetworks`; names the right that is needed.
    pub kind: &'static str,
    /// The api-versions it answers to, newest last; any well-formed one when empty.
    pub versions: &'static [&'static str],
    /// Whether the caller's rights are looked at; reading one's own surroundings needs none.
    pub guarded: bool,
    /// What answers.
    pub handler: Handler,
}

impl Route {
    /// A route that needs the right `{kind}/read|write|delete`, or `{kind}/{last segment}/action` for POST.
    pub const fn new(
        method: &'static str,
        pattern: &'static str,
        kind: &'static str,
        versions: &'static [&'static str],
        handler: Handler,
    ) -> Self {
        Self { method, pattern, kind, versions, guarded: true, handler }
    }

    /// A route for anybody who is signed in.
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

/// A call that has passed the front door: known route, version, caller, subscription, group and rights.
pub struct Call<'a> {
    /// The request itself.
    pub request: &'a Request,
    /// The route it took.
    pub route: &'a Route,
    /// What the pattern's names stand for, decoded, in the case they were sent.
    pub params: Vec<(&'a str, String)>,
    /// The api-version asked for.
    pub api_version: String,
    /// Who asks.
    pub caller: Caller,
    /// When.
    pub now: Moment,
    /// How durations bend.
    pub timing: Timing,
}

impl Call<'_> {
    /// Returns what a name of the pattern stands for; empty when the pattern has no such name.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
    }

    /// Parses the body as a JSON object.
    ///
    /// # Errors
    /// 400 `InvalidRequestContent` when it is none.
    pub fn body(&self) -> Result<Value, ArmError> {
        let body: Value = self.request.json().map_err(|error| ArmError::invalid_body(&error.to_string()))?;
        if body.is_object() { Ok(body) } else { Err(ArmError::invalid_body("an object was expected")) }
    }
}
