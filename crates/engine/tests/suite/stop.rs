//! The first and the second Ctrl-C.

use crate::world::{Desk, Making, Thing, World, on, root, steps};
use landfall_engine::{Graph, Outcome, State, What};

fn interrupted(what: &What) -> Option<&'static str> {
    match what {
        What::Interrupted { step } => Some(*step),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_ctrl_c_interrupts_a_wait_and_keeps_the_ticket() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let lake = graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::Slow), ());
    on(&mut graph, &world, "boat", lake);
    let press = async {
        world.reached("make lake with ()").await;
        desk.stop.gently();
    };
    let (told, ()) = tokio::join!(desk.up(&graph), press);
    assert_eq!(told.report.outcome, Outcome::Interrupted);
    assert_eq!((told.report.failed, told.report.blocked), (0, 0), "being asked to end is no failure");
    assert_eq!(steps(&told.events, interrupted), ["lake"]);
    let past = desk.memory().past("lake").unwrap().clone();
    assert!(past.ours && past.ticket.is_some() && past.state == State::Underway);
    assert_eq!(world.count("look boat"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_ctrl_c_starts_nothing_more() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    root(&mut graph, &world, "lake");
    desk.stop.gently();
    let report = desk.up(&graph).await.report;
    assert_eq!(report.outcome, Outcome::Interrupted);
    assert_eq!(world.count("look lake"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_second_ctrl_c_ends_at_once_whatever_is_in_flight() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::Unanswered), ());
    let press = async {
        world.reached("make lake with ()").await;
        desk.stop.gently();
        desk.stop.now();
    };
    let (told, ()) = tokio::join!(desk.up(&graph), press);
    assert_eq!(told.report.outcome, Outcome::Interrupted);
    assert_eq!(steps(&told.events, interrupted), ["lake"]);
    assert!(matches!(told.events.last(), Some(What::Closed { outcome: Outcome::Interrupted })));
    assert!(desk.memory().past("lake").unwrap().ours);
}
