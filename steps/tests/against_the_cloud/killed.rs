//! Runs that crash before their end.

use crate::bench::Bench;
use landfall_engine::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Returns every created path, with the number of creations.
fn made(bench: &Bench) -> BTreeMap<String, usize> {
    let mut made = BTreeMap::new();
    for line in bench.writes(0).iter().filter_map(|line| line.strip_prefix("PUT 201 ")) {
        *made.entry(line.to_owned()).or_default() += 1;
    }
    made
}

/// Returns the final state, without the parts that differ between simulated clouds.
async fn standing(bench: &Bench) -> (usize, Value, Value) {
    let cluster = bench.get(&bench.cluster_id()).await;
    let network = bench.get(&bench.network_id()).await;
    let state = |body: &Value| body["properties"]["provisioningState"].clone();
    let assignments = bench.sim.read(|world| world.roles.assignments.len());
    (assignments, state(&cluster), state(&network))
}

#[tokio::test]
async fn runs_that_die_wherever_a_step_begins_are_finished_and_make_nothing_twice() {
    let (whole, bench) = (Bench::instant().await, Bench::instant().await);
    whole.up_ready().await;
    // Each run crashes at the first step at which no earlier one crashed, until one succeeds.
    let mut died_at: Vec<&'static str> = Vec::new();
    loop {
        let told = bench.up_until(|step| !died_at.contains(&step)).await;
        if told.report.outcome == Outcome::Ready {
            break;
        }
        assert_eq!(told.report.outcome, Outcome::Interrupted, "{:#?}", told.report.errors);
        died_at.extend(told.started().into_iter().filter(|step| !died_at.contains(step)).collect::<Vec<_>>());
    }
    assert!(died_at.len() >= 12, "{died_at:?}");
    let made = made(&bench);
    assert_eq!(made.len(), self::made(&whole).len());
    assert!(made.values().all(|times| *times == 1), "{made:#?}");
    assert_eq!(standing(&bench).await, standing(&whole).await);
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
    bench.down_ready().await;
    assert_eq!(bench.sim.read(|world| world.groups.len()), 0);
}

#[tokio::test]
async fn down_after_a_run_that_died_leaves_nothing_of_ours() {
    let places =
        ["resource-group", "network", "key-vault", "vault-officer", "certificate", "cluster", "apps", "dns"];
    for place in places {
        let bench = Bench::instant().await;
        bench.up_until(|step| step == place).await;
        bench.down_ready().await;
        let groups = bench.sim.read(|world| world.groups.keys().cloned().collect::<Vec<_>>());
        assert_eq!(groups, [""; 0], "cut off at {place}");
        let assignments = bench.sim.read(|world| serde_json::to_string(&world.roles).unwrap());
        assert!(!assignments.contains("rg-demo"), "cut off at {place}: {assignments}");
        assert!(!bench.wish.kubeconfig.exists(), "cut off at {place}");
        let mark = bench.mark();
        bench.down_ready().await;
        assert_eq!(bench.writes(mark), [""; 0], "cut off at {place}");
    }
}

#[tokio::test]
async fn a_run_that_died_while_the_cluster_was_made_attaches_to_the_operation() {
    let bench = Bench::at_speed(100.0).await;
    bench.up_until(|step| step == "cluster-ready").await;
    assert_eq!(bench.get(&bench.cluster_id()).await["properties"]["provisioningState"], "Creating");
    let mark = bench.mark();
    bench.up_ready().await;
    let puts = bench.writes_at(mark, "managedClusters/aks-demo");
    assert_eq!(puts.iter().filter(|line| line.ends_with("/aks-demo")).count(), 0, "{puts:?}");
    bench.down_ready().await;
    assert_eq!(bench.get(&bench.cluster_id()).await, json!(null));
}
