//! Error responses of Graph (Microsoft Graph, "error responses and resource types").

use serde_json::json;

use crate::clock::SimTime;
use crate::entra::TokenError;
use crate::request::{Reply, Request};
use crate::state::{CloudState, uuid_from};

/// An error of Graph.
#[derive(Debug)]
pub(super) struct GraphError {
    status: u16,
    code: &'static str,
    message: String,
}

impl GraphError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Returns the 400 of an invalid request.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Returns the 400 of an unsupported query.
    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(400, "Request_UnsupportedQuery", message)
    }

    /// Returns the 400 of a path with an unknown first segment.
    pub(super) fn segment(segment: &str) -> Self {
        Self::bad(format!("Resource not found for the segment '{segment}'."))
    }

    /// Returns the 404 of an unknown object.
    pub(super) fn not_found(id: &str) -> Self {
        let why = format!(
            "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
        );
        Self::new(404, "Request_ResourceNotFound", why)
    }

    /// Returns the 403 of a write: no caller here can change the directory.
    pub(super) fn denied() -> Self {
        Self::new(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    }

    /// Returns the 401 of a rejected token.
    pub(super) fn unauthenticated(refused: TokenError) -> Self {
        let why = match refused {
            TokenError::Missing => "Access token is empty.",
            TokenError::Malformed => "IDX14100: JWT is not well formed.",
            TokenError::BadSignature => "Access token validation failure. Invalid signature.",
            TokenError::WrongAudience => "Access token validation failure. Invalid audience.",
            TokenError::Expired(_) => "Lifetime validation failed, the token is expired.",
        };
        Self::new(401, "InvalidAuthenticationToken", why)
    }

    pub(super) fn into_reply(self, state: &CloudState, request: &Request, now: SimTime) -> Reply {
        let id = uuid_from(state.seed, "request", request.number);
        let client = request.header("client-request-id").unwrap_or(&id).to_owned();
        let date = now.timestamp().strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let body = json!({ "error": {
            "code": self.code,
            "message": self.message,
            "innerError": { "date": date, "request-id": id, "client-request-id": client },
        } });
        let reply = Reply::json(self.status, &body)
            .with_header("request-id", &id)
            .with_header("client-request-id", &client);
        if self.status != 401 {
            return reply;
        }
        let authority = format!("{}/common/oauth2/authorize", state.origin("login"));
        reply.with_header("www-authenticate", &format!(r#"Bearer realm="", authorization_uri="{authority}""#))
    }
}
