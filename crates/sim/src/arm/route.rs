//! Routes, their handlers and their calls. They are generic over the state, which refers to the route table.

use serde_json::Value;

use crate::arm::error::ArmError;
use crate::clock::{SimTime, Timing};
use crate::entra::caller::Caller;
use crate::request::{Reply, Request};

/// Handles a call that has passed the checks of Resource Manager.
pub type Handler<S> = fn(&mut S, &Call<'_, S>) -> Result<Reply, ArmError>;

/// One row of the route table.
pub struct Route<S> {
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
    pub handler: Handler<S>,
}

impl<S> Route<S> {
    /// Creates a route that requires the right `{kind}/read|write|delete`, or `{kind}/{last segment}/action`
    /// for POST.
    pub const fn new(
        method: &'static str,
        pattern: &'static str,
        kind: &'static str,
        versions: &'static [&'static str],
        handler: Handler<S>,
    ) -> Self {
        Self { method, pattern, kind, versions, guarded: true, handler }
    }

    /// Creates a route for any authenticated caller.
    pub const fn any(
        method: &'static str,
        pattern: &'static str,
        kind: &'static str,
        versions: &'static [&'static str],
        handler: Handler<S>,
    ) -> Self {
        Self { method, pattern, kind, versions, guarded: false, handler }
    }
}

/// A call that has passed all checks: route, version, caller, subscription, group and rights.
pub struct Call<'a, S> {
    /// The request.
    pub request: &'a Request,
    /// The matching route.
    pub route: &'a Route<S>,
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

impl<S> Call<'_, S> {
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
