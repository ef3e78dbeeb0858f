//! Optional steps: switched off by a setting, skipped by `up`, and still deleted by `down`.

use crate::cloud::{Cloud, Runner, TestStep, root};
use landfall_engine::{
    Action, Discovery, EventKind, Graph, JournalState, Kind, Outcome, PlanContext, StepAction, StepError,
    Stop, TimeScale, UndoOutcome, discover, plan,
};
use std::sync::Arc;

/// A hill, an optional tower on it, and a flag that is raised after the tower.
fn valley(cloud: &Cloud, tower: bool) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, cloud, "hill");
    let tower = graph.add_optional("tower", tower, TestStep::<String>::new(cloud, "tower"), hill);
    graph.add("flag", TestStep::<(String, ())>::new(cloud, "flag"), (hill, tower.done()));
    graph
}

fn looking(journal_state: JournalState) -> PlanContext {
    PlanContext { journal_state: Arc::new(journal_state), time_scale: TimeScale::REAL, stop: Stop::new() }
}

async fn actions(graph: &Graph, journal_state: JournalState) -> Vec<(&'static str, Action)> {
    let plan = plan(graph, &looking(journal_state)).await;
    plan.steps.iter().map(|step| (step.step, step.action)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_disabled_step_is_skipped_and_the_steps_after_it_run() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let graph = valley(&cloud, false);
    let create = Action::Create;
    assert_eq!(actions(&graph, JournalState::default()).await, [("hill", create), ("flag", create)]);
    for created in [2, 0] {
        let result = runner.up(&graph).await;
        assert_eq!((result.report.outcome, result.report.created), (Outcome::Ready, created));
        let opened = result.events.iter().find_map(|what| match what {
            EventKind::Opened { steps, .. } => Some(steps.iter().map(|step| step.id).collect::<Vec<_>>()),
            _ => None,
        });
        assert_eq!(opened.unwrap(), ["hill", "flag"]);
    }
    assert_eq!(cloud.count("look tower"), 0);
    assert_eq!(cloud.names(), ["flag", "hill"]);
    assert_eq!(actions(&graph, runner.journal_state()).await, [("hill", Action::Ok), ("flag", Action::Ok)]);
    let Discovery { found, errors } = discover(&graph, &looking(runner.journal_state())).await;
    assert!(found.is_empty() && errors.is_empty());
    assert_eq!(runner.down(&graph).await.report.undone.len(), 2);
    assert!(cloud.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_switched_off_later_stays_until_down_deletes_it_in_order() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&valley(&cloud, true)).await;
    let graph = valley(&cloud, false);
    let result = runner.up(&graph).await;
    assert_eq!((result.report.outcome, result.report.found), (Outcome::Ready, 2));
    assert!(cloud.get("tower").is_some() && runner.journal_state().step_state("tower").unwrap().owned);
    let planned = [("hill", Action::Ok), ("tower", Action::Disabled), ("flag", Action::Ok)];
    assert_eq!(actions(&graph, runner.journal_state()).await, planned);
    assert!(plan(&graph, &looking(runner.journal_state())).await.is_empty());
    let report = runner.down(&graph).await.report;
    let deleted = ["flag", "tower", "hill"].map(|step| (step.to_owned(), UndoOutcome::Deleted));
    assert_eq!(report.undone, deleted);
    assert!(report.left_behind.is_empty() && cloud.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_switched_off_step_is_not_reported_as_blocked() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = valley(&cloud, false);
    graph.add_policy(|step, _| match step {
        "hill" => Err(StepError::new(Kind::Failed, "find the hill")),
        _ => Ok(()),
    });
    let result = runner.up(&graph).await;
    assert_eq!((result.report.failed, result.report.blocked), (1, 1), "the flag alone is blocked");
}

/// The valley, whose flag proves that nothing uses the tower any more.
fn valley_without_use_of_the_tower(cloud: &Cloud) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, cloud, "hill");
    let tower = graph.add_optional("tower", false, TestStep::<String>::new(cloud, "tower"), hill);
    let flag = graph.add("flag", TestStep::<(String, ())>::new(cloud, "flag"), (hill, tower.done()));
    graph.retire_after("tower", flag.done());
    graph
}

#[tokio::test(start_paused = true)]
async fn a_switched_off_resource_is_deleted_once_its_successor_is_proven() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&valley(&cloud, true)).await;
    let mut graph = valley_without_use_of_the_tower(&cloud);
    let planned = [("hill", Action::Ok), ("tower", Action::Delete), ("flag", Action::Ok)];
    assert_eq!(actions(&graph, runner.journal_state()).await, planned);
    assert!(!plan(&graph, &looking(runner.journal_state())).await.is_empty());

    let refuses = |step, action| match (step, action) {
        ("flag", StepAction::Check) => Err(StepError::new(Kind::Failed, "check the flag")),
        _ => Ok(()),
    };
    graph.add_policy(refuses);
    let result = runner.up(&graph).await;
    assert_eq!((result.report.outcome, result.report.undone.len()), (Outcome::Failed, 0));
    assert!(cloud.get("tower").is_some(), "the flag is not proven");

    let mut graph = valley_without_use_of_the_tower(&cloud);
    let refuses = |step, action| match (step, action) {
        ("tower", StepAction::Undo) => Err(StepError::new(Kind::Failed, "delete the tower")),
        _ => Ok(()),
    };
    graph.add_policy(refuses);
    let result = runner.up(&graph).await;
    assert_eq!((result.report.outcome, result.report.failed), (Outcome::Failed, 1));
    assert!(runner.journal_state().step_state("tower").unwrap().owned);

    let graph = valley_without_use_of_the_tower(&cloud);
    let result = runner.up(&graph).await;
    assert_eq!((result.report.outcome, result.report.found), (Outcome::Ready, 2));
    assert_eq!(result.report.undone, [("tower".to_owned(), UndoOutcome::Deleted)]);
    let opened = result.events.iter().find_map(|what| match what {
        EventKind::Opened { steps, .. } => Some(steps.iter().map(|step| step.id).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(opened.unwrap(), ["hill", "tower", "flag"], "a display shows it");
    assert_eq!(cloud.names(), ["flag", "hill"]);
    assert!(plan(&graph, &looking(runner.journal_state())).await.is_empty());
    assert_eq!(runner.up(&graph).await.report.undone.len(), 0);
    assert_eq!(runner.down(&graph).await.report.undone.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_graph_runs_alone() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = valley(&cloud, true);
    graph.only(&["hill", "flag"]);
    assert_eq!(runner.up(&graph).await.report.created, 2);
    assert_eq!(cloud.names(), ["flag", "hill"]);
}
