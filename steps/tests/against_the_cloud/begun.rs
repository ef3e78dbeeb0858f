//! Teardown of resources that a run began without seeing the result, whatever became of them.

use crate::{bench::Bench, settings, waits::arm};
use landfall_engine::{Outcome, Undone};
use landfall_sim::{Options, Speed};
use serde_json::{Value, json};

/// Creates an environment after an interrupted run: the cloud executed every PUT of `part`, and no response
/// arrived.
async fn broken_off(part: &str) -> Bench {
    let faults = vec![format!("reset-after@PUT {part}*6")];
    let options = Options { speed: Speed::Instant, faults, ..Options::default() };
    let bench = Bench { whole: false, ..Bench::with(options).await };
    assert_eq!(bench.up().await.report.outcome, Outcome::Failed);
    bench
}

#[tokio::test]
async fn a_vault_that_differs_since_is_taken_away() {
    let bench = broken_off("vaults/kv-demo-4711").await;
    let mut body = bench.get(&bench.vault_id()).await;
    body["properties"]["enableRbacAuthorization"] = json!(false);
    bench.put(&bench.vault_id(), body).await;
    assert_eq!(bench.down_ready().await.undone("key-vault"), Some(&Undone::Deleted));
    assert_eq!(bench.sim.read(|world| world.groups.len()), 0);
}

#[tokio::test]
async fn a_network_that_lost_its_subnet_since_is_taken_away() {
    let bench = broken_off("virtualNetworks/vnet-demo").await;
    let mut body = bench.get(&bench.network_id()).await;
    body["properties"]["subnets"] = json!([]);
    bench.put(&bench.network_id(), body).await;
    assert_eq!(bench.down_ready().await.undone("network"), Some(&Undone::Deleted));
    assert_eq!(bench.sim.read(|world| world.groups.len()), 0);
}

#[tokio::test]
async fn objects_of_a_cluster_that_does_not_answer_go_with_it_if_the_person_agrees() {
    let each = ["apps", "tls-secret", "gateways"].map(|step| async move {
        let mut bench = Bench::instant().await;
        bench.up_until(|begun| begun == step).await;
        arm(&bench, "server-error@GET /apis/*9999");
        arm(&bench, "server-error@GET /api/v1/*9999");
        bench.teardown.with_strangers = true;
        let told = bench.down_ready().await;
        assert_eq!(told.undone("cluster"), Some(&Undone::Deleted), "{step}");
        assert_eq!(bench.sim.read(|world| world.groups.len()), 0, "{step}");
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn a_kubeconfig_that_was_written_and_not_recorded_is_given_back() {
    let bench = Bench::instant().await;
    bench.up_until(|begun| begun == "kubeconfig").await;
    bench.down_ready().await;
    assert!(!bench.wish.kubeconfig.exists());
}

#[tokio::test]
async fn a_role_on_something_that_is_gone_is_gone() {
    let bench = Bench::without_cluster().await;
    bench.up_until(|begun| begun == "vault-officer").await;
    bench.delete(&bench.vault_id()).await;
    bench.down_ready().await;
    assert_eq!(bench.get(&bench.path(&format!("/resourceGroups/{}", settings::GROUP))).await, Value::Null);
}
