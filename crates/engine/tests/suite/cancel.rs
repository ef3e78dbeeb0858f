//! A stop at every event of a run, graceful and immediate: the next run continues, and nothing is lost.

use crate::world::{Desk, Making, Standing, Thing, Unmaking, World, die};
use landfall_engine::{Graph, Level, Outcome, down, up};

/// More than the number of events in a run of this graph; a stop after the last one has no effect.
const EVENTS_MAX: usize = 60;
const NAMES: [&str; 4] = ["hill", "lake", "boat", "mill"];

/// A hill; on it a lake with a boat, and a mill; with every kind of apply and undo.
fn graph(world: &World) -> Graph {
    let mut graph = Graph::new();
    let hill = graph.add("hill", Thing::<()>::new(world, "hill"), ());
    let lake = graph.add("lake", Thing::<String>::new(world, "lake").making(Making::Brief), hill);
    graph.add("boat", Thing::<String>::new(world, "boat").making(Making::Brief), lake);
    graph.add("mill", Thing::<String>::new(world, "mill").unmaking(Unmaking::WithParent), hill);
    graph
}

/// Runs the graph, requests a stop right after the event with this number, and returns the outcome; `None` if
/// there was no such event.
async fn stopped_at(
    desk: &Desk,
    graph: &Graph,
    bring_up: bool,
    number: usize,
    level: Level,
) -> Option<Outcome> {
    let (run, mut heard) = desk.run();
    let stop = run.stop.clone();
    let press = async {
        let (mut count, mut told_before) = (0, usize::MAX);
        while let Some(event) = heard.recv().await {
            if count == number {
                match level {
                    Level::Now => stop.now(),
                    _ => stop.gently(),
                }
                told_before = count + heard.len();
            }
            if count > told_before {
                let begins = matches!(event.what, landfall_engine::What::Started { .. });
                assert!(!begins, "begun after a stop at {number}: {:?}", event.what);
            }
            count += 1;
        }
        count > number
    };
    let walk = async {
        let ended = if bring_up { up(graph, &run).await } else { down(graph, &run).await };
        die(run).await;
        ended.unwrap().outcome
    };
    let (outcome, reached) = tokio::join!(walk, press);
    reached.then_some(outcome)
}

async fn is_whole_again(desk: &mut Desk, world: &World, graph: &Graph, when: &str) {
    desk.stop_anew();
    let report = desk.up(graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready, "{when}: {:?}", report.errors);
    for name in NAMES {
        assert_eq!(world.get(name), Some(Standing::Ready(name.into())), "{when}");
    }
}

async fn leaves_nothing(desk: &mut Desk, world: &World, graph: &Graph, when: &str) {
    desk.stop_anew();
    let report = desk.down(graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready, "{when}: {:?}", report.errors);
    // A mill is deleted with its hill; the test cloud does not model that.
    world.remove("mill");
    assert!(world.is_empty(), "{when}: {:?}", world.names());
    assert!(desk.memory().0.values().all(|past| !past.ours), "{when}");
}

#[tokio::test(start_paused = true)]
async fn an_up_stopped_at_any_event_goes_on_and_makes_nothing_twice() {
    for level in [Level::Gently, Level::Now] {
        for number in 0..EVENTS_MAX {
            let (mut desk, world) = (Desk::new(), World::default());
            let (graph, when) = (graph(&world), format!("{level:?} at {number}"));
            let stopped = stopped_at(&desk, &graph, true, number, level).await;
            is_whole_again(&mut desk, &world, &graph, &when).await;
            for name in NAMES {
                // After an immediate stop the journal may not contain the last created resource yet.
                assert!(world.made(name) <= 1, "{when}: {name}");
            }
            leaves_nothing(&mut desk, &world, &graph, &when).await;
            if stopped.is_none() {
                assert!(number > 20, "the run told too little for this test");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_up_stopped_at_any_event_can_be_taken_down_as_it_is() {
    for level in [Level::Gently, Level::Now] {
        for number in 0..EVENTS_MAX {
            let (mut desk, world) = (Desk::new(), World::default());
            let (graph, when) = (graph(&world), format!("{level:?} at {number}"));
            let stopped = stopped_at(&desk, &graph, true, number, level).await;
            leaves_nothing(&mut desk, &world, &graph, &when).await;
            if stopped.is_none() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_down_stopped_at_any_event_goes_on_and_so_does_an_up_after_it() {
    for level in [Level::Gently, Level::Now] {
        for number in 0..EVENTS_MAX {
            for up_between in [false, true] {
                let (mut desk, world) = (Desk::new(), World::default());
                let (graph, when) = (graph(&world), format!("{level:?} at {number}"));
                desk.up(&graph).await;
                let stopped = stopped_at(&desk, &graph, false, number, level).await;
                if up_between {
                    is_whole_again(&mut desk, &world, &graph, &when).await;
                }
                leaves_nothing(&mut desk, &world, &graph, &when).await;
                if stopped.is_none() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gentle_stop_lets_a_deletion_end_and_begins_no_other() {
    let (desk, world) = (Desk::new(), World::default());
    let graph = graph(&world);
    desk.up(&graph).await;
    let press = async {
        world.reached("delete boat").await;
        desk.stop.gently();
    };
    let (told, ()) = tokio::join!(desk.down(&graph), press);
    assert_eq!(told.report.outcome, Outcome::Interrupted);
    assert_eq!(world.get("boat"), None, "it was in flight");
    assert!(!desk.memory().past("boat").unwrap().ours, "and its end is remembered");
    assert!(world.get("lake").is_some() && world.count("delete lake") == 0);
}
