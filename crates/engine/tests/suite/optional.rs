//! Optional steps: switched off by a setting, skipped by `up`, and still deleted by `down`.

use crate::world::{Desk, Thing, World, root};
use landfall_engine::{
    Action, Discovery, Graph, Looking, Memory, Outcome, Pace, Stop, Undone, What, discover, plan,
};
use std::sync::Arc;

/// A hill, an optional tower on it, and a flag that is raised after the tower.
fn valley(world: &World, tower: bool) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, world, "hill");
    let tower = graph.add_optional("tower", tower, Thing::<String>::new(world, "tower"), hill);
    graph.add("flag", Thing::<(String, ())>::new(world, "flag"), (hill, tower));
    graph
}

fn looking(memory: Memory) -> Looking {
    Looking { memory: Arc::new(memory), pace: Pace::REAL, stop: Stop::new() }
}

async fn actions(graph: &Graph, memory: Memory) -> Vec<(&'static str, Action)> {
    let plan = plan(graph, &looking(memory)).await;
    plan.steps.iter().map(|step| (step.step, step.action)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_disabled_step_is_skipped_and_the_steps_after_it_run() {
    let (desk, world) = (Desk::new(), World::default());
    let graph = valley(&world, false);
    let create = Action::Create;
    assert_eq!(actions(&graph, Memory::default()).await, [("hill", create), ("flag", create)]);
    for created in [2, 0] {
        let told = desk.up(&graph).await;
        assert_eq!((told.report.outcome, told.report.created), (Outcome::Ready, created));
        let opened = told.events.iter().find_map(|what| match what {
            What::Opened { steps, .. } => Some(steps.iter().map(|step| step.id).collect::<Vec<_>>()),
            _ => None,
        });
        assert_eq!(opened.unwrap(), ["hill", "flag"]);
    }
    assert_eq!(world.count("look tower"), 0);
    assert_eq!(world.names(), ["flag", "hill"]);
    assert_eq!(actions(&graph, desk.memory()).await, [("hill", Action::Ok), ("flag", Action::Ok)]);
    let Discovery { found, errors } = discover(&graph, &looking(desk.memory())).await;
    assert!(found.is_empty() && errors.is_empty());
    assert_eq!(desk.down(&graph).await.report.undone.len(), 2);
    assert!(world.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_switched_off_later_stays_until_down_deletes_it_in_order() {
    let (desk, world) = (Desk::new(), World::default());
    desk.up(&valley(&world, true)).await;
    let graph = valley(&world, false);
    let told = desk.up(&graph).await;
    assert_eq!((told.report.outcome, told.report.found), (Outcome::Ready, 2));
    assert!(world.get("tower").is_some() && desk.memory().past("tower").unwrap().ours);
    let planned = [("hill", Action::Ok), ("tower", Action::Disabled), ("flag", Action::Ok)];
    assert_eq!(actions(&graph, desk.memory()).await, planned);
    assert!(plan(&graph, &looking(desk.memory())).await.is_empty());
    let report = desk.down(&graph).await.report;
    let deleted = ["flag", "tower", "hill"].map(|step| (step.to_owned(), Undone::Deleted));
    assert_eq!(report.undone, deleted);
    assert!(report.left_behind.is_empty() && world.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_graph_runs_alone() {
    let (desk, world) = (Desk::new(), World::default());
    let mut graph = valley(&world, true);
    graph.only(&["hill", "flag"]);
    assert_eq!(desk.up(&graph).await.report.created, 2);
    assert_eq!(world.names(), ["flag", "hill"]);
}
