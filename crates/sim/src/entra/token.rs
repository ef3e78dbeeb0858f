//! Access tokens: JSON Web Tokens (RFC 7519), signed with the key of this directory.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::entra::{AZURE_CLI, Principal, PrincipalKind};
use crate::request::Request;
use crate::world::World;

/// The authenticated caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The object id (`oid`).
    pub object_id: String,
    /// The tenant (`tid`).
    pub tenant: String,
    /// The client application (`appid`).
    pub app_id: String,
    /// True for a user (`idtyp` is `user`).
    pub is_user: bool,
    /// The display name.
    pub name: String,
}

/// The reason for the rejection of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no `Authorization: Bearer` header.
    Missing,
    /// It is not a token of this directory: not three parts, not JSON, or an unknown principal.
    Malformed,
    /// The signature does not match.
    BadSignature,
    /// It is for another audience.
    WrongAudience,
    /// It expired at that instant.
    Expired(Moment),
}

/// Creates a token for a principal and an audience, as the token endpoint issues it.
pub fn token_for(world: &World, object_id: &str, audience: &str, now: Moment) -> String {
    let lasts_ms = (world.directory.token_lifetime_real * 1000.0) as i64;
    let principal = world.directory.by_object_id(object_id);
    let claims = principal
        .map_or(Value::Null, |principal| claims(world, principal, audience, now, now.plus_ms(lasts_ms)));
    sign(world, &claims)
}

fn claims(world: &World, principal: &Principal, audience: &str, now: Moment, expires: Moment) -> Value {
    let tenant = &world.directory.tenant;
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
pub(super) fn sign(world: &World, claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256","kid":"landfall"}"#);
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let signed = format!("{header}.{payload}");
    let signature = hmac::sign(&key(world), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Returns the claims of a token with a valid signature of this directory.
pub(super) fn verified(world: &World, token: &str) -> Result<Value, Refused> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
    let (_, payload) = signed.split_once('.').ok_or(Refused::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed);
    hmac::verify(&key(world), signed.as_bytes(), &decode(signature)?).map_err(|_| Refused::BadSignature)?;
    serde_json::from_slice(&decode(payload)?).map_err(|_| Refused::Malformed)
}

fn key(world: &World) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, world.directory.signing_key())
}

/// Checks the token of a request to a service.
///
/// # Errors
/// The reason for the rejection; each service has its own response format.
pub fn bearer(world: &World, request: &Request, audience: &str, now: Moment) -> Result<Caller, Refused> {
    let header = request.header("authorization").ok_or(Refused::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(Refused::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::Missing);
    }
    let claims = verified(world, token.trim())?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    if text("aud").trim_end_matches('/') != audience.trim_end_matches('/') {
        return Err(Refused::WrongAudience);
    }
    let expires = Moment(claims["exp"].as_i64().unwrap_or(0).saturating_mul(1000));
    if now >= expires {
        return Err(Refused::Expired(expires));
    }
    let principal = world.directory.by_object_id(&text("oid")).ok_or(Refused::Malformed)?;
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
pub fn signer(world: &World, request: &Request) -> Option<String> {
    let (_, token) = request.header("authorization")?.split_once(' ')?;
    verified(world, token.trim()).ok()?["oid"].as_str().map(str::to_owned)
}

/// Returns the `WWW-Authenticate` value of Resource Manager for a rejected token.
pub fn challenge(world: &World, refused: Refused) -> String {
    let authority = format!("{}/{}", world.origin("login"), world.directory.tenant);
    let why = match refused {
        Refused::Missing => "The authentication failed because of missing 'Authorization' header.",
        Refused::Malformed => "The access token is invalid.",
        Refused::BadSignature => "The access token signature could not be validated.",
        Refused::WrongAudience => "The access token has been obtained for wrong audience or resource.",
        Refused::Expired(_) => "The access token has expired.",
    };
    format!(r#"Bearer authorization_uri="{authority}", error="invalid_token", error_description="{why}""#)
}
