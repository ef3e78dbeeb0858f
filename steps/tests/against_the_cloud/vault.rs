//! The key vault.

use crate::{bench::Bench, settings};
use landfall_engine::{How, Kind, Undone};
use landfall_steps::preflight::Concern;
use serde_json::{Value, json};

#[tokio::test]
async fn our_own_deleted_vault_comes_back_and_the_roles_are_granted_anew() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    bench.down_ready().await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("key-vault"), Some(How::Created));
    assert!(told.notes("key-vault").iter().any(|note| note.contains("soft delete")));
    let puts = bench.writes_at(mark, "vaults/kv-demo-4711");
    let (roles, puts): (Vec<_>, Vec<_>) = puts.into_iter().partition(|line| line.contains("roleAssignments"));
    assert_eq!(puts.len(), 2, "the refusal and the recovery: {puts:?}");
    assert!(puts[0].starts_with("PUT 409") && puts[1].starts_with("PUT 20"), "{puts:?}");
    assert_eq!(roles.iter().filter(|line| line.starts_with("PUT 201")).count(), 1, "{roles:?}");
    // The recovered vault still contains the certificate, so nothing is imported twice.
    assert_eq!(told.how("certificate"), Some(How::Found));
}

#[tokio::test]
async fn a_vault_deleted_out_of_band_is_recovered_by_the_next_run() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    bench.delete(&bench.vault_id()).await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("key-vault"), Some(How::Created));
    assert_eq!(told.how("vault-officer"), Some(How::Created));
}

#[tokio::test]
async fn a_name_that_another_tenant_has_is_refused_with_another_one_suggested() {
    let mut bench = Bench::without_cluster().await;
    // The step must repeat preflight's check: the conflict may have appeared since.
    bench.wish.skip_preflight.insert(Concern::VaultName);
    bench.sim.change(|world, _| world.vaults.occupy(settings::VAULT)).unwrap();
    let told = bench.up().await;
    let error = told.error("key-vault");
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Foreign, Some("VaultAlreadyExists")));
    let hint = error.hint.as_deref().unwrap();
    assert!(
        hint.contains("key_vault.name") && hint.contains("kv-demo-4711") | hint.contains("kv-demo"),
        "{hint}"
    );
    let puts = bench.writes_at(0, "vaults/kv-demo-4711");
    assert_eq!(puts.iter().filter(|line| line.starts_with("PUT 409")).count(), 1);
    let told = bench.down_ready().await;
    assert_eq!(told.undone("key-vault"), None, "what was refused is not ours");
    assert_eq!(bench.writes_at(0, "vaults/kv-demo-4711"), puts);
}

#[tokio::test]
async fn a_strangers_vault_with_access_policies_is_refused_and_stays_so() {
    let bench = Bench::without_cluster().await;
    bench.make_group("eastus").await;
    let tenant = bench.sim.facts().tenant.clone();
    let policy = json!({
        "tenantId": tenant, "objectId": bench.sim.facts().object_id,
        "permissions": { "certificates": ["get"], "secrets": [], "keys": [] },
    });
    let properties = json!({
        "tenantId": tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": false, "accessPolicies": [policy],
    });
    bench.put(&bench.vault_id(), json!({ "location": "eastus", "properties": properties })).await;
    let mark = bench.mark();
    let told = bench.up().await;
    assert_eq!(told.error("key-vault").kind, Kind::Foreign);
    assert!(told.error("key-vault").causes[0].contains("access policies"));
    assert_eq!(bench.writes_at(mark, "vaults/"), [""; 0]);
    let vault = bench.get(&bench.vault_id()).await;
    assert_eq!(vault["properties"]["enableRbacAuthorization"], json!(false));
    bench.down_ready().await;
    assert_ne!(bench.get(&bench.vault_id()).await, Value::Null);
}

#[tokio::test]
async fn a_vault_of_ours_that_was_switched_to_access_policies_is_switched_back() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    let mut body = bench.get(&bench.vault_id()).await;
    body["properties"]["enableRbacAuthorization"] = json!(false);
    bench.put(&bench.vault_id(), body).await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("key-vault"), Some(How::Changed));
    assert_eq!(bench.get(&bench.vault_id()).await["properties"]["enableRbacAuthorization"], json!(true));
}

#[tokio::test]
async fn a_purge_leaves_no_deleted_vault_behind() {
    let mut bench = Bench::without_cluster().await;
    bench.teardown.purge = true;
    bench.up_ready().await;
    assert_eq!(bench.down_ready().await.undone("key-vault"), Some(&Undone::Deleted));
    assert_eq!(bench.clouds.azure.deleted_vault("eastus", settings::VAULT).await.unwrap(), None);
}

#[tokio::test]
async fn a_strangers_deleted_vault_under_our_id_is_not_brought_back() {
    let mut bench = Bench::without_cluster().await;
    // The step must repeat preflight's check: the conflict may have appeared since.
    bench.wish.skip_preflight.insert(Concern::VaultName);
    bench.make_group("eastus").await;
    let properties = json!({
        "tenantId": bench.sim.facts().tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": true, "accessPolicies": [],
    });
    let body = json!({ "location": "eastus", "tags": { "Team": "other" }, "properties": properties });
    bench.put(&bench.vault_id(), body).await;
    bench.delete(&bench.vault_id()).await;
    let told = bench.up().await;
    let error = told.error("key-vault");
    assert_eq!(error.kind, Kind::Foreign);
    let hint = error.hint.as_deref().unwrap();
    assert!(hint.contains("key_vault.name") && hint.contains("purge"), "{hint}");
    assert_eq!(bench.get(&bench.vault_id()).await, Value::Null);
    assert_eq!(bench.down_ready().await.undone("key-vault"), None);
}

#[tokio::test]
async fn our_recovered_vault_asks_the_roles_again() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    let mut body = bench.get(&bench.vault_id()).await;
    body["properties"]["enableRbacAuthorization"] = json!(false);
    bench.put(&bench.vault_id(), body).await;
    bench.delete(&bench.vault_id()).await;
    bench.up_ready().await;
    assert_eq!(bench.get(&bench.vault_id()).await["properties"]["enableRbacAuthorization"], json!(true));
}
