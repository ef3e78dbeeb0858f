//! Speculative checks: one round of checks if nothing changed, and no use of outdated ones.

use crate::cloud::{Cloud, ResourceState, Runner, TestStep, on, root};
use landfall_engine::{Graph, Outcome};
use std::sync::Arc;
use tokio::sync::Barrier;

const CHAIN: [&str; 5] = ["hill", "lake", "boat", "sail", "flag"];

#[tokio::test(start_paused = true)]
async fn a_run_without_changes_is_one_round_of_concurrent_checks() {
    let (runner, cloud, mut first) = (Runner::new(), Cloud::default(), Graph::new());
    let mut below = root(&mut first, &cloud, CHAIN[0]);
    for id in &CHAIN[1..] {
        below = on(&mut first, &cloud, id, below);
    }
    runner.up(&first).await;

    // Every check waits for all the others here, though each step depends on the one before.
    let all = Arc::new(Barrier::new(CHAIN.len()));
    let mut second = Graph::new();
    let mut below = second.add(CHAIN[0], TestStep::<()>::new(&cloud, CHAIN[0]).meet_in_check(&all), ());
    for id in &CHAIN[1..] {
        below = second.add(id, TestStep::<String>::new(&cloud, id).meet_in_check(&all), below);
    }
    let report = runner.up(&second).await.report;
    assert_eq!((report.outcome, report.found), (Outcome::Ready, 5));
    for id in CHAIN {
        assert_eq!(cloud.count(&format!("look {id}")), 2, "once in each run");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_source_invalidates_the_speculative_check() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let hill = root(&mut graph, &cloud, "hill");
    let lake = on(&mut graph, &cloud, "lake", hill);
    on(&mut graph, &cloud, "boat", lake);
    runner.up(&graph).await;

    cloud.set("hill", ResourceState::InSync("another hill".into()));
    let report = runner.up(&graph).await.report;
    assert_eq!(report.found, 3);
    assert_eq!(cloud.count("look hill"), 2);
    assert_eq!(cloud.count("look lake"), 3, "ahead with the old hill, then with the new one");
    assert_eq!(cloud.count("look boat"), 2, "the lake is the lake it was");
}

#[tokio::test(start_paused = true)]
async fn an_updated_source_invalidates_the_speculative_check() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let hill = root(&mut graph, &cloud, "hill");
    on(&mut graph, &cloud, "lake", hill);
    runner.up(&graph).await;
    cloud.set("hill", ResourceState::Drifted);
    let report = runner.up(&graph).await.report;
    assert_eq!((report.changed, report.found), (1, 1));
    assert_eq!(cloud.count("look lake"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_not_in_sync_speculatively_is_checked_again() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let hill = root(&mut graph, &cloud, "hill");
    on(&mut graph, &cloud, "lake", hill);
    runner.up(&graph).await;
    cloud.remove("lake");
    let report = runner.up(&graph).await.report;
    assert_eq!((report.found, report.created), (1, 1));
    assert_eq!(cloud.count("look lake"), 3);
}
