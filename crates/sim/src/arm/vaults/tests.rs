use http::Method;
use serde_json::{Value, json};

use crate::test_cloud::{TestCloud, code};

const DELETED: &str =
    "/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv-demo?api-version=2026-02-01";
const PURGE: &str =
    "/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv-demo/purge?api-version=2026-02-01";

fn put(cloud: &mut TestCloud, name: &str, body: &Value) -> crate::request::Reply {
    cloud.arm(Method::PUT, &TestCloud::vault_path(name), Some(body))
}

#[test]
fn a_vault_registers_its_name_before_it_succeeds() {
    let mut cloud = TestCloud::new();
    let body = cloud.vault_body();
    let created = put(&mut cloud, "kv-demo", &body);
    assert_eq!(created.status, 200);
    assert_eq!(created.value()["properties"]["provisioningState"], "RegisteringDns");
    assert_eq!(created.value()["properties"]["vaultUri"], "https://kv-demo.vault.landfall.localhost:20000");
    assert!(created.headers.get("azure-asyncoperation").is_none());
    cloud.advance(13.0);
    let path = TestCloud::vault_path("kv-demo");
    assert_eq!(
        cloud.arm(Method::GET, &path, None).value()["properties"]["provisioningState"],
        "RegisteringDns"
    );
    cloud.advance(2.0);
    let ready = cloud.arm(Method::GET, &path, None).value();
    assert_eq!(ready["properties"]["provisioningState"], "Succeeded");
    assert_eq!(ready["properties"]["vaultUri"], "https://kv-demo.vault.landfall.localhost:20000/");
    assert_eq!(ready["properties"]["softDeleteRetentionInDays"], 90);
}

#[test]
fn roles_are_the_default_of_the_newest_version_only() {
    let mut cloud = TestCloud::new();
    let mut body = cloud.vault_body();
    body["properties"].as_object_mut().unwrap().remove("enableRbacAuthorization");
    let new = put(&mut cloud, "kv-new", &body);
    assert_eq!(new.value()["properties"]["enableRbacAuthorization"], true);
    let path = TestCloud::vault_path("kv-old").replace("2026-02-01", "2023-07-01");
    let old = cloud.arm(Method::PUT, &path, Some(&body));
    assert_eq!(old.value()["properties"]["enableRbacAuthorization"], false);
    body["properties"].as_object_mut().unwrap().remove("accessPolicies");
    let path = TestCloud::vault_path("kv-older").replace("2026-02-01", "2023-07-01");
    assert_eq!(code(&cloud.arm(Method::PUT, &path, Some(&body))), "BadRequest");
}

#[test]
fn bad_bodies_and_names_are_refused() {
    let mut cloud = TestCloud::new();
    let good = cloud.vault_body();
    assert_eq!(code(&put(&mut cloud, "kv--demo", &good)), "VaultNameNotValid");
    for (key, value) in [
        ("tenantId", json!("00000000-0000-0000-0000-000000000000")),
        ("tenantId", Value::Null),
        ("sku", json!({"family": "B", "name": "standard"})),
        ("softDeleteRetentionInDays", json!(6)),
        ("enableSoftDelete", json!(false)),
        ("enablePurgeProtection", json!(false)),
    ] {
        let mut body = good.clone();
        body["properties"][key] = value;
        assert_eq!(code(&put(&mut cloud, "kv-demo", &body)), "BadRequest", "{key}");
    }
    let mut body = good;
    body["location"] = json!("atlantis");
    assert_eq!(code(&put(&mut cloud, "kv-demo", &body)), "LocationNotAvailableForResourceType");
}

#[test]
fn a_foreign_name_and_a_soft_deleted_name_have_different_codes() {
    let mut cloud = TestCloud::new();
    cloud.make_vault("kv-demo");
    cloud.state.add_group("rg2", "eastus", &json!({}), None, cloud.now);
    let other = TestCloud::vault_path("KV-demo").replace("/rg/", "/rg2/");
    let body = cloud.vault_body();
    assert_eq!(code(&cloud.arm(Method::PUT, &other, Some(&body))), "VaultAlreadyExists");
    assert_eq!(cloud.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None).status, 200);
    assert_eq!(cloud.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None).status, 204);
    assert_eq!(code(&put(&mut cloud, "kv-demo", &body)), "ConflictError");
    assert_eq!(code(&cloud.arm(Method::PUT, &other, Some(&body))), "VaultAlreadyExists");
    cloud.state.vaults.reserve_name("kv-taken");
    assert_eq!(code(&put(&mut cloud, "kv-taken", &body)), "VaultAlreadyExists");
    let requested = json!({"name": "kv-demo", "type": "Microsoft.KeyVault/vaults"});
    let path = "/providers/Microsoft.KeyVault/checkNameAvailability?api-version=2026-02-01";
    assert_eq!(cloud.arm(Method::POST, path, Some(&requested)).value()["reason"], "AlreadyExists");
}

#[test]
fn recovery_restores_the_vault_without_its_role_assignments() {
    let mut cloud = TestCloud::new();
    cloud.make_vault("kv-demo");
    cloud.make_officer("kv-demo");
    let assignments = cloud.state.roles.assignments.len();
    cloud.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None);
    assert_eq!(cloud.state.roles.assignments.len(), assignments - 1);
    let deleted = cloud.arm(Method::GET, DELETED, None);
    assert_eq!(deleted.status, 200);
    assert!(deleted.value()["properties"]["scheduledPurgeDate"].is_string());
    let mut body = cloud.vault_body();
    body["properties"]["createMode"] = json!("recover");
    assert_eq!(put(&mut cloud, "kv-demo", &body).status, 200);
    cloud.advance(21.0);
    let back = cloud.arm(Method::GET, &TestCloud::vault_path("kv-demo"), None);
    assert_eq!(back.value()["properties"]["provisioningState"], "Succeeded");
    assert_eq!(cloud.state.roles.assignments.len(), assignments - 1);
    assert_eq!(cloud.arm(Method::GET, DELETED, None).status, 404);
    cloud.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None);
    body["location"] = json!("westus3");
    assert_eq!(code(&put(&mut cloud, "kv-demo", &body)), "SoftDeletedVaultDoesNotExist");
}

#[test]
fn a_purge_frees_the_name_unless_the_vault_is_protected() {
    let mut cloud = TestCloud::new();
    cloud.make_vault("kv-demo");
    cloud.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None);
    let purge = cloud.arm(Method::POST, PURGE, None);
    assert_eq!(purge.status, 202);
    assert!(purge.headers.contains_key("location"));
    let mut body = cloud.vault_body();
    assert_eq!(code(&put(&mut cloud, "kv-demo", &body)), "ConflictError");
    cloud.advance(21.0);
    assert_eq!(cloud.arm(Method::GET, DELETED, None).status, 404);
    body["properties"]["enablePurgeProtection"] = json!(true);
    assert_eq!(put(&mut cloud, "kv-demo", &body).status, 200);
    cloud.advance(15.0);
    cloud.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None);
    assert_eq!(cloud.arm(Method::POST, PURGE, None).status, 409);
}

#[test]
fn an_update_keeps_what_it_leaves_out() {
    let mut cloud = TestCloud::new();
    cloud.make_vault("kv-demo");
    let mut body = cloud.vault_body();
    body["properties"].as_object_mut().unwrap().remove("enableRbacAuthorization");
    let again = put(&mut cloud, "kv-demo", &body).value();
    assert_eq!(again["properties"]["enableRbacAuthorization"], true);
    assert_eq!(again["properties"]["provisioningState"], "Succeeded");
    body["properties"]["softDeleteRetentionInDays"] = json!(30);
    assert_eq!(code(&put(&mut cloud, "kv-demo", &body)), "BadRequest");
    let tagged =
        cloud.arm(Method::PATCH, &TestCloud::vault_path("kv-demo"), Some(&json!({"tags": {"a": "b"}})));
    assert_eq!(tagged.value()["tags"], json!({"a": "b"}));
    body["location"] = json!("westus3");
    assert_eq!(code(&put(&mut cloud, "kv-demo", &body)), "InvalidResourceLocation");
}

#[test]
fn a_group_deletion_soft_deletes_its_vaults() {
    let mut cloud = TestCloud::new();
    cloud.make_vault("kv-demo");
    let deleted_at = super::provider::delete_members(&mut cloud.state, "RG", cloud.now, &cloud.timing);
    assert!(deleted_at > cloud.now);
    cloud.advance(6.0);
    assert_eq!(cloud.arm(Method::GET, &TestCloud::vault_path("kv-demo"), None).status, 404);
    assert_eq!(cloud.arm(Method::GET, DELETED, None).status, 200);
}
