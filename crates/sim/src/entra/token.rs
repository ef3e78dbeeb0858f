//! Access tokens: JSON Web Tokens (RFC 7519), signed with the key of this directory.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::caller::{Caller, TokenError};
use super::directory::{AZURE_CLI, Principal, PrincipalKind};
use crate::clock::SimTime;
use crate::request::Request;
use crate::state::CloudState;

/// Creates a token for a principal and an audience, as the token endpoint issues it.
pub fn token_for(state: &CloudState, object_id: &str, audience: &str, now: SimTime) -> String {
    let lasts_ms = (state.directory.token_lifetime_real * 1000.0) as i64;
    let principal = state.directory.by_object_id(object_id);
    let claims = principal
        .map_or(Value::Null, |principal| claims(state, principal, audience, now, now.plus_ms(lasts_ms)));
    sign(state, &claims)
}

fn claims(
    state: &CloudState,
    principal: &Principal,
    audience: &str,
    now: SimTime,
    expires: SimTime,
) -> Value {
    let tenant = &state.directory.tenant;
    let is_user = principal.kind == PrincipalKind::User;
    let mut claims = json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{tenant}/"),
        "iat": now.unix_seconds(),
        "nbf": now.unix_seconds(),
        "exp": expires.unix_seconds(),
        "appid": if is_user { AZURE_CLI } else { &principal.client_id },
        "idtyp": if is_user { "user" } else { "app" },
        "oid": principal.object_id,
        "sub": principal.object_id,
        "tid": tenant,
        "ver": "1.0",
    });
    if let Some(name) = &principal.sign_in_name {
        claims["name"] = json!(principal.name);
        claims["upn"] = json!(name);
        claims["unique_name"] = json!(name);
        claims["scp"] = json!("user_impersonation");
    }
    claims
}

/// Signs claims as a compact token (RFC 7515, HS256).
pub(super) fn sign(state: &CloudState, claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256","kid":"landfall"}"#);
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let signed = format!("{header}.{payload}");
    let signature = hmac::sign(&key(state), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Returns the claims of a token with a valid signature of this directory.
pub(super) fn verified(state: &CloudState, token: &str) -> Result<Value, TokenError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (_, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
    hmac::verify(&key(state), signed.as_bytes(), &decode(signature)?)
        .map_err(|_| TokenError::BadSignature)?;
    serde_json::from_slice(&decode(payload)?).map_err(|_| TokenError::Malformed)
}

fn key(state: &CloudState) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, state.directory.signing_key())
}

/// Checks the token of a request to a service.
///
/// # Errors
/// The reason for the rejection; each service has its own response format.
pub fn bearer(
    state: &CloudState,
    request: &Request,
    audience: &str,
    now: SimTime,
) -> Result<Caller, TokenError> {
    let header = request.header("authorization").ok_or(TokenError::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(TokenError::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Missing);
    }
    let claims = verified(state, token.trim())?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    if text("aud").trim_end_matches('/') != audience.trim_end_matches('/') {
        return Err(TokenError::WrongAudience);
    }
    let expires = SimTime(claims["exp"].as_i64().unwrap_or(0).saturating_mul(1000));
    if now >= expires {
        return Err(TokenError::Expired(expires));
    }
    let principal = state.directory.by_object_id(&text("oid")).ok_or(TokenError::Malformed)?;
    Ok(Caller {
        object_id: principal.object_id.clone(),
        tenant: text("tid"),
        app_id: text("appid"),
        is_user: principal.kind == PrincipalKind::User,
        name: principal.name.clone(),
    })
}

/// Returns the object id in a request's token if its signature is valid, whatever its audience and age; for
/// logs.
pub fn signer(state: &CloudState, request: &Request) -> Option<String> {
    let (_, token) = request.header("authorization")?.split_once(' ')?;
    verified(state, token.trim()).ok()?["oid"].as_str().map(str::to_owned)
}

/// Returns the `WWW-Authenticate` value of Resource Manager for a rejected token.
pub fn challenge(state: &CloudState, refused: TokenError) -> String {
    let authority = format!("{}/{}", state.origin("login"), state.directory.tenant);
    let why = match refused {
        TokenError::Missing => "The authentication failed because of missing 'Authorization' header.",
        TokenError::Malformed => "The access token is invalid.",
        TokenError::BadSignature => "The access token signature could not be validated.",
        TokenError::WrongAudience => "The access token has been obtained for wrong audience or resource.",
        TokenError::Expired(_) => "The access token has expired.",
    };
    format!(r#"Bearer authorization_uri="{authority}", error="invalid_token", error_description="{why}""#)
}
