//! Error responses of the data plane: `{"error":{"code","message","innererror":{"code"}}}`.
//!
//! Source: "Azure Key Vault REST API error codes" and "Authentication, requests and responses".

use serde_json::{Value, json};

use crate::entra::{Caller, TokenError};
use crate::request::Reply;
use crate::state::CloudState;

/// An error of the data plane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VaultError {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The error code, such as `CertificateNotFound`.
    pub(crate) code: &'static str,
    /// The inner error code, such as `ForbiddenByRbac`.
    inner: Option<&'static str>,
    message: String,
    challenge: Option<String>,
}

impl VaultError {
    /// Creates an error without an inner code.
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, inner: None, message: message.into(), challenge: None }
    }

    /// Creates a 400 `BadParameter`.
    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new(400, "BadParameter", message)
    }

    /// Creates a 403 or 409 with its inner code.
    pub(crate) fn inner(
        status: u16,
        code: &'static str,
        inner: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { inner: Some(inner), ..Self::new(status, code, message) }
    }

    /// Creates the 404 of a `certificate`, `secret` or `key`.
    pub(crate) fn not_found(kind: &str, name: &str) -> Self {
        let (code, article) = match kind {
            "secret" => ("SecretNotFound", "A"),
            "key" => ("KeyNotFound", "A"),
            _ => ("CertificateNotFound", "A"),
        };
        let message = format!(
            "{article} {kind} with (name/id) {name} was not found in this key vault. If you recently deleted this {kind} \
             you may be able to recover it using the correct recovery command. For help resolving this issue, please see \
             https://go.microsoft.com/fwlink/?linkid=2125182"
        );
        Self::new(404, code, message)
    }

    /// Creates a 401 whose challenge names tenant and resource.
    pub(crate) fn unauthorized(state: &CloudState, why: TokenError) -> Self {
        let authority = format!("{}/{}", state.origin("login"), state.directory.tenant);
        let mut challenge =
            format!(r#"Bearer authorization="{authority}", resource="{}""#, state.vault_audience());
        let message = match why {
            TokenError::Missing => "AKV10000: Request is missing a Bearer or PoP token.".to_owned(),
            TokenError::WrongAudience => {
                format!("AKV10022: Invalid audience. Expected {}, found another one.", state.vault_audience())
            }
            TokenError::Expired(at) => format!("AKV10046: The token expired at {}.", at.rfc3339()),
            TokenError::Malformed | TokenError::BadSignature => {
                let tenant = &state.directory.tenant;
                format!(
                    "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{tenant}/, found another one."
                )
            }
        };
        if why != TokenError::Missing {
            challenge.push_str(r#", error="invalid_token""#);
        }
        Self { challenge: Some(challenge), ..Self::new(401, "Unauthorized", message) }
    }

    /// Creates the 403 of a vault with RBAC authorization.
    pub(crate) fn by_roles(
        caller: &Caller,
        action: &str,
        resource: &str,
        vault: &str,
        location: &str,
    ) -> Self {
        let who = caller_text(caller);
        let message = [
            "Caller is not authorized to perform action on resource.",
            "If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.",
            &format!("Caller: {who}"),
            &format!("Action: '{action}'"),
            &format!("Resource: '{resource}'"),
            "Assignment: (not found)",
            "DenyAssignmentId: null",
            "DecisionReason: 'DeniedWithNoValidRBAC'",
            &format!("Vault: {vault};location={location}"),
            "",
        ]
        .join("\r\n");
        Self::inner(403, "Forbidden", "ForbiddenByRbac", message)
    }

    /// Creates the 403 of a vault with access policies.
    pub(crate) fn by_policy(
        caller: &Caller,
        collection: &str,
        permission: &str,
        vault: &str,
        location: &str,
    ) -> Self {
        let message = format!(
            "The user, group or application '{}' does not have {collection} {permission} permission on key vault \
             '{vault};location={location}'. For help resolving this issue, please see \
             https://go.microsoft.com/fwlink/?linkid=2125287",
            caller_text(caller)
        );
        Self::inner(403, "Forbidden", "AccessDenied", message)
    }

    /// Returns the response body.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(inner) = self.inner {
            error["innererror"] = json!({"code": inner});
        }
        json!({"error": error})
    }

    /// Returns the response.
    pub(crate) fn reply(&self) -> Reply {
        let reply = Reply::json(self.status, &self.body());
        match &self.challenge {
            Some(challenge) => reply.with_header("www-authenticate", challenge),
            None => reply,
        }
    }
}

fn caller_text(caller: &Caller) -> String {
    let Caller { app_id, object_id, tenant, .. } = caller;
    format!("appid={app_id};oid={object_id};iss=https://sts.windows.net/{tenant}/")
}
