//! Hooks before the steps' actions, and runs that apply every step.

use crate::cloud::{Cloud, Creating, ResourceState, Runner, TestStep, on, root, steps};
use landfall_engine::{EventKind, Graph, How, Kind, Leftover, Outcome, StepAction, StepError, StepStatus};
use std::sync::{Arc, Mutex};

const NAMES: [&str; 4] = ["hill", "lake", "boat", "mill"];

fn valley(cloud: &Cloud) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, cloud, "hill");
    let lake = on(&mut graph, cloud, "lake", hill);
    on(&mut graph, cloud, "boat", lake);
    on(&mut graph, cloud, "mill", hill);
    graph
}

fn refuse(step: &str) -> StepError {
    StepError::new(Kind::Refused, format!("let {step} pass")).leftover(Leftover::Nothing)
}

/// Returns the same graph, with every action of this step refused.
fn without(cloud: &Cloud, refused: &'static str, refused_action: StepAction) -> Graph {
    let mut graph = valley(cloud);
    graph.add_policy(move |step, action| match step == refused && action == refused_action {
        true => Err(refuse(step)),
        false => Ok(()),
    });
    graph
}

/// Returns the steps that depend on a step, directly or indirectly.
fn dependents(graph: &Graph, step: &'static str) -> Vec<&'static str> {
    let mut reached = vec![step];
    for info in graph.steps() {
        if info.after.iter().any(|below| reached.contains(below)) {
            reached.push(info.id);
        }
    }
    reached.split_off(1)
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_blocks_only_its_dependents_and_claims_nothing() {
    for refused in NAMES {
        for action in [StepAction::Check, StepAction::Apply] {
            let (runner, cloud) = (Runner::new(), Cloud::default());
            let graph = without(&cloud, refused, action);
            let result = runner.up(&graph).await;
            let blocked = |what: &EventKind| {
                if let EventKind::Blocked { step, .. } = what { Some(*step) } else { None }
            };
            assert_eq!(steps(&result.events, blocked), dependents(&graph, refused), "{refused}");
            let report = &result.report;
            assert_eq!((report.outcome, report.errors[0].0.as_str()), (Outcome::Failed, refused));
            let step_state = runner.journal_state().step_state(refused).cloned().unwrap_or_default();
            assert_eq!(
                (step_state.owned, step_state.attempts, step_state.state),
                (false, 0, StepStatus::Failed),
                "{refused}"
            );
            assert_eq!(cloud.creations(refused), 0);
            // Without the hook the same environment becomes ready, and nothing is created twice.
            assert_eq!(runner.up(&valley(&cloud)).await.report.outcome, Outcome::Ready);
            assert!(NAMES.iter().all(|name| cloud.creations(name) == 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_deletion_is_refused_stays_owned_with_its_dependencies() {
    for refused in NAMES {
        let (runner, cloud) = (Runner::new(), Cloud::default());
        runner.up(&valley(&cloud)).await;
        let report = runner.down(&without(&cloud, refused, StepAction::Undo)).await.report;
        assert_eq!((report.outcome, report.failed), (Outcome::Failed, 1), "{refused}");
        assert_eq!(report.errors[0].1.leftover, Leftover::Something, "it is still there");
        assert!(runner.journal_state().step_state(refused).unwrap().owned);
        assert!(cloud.get(refused).is_some() && cloud.get("hill").is_some());
        let report = runner.down(&valley(&cloud)).await.report;
        assert_eq!(report.outcome, Outcome::Ready);
        assert!(cloud.is_empty(), "{refused}: {:?}", cloud.names());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_revoke_the_claim_of_a_killed_run() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = Graph::new();
    graph.add("hill", TestStep::<()>::new(&cloud, "hill").creating(Creating::NoResponse), ());
    runner.up_killed_at(&graph, &cloud, "make hill with ()").await;
    let report = runner.up(&without(&cloud, "hill", StepAction::Check)).await.report;
    assert_eq!(report.errors[0].1.leftover, Leftover::Unknown, "the killed run may have left something");
    assert!(runner.journal_state().step_state("hill").unwrap().owned);
    runner.down(&graph).await;
    assert!(cloud.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_last_policy_runs_first_and_each_runs_for_every_action() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut graph = Graph::new();
    root(&mut graph, &cloud, "hill");
    let called = Arc::new(Mutex::new(Vec::new()));
    for policy in ["first", "last"] {
        let called = called.clone();
        graph.add_policy(move |step, action| {
            called.lock().unwrap().push((policy, step, action));
            Ok(())
        });
    }
    runner.up(&graph).await;
    runner.down(&graph).await;
    let actions = [StepAction::Check, StepAction::Apply, StepAction::Undo];
    let expected: Vec<_> = actions
        .into_iter()
        .flat_map(|action| [("last", "hill", action), ("first", "hill", action)])
        .collect();
    assert_eq!(*called.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn always_apply_applies_steps_in_sync_and_keeps_ownership() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    cloud.put("mill");
    runner.up(&valley(&cloud)).await;
    let before = runner.journal_state();
    let mut reapplied = valley(&cloud);
    reapplied.always_apply();
    let report = runner.up(&reapplied).await.report;
    assert_eq!((report.outcome, report.changed, report.found), (Outcome::Ready, 4, 0));
    for name in NAMES {
        let (was, is) =
            (before.step_state(name).unwrap(), runner.journal_state().step_state(name).unwrap().clone());
        assert_eq!((is.owned, &is.output, is.how), (was.owned, &was.output, Some(How::Changed)), "{name}");
        assert_eq!(is.owned, name != "mill");
    }
    assert_eq!(runner.up(&valley(&cloud)).await.report.found, 4);
    runner.down(&valley(&cloud)).await;
    assert_eq!(cloud.names(), ["mill"], "what was found is not ours for being made again");
    assert_eq!(cloud.get("mill"), Some(ResourceState::InSync("mill".into())));
}
