//! The token endpoint: grants, scopes and errors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::blob;
use crate::clock::SimTime;
use crate::entra::error::{OAuthError, Tenant, unknown_application};
use crate::entra::{AKS_SERVER, AZURE_CLI, Principal, federation, token};
use crate::request::Request;
use crate::state::{CloudState, DOMAIN};

/// Answers a token request.
pub(super) fn answer(
    state: &CloudState,
    tenant: Tenant,
    request: &Request,
    now: SimTime,
) -> Result<Value, OAuthError> {
    let form = request.form();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let needed = |name: &str| {
        let why = || format!("The request body must contain the following parameter: '{name}'.");
        field(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| OAuthError::bad("invalid_request", 900_144, why()))
    };
    let client = needed("client_id")?;
    match needed("grant_type")? {
        "client_credentials" => {
            let principal = match field("client_assertion") {
                Some(assertion) => federated(state, client, assertion, field("client_assertion_type"), now)?,
                None => application(state, tenant, client, field("client_secret"))?,
            };
            let scope = Scope::read(state, needed("scope")?)?;
            if !scope.default {
                let why = format!(
                    "The provided value for scope {} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
                    scope.text
                );
                return Err(OAuthError::bad("invalid_scope", 1_002_012, why));
            }
            Ok(body(state, principal, &scope, now))
        }
        "password" => {
            known_client(state, client)?;
            let scope = Scope::read(state, needed("scope")?)?;
            let principal = person(state, needed("username")?, needed("password")?)?;
            Ok(with_user_tokens(state, principal, client, &scope, &form, now))
        }
        "refresh_token" => {
            known_client(state, client)?;
            let scope = Scope::read(state, needed("scope")?)?;
            let principal = refreshed(state, needed("refresh_token")?)?;
            Ok(with_user_tokens(state, principal, client, &scope, &form, now))
        }
        other => {
            let why = format!("The app requested an unsupported grant type '{other}'.");
            Err(OAuthError::bad("unsupported_grant_type", 70003, why))
        }
    }
}

fn application<'a>(
    state: &'a CloudState,
    tenant: Tenant,
    client: &str,
    secret: Option<&str>,
) -> Result<&'a Principal, OAuthError> {
    let unknown = || unknown_application(state, client);
    let principal =
        state.directory.by_client_id(client).filter(|_| tenant == Tenant::Named).ok_or_else(unknown)?;
    let Some(secret) = secret else {
        let why =
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        return Err(OAuthError::new(StatusCode::UNAUTHORIZED, "invalid_client", 7_000_218, why));
    };
    if principal.has_secret(secret) {
        return Ok(principal);
    }
    let why = format!(
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the \
         client secret ID, for a secret added to app '{client}'."
    );
    Err(OAuthError::new(StatusCode::UNAUTHORIZED, "invalid_client", 7_000_215, why))
}

/// Returns the managed identity whose credential trusts an assertion.
fn federated<'a>(
    state: &'a CloudState,
    client: &str,
    assertion: &str,
    assertion_type: Option<&str>,
    now: SimTime,
) -> Result<&'a Principal, OAuthError> {
    if assertion_type != Some(federation::JWT_BEARER) {
        let why = format!(
            "The request body must contain the following parameter: 'client_assertion_type' with the value '{}'.",
            federation::JWT_BEARER
        );
        return Err(OAuthError::bad("invalid_request", 900_144, why));
    }
    let found = state.directory.by_client_id(client).ok_or_else(|| unknown_application(state, client))?;
    federation::check(state, found, assertion, now)?;
    Ok(found)
}

fn known_client(state: &CloudState, client: &str) -> Result<(), OAuthError> {
    if client.eq_ignore_ascii_case(AZURE_CLI) || state.directory.by_client_id(client).is_some() {
        return Ok(());
    }
    Err(unknown_application(state, client))
}

fn person<'a>(state: &'a CloudState, name: &str, password: &str) -> Result<&'a Principal, OAuthError> {
    let found = state.directory.by_sign_in_name(name).filter(|person| person.has_secret(password));
    let why = "Error validating credentials due to invalid username or password.";
    found.ok_or_else(|| OAuthError::bad("invalid_grant", 50126, why))
}

fn refreshed<'a>(state: &'a CloudState, refresh_token: &str) -> Result<&'a Principal, OAuthError> {
    let refused =
        || OAuthError::bad("invalid_grant", 9_002_313, "Invalid request. Request is malformed or invalid.");
    let claims = token::verified(state, refresh_token).map_err(|_| refused())?;
    if claims["use"] != "refresh" {
        return Err(refused());
    }
    state.directory.by_object_id(claims["oid"].as_str().unwrap_or_default()).ok_or_else(refused)
}

/// The requested scope.
struct Scope {
    /// The scope in its original form.
    text: String,
    /// The resource, without a trailing slash.
    resource: String,
    /// True if it ends in `/.default`.
    default: bool,
    /// True if the caller also requests an id token.
    openid: bool,
    offline: bool,
}

impl Scope {
    /// Parses a scope list. A resource with its own trailing slash has a double slash before `.default`. Both
    /// forms name the same resource, with or without the simulated cloud's port.
    fn read(state: &CloudState, text: &str) -> Result<Self, OAuthError> {
        let scopes: Vec<&str> = text.split_whitespace().collect();
        let standard = ["openid", "profile", "email", "offline_access"];
        let wanted = scopes.iter().find(|word| !standard.contains(word)).copied().unwrap_or_default();
        let (resource, name) = wanted.rsplit_once('/').unwrap_or((wanted, ""));
        let resource = resource.trim_end_matches('/');
        let bare =
            resource.strip_suffix(&format!(":{}", state.port)).unwrap_or(resource).to_ascii_lowercase();
        let known = [
            state.arm_audience(),
            state.vault_audience(),
            state.graph_audience(),
            AKS_SERVER.to_owned(),
            blob::AUDIENCE.to_owned(),
        ];
        let is_account =
            bare.strip_prefix("https://").is_some_and(|host| host.ends_with(&format!(".blob.{DOMAIN}")));
        if !known.contains(&bare) && !is_account {
            let why = format!(
                "The resource principal named {resource} was not found in the tenant named {}. This can happen if the \
                 application has not been installed by the administrator of the tenant or consented to by any user in the \
                 tenant. You might have sent your authentication request to the wrong tenant.",
                state.directory.tenant
            );
            return Err(OAuthError::bad("invalid_resource", 500_011, why));
        }
        Ok(Self {
            text: text.to_owned(),
            resource: bare,
            default: name == ".default",
            openid: scopes.contains(&"openid"),
            offline: scopes.contains(&"offline_access"),
        })
    }
}

fn body(state: &CloudState, principal: &Principal, scope: &Scope, now: SimTime) -> Value {
    let lasts = state.directory.token_lifetime_real as i64;
    json!({
        "token_type": "Bearer",
        "scope": scope.text,
        "expires_in": lasts,
        "ext_expires_in": lasts,
        "access_token": token::token_for(state, &principal.object_id, &scope.resource, now),
    })
}

fn with_user_tokens(
    state: &CloudState,
    principal: &Principal,
    client: &str,
    scope: &Scope,
    form: &[(String, String)],
    now: SimTime,
) -> Value {
    let mut body = body(state, principal, scope, now);
    let tenant = &state.directory.tenant;
    if scope.offline {
        let claims = json!({ "use": "refresh", "oid": principal.object_id, "iat": now.unix_seconds() });
        body["refresh_token"] = json!(token::sign(state, &claims));
    }
    if scope.openid {
        let claims = json!({
            "aud": client,
            "iss": format!("{}/{tenant}/v2.0", state.origin("login")),
            "iat": now.unix_seconds(),
            "nbf": now.unix_seconds(),
            "exp": now.unix_seconds() + state.directory.token_lifetime_real as i64,
            "name": principal.name,
            "preferred_username": principal.sign_in_name,
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": tenant,
            "ver": "2.0",
        });
        body["id_token"] = json!(token::sign(state, &claims));
    }
    if form.iter().any(|(name, value)| name == "client_info" && value == "1") {
        let info = json!({ "uid": principal.object_id, "utid": tenant }).to_string();
        body["client_info"] = json!(URL_SAFE_NO_PAD.encode(info));
    }
    body
}
