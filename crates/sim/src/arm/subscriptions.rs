//! The subscription, its tenant and regions (Subscriptions REST API), and the metadata endpoints of the
//! cloud.

use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::roles::Right;
use crate::arm::{Call, Route, versions};
use crate::request::Reply;
use crate::world::{DOMAIN, World};

const KIND: &str = "Microsoft.Resources/subscriptions";

pub(super) fn routes() -> Vec<Route> {
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

fn body(world: &World) -> Value {
    json!({
        "id": format!("/subscriptions/{}", world.subscription),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": world.subscription,
        "tenantId": world.directory.tenant,
        "displayName": "Landfall Simulation",
        "state": if world.disabled { "Disabled" } else { "Enabled" },
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    })
}

/// Lists the subscription if a role at or above it allows the caller to read it.
fn list(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    let scope = format!("/subscriptions/{}", world.subscription);
    let right = Right::Action("Microsoft.Resources/subscriptions/read");
    let seen = world.allows(&call.caller.object_id, right, &scope, call.now);
    let value = if seen { vec![body(world)] } else { Vec::new() };
    let count = value.len();
    Ok(Reply::json(200, &json!({ "value": value, "count": { "type": "Total", "value": count } })))
}

fn get(world: &mut World, _call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &body(world)))
}

fn locations(world: &mut World, _call: &Call<'_>) -> Result<Reply, ArmError> {
    let location = |name: &String| {
        json!({
            "id": format!("/subscriptions/{}/locations/{name}", world.subscription),
            "name": name,
            "type": "Region",
            "displayName": name,
            "regionalDisplayName": name,
            "metadata": { "regionType": "Physical", "regionCategory": "Recommended" },
        })
    };
    let value: Vec<Value> = world.locations.iter().map(location).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

/// Returns the normalized name of a region that the subscription can use.
///
/// # Errors
/// 400 `LocationNotAvailableForResourceType`; `kind` is the requested resource type.
pub(super) fn region(world: &World, given: &str, kind: &str) -> Result<String, ArmError> {
    let short = given.replace(' ', "").to_ascii_lowercase();
    if world.locations.contains(&short) {
        return Ok(short);
    }
    let message = format!(
        "The provided location '{given}' is not available for resource type '{kind}'. List of available regions for the \
         resource type is '{}'.",
        world.locations.join(",")
    );
    Err(ArmError::gateway(400, "LocationNotAvailableForResourceType", message))
}

fn tenants(world: &mut World, _call: &Call<'_>) -> Result<Reply, ArmError> {
    let tenant = &world.directory.tenant;
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
pub(super) fn endpoints(world: &World) -> Value {
    json!({
        "name": "LandfallCloud",
        "portal": world.origin("portal"),
        "authentication": {
            "loginEndpoint": world.origin("login"),
            "audiences": [world.arm_audience(), format!("{}/", world.arm_audience())],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graphAudience": format!("https://graph.{DOMAIN}/"),
        "graph": format!("{}/", world.origin("graph")),
        "microsoftGraphResourceId": format!("{}/", world.origin("graph")),
        "resourceManager": format!("{}/", world.arm_origin()),
        "suffixes": { "keyVaultDns": format!("vault.{DOMAIN}") },
    })
}
