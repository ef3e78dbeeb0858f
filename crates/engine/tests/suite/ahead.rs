//! Speculative checks: one round of checks if nothing changed, and no use of outdated ones.

use crate::world::{Desk, Standing, Thing, World, on, root};
use landfall_engine::{Graph, Outcome};
use std::sync::Arc;
use tokio::sync::Barrier;

const CHAIN: [&str; 5] = ["hill", "lake", "boat", "sail", "flag"];

#[tokio::test(start_paused = true)]
async fn a_run_with_nothing_to_do_is_one_round_of_concurrent_looks() {
    let (desk, world, mut first) = (Desk::new(), World::default(), Graph::new());
    let mut below = root(&mut first, &world, CHAIN[0]);
    for id in &CHAIN[1..] {
        below = on(&mut first, &world, id, below);
    }
    desk.up(&first).await;

    // Every check waits for all the others here, though each step depends on the one before.
    let all = Arc::new(Barrier::new(CHAIN.len()));
    let mut again = Graph::new();
    let mut below = again.add(CHAIN[0], Thing::<()>::new(&world, CHAIN[0]).meet_looking(&all), ());
    for id in &CHAIN[1..] {
        below = again.add(id, Thing::<String>::new(&world, id).meet_looking(&all), below);
    }
    let report = desk.up(&again).await.report;
    assert_eq!((report.outcome, report.found), (Outcome::Ready, 5));
    for id in CHAIN {
        assert_eq!(world.count(&format!("look {id}")), 2, "once in each run");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_source_makes_the_look_ahead_worthless() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let hill = root(&mut graph, &world, "hill");
    let lake = on(&mut graph, &world, "lake", hill);
    on(&mut graph, &world, "boat", lake);
    desk.up(&graph).await;

    world.set("hill", Standing::Ready("another hill".into()));
    let report = desk.up(&graph).await.report;
    assert_eq!(report.found, 3);
    assert_eq!(world.count("look hill"), 2);
    assert_eq!(world.count("look lake"), 3, "ahead with the old hill, then with the new one");
    assert_eq!(world.count("look boat"), 2, "the lake is the lake it was");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_had_to_be_mended_makes_the_look_ahead_worthless() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let hill = root(&mut graph, &world, "hill");
    on(&mut graph, &world, "lake", hill);
    desk.up(&graph).await;
    world.set("hill", Standing::Differs);
    let report = desk.up(&graph).await.report;
    assert_eq!((report.changed, report.found), (1, 1));
    assert_eq!(world.count("look lake"), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_look_ahead_did_not_find_ready_is_asked_again_in_its_turn() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let hill = root(&mut graph, &world, "hill");
    on(&mut graph, &world, "lake", hill);
    desk.up(&graph).await;
    world.remove("lake");
    let report = desk.up(&graph).await.report;
    assert_eq!((report.found, report.created), (1, 1));
    assert_eq!(world.count("look lake"), 3);
}
