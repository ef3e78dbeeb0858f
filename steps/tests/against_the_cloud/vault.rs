//! The key vault.

use crate::{fixture::Fixture, settings};
use landfall_engine::{How, Kind, UndoOutcome};
use landfall_steps::preflight::PreflightCheckId;
use serde_json::{Value, json};

#[tokio::test]
async fn an_owned_deleted_vault_is_recovered_and_its_roles_are_assigned_again() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    fixture.down_ready().await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("key-vault"), Some(How::Created));
    assert!(result.notes("key-vault").iter().any(|note| note.contains("soft delete")));
    let puts = fixture.writes_at(mark, "vaults/kv-demo-4711");
    let (roles, puts): (Vec<_>, Vec<_>) = puts.into_iter().partition(|line| line.contains("roleAssignments"));
    assert_eq!(puts.len(), 2, "the refusal and the recovery: {puts:?}");
    assert!(puts[0].starts_with("PUT 409") && puts[1].starts_with("PUT 20"), "{puts:?}");
    assert_eq!(roles.iter().filter(|line| line.starts_with("PUT 201")).count(), 1, "{roles:?}");
    // The recovered vault still contains the certificate, so nothing is imported twice.
    assert_eq!(result.how("certificate"), Some(How::Found));
}

#[tokio::test]
async fn a_vault_deleted_out_of_band_is_recovered_by_the_next_run() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    fixture.delete(&fixture.vault_id()).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("key-vault"), Some(How::Created));
    assert_eq!(result.how("vault-officer"), Some(How::Created));
}

#[tokio::test]
async fn a_name_that_another_tenant_has_is_refused_with_another_one_suggested() {
    let mut fixture = Fixture::without_cluster().await;
    // The step must repeat preflight's check: the conflict may have appeared since.
    fixture.settings.skip_preflight.insert(PreflightCheckId::VaultName);
    fixture.sim.change(|state, _| state.vaults.reserve_name(settings::VAULT)).unwrap();
    let result = fixture.up().await;
    let error = result.error("key-vault");
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Foreign, Some("VaultAlreadyExists")));
    let hint = error.hint.as_deref().unwrap();
    assert!(
        hint.contains("key_vault.name") && hint.contains("kv-demo-4711") | hint.contains("kv-demo"),
        "{hint}"
    );
    let puts = fixture.writes_at(0, "vaults/kv-demo-4711");
    assert_eq!(puts.iter().filter(|line| line.starts_with("PUT 409")).count(), 1);
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("key-vault"), None, "what was refused is not ours");
    assert_eq!(fixture.writes_at(0, "vaults/kv-demo-4711"), puts);
}

#[tokio::test]
async fn a_foreign_vault_with_access_policies_is_refused_and_unchanged() {
    let fixture = Fixture::without_cluster().await;
    fixture.create_group("eastus").await;
    let tenant = fixture.sim.connection().tenant.clone();
    let policy = json!({
        "tenantId": tenant, "objectId": fixture.sim.connection().object_id,
        "permissions": { "certificates": ["get"], "secrets": [], "keys": [] },
    });
    let properties = json!({
        "tenantId": tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": false, "accessPolicies": [policy],
    });
    fixture.put(&fixture.vault_id(), json!({ "location": "eastus", "properties": properties })).await;
    let mark = fixture.mark();
    let result = fixture.up().await;
    assert_eq!(result.error("key-vault").kind, Kind::Foreign);
    assert!(result.error("key-vault").causes[0].contains("access policies"));
    assert_eq!(fixture.writes_at(mark, "vaults/"), [""; 0]);
    let vault = fixture.get(&fixture.vault_id()).await;
    assert_eq!(vault["properties"]["enableRbacAuthorization"], json!(false));
    fixture.down_ready().await;
    assert_ne!(fixture.get(&fixture.vault_id()).await, Value::Null);
}

#[tokio::test]
async fn an_owned_vault_switched_to_access_policies_is_switched_back() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    let mut body = fixture.get(&fixture.vault_id()).await;
    body["properties"]["enableRbacAuthorization"] = json!(false);
    fixture.put(&fixture.vault_id(), body).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("key-vault"), Some(How::Changed));
    assert_eq!(fixture.get(&fixture.vault_id()).await["properties"]["enableRbacAuthorization"], json!(true));
}

#[tokio::test]
async fn a_purge_leaves_no_deleted_vault_behind() {
    let mut fixture = Fixture::without_cluster().await;
    fixture.teardown.purge = true;
    fixture.up_ready().await;
    assert_eq!(fixture.down_ready().await.undone("key-vault"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.clients.azure.deleted_vault("eastus", settings::VAULT).await.unwrap(), None);
}

#[tokio::test]
async fn a_foreign_deleted_vault_under_the_same_id_is_not_recovered() {
    let mut fixture = Fixture::without_cluster().await;
    // The step must repeat preflight's check: the conflict may have appeared since.
    fixture.settings.skip_preflight.insert(PreflightCheckId::VaultName);
    fixture.create_group("eastus").await;
    let properties = json!({
        "tenantId": fixture.sim.connection().tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": true, "accessPolicies": [],
    });
    let body = json!({ "location": "eastus", "tags": { "Team": "other" }, "properties": properties });
    fixture.put(&fixture.vault_id(), body).await;
    fixture.delete(&fixture.vault_id()).await;
    let result = fixture.up().await;
    let error = result.error("key-vault");
    assert_eq!(error.kind, Kind::Foreign);
    let hint = error.hint.as_deref().unwrap();
    assert!(hint.contains("key_vault.name") && hint.contains("purge"), "{hint}");
    assert_eq!(fixture.get(&fixture.vault_id()).await, Value::Null);
    assert_eq!(fixture.down_ready().await.undone("key-vault"), None);
}

#[tokio::test]
async fn an_owned_recovered_vault_uses_rbac_again() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    let mut body = fixture.get(&fixture.vault_id()).await;
    body["properties"]["enableRbacAuthorization"] = json!(false);
    fixture.put(&fixture.vault_id(), body).await;
    fixture.delete(&fixture.vault_id()).await;
    fixture.up_ready().await;
    assert_eq!(fixture.get(&fixture.vault_id()).await["properties"]["enableRbacAuthorization"], json!(true));
}
