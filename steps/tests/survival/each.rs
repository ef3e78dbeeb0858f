//! Guarantees of every step, tested for each step of the deployment's graph.

use crate::{
    environment::{BEGINNING, Command, End, Environment, fresh, replayable, told},
    inventory,
    storms::leaks,
    strangers::Strangers,
};
use landfall_engine::{Act, Graph, Kind, Outcome, Report, StepError};
use landfall_sim::{Speed, world::World};
use std::collections::BTreeSet;

/// Returns the ids of the deployment's steps.
fn ids() -> Vec<&'static str> {
    replayable(1, async {
        let here = Environment::new(fresh(), BEGINNING, Speed::Instant);
        here.graph(&here.clouds()).steps().iter().map(|step| step.id).collect()
    })
}

/// Returns the steps that depend on a step, directly or indirectly.
fn dependants(graph: &Graph, step: &str) -> BTreeSet<&'static str> {
    let mut found: BTreeSet<&'static str> = BTreeSet::new();
    for info in graph.steps() {
        if info.after.iter().any(|after| *after == step || found.contains(after)) {
            found.insert(info.id);
        }
    }
    found
}

/// Runs a graph in which one action of one step is refused.
async fn refused(here: &Environment, command: Command, step: &'static str, act: Act) -> Report {
    let refuse = move |asked: &'static str, about: Act| match asked == step && about == act {
        true => Err(StepError::new(Kind::Refused, format!("let {step} go on")).hint("it is a drill")),
        false => Ok(()),
    };
    match here.run_with(command, |graph| graph.guard(refuse)).await {
        End::Reported(report, _) => report,
        End::Cut => panic!("nothing stops the traffic"),
    }
}

#[test]
fn every_step_that_fails_blocks_its_dependants_and_nobody_else() {
    for step in ids() {
        for act in [Act::Look, Act::Make] {
            replayable(1, async {
                let here = Environment::new(fresh(), BEGINNING, Speed::Instant);
                let strangers = Strangers::plant(&here).await;
                let report = refused(&here, Command::Up, step, act).await;
                if report.outcome == Outcome::Ready {
                    // A step that only checks is never applied.
                    assert_eq!(act, Act::Make, "{step} was not looked at");
                    return;
                }
                let blocked = dependants(&here.graph(&here.clouds()), step);
                assert_eq!(report.failed, 1, "{step} {act:?}: {}", told(&report));
                assert_eq!(report.blocked as usize, blocked.len(), "{step} {act:?}: {blocked:?}");
                assert_eq!((report.found + report.created + report.changed) as usize, 16 - blocked.len());
                here.ready(Command::Up).await.unwrap();
                here.ready(Command::Down).await.unwrap();
                assert_eq!(strangers.harmed(&here, false).await, [""; 0], "{step} {act:?}");
            });
        }
    }
}

#[test]
fn every_step_can_be_made_again_and_makes_nothing_twice() {
    let steps = ids().len();
    replayable(1, async {
        let here = Environment::new(fresh(), BEGINNING, Speed::Instant);
        Strangers::plant(&here).await;
        here.ready(Command::Up).await.unwrap();
        let before = inventory::of(&here.world.read(World::clone));
        let End::Reported(report, events) = here.run_with(Command::Up, Graph::again).await else {
            panic!("nothing stops the traffic")
        };
        assert_eq!(report.outcome, Outcome::Ready, "{}", told(&report));
        assert_eq!(report.changed as usize, steps);
        leaks(&here, &format!("{events:?}")).unwrap();
        assert_eq!(inventory::made_twice(here.world.ledger().iter()), [""; 0]);
        assert_eq!(inventory::differences(&before, &inventory::of(&here.world.read(World::clone))), [""; 0]);
        let found = here.ready(Command::Up).await.unwrap();
        assert_eq!(found.found as usize, steps);
    });
}

#[test]
fn every_step_that_is_not_taken_away_keeps_what_it_stands_on_until_it_is() {
    for step in ids() {
        replayable(1, async {
            let here = Environment::new(fresh(), BEGINNING, Speed::Instant);
            let strangers = Strangers::plant(&here).await;
            let before = inventory::of(&here.world.read(World::clone));
            here.ready(Command::Up).await.unwrap();
            let report = refused(&here, Command::Down, step, Act::Undo).await;
            let was_ours = report.outcome != Outcome::Ready;
            assert_eq!(report.failed, u32::from(was_ours), "{step}: {}", told(&report));
            here.ready(Command::Down).await.unwrap();
            let again = here.ready(Command::Down).await.unwrap();
            assert!(
                again.undone.is_empty(),
                "{step}: a second time there is nothing to do: {:?}",
                again.undone
            );
            let mut wrong = inventory::differences(&before, &inventory::of(&here.world.read(World::clone)));
            wrong.retain(|line| !line.starts_with("vaults/deleted/"));
            wrong.extend(strangers.harmed(&here, false).await);
            assert_eq!(wrong, [""; 0], "{step}");
        });
    }
}
