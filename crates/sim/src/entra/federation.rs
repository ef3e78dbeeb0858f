//! Sign-in of a managed identity with a token of another issuer.
//!
//! Source: "Microsoft identity platform and the OAuth 2.0 client credentials flow", third case, and the error codes of
//! Microsoft Entra. The token endpoint gives the same answer for a wrong value and for a credential that it does not
//! have yet.

use http::StatusCode;
use serde_json::Value;

use super::caller::Assertion;
use super::directory::Principal;
use super::error::{OAuthError, Tenant, unknown_application, unknown_tenant};
use crate::clock::SimTime;
use crate::kubernetes::service_accounts::claims_of;
use crate::state::CloudState;

/// The type of an assertion that is a JSON Web Token (RFC 7523 §2.2).
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Checks that a credential of a managed identity has the values of an assertion.
///
/// # Errors
/// 70021 without a matching credential.
fn find_credential(
    state: &CloudState,
    principal: &Principal,
    presented: Assertion<'_>,
    now: SimTime,
) -> Result<(), OAuthError> {
    let identity = principal.resource_id.as_deref().unwrap_or_default();
    if state.trusts_assertion(identity, presented, now) {
        return Ok(());
    }
    let Assertion { issuer, subject, audience } = presented;
    let why = format!(
        "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. Assertion \
         Subject: '{subject}'. Assertion Audience: '{audience}'. \
         https://docs.microsoft.com/azure/active-directory/develop/workload-identity-federation"
    );
    Err(OAuthError::bad("invalid_request", 70021, why))
}

/// Exchanges a token that a cluster has just issued to one of its pods, so that its signature and its lifetime are
/// valid. The error has no ids and no time of the request: repeated failures have the same text, and the cluster
/// counts them as one event.
///
/// # Errors
/// The response of the token endpoint: 90002 for another tenant, 700016 for an unknown identity, 70021 without a
/// matching credential.
pub fn exchange(
    state: &CloudState,
    tenant: &str,
    client_id: &str,
    presented: Assertion<'_>,
    now: SimTime,
) -> Result<(), (u16, Value)> {
    let exchanged = || {
        if Tenant::read(state, tenant) != Some(Tenant::Named) {
            return Err(unknown_tenant(tenant));
        }
        let found = state.directory.by_client_id(client_id);
        let principal = found.ok_or_else(|| unknown_application(state, client_id))?;
        find_credential(state, principal, presented, now)
    };
    exchanged().map_err(|error| error.without_request())
}

/// Checks the assertion of a managed identity.
///
/// # Errors
/// 70021 without a matching credential, 700024 outside of the lifetime, 700027 for a wrong signature, 50166 if the
/// issuer is not part of this cloud.
pub(super) fn check(
    state: &CloudState,
    principal: &Principal,
    assertion: &str,
    now: SimTime,
) -> Result<(), OAuthError> {
    let unauthorized =
        |number: u32, why: &str| OAuthError::new(StatusCode::UNAUTHORIZED, "invalid_client", number, why);
    let malformed = || OAuthError::bad("invalid_request", 50027, "JWT token is invalid or malformed.");
    let claims = claims_of(assertion).ok_or_else(malformed)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let audience = claims["aud"].as_array().map_or_else(|| text(&claims["aud"]), |list| text(&list[0]));
    let (issuer, subject) = (text(&claims["iss"]), text(&claims["sub"]));
    find_credential(
        state,
        principal,
        Assertion { issuer: &issuer, subject: &subject, audience: &audience },
        now,
    )?;
    let at = now.unix_seconds();
    let is_current = claims["exp"].as_i64().is_some_and(|exp| at < exp)
        && claims["nbf"].as_i64().is_none_or(|from| from <= at);
    if !is_current {
        return Err(unauthorized(700_024, "Client assertion is not within its valid time range."));
    }
    match state.issuer_has_signed(&issuer, assertion) {
        Some(true) => Ok(()),
        Some(false) => Err(unauthorized(700_027, "Client assertion failed signature validation.")),
        None => {
            let why =
                format!("Request to External OIDC endpoint failed: '{issuer}' is not part of this cloud.");
            Err(OAuthError::bad("invalid_request", 50166, why))
        }
    }
}
