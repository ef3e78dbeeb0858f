//! Teardown of resources that a run began without seeing the result, whatever became of them.

use crate::{fixture::Fixture, settings, waits::arm};
use landfall_engine::{Outcome, UndoOutcome};
use landfall_sim::{Options, Speed};
use serde_json::{Value, json};

/// Creates an environment after an interrupted run: the cloud executed every PUT of `part`, and no response
/// arrived.
async fn interrupted_after_put(part: &str) -> Fixture {
    let faults = vec![format!("reset-after@PUT {part}*6")];
    let options = Options { speed: Speed::Instant, faults, ..Options::default() };
    let fixture = Fixture { whole: false, ..Fixture::with(options).await };
    assert_eq!(fixture.up().await.report.outcome, Outcome::Failed);
    fixture
}

#[tokio::test]
async fn a_vault_that_drifted_since_is_deleted() {
    let fixture = interrupted_after_put("vaults/kv-demo-4711").await;
    let mut body = fixture.get(&fixture.vault_id()).await;
    body["properties"]["enableRbacAuthorization"] = json!(false);
    fixture.put(&fixture.vault_id(), body).await;
    assert_eq!(fixture.down_ready().await.undone("key-vault"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.sim.read(|state| state.groups.len()), 0);
}

#[tokio::test]
async fn a_network_that_lost_its_subnet_since_is_deleted() {
    let fixture = interrupted_after_put("virtualNetworks/vnet-demo").await;
    let mut body = fixture.get(&fixture.network_id()).await;
    body["properties"]["subnets"] = json!([]);
    fixture.put(&fixture.network_id(), body).await;
    assert_eq!(fixture.down_ready().await.undone("network"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.sim.read(|state| state.groups.len()), 0);
}

#[tokio::test]
async fn objects_of_an_unreachable_cluster_are_deleted_with_it_if_the_user_agrees() {
    let each = ["apps", "tls-secret", "gateways"].map(|step| async move {
        let mut fixture = Fixture::instant().await;
        fixture.up_until(|started_step| started_step == step).await;
        arm(&fixture, "server-error@GET /apis/*9999");
        arm(&fixture, "server-error@GET /api/v1/*9999");
        fixture.teardown.with_foreign = true;
        let result = fixture.down_ready().await;
        assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted), "{step}");
        assert_eq!(fixture.sim.read(|state| state.groups.len()), 0, "{step}");
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn a_kubeconfig_written_but_not_recorded_is_restored() {
    let fixture = Fixture::instant().await;
    fixture.up_until(|started_step| started_step == "kubeconfig").await;
    fixture.down_ready().await;
    assert!(!fixture.settings.kubeconfig.exists());
}

#[tokio::test]
async fn a_role_assignment_on_a_deleted_resource_counts_as_deleted() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_until(|started_step| started_step == "vault-officer").await;
    fixture.delete(&fixture.vault_id()).await;
    fixture.down_ready().await;
    assert_eq!(
        fixture.get(&fixture.path(&format!("/resourceGroups/{}", settings::GROUP))).await,
        Value::Null
    );
}
