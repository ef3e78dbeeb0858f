//! `up`: concurrency, failures, and resumption after a crash.

use crate::world::{Desk, Making, Standing, Thing, World, die, on, root, steps};
use landfall_engine::{Graph, Kind, Outcome, Residue, State, What};
use std::sync::Arc;
use tokio::sync::Barrier;

#[tokio::test(start_paused = true)]
async fn independent_steps_overlap() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let hill = root(&mut graph, &world, "hill");
    // Each apply waits until both are running: a sequential run would never end.
    let both = Arc::new(Barrier::new(2));
    graph.add("lake", Thing::<String>::new(&world, "lake").meet_making(&both), hill);
    graph.add("mill", Thing::<String>::new(&world, "mill").meet_making(&both), hill);
    let told = desk.up(&graph).await;
    assert_eq!((told.report.outcome, told.report.created), (Outcome::Ready, 3));
}

#[tokio::test(start_paused = true)]
async fn a_step_gets_the_values_of_the_steps_before_it() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let hill = root(&mut graph, &world, "hill");
    let lake = on(&mut graph, &world, "lake", hill);
    graph.add("mill", Thing::<(String, (), String)>::new(&world, "mill"), (lake, hill.done(), hill));
    desk.up(&graph).await;
    assert_eq!(
        world.changes(),
        ["make hill with ()", "make lake with \"hill\"", "make mill with (\"lake\", (), \"hill\")"]
    );
    assert_eq!(graph.output(lake, &desk.memory()), Some("lake".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_blocks_only_its_dependants_and_each_is_told_once() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let hill = root(&mut graph, &world, "hill");
    let lake =
        graph.add("lake", Thing::<String>::new(&world, "lake").making(Making::Fails(Residue::Unknown)), hill);
    let boat = on(&mut graph, &world, "boat", lake);
    on(&mut graph, &world, "sail", boat);
    on(&mut graph, &world, "mill", hill);
    let told = desk.up(&graph).await;
    let report = told.report;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!((report.created, report.failed, report.blocked), (2, 1, 2));
    assert_eq!(report.errors[0].0, "lake");
    let blocked = |what: &What| match what {
        What::Blocked { step, by } if by == "lake" => Some(*step),
        _ => None,
    };
    assert_eq!(steps(&told.events, blocked), ["boat", "sail"]);
    assert_eq!(world.get("mill"), Some(Standing::Ready("mill".into())));
    let past = desk.memory().past("lake").unwrap().clone();
    assert_eq!((past.state, past.error.unwrap().message.as_str()), (State::Failed, "make lake"));
}

#[tokio::test(start_paused = true)]
async fn a_panicking_step_is_a_bug_of_that_step_and_the_rest_goes_on() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::Panics), ());
    root(&mut graph, &world, "mill");
    let report = desk.up(&graph).await.report;
    let error = &report.errors[0].1;
    assert_eq!((error.kind, error.causes[0].as_str()), (Kind::Bug, "the step panicked: out of clay"));
    assert_eq!(report.created, 1);
}

#[tokio::test(start_paused = true)]
async fn what_died_while_waiting_is_attached_to_by_its_ticket() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::Slow), ());
    desk.up_killed_at(&graph, &world, "make lake with ()").await;
    let past = desk.memory().past("lake").unwrap().clone();
    assert!(past.ours && past.ticket.is_some() && past.state == State::Underway);

    let attached = async {
        world.reached("attach to operation lake").await;
        world.put("lake");
    };
    let (told, ()) = tokio::join!(desk.up(&graph), attached);
    assert_eq!((told.report.outcome, told.report.created), (Outcome::Ready, 1), "begun by us, so created");
    assert_eq!(world.changes(), ["make lake with ()", "attach to operation lake"], "no second making");
    let past = desk.memory().past("lake").unwrap().clone();
    assert_eq!((past.ours, past.ticket, past.attempts), (true, None, 2));
}

#[tokio::test(start_paused = true)]
async fn what_died_before_its_ticket_was_on_disk_is_waited_for_itself() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::SlowUnanswered), ());
    desk.up_killed_at(&graph, &world, "make lake with ()").await;
    let attached = async {
        world.reached("attach to the lake itself").await;
        world.put("lake");
    };
    let (told, ()) = tokio::join!(desk.up(&graph), attached);
    assert_eq!((told.report.outcome, told.report.created), (Outcome::Ready, 1));
    assert!(desk.memory().past("lake").unwrap().ours);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_just_before_a_death_is_found_and_is_ours() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::Unanswered), ());
    desk.up_killed_at(&graph, &world, "make lake with ()").await;
    let report = desk.up(&graph).await.report;
    assert_eq!((report.outcome, report.created, report.found), (Outcome::Ready, 1, 0));
    assert!(desk.memory().past("lake").unwrap().ours);
    assert_eq!(desk.up(&graph).await.report.found, 1);
    assert_eq!(world.count("make lake with ()"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_died_before_anything_was_made_is_made() {
    let (desk, world) = (Desk::new(), World::default());
    let mut first = Graph::new();
    let never = Arc::new(Barrier::new(2));
    first.add("lake", Thing::<()>::new(&world, "lake").meet_making(&never), ());
    let (run, mut heard) = desk.run();
    let started = async { while !matches!(heard.recv().await.unwrap().what, What::Started { .. }) {} };
    tokio::select! {
        biased;
        _ = landfall_engine::up(&first, &run) => panic!("it cannot end"),
        () = started => {}
    }
    die(run).await;
    assert_eq!(desk.memory().past("lake").unwrap().state, State::Underway);
    let mut second = Graph::new();
    root(&mut second, &world, "lake");
    assert_eq!(desk.up(&second).await.report.created, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_attempt_did_not_make_is_not_ours_when_it_appears() {
    let (desk, world) = (Desk::new(), World::default());
    let mut graph = Graph::new();
    let refused = Thing::<()>::new(&world, "lake").making(Making::Fails(Residue::Nothing));
    graph.add("lake", refused, ());
    desk.up(&graph).await;
    world.put("lake");
    let report = desk.up(&graph).await.report;
    assert_eq!((report.found, report.created), (1, 0));
    assert!(!desk.memory().past("lake").unwrap().ours, "somebody else made it");
    assert!(desk.down(&graph).await.report.undone.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_made_stays_ours_when_a_later_look_of_the_same_turn_is_refused() {
    let (desk, world) = (Desk::new(), World::default());
    let mut graph = Graph::new();
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::RefusedAfter), ());
    let report = desk.up(&graph).await.report;
    assert_eq!(report.errors[0].1.residue, Residue::Something);
    assert!(desk.memory().past("lake").unwrap().ours);
    desk.down(&graph).await;
    assert!(world.is_empty(), "{:?}", world.names());
}

#[tokio::test(start_paused = true)]
async fn drift_and_damage_are_mended_and_what_is_foreign_is_refused() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    for (id, standing) in
        [("lake", Standing::Differs), ("mill", Standing::Broken), ("hill", Standing::Foreign)]
    {
        world.set(id, standing);
        root(&mut graph, &world, id);
    }
    let report = desk.up(&graph).await.report;
    assert_eq!((report.changed, report.failed), (2, 1));
    let (step, error) = &report.errors[0];
    assert_eq!((step.as_str(), error.kind, error.residue), ("hill", Kind::Foreign, Residue::Nothing));
    assert_eq!(error.causes, ["it has another owner"]);
    let memory = desk.memory();
    assert!(["lake", "mill", "hill"].iter().all(|id| memory.past(id).is_none_or(|past| !past.ours)));
}
