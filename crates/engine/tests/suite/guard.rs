//! Hooks before the steps' actions, and runs that apply every step.

use crate::world::{Desk, Making, Standing, Thing, World, on, root, steps};
use landfall_engine::{Act, Graph, How, Kind, Outcome, Residue, State, StepError, What};
use std::sync::{Arc, Mutex};

const NAMES: [&str; 4] = ["hill", "lake", "boat", "mill"];

fn valley(world: &World) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, world, "hill");
    let lake = on(&mut graph, world, "lake", hill);
    on(&mut graph, world, "boat", lake);
    on(&mut graph, world, "mill", hill);
    graph
}

fn refuse(step: &str) -> StepError {
    StepError::new(Kind::Refused, format!("let {step} pass")).residue(Residue::Nothing)
}

/// Returns the same graph, with every action of this step refused.
fn without(world: &World, refused: &'static str, refused_act: Act) -> Graph {
    let mut graph = valley(world);
    graph.guard(move |step, act| match step == refused && act == refused_act {
        true => Err(refuse(step)),
        false => Ok(()),
    });
    graph
}

/// Returns the steps that depend on a step, directly or indirectly.
fn above(graph: &Graph, step: &'static str) -> Vec<&'static str> {
    let mut reached = vec![step];
    for info in graph.steps() {
        if info.after.iter().any(|below| reached.contains(below)) {
            reached.push(info.id);
        }
    }
    reached.split_off(1)
}

#[tokio::test(start_paused = true)]
async fn whichever_step_is_refused_only_what_stands_on_it_is_blocked_and_nothing_is_claimed() {
    for refused in NAMES {
        for act in [Act::Look, Act::Make] {
            let (desk, world) = (Desk::new(), World::default());
            let graph = without(&world, refused, act);
            let told = desk.up(&graph).await;
            let blocked =
                |what: &What| if let What::Blocked { step, .. } = what { Some(*step) } else { None };
            assert_eq!(steps(&told.events, blocked), above(&graph, refused), "{refused}");
            let report = &told.report;
            assert_eq!((report.outcome, report.errors[0].0.as_str()), (Outcome::Failed, refused));
            let past = desk.memory().past(refused).cloned().unwrap_or_default();
            assert_eq!((past.ours, past.attempts, past.state), (false, 0, State::Failed), "{refused}");
            assert_eq!(world.made(refused), 0);
            // Without the hook the same environment becomes ready, and nothing is created twice.
            assert_eq!(desk.up(&valley(&world)).await.report.outcome, Outcome::Ready);
            assert!(NAMES.iter().all(|name| world.made(name) == 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whichever_step_may_not_be_taken_away_it_stays_ours_with_all_it_stands_on() {
    for refused in NAMES {
        let (desk, world) = (Desk::new(), World::default());
        desk.up(&valley(&world)).await;
        let report = desk.down(&without(&world, refused, Act::Undo)).await.report;
        assert_eq!((report.outcome, report.failed), (Outcome::Failed, 1), "{refused}");
        assert_eq!(report.errors[0].1.residue, Residue::Something, "it is still there");
        assert!(desk.memory().past(refused).unwrap().ours);
        assert!(world.get(refused).is_some() && world.get("hill").is_some());
        let report = desk.down(&valley(&world)).await.report;
        assert_eq!(report.outcome, Outcome::Ready);
        assert!(world.is_empty(), "{refused}: {:?}", world.names());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_take_back_what_a_killed_run_may_have_made() {
    let (desk, world) = (Desk::new(), World::default());
    let mut graph = Graph::new();
    graph.add("hill", Thing::<()>::new(&world, "hill").making(Making::Unanswered), ());
    desk.up_killed_at(&graph, &world, "make hill with ()").await;
    let report = desk.up(&without(&world, "hill", Act::Look)).await.report;
    assert_eq!(report.errors[0].1.residue, Residue::Unknown, "the killed run may have left something");
    assert!(desk.memory().past("hill").unwrap().ours);
    desk.down(&graph).await;
    assert!(world.is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_several_guards_the_last_is_asked_first_and_each_for_every_act() {
    let (desk, world) = (Desk::new(), World::default());
    let mut graph = Graph::new();
    root(&mut graph, &world, "hill");
    let asked = Arc::new(Mutex::new(Vec::new()));
    for guard in ["first", "last"] {
        let asked = asked.clone();
        graph.guard(move |step, act| {
            asked.lock().unwrap().push((guard, step, act));
            Ok(())
        });
    }
    desk.up(&graph).await;
    desk.down(&graph).await;
    let acts = [Act::Look, Act::Make, Act::Undo];
    let expected: Vec<_> =
        acts.into_iter().flat_map(|act| [("last", "hill", act), ("first", "hill", act)]).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn all_of_it_is_made_again_though_it_is_ready_and_stays_whose_it_was() {
    let (desk, world) = (Desk::new(), World::default());
    world.put("mill");
    desk.up(&valley(&world)).await;
    let before = desk.memory();
    let mut again = valley(&world);
    again.again();
    let report = desk.up(&again).await.report;
    assert_eq!((report.outcome, report.changed, report.found), (Outcome::Ready, 4, 0));
    for name in NAMES {
        let (was, is) = (before.past(name).unwrap(), desk.memory().past(name).unwrap().clone());
        assert_eq!((is.ours, &is.output, is.how), (was.ours, &was.output, Some(How::Changed)), "{name}");
        assert_eq!(is.ours, name != "mill");
    }
    assert_eq!(desk.up(&valley(&world)).await.report.found, 4);
    desk.down(&valley(&world)).await;
    assert_eq!(world.names(), ["mill"], "what was found is not ours for being made again");
    assert_eq!(world.get("mill"), Some(Standing::Ready("mill".into())));
}
