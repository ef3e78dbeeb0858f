//! Storms: a seed determines the steps' behaviour and the times of the crashes, and nothing is lost.

use crate::cloud::{Cloud, Creating, Deleting, ResourceState, Runner, TestStep, drop_run};
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
fn graph(cloud: &Cloud, rng: &mut Rng) -> Graph {
    let mut graph = Graph::new();
    let mut creating = || [Creating::AtOnce, Creating::Brief][rng.usize(..2)].clone();
    let hill = graph.add("hill", TestStep::<()>::new(cloud, "hill").creating(creating()), ());
    let lake = graph.add("lake", TestStep::<String>::new(cloud, "lake").creating(creating()), hill);
    let boat = graph.add("boat", TestStep::<String>::new(cloud, "boat").creating(creating()), lake);
    let sail = TestStep::<String>::new(cloud, "sail").creating(creating()).deleting(Deleting::WithParent);
    graph.add("sail", sail, boat);
    let mill = graph.add("mill", TestStep::<String>::new(cloud, "mill").creating(creating()), hill);
    graph.add("road", TestStep::<((), String)>::new(cloud, "road").creating(creating()), (boat.done(), mill));
    graph
}

/// Runs for this number of turns of the runtime, then crashes.
async fn run_for(run: impl Future<Output = Result<Report, JournalError>>, turns: usize) -> Option<Report> {
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
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let graph = graph(&cloud, &mut rng);
    // A foreign resource that existed before.
    let foreign = NAMES[rng.usize(..NAMES.len())];
    cloud.put(foreign);

    let finish_before_down = rng.bool();
    for death in 0..DEATHS {
        let (run, _receiver) = runner.run();
        let last = finish_before_down && death + 1 == DEATHS;
        if last {
            assert_eq!(up(&graph, &run).await.unwrap().outcome, Outcome::Ready, "seed {seed}");
        } else {
            run_for(up(&graph, &run), rng.usize(..LIFE_MAX)).await;
        }
        drop_run(run).await;
    }
    for name in NAMES {
        let creations = cloud.creations(name);
        assert!(creations <= usize::from(name != foreign), "seed {seed}: {name} was made {creations} times");
    }

    for _ in 0..DEATHS {
        let (run, _receiver) = runner.run();
        run_for(down(&graph, &run), rng.usize(..LIFE_MAX)).await;
        drop_run(run).await;
    }
    let report = runner.down(&graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready, "seed {seed}: {:?}", report.errors);
    // A sail is deleted with its boat; the test cloud does not model that.
    if foreign != "sail" {
        cloud.remove("sail");
    }
    assert_eq!(cloud.names(), [foreign], "seed {seed}");
    assert_eq!(cloud.get(foreign), Some(ResourceState::InSync(foreign.into())));
    assert!(runner.journal_state().0.values().all(|step_state| !step_state.owned), "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn crashes_create_nothing_twice_and_leave_no_owned_resource() {
    for seed in 0..SEEDS {
        storm(seed).await;
    }
}
