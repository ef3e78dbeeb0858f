//! The first and the second Ctrl-C.

use crate::cloud::{Cloud, Creating, Runner, TestStep, on, root, steps};
use landfall_engine::{EventKind, Graph, Outcome, StepStatus};

fn interrupted(what: &EventKind) -> Option<&'static str> {
    match what {
        EventKind::Interrupted { step } => Some(*step),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_ctrl_c_interrupts_a_wait_and_keeps_the_ticket() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let lake = graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::Slow), ());
    on(&mut graph, &cloud, "boat", lake);
    let press = async {
        cloud.reached("make lake with ()").await;
        runner.stop.graceful();
    };
    let (result, ()) = tokio::join!(runner.up(&graph), press);
    assert_eq!(result.report.outcome, Outcome::Interrupted);
    assert_eq!((result.report.failed, result.report.blocked), (0, 0), "being asked to end is no failure");
    assert_eq!(steps(&result.events, interrupted), ["lake"]);
    let step_state = runner.journal_state().step_state("lake").unwrap().clone();
    assert!(step_state.owned && step_state.ticket.is_some() && step_state.state == StepStatus::InProgress);
    assert_eq!(cloud.count("look boat"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_ctrl_c_starts_no_further_step() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    root(&mut graph, &cloud, "lake");
    runner.stop.graceful();
    let report = runner.up(&graph).await.report;
    assert_eq!(report.outcome, Outcome::Interrupted);
    assert_eq!(cloud.count("look lake"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_second_ctrl_c_ends_the_run_immediately() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::NoResponse), ());
    let press = async {
        cloud.reached("make lake with ()").await;
        runner.stop.graceful();
        runner.stop.now();
    };
    let (result, ()) = tokio::join!(runner.up(&graph), press);
    assert_eq!(result.report.outcome, Outcome::Interrupted);
    assert_eq!(steps(&result.events, interrupted), ["lake"]);
    assert!(matches!(result.events.last(), Some(EventKind::Closed { outcome: Outcome::Interrupted })));
    assert!(runner.journal_state().step_state("lake").unwrap().owned);
}
