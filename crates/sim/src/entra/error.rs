//! Errors of the token endpoint, and the tenant in a request.

use http::StatusCode;
use serde_json::{Value, json};

use crate::clock::SimTime;
use crate::request::{Reply, Request};
use crate::state::{CloudState, DOMAIN, uuid_from};

/// The tenant in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tenant {
    /// An id or a domain.
    Named,
    /// `common` or `organizations`: the tenant of the user who signs in.
    Any,
}

impl Tenant {
    pub(super) fn read(state: &CloudState, text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case(&state.directory.tenant) || text.eq_ignore_ascii_case(DOMAIN) {
            return Some(Self::Named);
        }
        matches!(text, "common" | "organizations").then_some(Self::Any)
    }
}

/// An error of the token endpoint (RFC 6749 §5.2, with Entra's numbers).
#[derive(Debug)]
pub(super) struct OAuthError {
    status: StatusCode,
    error: &'static str,
    number: u32,
    description: String,
}

impl OAuthError {
    pub(super) fn new(
        status: StatusCode,
        error: &'static str,
        number: u32,
        description: impl Into<String>,
    ) -> Self {
        Self { status, error, number, description: description.into() }
    }

    pub(super) fn bad(error: &'static str, number: u32, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, number, description)
    }

    /// Returns the status and the body, without the ids and the time of a request.
    pub(super) fn without_request(self) -> (u16, Value) {
        let body = json!({
            "error": self.error,
            "error_description": format!("AADSTS{}: {}", self.number, self.description),
            "error_codes": [self.number],
        });
        (self.status.as_u16(), body)
    }

    pub(super) fn into_reply(self, state: &CloudState, request: &Request, now: SimTime) -> Reply {
        let trace = uuid_from(state.seed, "trace", request.number);
        let correlation = request.header("client-request-id").unwrap_or(&trace).to_owned();
        let stamp = now.timestamp().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let number = self.number;
        let body = json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{number}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
                self.description
            ),
            "error_codes": [number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{}/error?code={number}", state.origin("login")),
        });
        Reply::json(self.status.as_u16(), &body).with_header("x-ms-request-id", &trace)
    }
}

/// Returns the 400 of an unknown tenant.
pub(super) fn unknown_tenant(tenant: &str) -> OAuthError {
    let why = format!(
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct \
         cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the \
         tenant."
    );
    OAuthError::bad("invalid_request", 90002, why)
}

pub(super) fn unknown_application(state: &CloudState, client: &str) -> OAuthError {
    let why = format!(
        "Application with identifier '{client}' was not found in the directory '{}'. This can happen if the application \
         has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have \
         sent your authentication request to the wrong tenant.",
        state.directory.tenant
    );
    OAuthError::bad("unauthorized_client", 700_016, why)
}
