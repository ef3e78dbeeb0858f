//! The sign-in authority: discovery documents, and the dispatch to the token endpoint.
//!
//! Contract: Microsoft identity platform, OpenID Connect discovery and the v2.0 token endpoint.

use http::Method;
use serde_json::{Value, json};

use crate::clock::SimTime;
use crate::entra::error::{Tenant, unknown_tenant};
use crate::entra::grant;
use crate::request::{Reply, Request};
use crate::state::{CloudState, DOMAIN};

/// Answers a request to the sign-in authority.
pub fn serve(state: &mut CloudState, request: &Request, now: SimTime) -> Reply {
    let segments = request.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (&request.method, segments.as_slice()) {
        (&Method::GET, [_, "discovery", "instance"]) => instance(state),
        (&Method::GET, [_, "userrealm", user]) => user_realm(user),
        (
            &Method::GET,
            [tenant, "v2.0", ".well-known", "openid-configuration"]
            | [tenant, ".well-known", "openid-configuration"],
        ) => match Tenant::read(state, tenant) {
            Some(_) => Reply::json(200, &metadata(state, tenant)),
            None => unknown_tenant(tenant).into_reply(state, request, now),
        },
        (&Method::GET, [_, "discovery", "v2.0", "keys"]) => Reply::json(200, &json!({ "keys": [] })),
        (&Method::POST, [tenant, "oauth2", "v2.0", "token"]) => token(state, tenant, request, now),
        _ => {
            tracing::warn!(method = %request.method, path = request.path, "the authority knows no such path");
            Reply::text(404, "")
        }
    }
}

fn token(state: &mut CloudState, tenant: &str, request: &Request, now: SimTime) -> Reply {
    let known = Tenant::read(state, tenant).ok_or_else(|| unknown_tenant(tenant));
    let granted = known.and_then(|known| grant::answer(state, known, request, now));
    match granted {
        Ok(body) => Reply::json(200, &body),
        Err(error) => error.into_reply(state, request, now),
    }
    .with_header("cache-control", "no-store, no-cache")
    .with_header("pragma", "no-cache")
}

fn metadata(state: &CloudState, tenant: &str) -> Value {
    let login = state.origin("login");
    json!({
        "token_endpoint": format!("{login}/{tenant}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "jwks_uri": format!("{login}/{tenant}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["HS256"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{login}/{}/v2.0", state.directory.tenant),
        "authorization_endpoint": format!("{login}/{tenant}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{login}/{tenant}/oauth2/v2.0/devicecode"),
        "tenant_region_scope": "NA",
        "cloud_instance_name": DOMAIN,
    })
}

fn instance(state: &CloudState) -> Reply {
    let host = format!("login.{DOMAIN}:{}", state.port);
    let discovery =
        format!("{}/{}/v2.0/.well-known/openid-configuration", state.origin("login"), state.directory.tenant);
    Reply::json(
        200,
        &json!({
            "tenant_discovery_endpoint": discovery,
            "api-version": "1.1",
            "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
        }),
    )
}

fn user_realm(user: &str) -> Reply {
    let domain = user.rsplit_once('@').map_or("", |(_, domain)| domain);
    Reply::json(
        200,
        &json!({
            "ver": "1.0",
            "account_type": if domain.eq_ignore_ascii_case(DOMAIN) { "Managed" } else { "Unknown" },
            "domain_name": domain,
            "cloud_instance_name": DOMAIN,
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        }),
    )
}
