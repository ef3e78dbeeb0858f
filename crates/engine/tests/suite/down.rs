//! Teardown: owned resources only, in reverse order, and after a crash or a failure.

use crate::cloud::{Cloud, Creating, Deleting, ResourceState, Runner, TestStep, on, root, steps};
use landfall_engine::{Entry, EventKind, Graph, Outcome, StepStatus, UndoOutcome};

fn undone(report: &landfall_engine::Report) -> Vec<(&str, UndoOutcome)> {
    report.undone.iter().map(|(step, undone)| (step.as_str(), undone.clone())).collect()
}

/// A valley with a lake and a mill in it, and a boat on the lake.
fn valley(cloud: &Cloud, lake: Deleting) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, cloud, "hill");
    let lake = graph.add("lake", TestStep::<String>::new(cloud, "lake").deleting(lake), hill);
    on(&mut graph, cloud, "boat", lake);
    on(&mut graph, cloud, "mill", hill);
    graph
}

#[tokio::test(start_paused = true)]
async fn owned_resources_are_deleted_in_reverse_and_found_ones_stay() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let graph = valley(&cloud, Deleting::Deletes);
    cloud.put("mill");
    runner.up(&graph).await;
    let result = runner.down(&graph).await;
    assert_eq!(result.report.outcome, Outcome::Ready);
    let deleted = ["boat", "lake", "hill"].map(|step| (step, UndoOutcome::Deleted));
    assert_eq!(undone(&result.report), deleted);
    assert_eq!(cloud.get("mill"), Some(ResourceState::InSync("mill".into())));
    assert_eq!(runner.journal_state().step_state("lake").unwrap().state, StepStatus::NotStarted);
    assert!(runner.down(&graph).await.report.undone.is_empty(), "a second time there is nothing to do");
}

#[tokio::test(start_paused = true)]
async fn a_failed_deletion_keeps_the_dependencies() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let graph = valley(&cloud, Deleting::Fails);
    runner.up(&graph).await;
    let result = runner.down(&graph).await;
    let report = &result.report;
    assert_eq!((report.outcome, report.failed, report.blocked), (Outcome::Failed, 1, 1));
    assert_eq!(report.errors[0].0, "lake");
    let blocked = |what: &EventKind| match what {
        EventKind::Blocked { step, by } if by == "lake" => Some(*step),
        _ => None,
    };
    assert_eq!(steps(&result.events, blocked), ["hill"]);
    let journal_state = runner.journal_state();
    assert!(
        journal_state.step_state("hill").unwrap().owned && journal_state.step_state("lake").unwrap().owned
    );
    assert!(
        !journal_state.step_state("mill").unwrap().owned && !journal_state.step_state("boat").unwrap().owned
    );

    // The obstacle is gone: the same command continues.
    let report = runner.down(&valley(&cloud, Deleting::Deletes)).await.report;
    assert_eq!(undone(&report), ["lake", "hill"].map(|step| (step, UndoOutcome::Deleted)));
    assert!(cloud.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_resource_with_one_parent_is_deleted_with_it_whatever_its_other_inputs_do() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = Graph::new();
    let lake = root(&mut graph, &cloud, "lake");
    let wood = graph.add("wood", TestStep::<()>::new(&cloud, "wood").deleting(Deleting::Keeps), ());
    graph.add("boat", TestStep::<(String, String)>::new(&cloud, "boat").parent("lake"), (lake, wood));
    graph.add(
        "raft",
        TestStep::<(String, String)>::new(&cloud, "raft").deleting(Deleting::WithParent),
        (lake, wood),
    );
    runner.up(&graph).await;
    let report = runner.down(&graph).await.report;
    let outcome_of =
        |step: &str| undone(&report).into_iter().find(|(one, _)| *one == step).map(|(_, undone)| undone);
    assert_eq!(outcome_of("boat"), Some(UndoOutcome::DeletedWithParent));
    assert!(matches!(outcome_of("raft"), Some(UndoOutcome::Kept { .. })), "{:?}", report.undone);
}

#[tokio::test(start_paused = true)]
async fn a_kept_resource_stays_owned_and_blocks_nothing() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let graph = valley(&cloud, Deleting::Keeps);
    runner.up(&graph).await;
    let report = runner.down(&graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready);
    assert_eq!(report.undone.len(), 4);
    assert!(report.undone.contains(&("lake".into(), UndoOutcome::Kept { why: "somebody uses it".into() })));
    let journal_state = runner.journal_state();
    assert!(
        journal_state.step_state("lake").unwrap().owned && !journal_state.step_state("hill").unwrap().owned
    );
}

#[tokio::test(start_paused = true)]
async fn a_contained_resource_is_forgotten_only_after_its_parent_is_deleted() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let graph = |hill: Deleting| {
        let mut graph = Graph::new();
        let hill = graph.add("hill", TestStep::<()>::new(&cloud, "hill").deleting(hill), ());
        graph.add("lake", TestStep::<String>::new(&cloud, "lake").deleting(Deleting::WithParent), hill);
        graph
    };
    runner.up(&graph(Deleting::Deletes)).await;

    let report = runner.down(&graph(Deleting::Fails)).await.report;
    assert_eq!((report.failed, report.blocked, report.undone.len()), (1, 1, 0));
    assert!(
        runner.journal_state().step_state("lake").unwrap().owned,
        "it still stands there, and is no stranger's"
    );

    let report = runner.down(&graph(Deleting::Keeps)).await.report;
    let why = || "it is part of the hill, which is kept".to_owned();
    assert!(report.undone.contains(&("lake".into(), UndoOutcome::Kept { why: why() })));

    let report = runner.down(&graph(Deleting::Deletes)).await.report;
    assert_eq!(undone(&report), [("hill", UndoOutcome::Deleted), ("lake", UndoOutcome::DeletedWithParent)]);
}

#[tokio::test(start_paused = true)]
async fn a_creation_interrupted_by_a_crash_is_found_and_deleted() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let hill = root(&mut graph, &cloud, "hill");
    let slow = TestStep::<String>::new(&cloud, "lake").creating(Creating::SlowNoResponse);
    graph.add("lake", slow, hill);
    runner.up_killed_at(&graph, &cloud, "make lake with \"hill\"").await;
    let checks = cloud.count("look lake");

    let (run, mut receiver) = runner.run();
    let ready_when_waited_for = async {
        let waiting =
            |what: &EventKind| matches!(what, EventKind::Note { step: "lake", progress: Some(_), .. });
        while !waiting(&receiver.recv().await.unwrap().what) {}
        cloud.put("lake");
    };
    let (report, ()) = tokio::join!(landfall_engine::down(&graph, &run), ready_when_waited_for);
    assert_eq!(undone(&report.unwrap()), ["lake", "hill"].map(|step| (step, UndoOutcome::Deleted)));
    assert!(cloud.is_empty() && cloud.count("look lake") > checks + 1);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_was_never_created_counts_as_deleted() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::NoResponse), ());
    runner.up_killed_at(&graph, &cloud, "make lake with ()").await;
    cloud.remove("lake");
    let report = runner.down(&graph).await.report;
    assert_eq!(undone(&report), [("lake", UndoOutcome::AlreadyDeleted)]);
    assert!(!runner.journal_state().step_state("lake").unwrap().owned);
}

#[tokio::test(start_paused = true)]
async fn an_unidentifiable_resource_stays_owned_and_is_reported() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::NoResponse), ());
    runner.up_killed_at(&graph, &cloud, "make lake with ()").await;
    cloud.set("lake", ResourceState::Failed);
    let report = runner.down(&graph).await.report;
    assert_eq!((report.outcome, report.failed), (Outcome::Failed, 1));
    assert!(report.errors[0].1.causes[0].ends_with("it leaks"));
    assert!(runner.journal_state().step_state("lake").unwrap().owned);
}

#[tokio::test(start_paused = true)]
async fn the_ticket_of_a_deletion_is_not_used_for_a_creation() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").deleting(Deleting::Slow), ());
    runner.up(&graph).await;
    runner.down_killed_at(&graph, &cloud, "delete lake").await;
    assert!(runner.journal_state().step_state("lake").unwrap().ticket_undoes);
    cloud.remove("lake");
    assert_eq!(runner.up(&graph).await.report.created, 1);
    assert_eq!(cloud.count("make lake with ()"), 2);
    assert_eq!(cloud.count("attach to deletion of lake"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_in_progress_is_completed_by_the_next_run_and_its_dependencies_wait() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&valley(&cloud, Deleting::Deletes)).await;
    let report = runner.down(&valley(&cloud, Deleting::Begins)).await.report;
    assert_eq!((report.outcome, report.failed, report.blocked), (Outcome::Ready, 0, 0));
    assert!(undone(&report).contains(&("lake", UndoOutcome::InProgress)), "{:?}", report.undone);
    assert_eq!(report.waiting, ["hill"]);
    let journal_state = runner.journal_state();
    let lake = journal_state.step_state("lake").unwrap();
    assert!(
        lake.owned
            && lake.ticket_undoes
            && lake.ticket.is_some()
            && journal_state.step_state("hill").unwrap().owned
    );
    assert!(!journal_state.step_state("mill").unwrap().owned, "its neighbour is gone");
    let report = runner.down(&valley(&cloud, Deleting::Deletes)).await.report;
    assert_eq!(undone(&report), ["lake", "hill"].map(|step| (step, UndoOutcome::Deleted)));
}

#[tokio::test(start_paused = true)]
async fn an_excluded_step_stays_owned_with_its_dependencies() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = valley(&cloud, Deleting::Deletes);
    runner.up(&graph).await;
    assert!(!graph.keep("swamp", "asked for"));
    assert!(graph.keep("lake", "asked for"));
    assert_eq!(graph.kept().into_keys().collect::<Vec<_>>(), ["hill", "lake"]);
    let report = runner.down(&graph).await.report;
    assert_eq!(report.outcome, Outcome::Ready);
    let kept = |why: &str| UndoOutcome::Kept { why: why.into() };
    let lake = ("lake", kept("asked for"));
    let hill = ("hill", kept("the lake depends on it and is kept"));
    let result = undone(&report);
    assert!(result.contains(&lake) && result.contains(&hill), "{result:?}");
    assert!(
        result.contains(&("boat", UndoOutcome::Deleted)) && result.contains(&("mill", UndoOutcome::Deleted))
    );
    assert!(
        runner.journal_state().step_state("lake").unwrap().owned
            && runner.journal_state().step_state("hill").unwrap().owned
    );
    let report = runner.down(&valley(&cloud, Deleting::Deletes)).await.report;
    assert_eq!(undone(&report), ["lake", "hill"].map(|step| (step, UndoOutcome::Deleted)));
}

#[tokio::test(start_paused = true)]
async fn an_adopted_resource_is_deleted() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let graph = valley(&cloud, Deleting::Deletes);
    cloud.put("mill");
    runner.up(&graph).await;
    runner.open().append(Entry::Adopted { step: "mill".into() }).unwrap();
    assert!(undone(&runner.down(&graph).await.report).contains(&("mill", UndoOutcome::Deleted)));
    assert!(cloud.is_empty());
}
