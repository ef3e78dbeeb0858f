//! Guarantees of every step, tested for each step of the deployment's graph.

use crate::{
    environment::{Command, End, Environment, START_TIME, fresh, replayable, report_text},
    foreign_resources::ForeignResources,
    inventory,
    storms::leaks,
};
use landfall_engine::{Graph, Kind, Outcome, Report, StepAction, StepError};
use landfall_sim::{Speed, state::CloudState};
use std::collections::BTreeSet;

/// Returns the ids of the deployment's steps.
fn ids() -> Vec<&'static str> {
    replayable(1, async {
        let env = Environment::new(fresh(), START_TIME, Speed::Instant);
        env.graph(&env.clients()).enabled_steps().iter().map(|step| step.id).collect()
    })
}

/// Returns the steps that depend on a step, directly or indirectly.
fn dependants(graph: &Graph, step: &str) -> BTreeSet<&'static str> {
    let mut found: BTreeSet<&'static str> = BTreeSet::new();
    for info in graph.enabled_steps() {
        if info.after.iter().any(|after| *after == step || found.contains(after)) {
            found.insert(info.id);
        }
    }
    found
}

/// Runs a graph in which one action of one step is refused.
async fn run_refusing(env: &Environment, command: Command, step: &'static str, act: StepAction) -> Report {
    let refuse = move |id: &'static str, attempted: StepAction| match id == step && attempted == act {
        true => Err(StepError::new(Kind::Refused, format!("let {step} go on")).hint("it is a drill")),
        false => Ok(()),
    };
    match env.run_with(command, |graph| graph.add_policy(refuse)).await {
        End::Reported(report, _) => report,
        End::Cut => panic!("nothing stops the traffic"),
    }
}

#[test]
fn a_failed_step_blocks_only_its_dependants() {
    let others = ids().len() - 1;
    for step in ids() {
        for act in [StepAction::Check, StepAction::Apply] {
            replayable(1, async {
                let env = Environment::new(fresh(), START_TIME, Speed::Instant);
                let foreign_resources = ForeignResources::create(&env).await;
                let report = run_refusing(&env, Command::Up, step, act).await;
                if report.outcome == Outcome::Ready {
                    // A step that only checks is never applied.
                    assert_eq!(act, StepAction::Apply, "{step} was not looked at");
                    return;
                }
                let blocked = dependants(&env.graph(&env.clients()), step);
                assert_eq!(report.failed, 1, "{step} {act:?}: {}", report_text(&report));
                assert_eq!(report.blocked as usize, blocked.len(), "{step} {act:?}: {blocked:?}");
                let succeeded = (report.found + report.created + report.changed) as usize;
                assert_eq!(succeeded, others - blocked.len());
                env.run_to_success(Command::Up).await.unwrap();
                env.run_to_success(Command::Down).await.unwrap();
                assert_eq!(foreign_resources.changed(&env, false).await, [""; 0], "{step} {act:?}");
            });
        }
    }
}

#[test]
fn every_apply_is_idempotent() {
    let steps = ids().len();
    replayable(1, async {
        let env = Environment::new(fresh(), START_TIME, Speed::Instant);
        ForeignResources::create(&env).await;
        env.run_to_success(Command::Up).await.unwrap();
        let before = inventory::collect(&env.sim.read(CloudState::clone));
        let End::Reported(report, events) = env.run_with(Command::Up, Graph::always_apply).await else {
            panic!("nothing stops the traffic")
        };
        assert_eq!(report.outcome, Outcome::Ready, "{}", report_text(&report));
        assert_eq!(report.changed as usize, steps);
        leaks(&env, &format!("{events:?}")).unwrap();
        assert_eq!(inventory::created_twice(env.sim.request_log().iter()), [""; 0]);
        assert_eq!(
            inventory::differences(&before, &inventory::collect(&env.sim.read(CloudState::clone))),
            [""; 0]
        );
        let found = env.run_to_success(Command::Up).await.unwrap();
        assert_eq!(found.found as usize, steps);
    });
}

#[test]
fn a_step_that_is_not_deleted_keeps_its_dependencies() {
    for step in ids() {
        replayable(1, async {
            let env = Environment::new(fresh(), START_TIME, Speed::Instant);
            let foreign_resources = ForeignResources::create(&env).await;
            let before = inventory::collect(&env.sim.read(CloudState::clone));
            env.run_to_success(Command::Up).await.unwrap();
            let report = run_refusing(&env, Command::Down, step, StepAction::Undo).await;
            let was_owned = report.outcome != Outcome::Ready;
            assert_eq!(report.failed, u32::from(was_owned), "{step}: {}", report_text(&report));
            env.run_to_success(Command::Down).await.unwrap();
            let again = env.run_to_success(Command::Down).await.unwrap();
            assert!(
                again.undone.is_empty(),
                "{step}: a second time there is nothing to do: {:?}",
                again.undone
            );
            let mut wrong =
                inventory::differences(&before, &inventory::collect(&env.sim.read(CloudState::clone)));
            wrong.retain(|line| !line.starts_with("vaults/deleted/"));
            wrong.extend(foreign_resources.changed(&env, false).await);
            assert_eq!(wrong, [""; 0], "{step}");
        });
    }
}
