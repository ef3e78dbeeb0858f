//! Teardown: owned resources only, in reverse order, and after a crash or a failure.

use crate::world::{Desk, Making, Standing, Thing, Unmaking, World, on, root, steps};
use landfall_engine::{Entry, Graph, Outcome, State, Undone, What};

fn undone(report: &landfall_engine::Report) -> Vec<(&str, Undone)> {
    report.undone.iter().map(|(step, undone)| (step.as_str(), undone.clone())).collect()
}

/// A valley with a lake and a mill in it, and a boat on the lake.
fn valley(world: &World, lake: Unmaking) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, world, "hill");
    let lake = graph.add("lake", Thing::<String>::new(world, "lake").unmaking(lake), hill);
    on(&mut graph, world, "boat", lake);
    on(&mut graph, world, "mill", hill);
    graph
}

#[tokio::test(start_paused = true)]
async fn what_is_ours_goes_in_reverse_and_what_was_there_stays() {
    let (desk, world) = (Desk::new(), World::default());
    let graph = valley(&world, Unmaking::Deletes);
    world.put("mill");
    desk.up(&graph).await;
    let told = desk.down(&graph).await;
    assert_eq!(told.report.outcome, Outcome::Ready);
    let gone = ["boat", "lake", "hill"].map(|step| (step, Undone::Deleted));
    assert_eq!(undone(&told.report), gone);
    assert_eq!(world.get("mill"), Some(Standing::Ready("mill".into())));
    assert_eq!(desk.memory().past("lake").unwrap().state, State::Never);
    assert!(desk.down(&graph).await.report.undone.is_empty(), "a second time there is nothing to do");
}

#[tokio::test(start_paused = true)]
async fn a_failure_leaves_alone_what_the_thing_stands_on() {
    let (desk, world) = (Desk::new(), World::default());
    let graph = valley(&world, Unmaking::Fails);
    desk.up(&graph).await;
    let told = desk.down(&graph).await;
    let report = &told.report;
    assert_eq!((report.outcome, report.failed, report.blocked), (Outcome::Failed, 1, 1));
    assert_eq!(report.errors[0].0, "lake");
    let blocked = |what: &What| match what {
        What::Blocked { step, by } if by == "lake" => Some(*step),
        _ => None,
    };
    assert_eq!(steps(&told.events, blocked), ["hill"]);
    let memory = desk.memory();
    assert!(memory.past("hill").unwrap().ours && memory.past("lake").unwrap().ours);
    assert!(!memory.past("mill").unwrap().ours && !memory.past("boat").unwrap().ours);

    // The obstacle is gone: the same command continues.
    let report = desk.down(&valley(&world, Unmaking::Deletes)).await.report;
    assert_eq!(undone(&report), ["lake", "hill"].map(|step| (step, Undone::Deleted)));
    assert!(world.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_part_of_one_thing_goes_with_it_whatever_becomes_of_the_others_it_took_from() {
    let (desk, world) = (Desk::new(), World::default());
    let mut graph = Graph::new();
    let lake = root(&mut graph, &world, "lake");
    let wood = graph.add("wood", Thing::<()>::new(&world, "wood").unmaking(Unmaking::Keeps), ());
    graph.add("boat", Thing::<(String, String)>::new(&world, "boat").part_of("lake"), (lake, wood));
    graph.add(
        "raft",
        Thing::<(String, String)>::new(&world, "raft").unmaking(Unmaking::WithParent),
        (lake, wood),
    );
    desk.up(&graph).await;
    let report = desk.down(&graph).await.report;
    let became =
        |step: &str| undone(&report).into_iter().find(|(one, _)| *one == step).map(|(_, undone)| undone);
    assert_eq!(became("boat"), Some(Undone::GoesWithParent));
    assert!(matches!(became("raft"), Some(Undone::Kept { .. })), "{:?}", report.undone);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_stays_ours_and_hinders_nothing() {
    let (desk, world) = (Desk::new(), World::default());
    let graph = valley(&world, Unmaking::Keeps);
    desk.up(&graph).await;
    let report = desk.down(&graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready);
    assert_eq!(report.undone.len(), 4);
    assert!(report.undone.contains(&("lake".into(), Undone::Kept { why: "somebody uses it".into() })));
    let memory = desk.memory();
    assert!(memory.past("lake").unwrap().ours && !memory.past("hill").unwrap().ours);
}

#[tokio::test(start_paused = true)]
async fn what_goes_with_its_parent_is_forgotten_only_when_the_parent_is_gone() {
    let (desk, world) = (Desk::new(), World::default());
    let graph = |hill: Unmaking| {
        let mut graph = Graph::new();
        let hill = graph.add("hill", Thing::<()>::new(&world, "hill").unmaking(hill), ());
        graph.add("lake", Thing::<String>::new(&world, "lake").unmaking(Unmaking::WithParent), hill);
        graph
    };
    desk.up(&graph(Unmaking::Deletes)).await;

    let report = desk.down(&graph(Unmaking::Fails)).await.report;
    assert_eq!((report.failed, report.blocked, report.undone.len()), (1, 1, 0));
    assert!(desk.memory().past("lake").unwrap().ours, "it still stands there, and is no stranger's");

    let report = desk.down(&graph(Unmaking::Keeps)).await.report;
    let why = || "it is part of the hill, which is kept".to_owned();
    assert!(report.undone.contains(&("lake".into(), Undone::Kept { why: why() })));

    let report = desk.down(&graph(Unmaking::Deletes)).await.report;
    assert_eq!(undone(&report), [("hill", Undone::Deleted), ("lake", Undone::GoesWithParent)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_being_made_when_the_process_died_is_found_and_taken_away() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let hill = root(&mut graph, &world, "hill");
    let slow = Thing::<String>::new(&world, "lake").making(Making::SlowUnanswered);
    graph.add("lake", slow, hill);
    desk.up_killed_at(&graph, &world, "make lake with \"hill\"").await;
    let looks = world.count("look lake");

    let (run, mut heard) = desk.run();
    let ready_when_waited_for = async {
        let waiting = |what: &What| matches!(what, What::Note { step: "lake", progress: Some(_), .. });
        while !waiting(&heard.recv().await.unwrap().what) {}
        world.put("lake");
    };
    let (report, ()) = tokio::join!(landfall_engine::down(&graph, &run), ready_when_waited_for);
    assert_eq!(undone(&report.unwrap()), ["lake", "hill"].map(|step| (step, Undone::Deleted)));
    assert!(world.is_empty() && world.count("look lake") > looks + 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_made_after_all_is_already_gone() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::Unanswered), ());
    desk.up_killed_at(&graph, &world, "make lake with ()").await;
    world.remove("lake");
    let report = desk.down(&graph).await.report;
    assert_eq!(undone(&report), [("lake", Undone::AlreadyGone)]);
    assert!(!desk.memory().past("lake").unwrap().ours);
}

#[tokio::test(start_paused = true)]
async fn what_is_there_but_cannot_be_named_stays_ours_and_is_told() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::Unanswered), ());
    desk.up_killed_at(&graph, &world, "make lake with ()").await;
    world.set("lake", Standing::Broken);
    let report = desk.down(&graph).await.report;
    assert_eq!((report.outcome, report.failed), (Outcome::Failed, 1));
    assert!(report.errors[0].1.causes[0].ends_with("it leaks"));
    assert!(desk.memory().past("lake").unwrap().ours);
}

#[tokio::test(start_paused = true)]
async fn the_ticket_of_a_deletion_is_not_taken_for_that_of_a_making() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").unmaking(Unmaking::Slow), ());
    desk.up(&graph).await;
    desk.down_killed_at(&graph, &world, "delete lake").await;
    assert!(desk.memory().past("lake").unwrap().ticket_undoes);
    world.remove("lake");
    assert_eq!(desk.up(&graph).await.report.created, 1);
    assert_eq!(world.count("make lake with ()"), 2);
    assert_eq!(world.count("attach to deletion of lake"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_only_begun_is_seen_to_its_end_by_the_next_run_and_what_it_stands_on_waits() {
    let (desk, world) = (Desk::new(), World::default());
    desk.up(&valley(&world, Unmaking::Deletes)).await;
    let report = desk.down(&valley(&world, Unmaking::Begins)).await.report;
    assert_eq!((report.outcome, report.failed, report.blocked), (Outcome::Ready, 0, 0));
    assert!(undone(&report).contains(&("lake", Undone::Underway)), "{:?}", report.undone);
    assert_eq!(report.waiting, ["hill"]);
    let memory = desk.memory();
    let lake = memory.past("lake").unwrap();
    assert!(lake.ours && lake.ticket_undoes && lake.ticket.is_some() && memory.past("hill").unwrap().ours);
    assert!(!memory.past("mill").unwrap().ours, "its neighbour is gone");
    let report = desk.down(&valley(&world, Unmaking::Deletes)).await.report;
    assert_eq!(undone(&report), ["lake", "hill"].map(|step| (step, Undone::Deleted)));
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_kept_stays_ours_with_all_that_it_stands_on() {
    let (desk, world) = (Desk::new(), World::default());
    let mut graph = valley(&world, Unmaking::Deletes);
    desk.up(&graph).await;
    assert!(!graph.keep("swamp", "asked for"));
    assert!(graph.keep("lake", "asked for"));
    assert_eq!(graph.kept().into_keys().collect::<Vec<_>>(), ["hill", "lake"]);
    let report = desk.down(&graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready);
    let kept = |why: &str| Undone::Kept { why: why.into() };
    let lake = ("lake", kept("asked for"));
    let hill = ("hill", kept("the lake depends on it and is kept"));
    let told = undone(&report);
    assert!(told.contains(&lake) && told.contains(&hill), "{told:?}");
    assert!(told.contains(&("boat", Undone::Deleted)) && told.contains(&("mill", Undone::Deleted)));
    assert!(desk.memory().past("lake").unwrap().ours && desk.memory().past("hill").unwrap().ours);
    let report = desk.down(&valley(&world, Unmaking::Deletes)).await.report;
    assert_eq!(undone(&report), ["lake", "hill"].map(|step| (step, Undone::Deleted)));
}

#[tokio::test(start_paused = true)]
async fn what_was_found_goes_when_it_is_adopted() {
    let (desk, world) = (Desk::new(), World::default());
    let graph = valley(&world, Unmaking::Deletes);
    world.put("mill");
    desk.up(&graph).await;
    desk.open().append(Entry::Adopted { step: "mill".into() }).unwrap();
    assert!(undone(&desk.down(&graph).await.report).contains(&("mill", Undone::Deleted)));
    assert!(world.is_empty());
}
