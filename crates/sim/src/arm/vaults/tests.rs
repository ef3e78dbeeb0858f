use http::Method;
use serde_json::{Value, json};

use crate::test_cloud::{TestCloud, code};

const DELETED: &str =
    "/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv-demo?api-version=2026-02-01";
const PURGE: &str =
    "/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv-demo/purge?api-version=2026-02-01";

fn put(bench: &mut TestCloud, name: &str, body: &Value) -> crate::request::Reply {
    bench.arm(Method::PUT, &TestCloud::vault_path(name), Some(body))
}

#[test]
fn a_vault_registers_its_name_before_it_succeeds() {
    let mut bench = TestCloud::new();
    let body = bench.vault_body();
    let made = put(&mut bench, "kv-demo", &body);
    assert_eq!(made.status, 200);
    assert_eq!(made.value()["properties"]["provisioningState"], "RegisteringDns");
    assert_eq!(made.value()["properties"]["vaultUri"], "https://kv-demo.vault.landfall.localhost:20000");
    assert!(made.headers.get("azure-asyncoperation").is_none());
    bench.pass(13.0);
    let path = TestCloud::vault_path("kv-demo");
    assert_eq!(
        bench.arm(Method::GET, &path, None).value()["properties"]["provisioningState"],
        "RegisteringDns"
    );
    bench.pass(2.0);
    let ready = bench.arm(Method::GET, &path, None).value();
    assert_eq!(ready["properties"]["provisioningState"], "Succeeded");
    assert_eq!(ready["properties"]["vaultUri"], "https://kv-demo.vault.landfall.localhost:20000/");
    assert_eq!(ready["properties"]["softDeleteRetentionInDays"], 90);
}

#[test]
fn roles_are_the_default_of_the_newest_version_only() {
    let mut bench = TestCloud::new();
    let mut body = bench.vault_body();
    body["properties"].as_object_mut().unwrap().remove("enableRbacAuthorization");
    let new = put(&mut bench, "kv-new", &body);
    assert_eq!(new.value()["properties"]["enableRbacAuthorization"], true);
    let path = TestCloud::vault_path("kv-old").replace("2026-02-01", "2023-07-01");
    let old = bench.arm(Method::PUT, &path, Some(&body));
    assert_eq!(old.value()["properties"]["enableRbacAuthorization"], false);
    body["properties"].as_object_mut().unwrap().remove("accessPolicies");
    let path = TestCloud::vault_path("kv-older").replace("2026-02-01", "2023-07-01");
    assert_eq!(code(&bench.arm(Method::PUT, &path, Some(&body))), "BadRequest");
}

#[test]
fn bad_bodies_and_names_are_refused() {
    let mut bench = TestCloud::new();
    let good = bench.vault_body();
    assert_eq!(code(&put(&mut bench, "kv--demo", &good)), "VaultNameNotValid");
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
        assert_eq!(code(&put(&mut bench, "kv-demo", &body)), "BadRequest", "{key}");
    }
    let mut body = good;
    body["location"] = json!("atlantis");
    assert_eq!(code(&put(&mut bench, "kv-demo", &body)), "LocationNotAvailableForResourceType");
}

#[test]
fn a_name_in_use_elsewhere_is_refused_with_another_code_than_a_soft_deleted_one_here() {
    let mut bench = TestCloud::new();
    bench.make_vault("kv-demo");
    bench.world.add_group("rg2", "eastus", &json!({}), None, bench.now);
    let other = TestCloud::vault_path("KV-demo").replace("/rg/", "/rg2/");
    let body = bench.vault_body();
    assert_eq!(code(&bench.arm(Method::PUT, &other, Some(&body))), "VaultAlreadyExists");
    assert_eq!(bench.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None).status, 200);
    assert_eq!(bench.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None).status, 204);
    assert_eq!(code(&put(&mut bench, "kv-demo", &body)), "ConflictError");
    assert_eq!(code(&bench.arm(Method::PUT, &other, Some(&body))), "VaultAlreadyExists");
    bench.world.vaults.occupy("kv-taken");
    assert_eq!(code(&put(&mut bench, "kv-taken", &body)), "VaultAlreadyExists");
    let asked = json!({"name": "kv-demo", "type": "Microsoft.KeyVault/vaults"});
    let path = "/providers/Microsoft.KeyVault/checkNameAvailability?api-version=2026-02-01";
    assert_eq!(bench.arm(Method::POST, path, Some(&asked)).value()["reason"], "AlreadyExists");
}

#[test]
fn recovery_brings_the_vault_back_without_its_role_assignments() {
    let mut bench = TestCloud::new();
    bench.make_vault("kv-demo");
    bench.make_officer("kv-demo");
    let assignments = bench.world.roles.assignments.len();
    bench.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None);
    assert_eq!(bench.world.roles.assignments.len(), assignments - 1);
    let deleted = bench.arm(Method::GET, DELETED, None);
    assert_eq!(deleted.status, 200);
    assert!(deleted.value()["properties"]["scheduledPurgeDate"].is_string());
    let mut body = bench.vault_body();
    body["properties"]["createMode"] = json!("recover");
    assert_eq!(put(&mut bench, "kv-demo", &body).status, 200);
    bench.pass(21.0);
    let back = bench.arm(Method::GET, &TestCloud::vault_path("kv-demo"), None);
    assert_eq!(back.value()["properties"]["provisioningState"], "Succeeded");
    assert_eq!(bench.world.roles.assignments.len(), assignments - 1);
    assert_eq!(bench.arm(Method::GET, DELETED, None).status, 404);
    bench.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None);
    body["location"] = json!("westus3");
    assert_eq!(code(&put(&mut bench, "kv-demo", &body)), "SoftDeletedVaultDoesNotExist");
}

#[test]
fn a_purge_frees_the_name_unless_the_vault_is_protected() {
    let mut bench = TestCloud::new();
    bench.make_vault("kv-demo");
    bench.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None);
    let purge = bench.arm(Method::POST, PURGE, None);
    assert_eq!(purge.status, 202);
    assert!(purge.headers.contains_key("location"));
    let mut body = bench.vault_body();
    assert_eq!(code(&put(&mut bench, "kv-demo", &body)), "ConflictError");
    bench.pass(21.0);
    assert_eq!(bench.arm(Method::GET, DELETED, None).status, 404);
    body["properties"]["enablePurgeProtection"] = json!(true);
    assert_eq!(put(&mut bench, "kv-demo", &body).status, 200);
    bench.pass(15.0);
    bench.arm(Method::DELETE, &TestCloud::vault_path("kv-demo"), None);
    assert_eq!(bench.arm(Method::POST, PURGE, None).status, 409);
}

#[test]
fn an_update_keeps_what_it_leaves_out() {
    let mut bench = TestCloud::new();
    bench.make_vault("kv-demo");
    let mut body = bench.vault_body();
    body["properties"].as_object_mut().unwrap().remove("enableRbacAuthorization");
    let again = put(&mut bench, "kv-demo", &body).value();
    assert_eq!(again["properties"]["enableRbacAuthorization"], true);
    assert_eq!(again["properties"]["provisioningState"], "Succeeded");
    body["properties"]["softDeleteRetentionInDays"] = json!(30);
    assert_eq!(code(&put(&mut bench, "kv-demo", &body)), "BadRequest");
    let tagged =
        bench.arm(Method::PATCH, &TestCloud::vault_path("kv-demo"), Some(&json!({"tags": {"a": "b"}})));
    assert_eq!(tagged.value()["tags"], json!({"a": "b"}));
    body["location"] = json!("westus3");
    assert_eq!(code(&put(&mut bench, "kv-demo", &body)), "InvalidResourceLocation");
}

#[test]
fn a_dying_group_soft_deletes_its_vaults() {
    let mut bench = TestCloud::new();
    bench.make_vault("kv-demo");
    let gone = super::delete_members(&mut bench.world, "RG", bench.now, &bench.timing);
    assert!(gone > bench.now);
    bench.pass(6.0);
    assert_eq!(bench.arm(Method::GET, &TestCloud::vault_path("kv-demo"), None).status, 404);
    assert_eq!(bench.arm(Method::GET, DELETED, None).status, 200);
}
