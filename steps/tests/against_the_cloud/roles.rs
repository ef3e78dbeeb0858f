//! Role assignments that others have created.

use crate::fixture::Fixture;
use landfall_cloud::arm::Role;
use landfall_engine::{How, UndoOutcome};
use landfall_steps::identity_mode::IdentityMode;
use serde_json::{Value, json};

/// Creates a role assignment like az: with a random name.
async fn grant(fixture: &Fixture, scope: &str, principal: &str, role: Role) -> String {
    let id = format!(
        "{scope}/providers/Microsoft.Authorization/roleAssignments/5f0c9a52-3c1d-4b7e-9d55-0a1b2c3d4e5f"
    );
    let definition = fixture.path(&format!("/providers/Microsoft.Authorization/roleDefinitions/{}", role.id));
    let properties = json!({ "roleDefinitionId": definition, "principalId": principal, "principalType": "ServicePrincipal" });
    fixture.put(&id, json!({ "properties": properties })).await;
    id
}

#[tokio::test]
async fn a_foreign_role_assignment_at_the_group_suffices_and_stays() {
    let fixture = Fixture::without_cluster().await;
    let group = fixture.create_group("eastus").await;
    let me = fixture.sim.connection().object_id.clone();
    let id = grant(&fixture, &group, &me, Role::CERTIFICATES_OFFICER).await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("vault-officer"), Some(How::Found));
    let granted = fixture.writes_at(mark, "vaults/kv-demo-4711/providers/Microsoft.Authorization");
    assert!(granted.is_empty(), "{granted:?}");
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("vault-officer"), None);
    assert_ne!(fixture.get(&id).await, Value::Null);
}

#[tokio::test]
async fn a_foreign_role_assignment_under_another_name_is_used_and_not_deleted() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.identity = Some(IdentityMode::AddOn);
    fixture.up_ready().await;
    let cluster = fixture.get(&fixture.cluster_id()).await;
    let add_on =
        &cluster["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"]["objectId"];
    let add_on = add_on.as_str().unwrap();
    // Another principal recreates one of the two, and the other is lost.
    let vault = fixture.vault_id();
    for role in [Role::SECRETS_USER, Role::CERTIFICATE_USER] {
        fixture.delete(&fixture.clients.azure.assignment_id(&vault, add_on, role)).await;
    }
    let foreign = grant(&fixture, &vault, add_on, Role::SECRETS_USER).await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("vault-access"), Some(How::Created));
    let puts = fixture.writes_at(mark, "roleAssignments");
    let mut statuses: Vec<_> = puts.iter().map(|line| &line[..7]).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["PUT 201", "PUT 409"], "{puts:?}");
    assert_ne!(fixture.get(&foreign).await, Value::Null);
}

#[tokio::test]
async fn in_a_foreign_vault_only_owned_role_assignments_are_deleted() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.identity = Some(IdentityMode::AddOn);
    fixture.create_group("eastus").await;
    let tenant = fixture.sim.connection().tenant.clone();
    let properties = json!({
        "tenantId": tenant, "sku": { "family": "A", "name": "standard" }, "enableRbacAuthorization": true, "accessPolicies": [],
    });
    let vault = fixture.vault_id();
    fixture.put(&vault, json!({ "location": "eastus", "properties": properties })).await;
    let me = fixture.sim.connection().object_id.clone();
    let foreign = grant(&fixture, &vault, &me, Role::SECRETS_USER).await;
    fixture.up_ready().await;
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("vault-officer"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("vault-access"), Some(&UndoOutcome::Deleted));
    let revoked = fixture.writes_at(mark, "vaults/kv-demo-4711/providers/Microsoft.Authorization");
    assert_eq!(revoked.len(), 3, "{revoked:?}");
    assert!(revoked.iter().all(|line| line.starts_with("DELETE 200")), "{revoked:?}");
    assert_ne!(fixture.get(&foreign).await, Value::Null);
    assert_ne!(fixture.get(&vault).await, Value::Null);
}
