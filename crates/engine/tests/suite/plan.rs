//! Plans: the changes that `up` would apply, without any of them.

use crate::cloud::{Cloud, Creating, ResourceState, Runner, TestStep, on, root};
use landfall_engine::{
    Action, Check, Context, Graph, JournalState, Kind, Plan, PlanContext, Poll, Step, StepError, Stop,
    TimeScale, UndoOutcome, Wait, plan,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Barrier;

fn plan_context(journal_state: JournalState) -> PlanContext {
    PlanContext { journal_state: Arc::new(journal_state), time_scale: TimeScale::REAL, stop: Stop::new() }
}

fn actions(plan: &Plan) -> Vec<(&'static str, Action)> {
    plan.steps.iter().map(|step| (step.step, step.action)).collect()
}

/// A hill, a lake on it, a boat on the lake, and a mill beside.
fn valley(cloud: &Cloud) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, cloud, "hill");
    let lake = on(&mut graph, cloud, "lake", hill);
    on(&mut graph, cloud, "boat", lake);
    on(&mut graph, cloud, "mill", hill);
    graph
}

#[tokio::test(start_paused = true)]
async fn dependents_of_a_missing_resource_are_planned_without_a_check() {
    let cloud = Cloud::default();
    let plan = plan(&valley(&cloud), &plan_context(JournalState::default())).await;
    let create = Action::Create;
    assert_eq!(actions(&plan), [("hill", create), ("lake", create), ("boat", create), ("mill", create)]);
    assert_eq!(plan.steps[2].after, ["lake"]);
    assert_eq!(cloud.count("look lake"), 0);
    assert!(cloud.changes().is_empty() && !plan.is_empty());
    assert_eq!(plan.estimate, 3 * TestStep::<()>::new(&cloud, "hill").typical_duration());
}

#[tokio::test(start_paused = true)]
async fn with_a_complete_record_checks_run_concurrently_and_write_nothing() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&valley(&cloud)).await;
    let journal = std::fs::read(runner.path().join("journal.jsonl")).unwrap();

    let all = Arc::new(Barrier::new(2));
    let mut graph = Graph::new();
    let hill = graph.add("hill", TestStep::<()>::new(&cloud, "hill").meet_in_check(&all), ());
    graph.add("lake", TestStep::<String>::new(&cloud, "lake").meet_in_check(&all), hill);
    let plan = plan(&graph, &plan_context(runner.journal_state())).await;
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.estimate, Duration::ZERO);
    assert_eq!(std::fs::read(runner.path().join("journal.jsonl")).unwrap(), journal);
}

#[tokio::test(start_paused = true)]
async fn one_drift_does_not_hide_that_of_a_dependent() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&valley(&cloud)).await;
    cloud.set("hill", ResourceState::Drifted);
    cloud.set("lake", ResourceState::Failed);
    cloud.set("mill", ResourceState::Creating);
    let plan = plan(&valley(&cloud), &plan_context(runner.journal_state())).await;
    assert_eq!(
        actions(&plan),
        [("hill", Action::Change), ("lake", Action::Change), ("boat", Action::Ok), ("mill", Action::Wait)]
    );
    assert_eq!(plan.steps[1].why.as_deref(), Some("it leaks"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_blocks_its_dependents() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&valley(&cloud)).await;
    cloud.set("lake", ResourceState::NotOwned);
    let plan = plan(&valley(&cloud), &plan_context(runner.journal_state())).await;
    let blocked = Action::Blocked { by: "lake" };
    assert_eq!(
        actions(&plan),
        [("hill", Action::Ok), ("lake", Action::Refuse), ("boat", blocked), ("mill", Action::Ok)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_source_is_checked_again_with_its_new_value() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&valley(&cloud)).await;
    cloud.set("hill", ResourceState::InSync("another hill".into()));
    let plan = plan(&valley(&cloud), &plan_context(runner.journal_state())).await;
    assert!(plan.is_empty());
    assert_eq!(cloud.count("look lake"), 3, "by the run, ahead with the old hill, then with the new one");
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
        cx.wait_until(wait, async || Ok(Poll::<()>::not_yet("dense"))).await?;
        Ok(Check::Missing)
    }
    async fn apply(&self, cx: &Context, (): &()) -> Result<(), StepError> {
        cx.save_ticket(&"a ticket")
    }
    async fn undo(&self, _: &Context, (): ()) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::AlreadyDeleted)
    }
}

#[tokio::test(start_paused = true)]
async fn every_wait_ends_after_its_first_poll() {
    let mut graph = Graph::new();
    graph.add("mist", Mist, ());
    let began = tokio::time::Instant::now();
    let plan = plan(&graph, &plan_context(JournalState::default())).await;
    assert_eq!(actions(&plan), [("mist", Action::Wait)]);
    assert_eq!(plan.steps[0].why.as_deref(), Some("dense"));
    assert_eq!(plan.steps[0].notes, ["it is early"]);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failed_check_is_planned_as_a_refusal() {
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
        async fn undo(&self, _: &Context, (): ()) -> Result<UndoOutcome, StepError> {
            Ok(UndoOutcome::AlreadyDeleted)
        }
    }
    let (mut graph, cloud) = (Graph::new(), Cloud::default());
    let fog = graph.add("fog", Fog, ());
    graph.add("boat", TestStep::<()>::new(&cloud, "boat").creating(Creating::Panics), fog.done());
    let plan = plan(&graph, &plan_context(JournalState::default())).await;
    assert_eq!(actions(&plan), [("fog", Action::Refuse), ("boat", Action::Blocked { by: "fog" })]);
    assert_eq!(plan.steps[0].error.as_ref().unwrap().kind, Kind::Refused);
}
