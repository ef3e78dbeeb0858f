//! The body of a vault's PUT and PATCH: validation, kept properties and defaults.

use serde_json::{Value, json};

use super::Vault;
use crate::arm::error::ArmError;
use crate::arm::versions::VAULTS_USE_ROLES;

/// Writable properties; the service ignores all others.
const SETTABLE: [&str; 12] = [
    "tenantId",
    "sku",
    "accessPolicies",
    "enabledForDeployment",
    "enabledForDiskEncryption",
    "enabledForTemplateDeployment",
    "enableSoftDelete",
    "softDeleteRetentionInDays",
    "enableRbacAuthorization",
    "enablePurgeProtection",
    "networkAcls",
    "publicNetworkAccess",
];

fn bad(message: impl Into<String>) -> ArmError {
    ArmError::new(400, "BadRequest", message)
}

/// Returns the properties of a new vault.
///
/// # Errors
/// 400 for a missing or invalid property.
pub(super) fn fresh(desired: &Value, tenant: &str, api_version: &str) -> Result<Value, ArmError> {
    check(desired, tenant)?;
    for required in ["tenantId", "sku"] {
        if desired[required].is_null() {
            return Err(bad(format!("The parameter {required} is not specified.")));
        }
    }
    let mut properties = json!({});
    apply_settings(&mut properties, desired);
    let default = |properties: &mut Value, key: &str, value: Value| {
        if properties[key].is_null() {
            properties[key] = value;
        }
    };
    default(&mut properties, "enableRbacAuthorization", json!(api_version >= VAULTS_USE_ROLES));
    if properties["enableRbacAuthorization"] == false && properties["accessPolicies"].is_null() {
        return Err(bad("The parameter accessPolicies is not specified."));
    }
    default(&mut properties, "accessPolicies", json!([]));
    default(&mut properties, "enabledForDeployment", json!(false));
    default(&mut properties, "enableSoftDelete", json!(true));
    default(&mut properties, "softDeleteRetentionInDays", json!(90));
    default(&mut properties, "publicNetworkAccess", json!("Enabled"));
    Ok(properties)
}

/// Returns the properties of a vault after an update; omitted properties stay.
///
/// # Errors
/// 400 for an invalid property or a change of an immutable one.
pub(super) fn updated(vault: &Vault, desired: &Value, tenant: &str) -> Result<Value, ArmError> {
    check(desired, tenant)?;
    let days = &desired["softDeleteRetentionInDays"];
    if days.as_i64().is_some_and(|days| days != vault.retention_days()) {
        let message =
            "The property \"softDeleteRetentionInDays\" has been set already and it can't be modified.";
        return Err(bad(message));
    }
    let mut properties = vault.properties().clone();
    apply_settings(&mut properties, desired);
    Ok(properties)
}

fn apply_settings(properties: &mut Value, desired: &Value) {
    for key in SETTABLE.iter().filter(|key| !desired[**key].is_null()) {
        properties[*key] = desired[*key].clone();
    }
}

/// Validates the rules that apply to every body.
fn check(desired: &Value, tenant: &str) -> Result<(), ArmError> {
    if desired["tenantId"].as_str().is_some_and(|desired| !desired.eq_ignore_ascii_case(tenant)) {
        return Err(bad(format!("Invalid value found at properties.tenantId: {}", desired["tenantId"])));
    }
    let sku = &desired["sku"];
    let named = |key: &str, known: &[&str]| {
        sku[key].as_str().is_some_and(|text| known.iter().any(|known| known.eq_ignore_ascii_case(text)))
    };
    let known = named("family", &["A"]) && named("name", &["standard", "premium"]);
    if !sku.is_null() && !known {
        return Err(bad(format!("Invalid value found at properties.sku: {sku}")));
    }
    if desired["enableSoftDelete"] == false {
        return Err(bad(
            "The property \"enableSoftDelete\" cannot be set to false. Soft delete is always on.",
        ));
    }
    if desired["enablePurgeProtection"] == false {
        return Err(bad(
            "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a vault is \
             an irreversible action.",
        ));
    }
    let days = &desired["softDeleteRetentionInDays"];
    if !days.is_null() && !days.as_i64().is_some_and(|days| (7..=90).contains(&days)) {
        return Err(bad("The property \"softDeleteRetentionInDays\" must be between 7 and 90."));
    }
    Ok(())
}
