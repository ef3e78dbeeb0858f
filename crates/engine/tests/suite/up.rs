//! `up`: concurrency, failures, and resumption after a crash.

use crate::cloud::{Cloud, Creating, ResourceState, Runner, TestStep, drop_run, on, root, steps};
use landfall_engine::{EventKind, Graph, Kind, Leftover, Outcome, StepStatus};
use std::sync::Arc;
use tokio::sync::Barrier;

#[tokio::test(start_paused = true)]
async fn independent_steps_run_concurrently() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let hill = root(&mut graph, &cloud, "hill");
    // Each apply waits until both are running: a sequential run would never end.
    let both = Arc::new(Barrier::new(2));
    graph.add("lake", TestStep::<String>::new(&cloud, "lake").meet_in_apply(&both), hill);
    graph.add("mill", TestStep::<String>::new(&cloud, "mill").meet_in_apply(&both), hill);
    let result = runner.up(&graph).await;
    assert_eq!((result.report.outcome, result.report.created), (Outcome::Ready, 3));
}

#[tokio::test(start_paused = true)]
async fn a_step_receives_the_outputs_of_its_sources() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let hill = root(&mut graph, &cloud, "hill");
    let lake = on(&mut graph, &cloud, "lake", hill);
    graph.add("mill", TestStep::<(String, (), String)>::new(&cloud, "mill"), (lake, hill.done(), hill));
    runner.up(&graph).await;
    assert_eq!(
        cloud.changes(),
        ["make hill with ()", "make lake with \"hill\"", "make mill with (\"lake\", (), \"hill\")"]
    );
    assert_eq!(graph.output(lake, &runner.journal_state()), Some("lake".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_blocks_only_its_dependents_and_reports_each_once() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let hill = root(&mut graph, &cloud, "hill");
    let lake = graph.add(
        "lake",
        TestStep::<String>::new(&cloud, "lake").creating(Creating::Fails(Leftover::Unknown)),
        hill,
    );
    let boat = on(&mut graph, &cloud, "boat", lake);
    on(&mut graph, &cloud, "sail", boat);
    on(&mut graph, &cloud, "mill", hill);
    let result = runner.up(&graph).await;
    let report = result.report;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!((report.created, report.failed, report.blocked), (2, 1, 2));
    assert_eq!(report.errors[0].0, "lake");
    let blocked = |what: &EventKind| match what {
        EventKind::Blocked { step, by } if by == "lake" => Some(*step),
        _ => None,
    };
    assert_eq!(steps(&result.events, blocked), ["boat", "sail"]);
    assert_eq!(cloud.get("mill"), Some(ResourceState::InSync("mill".into())));
    let step_state = runner.journal_state().step_state("lake").unwrap().clone();
    assert_eq!(
        (step_state.state, step_state.error.unwrap().message.as_str()),
        (StepStatus::Failed, "make lake")
    );
}

#[tokio::test(start_paused = true)]
async fn a_panicking_step_fails_and_the_rest_continues() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::Panics), ());
    root(&mut graph, &cloud, "mill");
    let report = runner.up(&graph).await.report;
    let error = &report.errors[0].1;
    assert_eq!((error.kind, error.causes[0].as_str()), (Kind::Bug, "the step crashed: out of clay"));
    assert_eq!(report.created, 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_during_a_wait_is_resumed_with_the_ticket() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::Slow), ());
    runner.up_killed_at(&graph, &cloud, "make lake with ()").await;
    let step_state = runner.journal_state().step_state("lake").unwrap().clone();
    assert!(step_state.owned && step_state.ticket.is_some() && step_state.state == StepStatus::InProgress);

    let attached = async {
        cloud.reached("attach to operation lake").await;
        cloud.put("lake");
    };
    let (result, ()) = tokio::join!(runner.up(&graph), attached);
    assert_eq!(
        (result.report.outcome, result.report.created),
        (Outcome::Ready, 1),
        "begun by us, so created"
    );
    assert_eq!(cloud.changes(), ["make lake with ()", "attach to operation lake"], "no second making");
    let step_state = runner.journal_state().step_state("lake").unwrap().clone();
    assert_eq!((step_state.owned, step_state.ticket, step_state.attempts), (true, None, 2));
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_ticket_is_saved_waits_for_the_resource() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::SlowNoResponse), ());
    runner.up_killed_at(&graph, &cloud, "make lake with ()").await;
    let attached = async {
        cloud.reached("attach to the lake itself").await;
        cloud.put("lake");
    };
    let (result, ()) = tokio::join!(runner.up(&graph), attached);
    assert_eq!((result.report.outcome, result.report.created), (Outcome::Ready, 1));
    assert!(runner.journal_state().step_state("lake").unwrap().owned);
}

#[tokio::test(start_paused = true)]
async fn a_resource_created_just_before_a_crash_is_found_and_owned() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::NoResponse), ());
    runner.up_killed_at(&graph, &cloud, "make lake with ()").await;
    let report = runner.up(&graph).await.report;
    assert_eq!((report.outcome, report.created, report.found), (Outcome::Ready, 1, 0));
    assert!(runner.journal_state().step_state("lake").unwrap().owned);
    assert_eq!(runner.up(&graph).await.report.found, 1);
    assert_eq!(cloud.count("make lake with ()"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_creation_creates_the_resource_later() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut first = Graph::new();
    let never = Arc::new(Barrier::new(2));
    first.add("lake", TestStep::<()>::new(&cloud, "lake").meet_in_apply(&never), ());
    let (run, mut receiver) = runner.run();
    let started =
        async { while !matches!(receiver.recv().await.unwrap().what, EventKind::Started { .. }) {} };
    tokio::select! {
        biased;
        _ = landfall_engine::up(&first, &run) => panic!("it cannot end"),
        () = started => {}
    }
    drop_run(run).await;
    assert_eq!(runner.journal_state().step_state("lake").unwrap().state, StepStatus::InProgress);
    let mut second = Graph::new();
    root(&mut second, &cloud, "lake");
    assert_eq!(runner.up(&second).await.report.created, 1);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_appears_after_a_refused_attempt_is_not_owned() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = Graph::new();
    let refused = TestStep::<()>::new(&cloud, "lake").creating(Creating::Fails(Leftover::Nothing));
    graph.add("lake", refused, ());
    runner.up(&graph).await;
    cloud.put("lake");
    let report = runner.up(&graph).await.report;
    assert_eq!((report.found, report.created), (1, 0));
    assert!(!runner.journal_state().step_state("lake").unwrap().owned, "somebody else made it");
    assert!(runner.down(&graph).await.report.undone.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_created_resource_stays_owned_when_a_later_read_is_refused() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = Graph::new();
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::RefusedAfter), ());
    let report = runner.up(&graph).await.report;
    assert_eq!(report.errors[0].1.leftover, Leftover::Something);
    assert!(runner.journal_state().step_state("lake").unwrap().owned);
    runner.down(&graph).await;
    assert!(cloud.is_empty(), "{:?}", cloud.names());
}

#[tokio::test(start_paused = true)]
async fn drift_and_failure_are_repaired_and_a_foreign_resource_is_refused() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    for (id, state) in
        [("lake", ResourceState::Drifted), ("mill", ResourceState::Failed), ("hill", ResourceState::NotOwned)]
    {
        cloud.set(id, state);
        root(&mut graph, &cloud, id);
    }
    let report = runner.up(&graph).await.report;
    assert_eq!((report.changed, report.failed), (2, 1));
    let (step, error) = &report.errors[0];
    assert_eq!((step.as_str(), error.kind, error.leftover), ("hill", Kind::Foreign, Leftover::Nothing));
    assert_eq!(error.causes, ["it has another owner"]);
    let journal_state = runner.journal_state();
    assert!(
        ["lake", "mill", "hill"]
            .iter()
            .all(|id| journal_state.step_state(id).is_none_or(|step_state| !step_state.owned))
    );
}
