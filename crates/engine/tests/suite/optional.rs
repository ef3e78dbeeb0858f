//! Optional steps: switched off by a setting, skipped by `up`, and still deleted by `down`.

use crate::cloud::{Cloud, Runner, TestStep, root};
use landfall_engine::{
    Action, Discovery, EventKind, Graph, JournalState, Outcome, PlanContext, Stop, TimeScale, UndoOutcome,
    discover, plan,
};
use std::sync::Arc;

/// A hill, an optional tower on it, and a flag that is raised after the tower.
fn valley(cloud: &Cloud, tower: bool) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, cloud, "hill");
    let tower = graph.add_optional("tower", tower, TestStep::<String>::new(cloud, "tower"), hill);
    graph.add("flag", TestStep::<(String, ())>::new(cloud, "flag"), (hill, tower));
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
async fn a_part_of_a_graph_runs_alone() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = valley(&cloud, true);
    graph.only(&["hill", "flag"]);
    assert_eq!(runner.up(&graph).await.report.created, 2);
    assert_eq!(cloud.names(), ["flag", "hill"]);
}
