//! A stop at every event of a run, graceful and immediate: the next run continues, and nothing is lost.

use crate::cloud::{Cloud, Creating, Deleting, ResourceState, Runner, TestStep, drop_run};
use landfall_engine::{Graph, Outcome, StopLevel, down, up};

/// More than the number of events in a run of this graph; a stop after the last one has no effect.
const EVENTS_MAX: usize = 60;
const NAMES: [&str; 4] = ["hill", "lake", "boat", "mill"];

/// A hill; on it a lake with a boat, and a mill; with every kind of apply and undo.
fn graph(cloud: &Cloud) -> Graph {
    let mut graph = Graph::new();
    let hill = graph.add("hill", TestStep::<()>::new(cloud, "hill"), ());
    let lake = graph.add("lake", TestStep::<String>::new(cloud, "lake").creating(Creating::Brief), hill);
    graph.add("boat", TestStep::<String>::new(cloud, "boat").creating(Creating::Brief), lake);
    graph.add("mill", TestStep::<String>::new(cloud, "mill").deleting(Deleting::WithParent), hill);
    graph
}

/// Runs the graph, requests a stop right after the event with this number, and returns the outcome; `None` if
/// there was no such event.
async fn stopped_at(
    runner: &Runner,
    graph: &Graph,
    bring_up: bool,
    number: usize,
    level: StopLevel,
) -> Option<Outcome> {
    let (run, mut receiver) = runner.run();
    let stop = run.stop.clone();
    let press = async {
        let (mut count, mut sent_before) = (0, usize::MAX);
        while let Some(event) = receiver.recv().await {
            if count == number {
                match level {
                    StopLevel::Now => stop.now(),
                    _ => stop.graceful(),
                }
                sent_before = count + receiver.len();
            }
            if count > sent_before {
                let is_start = matches!(event.what, landfall_engine::EventKind::Started { .. });
                assert!(!is_start, "begun after a stop at {number}: {:?}", event.what);
            }
            count += 1;
        }
        count > number
    };
    let walk = async {
        let ended = if bring_up { up(graph, &run).await } else { down(graph, &run).await };
        drop_run(run).await;
        ended.unwrap().outcome
    };
    let (outcome, reached) = tokio::join!(walk, press);
    reached.then_some(outcome)
}

async fn up_completes(runner: &mut Runner, cloud: &Cloud, graph: &Graph, when: &str) {
    runner.reset_stop();
    let report = runner.up(graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready, "{when}: {:?}", report.errors);
    for name in NAMES {
        assert_eq!(cloud.get(name), Some(ResourceState::InSync(name.into())), "{when}");
    }
}

async fn down_completes(runner: &mut Runner, cloud: &Cloud, graph: &Graph, when: &str) {
    runner.reset_stop();
    let report = runner.down(graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready, "{when}: {:?}", report.errors);
    // A mill is deleted with its hill; the test cloud does not model that.
    cloud.remove("mill");
    assert!(cloud.is_empty(), "{when}: {:?}", cloud.names());
    assert!(runner.journal_state().0.values().all(|step_state| !step_state.owned), "{when}");
}

#[tokio::test(start_paused = true)]
async fn an_up_stopped_at_any_event_resumes_and_creates_nothing_twice() {
    for level in [StopLevel::Graceful, StopLevel::Now] {
        for number in 0..EVENTS_MAX {
            let (mut runner, cloud) = (Runner::new(), Cloud::default());
            let (graph, when) = (graph(&cloud), format!("{level:?} at {number}"));
            let stopped = stopped_at(&runner, &graph, true, number, level).await;
            up_completes(&mut runner, &cloud, &graph, &when).await;
            for name in NAMES {
                // After an immediate stop the journal may not contain the last created resource yet.
                assert!(cloud.creations(name) <= 1, "{when}: {name}");
            }
            down_completes(&mut runner, &cloud, &graph, &when).await;
            if stopped.is_none() {
                assert!(number > 20, "the run told too little for this test");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_up_stopped_at_any_event_can_be_torn_down() {
    for level in [StopLevel::Graceful, StopLevel::Now] {
        for number in 0..EVENTS_MAX {
            let (mut runner, cloud) = (Runner::new(), Cloud::default());
            let (graph, when) = (graph(&cloud), format!("{level:?} at {number}"));
            let stopped = stopped_at(&runner, &graph, true, number, level).await;
            down_completes(&mut runner, &cloud, &graph, &when).await;
            if stopped.is_none() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_down_stopped_at_any_event_resumes_and_so_does_a_later_up() {
    for level in [StopLevel::Graceful, StopLevel::Now] {
        for number in 0..EVENTS_MAX {
            for up_between in [false, true] {
                let (mut runner, cloud) = (Runner::new(), Cloud::default());
                let (graph, when) = (graph(&cloud), format!("{level:?} at {number}"));
                runner.up(&graph).await;
                let stopped = stopped_at(&runner, &graph, false, number, level).await;
                if up_between {
                    up_completes(&mut runner, &cloud, &graph, &when).await;
                }
                down_completes(&mut runner, &cloud, &graph, &when).await;
                if stopped.is_none() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_completes_a_deletion_and_starts_no_other() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let graph = graph(&cloud);
    runner.up(&graph).await;
    let press = async {
        cloud.reached("delete boat").await;
        runner.stop.graceful();
    };
    let (result, ()) = tokio::join!(runner.down(&graph), press);
    assert_eq!(result.report.outcome, Outcome::Interrupted);
    assert_eq!(cloud.get("boat"), None, "it was in flight");
    assert!(!runner.journal_state().step_state("boat").unwrap().owned, "and its end is remembered");
    assert!(cloud.get("lake").is_some() && cloud.count("delete lake") == 0);
}
