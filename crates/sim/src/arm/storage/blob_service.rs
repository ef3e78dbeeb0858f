//! The blob service of an account: versions of blobs, and the time for which deleted blobs and containers are kept
//! (Storage Resource Provider REST API, "Blob Services").
//!
//! The settings are stored and shown. An append makes no version, and nothing here restores a deleted blob.

use serde_json::{Value, json};

use super::account;
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::request::Reply;
use crate::state::CloudState;

pub(super) const KIND: &str = "Microsoft.Storage/storageAccounts/blobServices";
pub(super) const PATH: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}/blobServices/default";

/// The days for which deleted data can be kept.
const DAYS: std::ops::RangeInclusive<u64> = 1..=365;

pub(super) fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let account = account(state, call)?;
    let properties = state.blob_services.properties(account.name());
    let body = json!({
        "id": format!("{}/blobServices/default", account.id), "name": "default", "type": KIND,
        "sku": account.fields.get("sku"), "properties": properties,
    });
    Ok(Reply::json(200, &body))
}

/// Changes the given settings; the others stay.
pub(super) fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let account = account(state, call)?;
    let name = account.name().to_owned();
    let has_folders = account.properties.get("isHnsEnabled") == Some(&Value::Bool(true));
    let body = call.body()?;
    let mut properties = state.blob_services.properties(&name);
    for (setting, value) in body["properties"].as_object().into_iter().flatten() {
        match setting.as_str() {
            "isVersioningEnabled" if has_folders && value == true => {
                let why = "Versioning is not supported for the account.";
                return Err(ArmError::new(409, "FeatureNotSupportedForAccount", why));
            }
            "deleteRetentionPolicy" | "containerDeleteRetentionPolicy" => check_policy(setting, value)?,
            _ => {}
        }
        properties[setting] = value.clone();
    }
    state.blob_services.0.insert(name, properties);
    get(state, call)
}

fn check_policy(setting: &str, policy: &Value) -> Result<(), ArmError> {
    let is_valid =
        policy["enabled"] != true || policy["days"].as_u64().is_some_and(|days| DAYS.contains(&days));
    match is_valid {
        true => Ok(()),
        false => {
            let why =
                format!("The value of {setting}.days must be between {} and {}.", DAYS.start(), DAYS.end());
            Err(ArmError::new(400, "InvalidValuesForRequestProperty", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};

    #[test]
    fn the_settings_of_a_blob_service_are_kept_until_its_account_is_deleted() {
        let mut cloud = TestCloud::new();
        let account = cloud.in_group("Microsoft.Storage/storageAccounts/acct?api-version=2025-06-01");
        let service = account.replace("?", "/blobServices/default?");
        assert_eq!(code(&cloud.get(&service)), "ResourceNotFound");
        let body = json!({ "location": "eastus", "kind": "StorageV2", "sku": { "name": "Standard_LRS" } });
        assert!(cloud.put(&account, &body).status.is_success());
        cloud.advance(60.0);
        assert_eq!(cloud.get(&service).value()["properties"]["isVersioningEnabled"], false);
        let wrong = json!({ "properties": { "deleteRetentionPolicy": { "enabled": true, "days": 400 } } });
        assert_eq!(code(&cloud.put(&service, &wrong)), "InvalidValuesForRequestProperty");
        let policy = json!({ "enabled": true, "days": 14 });
        let body = json!({ "properties": { "isVersioningEnabled": true, "deleteRetentionPolicy": policy } });
        assert_eq!(cloud.put(&service, &body).status, 200);
        let body = json!({ "properties": { "containerDeleteRetentionPolicy": policy } });
        let properties = cloud.put(&service, &body).value()["properties"].clone();
        assert_eq!(
            (&properties["isVersioningEnabled"], &properties["deleteRetentionPolicy"]),
            (&json!(true), &policy)
        );
        cloud.delete(&account);
        assert_eq!(cloud.state.blob_services.properties("acct")["isVersioningEnabled"], false);
    }
}
