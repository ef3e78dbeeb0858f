//! The subscription, its tenant and regions (Subscriptions REST API), and the metadata endpoints of the
//! cloud.

use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::roles::Right;
use crate::arm::{Call, Route, versions};
use crate::request::Reply;
use crate::state::{CloudState, DOMAIN};

const KIND: &str = "Microsoft.Resources/subscriptions";

pub(crate) fn routes() -> Vec<Route> {
    let versions = versions::SUBSCRIPTIONS;
    vec![
        Route::any("GET", "/subscriptions", KIND, versions, list),
        Route::new("GET", "/subscriptions/{subscription}", KIND, versions, get),
        Route::any(
            "GET",
            "/subscriptions/{subscription}/locations",
            "Microsoft.Resources/subscriptions/locations",
            versions,
            locations,
        ),
        Route::any("GET", "/tenants", "Microsoft.Resources/tenants", versions, tenants),
    ]
}

fn body(state: &CloudState) -> Value {
    json!({
        "id": format!("/subscriptions/{}", state.subscription),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": state.subscription,
        "tenantId": state.directory.tenant,
        "displayName": "Landfall Simulation",
        "state": if state.disabled { "Disabled" } else { "Enabled" },
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    })
}

/// Lists the subscription if a role at or above it allows the caller to read it.
fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let scope = format!("/subscriptions/{}", state.subscription);
    let right = Right::Action("Microsoft.Resources/subscriptions/read");
    let is_visible = state.allows(&call.caller.object_id, right, &scope, call.now);
    let value = if is_visible { vec![body(state)] } else { Vec::new() };
    let count = value.len();
    Ok(Reply::json(200, &json!({ "value": value, "count": { "type": "Total", "value": count } })))
}

fn get(state: &mut CloudState, _call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &body(state)))
}

fn locations(state: &mut CloudState, _call: &Call<'_>) -> Result<Reply, ArmError> {
    let location = |name: &String| {
        json!({
            "id": format!("/subscriptions/{}/locations/{name}", state.subscription),
            "name": name,
            "type": "Region",
            "displayName": name,
            "regionalDisplayName": name,
            "metadata": { "regionType": "Physical", "regionCategory": "Recommended" },
        })
    };
    let value: Vec<Value> = state.locations.iter().map(location).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

/// Returns the normalized name of a region that the subscription can use.
///
/// # Errors
/// 400 `LocationNotAvailableForResourceType`; `kind` is the requested resource type.
pub(super) fn region(state: &CloudState, given: &str, kind: &str) -> Result<String, ArmError> {
    let short = given.replace(' ', "").to_ascii_lowercase();
    if state.locations.contains(&short) {
        return Ok(short);
    }
    let message = format!(
        "The provided location '{given}' is not available for resource type '{kind}'. List of available regions for the \
         resource type is '{}'.",
        state.locations.join(",")
    );
    Err(ArmError::gateway(400, "LocationNotAvailableForResourceType", message))
}

fn tenants(state: &mut CloudState, _call: &Call<'_>) -> Result<Reply, ArmError> {
    let tenant = &state.directory.tenant;
    let body = json!({
        "id": format!("/tenants/{tenant}"),
        "tenantId": tenant,
        "displayName": "Landfall Simulation",
        "defaultDomain": DOMAIN,
        "domains": [DOMAIN],
        "tenantCategory": "Home",
    });
    Ok(Reply::json(200, &json!({ "value": [body] })))
}

/// Returns the body of `GET /metadata/endpoints`, which needs no authentication: the endpoints of this cloud.
pub(super) fn endpoints(state: &CloudState) -> Value {
    json!({
        "name": "LandfallCloud",
        "portal": state.origin("portal"),
        "authentication": {
            "loginEndpoint": state.origin("login"),
            "audiences": [state.arm_audience(), format!("{}/", state.arm_audience())],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graphAudience": format!("https://graph.{DOMAIN}/"),
        "graph": format!("{}/", state.origin("graph")),
        "microsoftGraphResourceId": format!("{}/", state.origin("graph")),
        "resourceManager": format!("{}/", state.arm_origin()),
        "suffixes": { "keyVaultDns": format!("vault.{DOMAIN}") },
    })
}
