//! Runs that crash before their end.

use crate::fixture::Fixture;
use landfall_engine::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Returns every created path, with the number of creations.
fn created_paths(fixture: &Fixture) -> BTreeMap<String, usize> {
    let mut created_paths = BTreeMap::new();
    for line in fixture.writes(0).iter().filter_map(|line| line.strip_prefix("PUT 201 ")) {
        *created_paths.entry(line.to_owned()).or_default() += 1;
    }
    created_paths
}

/// Returns the final state, without the parts that differ between simulated clouds.
async fn final_state(fixture: &Fixture) -> (usize, Value, Value) {
    let cluster = fixture.get(&fixture.cluster_id()).await;
    let network = fixture.get(&fixture.network_id()).await;
    let state = |body: &Value| body["properties"]["provisioningState"].clone();
    let assignments = fixture.sim.read(|state| state.roles.assignments.len());
    (assignments, state(&cluster), state(&network))
}

#[tokio::test]
async fn runs_that_crash_at_the_start_of_any_step_converge_and_create_nothing_twice() {
    let (whole, fixture) = (Fixture::instant().await, Fixture::instant().await);
    whole.up_ready().await;
    // Each run crashes at the first step at which no earlier one crashed, until one succeeds.
    let mut crashed_at: Vec<&'static str> = Vec::new();
    loop {
        let result = fixture.up_until(|step| !crashed_at.contains(&step)).await;
        if result.report.outcome == Outcome::Ready {
            break;
        }
        assert_eq!(result.report.outcome, Outcome::Interrupted, "{:#?}", result.report.errors);
        crashed_at.extend(
            result.started().into_iter().filter(|step| !crashed_at.contains(step)).collect::<Vec<_>>(),
        );
    }
    assert!(crashed_at.len() >= 12, "{crashed_at:?}");
    let created_paths = created_paths(&fixture);
    assert_eq!(created_paths.len(), self::created_paths(&whole).len());
    assert!(created_paths.values().all(|times| *times == 1), "{created_paths:#?}");
    assert_eq!(final_state(&fixture).await, final_state(&whole).await);
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
    fixture.down_ready().await;
    assert_eq!(fixture.sim.read(|state| state.groups.len()), 0);
}

#[tokio::test]
async fn down_after_a_crashed_run_leaves_nothing_owned() {
    let places =
        ["resource-group", "network", "key-vault", "vault-officer", "certificate", "cluster", "apps", "dns"];
    for place in places {
        let fixture = Fixture::instant().await;
        fixture.up_until(|step| step == place).await;
        fixture.down_ready().await;
        let groups = fixture.sim.read(|state| state.groups.keys().cloned().collect::<Vec<_>>());
        assert_eq!(groups, [""; 0], "cut off at {place}");
        let assignments = fixture.sim.read(|state| serde_json::to_string(&state.roles).unwrap());
        assert!(!assignments.contains("rg-demo"), "cut off at {place}: {assignments}");
        assert!(!fixture.settings.kubeconfig.exists(), "cut off at {place}");
        let mark = fixture.mark();
        fixture.down_ready().await;
        assert_eq!(fixture.writes(mark), [""; 0], "cut off at {place}");
    }
}

#[tokio::test]
async fn a_run_that_crashed_during_the_cluster_creation_resumes_polling() {
    let fixture = Fixture::at_speed(100.0).await;
    fixture.up_until(|step| step == "cluster-ready").await;
    assert_eq!(fixture.get(&fixture.cluster_id()).await["properties"]["provisioningState"], "Creating");
    let mark = fixture.mark();
    fixture.up_ready().await;
    let puts = fixture.writes_at(mark, "managedClusters/aks-demo");
    assert_eq!(puts.iter().filter(|line| line.ends_with("/aks-demo")).count(), 0, "{puts:?}");
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.cluster_id()).await, json!(null));
}
