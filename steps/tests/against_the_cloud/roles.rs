//! Role assignments that others have created.

use crate::bench::Bench;
use landfall_cloud::arm::Role;
use landfall_engine::{How, Undone};
use serde_json::{Value, json};

/// Creates a role assignment like az: with a random name.
async fn grant(bench: &Bench, scope: &str, principal: &str, role: Role) -> String {
    let id = format!(
        "{scope}/providers/Microsoft.Authorization/roleAssignments/5f0c9a52-3c1d-4b7e-9d55-0a1b2c3d4e5f"
    );
    let definition = bench.path(&format!("/providers/Microsoft.Authorization/roleDefinitions/{}", role.id));
    let properties = json!({ "roleDefinitionId": definition, "principalId": principal, "principalType": "ServicePrincipal" });
    bench.put(&id, json!({ "properties": properties })).await;
    id
}

#[tokio::test]
async fn a_role_that_somebody_granted_at_the_group_is_enough_and_stays() {
    let bench = Bench::without_cluster().await;
    let group = bench.make_group("eastus").await;
    let me = bench.sim.facts().object_id.clone();
    let id = grant(&bench, &group, &me, Role::CERTIFICATES_OFFICER).await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("vault-officer"), Some(How::Found));
    let granted = bench.writes_at(mark, "vaults/kv-demo-4711/providers/Microsoft.Authorization");
    assert!(granted.is_empty(), "{granted:?}");
    let told = bench.down_ready().await;
    assert_eq!(told.undone("vault-officer"), None);
    assert_ne!(bench.get(&id).await, Value::Null);
}

#[tokio::test]
async fn a_role_granted_under_another_name_is_taken_as_it_is_and_not_taken_away() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let cluster = bench.get(&bench.cluster_id()).await;
    let add_on =
        &cluster["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"]["objectId"];
    let add_on = add_on.as_str().unwrap();
    // Another principal recreates one of the two, and the other is lost.
    let vault = bench.vault_id();
    for role in [Role::SECRETS_USER, Role::CERTIFICATE_USER] {
        bench.delete(&bench.clouds.azure.assignment_id(&vault, add_on, role)).await;
    }
    let theirs = grant(&bench, &vault, add_on, Role::SECRETS_USER).await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("vault-access"), Some(How::Created));
    let puts = bench.writes_at(mark, "roleAssignments");
    let mut statuses: Vec<_> = puts.iter().map(|line| &line[..7]).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["PUT 201", "PUT 409"], "{puts:?}");
    assert_ne!(bench.get(&theirs).await, Value::Null);
}

#[tokio::test]
async fn in_a_vault_that_is_not_ours_only_our_own_assignments_are_taken_away() {
    let bench = Bench::instant().await;
    bench.make_group("eastus").await;
    let tenant = bench.sim.facts().tenant.clone();
    let properties = json!({
        "tenantId": tenant, "sku": { "family": "A", "name": "standard" }, "enableRbacAuthorization": true, "accessPolicies": [],
    });
    let vault = bench.vault_id();
    bench.put(&vault, json!({ "location": "eastus", "properties": properties })).await;
    let me = bench.sim.facts().object_id.clone();
    let theirs = grant(&bench, &vault, &me, Role::SECRETS_USER).await;
    bench.up_ready().await;
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.undone("vault-officer"), Some(&Undone::Deleted));
    assert_eq!(told.undone("vault-access"), Some(&Undone::Deleted));
    let revoked = bench.writes_at(mark, "vaults/kv-demo-4711/providers/Microsoft.Authorization");
    assert_eq!(revoked.len(), 3, "{revoked:?}");
    assert!(revoked.iter().all(|line| line.starts_with("DELETE 200")), "{revoked:?}");
    assert_ne!(bench.get(&theirs).await, Value::Null);
    assert_ne!(bench.get(&vault).await, Value::Null);
}
