//! Storms: a seed determines the steps' behaviour and the times of the crashes, and nothing is lost.

use crate::world::{Desk, Making, Standing, Thing, Unmaking, World, die};
use fastrand::Rng;
use landfall_engine::{Graph, JournalError, Outcome, Report, down, up};
use std::future::Future;
use tokio::task::yield_now;

const SEEDS: u64 = 25;
const DEATHS: usize = 6;
/// More than a whole run needs, so that some crashes come too late.
const LIFE_MAX: usize = 30;
const NAMES: [&str; 6] = ["hill", "lake", "boat", "sail", "mill", "road"];

/// A hill; on it a lake with a boat with a sail, and a mill; and a road to boat and mill.
fn graph(world: &World, rng: &mut Rng) -> Graph {
    let mut graph = Graph::new();
    let mut making = || [Making::AtOnce, Making::Brief][rng.usize(..2)].clone();
    let hill = graph.add("hill", Thing::<()>::new(world, "hill").making(making()), ());
    let lake = graph.add("lake", Thing::<String>::new(world, "lake").making(making()), hill);
    let boat = graph.add("boat", Thing::<String>::new(world, "boat").making(making()), lake);
    let sail = Thing::<String>::new(world, "sail").making(making()).unmaking(Unmaking::WithParent);
    graph.add("sail", sail, boat);
    let mill = graph.add("mill", Thing::<String>::new(world, "mill").making(making()), hill);
    graph.add("road", Thing::<((), String)>::new(world, "road").making(making()), (boat.done(), mill));
    graph
}

/// Runs for this number of turns of the runtime, then crashes.
async fn live(run: impl Future<Output = Result<Report, JournalError>>, turns: usize) -> Option<Report> {
    let death = async {
        for _ in 0..turns {
            yield_now().await;
        }
    };
    tokio::select! {
        biased;
        report = run => Some(report.unwrap()),
        () = death => None,
    }
}

async fn storm(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let (desk, world) = (Desk::new(), World::default());
    let graph = graph(&world, &mut rng);
    // A foreign resource that existed before.
    let strange = NAMES[rng.usize(..NAMES.len())];
    world.put(strange);

    let finish_before_down = rng.bool();
    for death in 0..DEATHS {
        let (run, _heard) = desk.run();
        let last = finish_before_down && death + 1 == DEATHS;
        if last {
            assert_eq!(up(&graph, &run).await.unwrap().outcome, Outcome::Ready, "seed {seed}");
        } else {
            live(up(&graph, &run), rng.usize(..LIFE_MAX)).await;
        }
        die(run).await;
    }
    for name in NAMES {
        let made = world.made(name);
        assert!(made <= usize::from(name != strange), "seed {seed}: {name} was made {made} times");
    }

    for _ in 0..DEATHS {
        let (run, _heard) = desk.run();
        live(down(&graph, &run), rng.usize(..LIFE_MAX)).await;
        die(run).await;
    }
    let report = desk.down(&graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready, "seed {seed}: {:?}", report.errors);
    // A sail is deleted with its boat; the test cloud does not model that.
    if strange != "sail" {
        world.remove("sail");
    }
    assert_eq!(world.names(), [strange], "seed {seed}");
    assert_eq!(world.get(strange), Some(Standing::Ready(strange.into())));
    assert!(desk.memory().0.values().all(|past| !past.ours), "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn whenever_it_dies_nothing_is_made_twice_and_nothing_of_ours_stays() {
    for seed in 0..SEEDS {
        storm(seed).await;
    }
}
