//! Runs that die in the middle.

use crate::bench::Bench;
use landfall_engine::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The steps of a whole run that change something.
async fn steps() -> Vec<&'static str> {
    let bench = Bench::instant().await;
    let started = bench.up_ready().await.started();
    assert!(started.len() >= 12, "{started:?}");
    started
}

/// Every path that was made, and how often.
fn made(bench: &Bench) -> BTreeMap<String, usize> {
    let mut made = BTreeMap::new();
    for line in bench.writes(0).iter().filter_map(|line| line.strip_prefix("PUT 201 ")) {
        *made.entry(line.to_owned()).or_default() += 1;
    }
    made
}

/// What stands at the end, by name and without what differs from world to world.
async fn standing(bench: &Bench) -> (usize, Value, Value) {
    let cluster = bench.get(&bench.cluster_id()).await;
    let network = bench.get(&bench.network_id()).await;
    let state = |body: &Value| body["properties"]["provisioningState"].clone();
    let assignments = bench.sim.read(|world| world.roles.assignments.len());
    (assignments, state(&cluster), state(&network))
}

#[tokio::test]
async fn a_run_that_died_where_a_step_began_is_finished_by_the_next_one() {
    let whole = {
        let bench = Bench::instant().await;
        bench.up_ready().await;
        (made(&bench).len(), standing(&bench).await)
    };
    for step in steps().await {
        let bench = Bench::instant().await;
        let told = bench.up_until(step).await;
        assert_eq!(told.report.outcome, Outcome::Interrupted, "at {step}");
        bench.up_ready().await;
        let made = made(&bench);
        let twice: Vec<_> = made.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "cut off at {step}: {twice:?}");
        assert_eq!(standing(&bench).await, whole.1, "cut off at {step}");
        assert!(bench.writes_at(0, "/import").len() <= 2, "cut off at {step}");
        assert_eq!(bench.up_ready().await.counts(), (17, 0, 0), "cut off at {step}");
    }
    assert!(whole.0 >= 7, "{}", whole.0);
}

#[tokio::test]
async fn down_after_a_run_that_died_leaves_nothing_of_ours() {
    for step in steps().await {
        let bench = Bench::instant().await;
        bench.up_until(step).await;
        bench.down_ready().await;
        let groups = bench.sim.read(|world| world.groups.keys().cloned().collect::<Vec<_>>());
        assert_eq!(groups, [""; 0], "cut off at {step}");
        let assignments = bench.sim.read(|world| serde_json::to_value(&world.roles).unwrap());
        assert!(!assignments.to_string().contains("rg-demo"), "cut off at {step}: {assignments}");
        assert!(!bench.wish.kubeconfig.exists(), "cut off at {step}");
    }
}

#[tokio::test]
async fn a_run_that_died_while_the_cluster_was_made_attaches_to_the_operation() {
    let bench = Bench::at_speed(300.0).await;
    bench.up_until("cluster-ready").await;
    assert_eq!(bench.get(&bench.cluster_id()).await["properties"]["provisioningState"], "Creating");
    let mark = bench.mark();
    bench.up_ready().await;
    let puts = bench.writes_at(mark, "managedClusters/aks-demo");
    assert_eq!(puts.iter().filter(|line| line.ends_with("/aks-demo")).count(), 0, "{puts:?}");
    bench.down_ready().await;
    assert_eq!(bench.get(&bench.cluster_id()).await, json!(null));
}
