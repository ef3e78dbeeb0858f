//! Validation of add-ons and ingress: which properties are allowed, and which exclude each other.
//!
//! Source: "Gateway API for AKS", "Application routing with the Gateway API" and "Azure Key Vault provider
//! for Secrets Store CSI Driver" of the AKS documentation.

use serde_json::Value;

use super::error::{bad, parameter};
use crate::arm::error::ArmError;

/// The key of the Key Vault add-on in `addonProfiles`.
pub(crate) const KEY_VAULT_ADDON: &str = "azureKeyvaultSecretsProvider";

/// Validates the add-ons and the ingress profile.
///
/// # Errors
/// The first validation error.
pub(crate) fn check(properties: &Value) -> Result<(), ArmError> {
    addons(&properties["addonProfiles"])?;
    workload_identity(properties)?;
    ingress(properties)
}

/// A property that required a preview feature before it became generally available.
struct PreviewFeature {
    property: &'static str,
    feature: &'static str,
    is_requested: fn(&Value) -> bool,
}

const PREVIEW_FEATURES: [PreviewFeature; 2] = [
    PreviewFeature {
        property: "ingressProfile.gatewayAPI",
        feature: "Microsoft.ContainerService/ManagedGatewayAPIPreview",
        is_requested: gateway_api,
    },
    PreviewFeature {
        property: "ingressProfile.webAppRouting.gatewayAPIImplementations",
        feature: "Microsoft.ContainerService/AppRoutingIstioGatewayAPIPreview",
        is_requested: istio_gateway,
    },
];

/// Checks that the subscription has registered the features of the requested properties. `allows` returns
/// whether a feature is registered or no longer exists.
///
/// # Errors
/// The first property whose feature exists and is not registered.
pub(crate) fn allowed(properties: &Value, allows: impl Fn(&str) -> bool) -> Result<(), ArmError> {
    let refused = |preview: &&PreviewFeature| (preview.is_requested)(properties) && !allows(preview.feature);
    let Some(PreviewFeature { property, feature, .. }) = PREVIEW_FEATURES.iter().find(refused) else {
        return Ok(());
    };
    let code = format!("{}FeatureFlagNotEnabled", feature.rsplit('/').next().unwrap_or_default());
    let message = format!(
        "Setting {property} is not allowed since feature '{feature}' is not enabled. Please see https://aka.ms/aks/previews \
         for how to enable features."
    );
    Err(bad(&code, message).with_target(*property))
}

/// Checks that workload identity has an issuer.
fn workload_identity(properties: &Value) -> Result<(), ArmError> {
    let is_on = properties["securityProfile"]["workloadIdentity"]["enabled"] == true;
    if is_on && properties["oidcIssuerProfile"]["enabled"] == false {
        let message = "Enabling workload identity requires the OIDC issuer. Please set oidcIssuerProfile.enabled to true.";
        return Err(bad("BadRequest", message).with_target("oidcIssuerProfile.enabled"));
    }
    Ok(())
}

fn addons(profiles: &Value) -> Result<(), ArmError> {
    for (name, profile) in profiles.as_object().into_iter().flatten() {
        if !profile["enabled"].is_boolean() {
            let why = format!("property 'enabled' of add-on {name} must be true or false.");
            return Err(parameter(&format!("addonProfiles.{name}"), why));
        }
        for (key, value) in profile["config"].as_object().into_iter().flatten() {
            if !value.is_string() {
                let message = format!(
                    "Unmarshal request body encountered error: json: cannot unmarshal {value} into Go struct field \
                     AddonProfile.properties.addonProfiles.config of type string ({key})"
                );
                return Err(bad("InvalidRequestBody", message));
            }
        }
        if name == KEY_VAULT_ADDON {
            key_vault(&profile["config"])?;
        }
    }
    Ok(())
}

fn key_vault(config: &Value) -> Result<(), ArmError> {
    if let Some(text) =
        config["enableSecretRotation"].as_str().filter(|text| !matches!(*text, "true" | "false"))
    {
        let why = format!("'{text}' is not a valid value, it must be 'true' or 'false'.");
        return Err(parameter("addonProfiles.azureKeyvaultSecretsProvider.config.enableSecretRotation", why));
    }
    match config["rotationPollInterval"].as_str() {
        Some(text) if go_seconds(text).is_none() => {
            let why = format!("'{text}' is not a valid duration.");
            Err(parameter("addonProfiles.azureKeyvaultSecretsProvider.config.rotationPollInterval", why))
        }
        _ => Ok(()),
    }
}

/// Returns the seconds of a Go duration, such as `2m` or `1h30m`; `None` if it is malformed or not above
/// zero.
pub(crate) fn go_seconds(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, scale) = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        total += number * scale;
        rest = &rest[unit.len()..];
    }
    (total > 0.0).then_some(total)
}

/// Returns whether `gatewayAPI.installation` is Standard.
pub(crate) fn gateway_api(properties: &Value) -> bool {
    properties["ingressProfile"]["gatewayAPI"]["installation"] == "Standard"
}

/// Returns whether the Istio implementation of application routing is enabled.
pub(crate) fn istio_gateway(properties: &Value) -> bool {
    let routing = &properties["ingressProfile"]["webAppRouting"];
    routing["gatewayAPIImplementations"]["appRoutingIstio"]["mode"] == "Enabled"
}

/// Checks the settings of the application routing operator.
fn web_app_routing(routing: &Value) -> Result<(), ArmError> {
    const TYPE: &str = "ingressProfile.webAppRouting.nginx.defaultIngressControllerType";
    const ZONES_MAX: usize = 5;
    if !routing["enabled"].is_boolean() && !routing["enabled"].is_null() {
        let why = "property 'enabled' must be true or false.".to_owned();
        return Err(parameter("ingressProfile.webAppRouting.enabled", why));
    }
    let kind = &routing["nginx"]["defaultIngressControllerType"];
    let known = ["AnnotationControlled", "External", "Internal", "None"];
    if !kind.is_null() && !kind.as_str().is_some_and(|kind| known.contains(&kind)) {
        return Err(parameter(TYPE, format!("{kind} is not supported.")));
    }
    let zones = routing["dnsZoneResourceIds"].as_array().map(Vec::as_slice).unwrap_or_default();
    if zones.len() > ZONES_MAX {
        let why = format!("at most {ZONES_MAX} zones are supported.");
        return Err(parameter("ingressProfile.webAppRouting.dnsZoneResourceIds", why));
    }
    Ok(())
}

fn ingress(properties: &Value) -> Result<(), ArmError> {
    let profile = &properties["ingressProfile"];
    let one_of = |value: &Value, known: &[&str]| value.as_str().is_none_or(|value| known.contains(&value));
    let installation = &profile["gatewayAPI"]["installation"];
    if !one_of(installation, &["Standard", "Disabled"]) {
        return Err(parameter(
            "ingressProfile.gatewayAPI.installation",
            format!("{installation} is not supported."),
        ));
    }
    let mode = &profile["webAppRouting"]["gatewayAPIImplementations"]["appRoutingIstio"]["mode"];
    if !one_of(mode, &["Enabled", "Disabled"]) {
        let target = "ingressProfile.webAppRouting.gatewayAPIImplementations.appRoutingIstio.mode";
        return Err(parameter(target, format!("{mode} is not supported.")));
    }
    web_app_routing(&profile["webAppRouting"])?;
    if !istio_gateway(properties) {
        return Ok(());
    }
    if !gateway_api(properties) {
        let message = "App routing Istio requires the managed Gateway API. Please set ingressProfile.gatewayAPI.installation to 'Standard'.";
        return Err(bad("BadRequest", message).with_target("ingressProfile.gatewayAPI.installation"));
    }
    if properties["serviceMeshProfile"]["mode"] == "Istio" {
        let message =
            "App routing Istio and the Istio service mesh add-on cannot be enabled at the same time.";
        return Err(bad("BadRequest", message).with_target("serviceMeshProfile.mode"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(properties: &Value) -> String {
        check(properties).err().map_or(String::new(), |error| error.code)
    }

    #[test]
    fn istio_for_gateways_needs_the_gateway_api_and_no_mesh() {
        let with = |installation: &str, mesh: &str| {
            code(&json!({
                "ingressProfile": {
                    "gatewayAPI": {"installation": installation},
                    "webAppRouting": {"gatewayAPIImplementations": {"appRoutingIstio": {"mode": "Enabled"}}},
                },
                "serviceMeshProfile": {"mode": mesh},
            }))
        };
        assert_eq!(with("Standard", "Disabled"), "");
        assert_eq!(with("Disabled", "Disabled"), "BadRequest");
        assert_eq!(with("Standard", "Istio"), "BadRequest");
        assert_eq!(with("Experimental", "Disabled"), "InvalidParameter");
    }

    #[test]
    fn web_app_routing_has_four_types_of_nginx_and_workload_identity_an_issuer() {
        let nginx = |kind: &str| {
            let nginx = json!({"defaultIngressControllerType": kind});
            code(&json!({"ingressProfile": {"webAppRouting": {"enabled": true, "nginx": nginx}}}))
        };
        let codes = ["None", "AnnotationControlled", "External", "Internal", "none"].map(nginx);
        assert_eq!(codes, ["", "", "", "", "InvalidParameter"]);
        let enabled = |value: Value| code(&json!({"ingressProfile": {"webAppRouting": {"enabled": value}}}));
        assert_eq!(enabled(json!("true")), "InvalidParameter");
        let workload = |issuer: bool| {
            let profile = json!({"workloadIdentity": {"enabled": true}});
            code(&json!({"oidcIssuerProfile": {"enabled": issuer}, "securityProfile": profile}))
        };
        assert_eq!((workload(true).as_str(), workload(false).as_str()), ("", "BadRequest"));
    }

    #[test]
    fn the_values_of_an_add_ons_config_are_strings() {
        let with = |config: Value| {
            code(&json!({"addonProfiles": {KEY_VAULT_ADDON: {"enabled": true, "config": config}}}))
        };
        assert_eq!(with(json!({"enableSecretRotation": "true", "rotationPollInterval": "2m"})), "");
        assert_eq!(with(json!({"enableSecretRotation": true})), "InvalidRequestBody");
        assert_eq!(with(json!({"enableSecretRotation": "yes"})), "InvalidParameter");
        assert_eq!(with(json!({"rotationPollInterval": "2 minutes"})), "InvalidParameter");
    }

    #[test]
    fn a_feature_that_still_exists_must_be_registered_before_its_property_is_used() {
        let properties = json!({"ingressProfile": {"gatewayAPI": {"installation": "Standard"}}});
        let error = allowed(&properties, |_| false).unwrap_err();
        assert_eq!(error.code, "ManagedGatewayAPIPreviewFeatureFlagNotEnabled");
        assert!(allowed(&properties, |_| true).is_ok());
        assert!(allowed(&json!({}), |_| false).is_ok());
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(go_seconds("2m"), Some(120.0));
        assert_eq!(go_seconds("1h30m"), Some(5400.0));
        assert_eq!(go_seconds("500ms"), Some(0.5));
        assert_eq!(go_seconds("2"), None);
        assert_eq!(go_seconds("0s"), None);
    }
}
