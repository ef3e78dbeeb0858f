//! The identity in a token, from its claims, without a request.

use crate::{ApiError, ApiErrorKind, SendStatus};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// The principal of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The object id in the directory, which role assignments refer to.
    pub object_id: String,
    /// The directory's id.
    pub tenant: String,
    /// The kind of the principal.
    pub kind: PrincipalKind,
    /// The display name: the user's sign-in name or the application's id.
    pub name: Option<String>,
    /// The credential source of the token, such as "Azure CLI".
    pub via: String,
}

/// The kind of a principal; spelled like `principalType` in role assignments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A user.
    User,
    /// An application or a managed identity.
    ServicePrincipal,
}

impl PrincipalKind {
    /// Returns the value of `principalType` (Microsoft.Authorization/roleAssignments).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::ServicePrincipal => "ServicePrincipal",
        }
    }
}

/// The claims that are read from an access token
/// (<https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>).
#[derive(Deserialize)]
struct Claims {
    oid: Option<String>,
    tid: Option<String>,
    idtyp: Option<String>,
    upn: Option<String>,
    unique_name: Option<String>,
    preferred_username: Option<String>,
    app_displayname: Option<String>,
    appid: Option<String>,
    azp: Option<String>,
    scp: Option<String>,
}

impl Identity {
    /// Parses the claims of a token, without a check of the signature, which is the service's task.
    ///
    /// Returns [`ApiErrorKind::Protocol`] if the token is no JWT or names no principal.
    pub fn from_token(token: &str, via: &str) -> Result<Self, ApiError> {
        let protocol_error =
            || ApiError::new(ApiErrorKind::Protocol, "read the access token").with_sent(SendStatus::Never);
        let payload = token.split('.').nth(1).ok_or_else(protocol_error)?;
        let payload = URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .map_err(|e| protocol_error().with_source(e))?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|e| protocol_error().with_source(e))?;
        // `idtyp` is optional: users' tokens contain delegated scopes or a name instead.
        let kind = match claims.idtyp.as_deref() {
            Some("user") => PrincipalKind::User,
            Some("app") => PrincipalKind::ServicePrincipal,
            _ if claims.scp.is_some() || claims.upn.is_some() || claims.unique_name.is_some() => {
                PrincipalKind::User
            }
            _ => PrincipalKind::ServicePrincipal,
        };
        let person = claims.upn.or(claims.unique_name).or(claims.preferred_username);
        let application = claims.app_displayname.or(claims.appid).or(claims.azp);
        Ok(Self {
            object_id: claims.oid.ok_or_else(protocol_error)?,
            tenant: claims.tid.ok_or_else(protocol_error)?,
            kind,
            name: if kind == PrincipalKind::User { person } else { application },
            via: via.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn token(claims: Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn an_application_is_identified_by_idtyp_and_named_by_its_id() {
        let claims = json!({"oid": "o1", "tid": "t1", "idtyp": "app", "appid": "a1", "azp": "a1"});
        let identity = Identity::from_token(&token(claims), "service principal").expect("complete claims");
        assert_eq!((identity.kind, identity.object_id.as_str()), (PrincipalKind::ServicePrincipal, "o1"));
        assert_eq!((identity.tenant.as_str(), identity.name.as_deref()), ("t1", Some("a1")));
    }

    #[test]
    fn a_user_is_identified_by_delegated_scopes_without_idtyp() {
        let claims =
            json!({"oid": "o2", "tid": "t1", "scp": "user_impersonation", "unique_name": "ann@example.com"});
        let identity = Identity::from_token(&token(claims), "Azure CLI").expect("complete claims");
        assert_eq!((identity.kind, identity.name.as_deref()), (PrincipalKind::User, Some("ann@example.com")));
        assert_eq!(identity.kind.as_str(), "User");
    }

    #[test]
    fn a_token_without_a_principal_is_refused() {
        for broken in ["", "opaque", "a.b.c", &token(json!({"tid": "t1"}))] {
            let error = Identity::from_token(broken, "x").expect_err("no principal in it");
            assert_eq!(error.kind, ApiErrorKind::Protocol, "{broken}");
        }
    }
}
