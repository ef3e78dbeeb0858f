//! Plans: the changes that `up` would apply, without any of them.

use crate::world::{Desk, Making, Standing, Thing, World, on, root};
use landfall_engine::{
    Action, Check, Context, Graph, Kind, Look, Looking, Memory, Pace, Plan, Step, StepError, Stop, Undone,
    Wait, plan,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Barrier;

fn looking(memory: Memory) -> Looking {
    Looking { memory: Arc::new(memory), pace: Pace::REAL, stop: Stop::new() }
}

fn actions(plan: &Plan) -> Vec<(&'static str, Action)> {
    plan.steps.iter().map(|step| (step.step, step.action)).collect()
}

/// A hill, a lake on it, a boat on the lake, and a mill beside.
fn valley(world: &World) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, world, "hill");
    let lake = on(&mut graph, world, "lake", hill);
    on(&mut graph, world, "boat", lake);
    on(&mut graph, world, "mill", hill);
    graph
}

#[tokio::test(start_paused = true)]
async fn below_what_is_missing_everything_is_to_be_made_without_a_look() {
    let world = World::default();
    let plan = plan(&valley(&world), &looking(Memory::default())).await;
    let create = Action::Create;
    assert_eq!(actions(&plan), [("hill", create), ("lake", create), ("boat", create), ("mill", create)]);
    assert_eq!(plan.steps[2].after, ["lake"]);
    assert_eq!(world.count("look lake"), 0);
    assert!(world.changes().is_empty() && !plan.is_empty());
    assert_eq!(plan.estimate, 3 * Thing::<()>::new(&world, "hill").usual());
}

#[tokio::test(start_paused = true)]
async fn with_everything_remembered_the_looks_go_out_together_and_nothing_is_written() {
    let (desk, world) = (Desk::new(), World::default());
    desk.up(&valley(&world)).await;
    let journal = std::fs::read(desk.path().join("journal.jsonl")).unwrap();

    let all = Arc::new(Barrier::new(2));
    let mut graph = Graph::new();
    let hill = graph.add("hill", Thing::<()>::new(&world, "hill").meet_looking(&all), ());
    graph.add("lake", Thing::<String>::new(&world, "lake").meet_looking(&all), hill);
    let plan = plan(&graph, &looking(desk.memory())).await;
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.estimate, Duration::ZERO);
    assert_eq!(std::fs::read(desk.path().join("journal.jsonl")).unwrap(), journal);
}

#[tokio::test(start_paused = true)]
async fn one_drift_does_not_hide_another_below_it() {
    let (desk, world) = (Desk::new(), World::default());
    desk.up(&valley(&world)).await;
    world.set("hill", Standing::Differs);
    world.set("lake", Standing::Broken);
    world.set("mill", Standing::Making);
    let plan = plan(&valley(&world), &looking(desk.memory())).await;
    assert_eq!(
        actions(&plan),
        [("hill", Action::Change), ("lake", Action::Change), ("boat", Action::Ok), ("mill", Action::Wait)]
    );
    assert_eq!(plan.steps[1].why.as_deref(), Some("it leaks"));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_bars_what_stands_on_it() {
    let (desk, world) = (Desk::new(), World::default());
    desk.up(&valley(&world)).await;
    world.set("lake", Standing::Foreign);
    let plan = plan(&valley(&world), &looking(desk.memory())).await;
    let blocked = Action::Blocked { by: "lake" };
    assert_eq!(
        actions(&plan),
        [("hill", Action::Ok), ("lake", Action::Refuse), ("boat", blocked), ("mill", Action::Ok)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_another_hill_changes_is_looked_at_anew() {
    let (desk, world) = (Desk::new(), World::default());
    desk.up(&valley(&world)).await;
    world.set("hill", Standing::Ready("another hill".into()));
    let plan = plan(&valley(&world), &looking(desk.memory())).await;
    assert!(plan.is_empty());
    assert_eq!(world.count("look lake"), 3, "by the run, ahead with the old hill, then with the new one");
}

/// A resource whose check succeeds only after a wait.
struct Mist;

impl Step for Mist {
    type Input = ();
    type Output = ();
    fn title(&self) -> String {
        "the mist".to_owned()
    }
    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn check(&self, cx: &Context, (): &()) -> Result<Check<()>, StepError> {
        let wait = Wait::new("the mist to lift", Duration::from_secs(20), Duration::from_secs(40));
        cx.note("it is early");
        cx.wait_until(wait, async || Ok(Look::<()>::not_yet("dense"))).await?;
        Ok(Check::Missing)
    }
    async fn apply(&self, cx: &Context, (): &()) -> Result<(), StepError> {
        cx.keep(&"a ticket")
    }
    async fn undo(&self, _: &Context, (): ()) -> Result<Undone, StepError> {
        Ok(Undone::AlreadyGone)
    }
}

#[tokio::test(start_paused = true)]
async fn no_wait_goes_beyond_its_first_look() {
    let mut graph = Graph::new();
    graph.add("mist", Mist, ());
    let began = tokio::time::Instant::now();
    let plan = plan(&graph, &looking(Memory::default())).await;
    assert_eq!(actions(&plan), [("mist", Action::Wait)]);
    assert_eq!(plan.steps[0].why.as_deref(), Some("dense"));
    assert_eq!(plan.steps[0].notes, ["it is early"]);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_told_as_it_would_fail() {
    struct Fog;
    impl Step for Fog {
        type Input = ();
        type Output = ();
        fn title(&self) -> String {
            "the fog".to_owned()
        }
        fn deadline(&self) -> Duration {
            Duration::from_secs(60)
        }
        async fn check(&self, _: &Context, (): &()) -> Result<Check<()>, StepError> {
            Err(StepError::new(Kind::Refused, "see through the fog"))
        }
        async fn apply(&self, _: &Context, (): &()) -> Result<(), StepError> {
            Ok(())
        }
        async fn undo(&self, _: &Context, (): ()) -> Result<Undone, StepError> {
            Ok(Undone::AlreadyGone)
        }
    }
    let (mut graph, world) = (Graph::new(), World::default());
    let fog = graph.add("fog", Fog, ());
    graph.add("boat", Thing::<()>::new(&world, "boat").making(Making::Panics), fog.done());
    let plan = plan(&graph, &looking(Memory::default())).await;
    assert_eq!(actions(&plan), [("fog", Action::Refuse), ("boat", Action::Blocked { by: "fog" })]);
    assert_eq!(plan.steps[0].error.as_ref().unwrap().kind, Kind::Refused);
}
