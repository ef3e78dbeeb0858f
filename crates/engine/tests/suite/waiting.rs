//! Waits: poll times, events and ends. The clock is tokio's own.

use crate::world::{Desk, Making, Thing, Told, World};
use futures::future::BoxFuture;
use landfall_engine::{
    Check, Context, Graph, Kind, Look, Outcome, Pace, Residue, Seen, Step, StepError, Undone, Wait, What, up,
};
use serde::{Deserialize, Serialize};
use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

type Act = Box<dyn for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<(), StepError>> + Send + Sync>;

/// A step with a closure as its apply.
struct Doing(Act);

impl Step for Doing {
    type Input = ();
    type Output = ();
    fn title(&self) -> String {
        "the lake".into()
    }
    fn deadline(&self) -> Duration {
        seconds(3600)
    }
    async fn check(&self, _: &Context, _: &()) -> Result<Check<()>, StepError> {
        Ok(Check::Missing)
    }
    async fn apply(&self, cx: &Context, _: &()) -> Result<(), StepError> {
        (self.0)(cx).await
    }
    async fn undo(&self, _: &Context, _: ()) -> Result<Undone, StepError> {
        Ok(Undone::Deleted)
    }
}

fn doing(
    act: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<(), StepError>> + Send + Sync + 'static,
) -> Graph {
    let mut graph = Graph::new();
    graph.add("lake", Doing(Box::new(act)), ());
    graph
}

/// Returns the times of the polls of a wait; `look` returns the result of each.
async fn looks(
    pace: Pace,
    wait: Wait,
    look: impl Fn(Duration) -> Look<()> + Send + Sync + 'static,
) -> (Vec<Duration>, Told) {
    let desk = Desk::new();
    let looked = Arc::new(Mutex::new(Vec::new()));
    let (kept, look) = (looked.clone(), Arc::new(look));
    let graph = doing(move |cx| {
        let (kept, look) = (kept.clone(), look.clone());
        Box::pin(async move {
            let began = Instant::now();
            cx.wait_until(wait, async || {
                kept.lock().unwrap().push(began.elapsed());
                Ok(look(began.elapsed()))
            })
            .await
        })
    });
    let (mut run, mut heard) = desk.run();
    run.pace = pace;
    let report = up(&graph, &run).await.unwrap();
    let mut events = Vec::new();
    while let Ok(event) = heard.try_recv() {
        events.push(event.what);
    }
    let looked = looked.lock().unwrap().clone();
    (looked, Told { report, events })
}

fn notes(told: &Told) -> Vec<(&str, Duration)> {
    let note = |what| match what {
        &What::Note { ref text, progress: Some(progress), .. } => Some((text.as_str(), progress.so_far)),
        _ => None,
    };
    told.events.iter().filter_map(note).collect()
}

#[tokio::test(start_paused = true)]
async fn it_looks_at_once_and_notices_the_usual_end_within_a_second() {
    let wait = Wait::new("it to fill", seconds(280), seconds(900));
    let end = Duration::from_millis(271_300);
    let filling = move |at| if at < end { Look::not_yet("Filling") } else { Look::There(()) };
    let (looks, told) = looks(Pace::REAL, wait, filling).await;
    assert_eq!(told.report.outcome, Outcome::Ready);
    assert_eq!(looks[0], Duration::ZERO);
    let noticed = *looks.last().unwrap();
    assert!(noticed - end <= seconds(1), "noticed at {noticed:?}");
    assert!(looks.len() < 60, "{} looks", looks.len());
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_comes_at_least_every_second_and_counts_cloud_time() {
    let wait = Wait::new("it to fill", seconds(280), seconds(900));
    let end = Duration::from_millis(3500);
    let filling = move |at| if at < end { Look::not_yet("Filling") } else { Look::There(()) };
    let (_, told) = looks(Pace::new(60.0), wait, filling).await;
    let notes = notes(&told);
    assert_eq!(notes[0].0, "Filling, 0 s of about 280 s");
    assert_eq!(notes.len(), 4, "one with the first state, then one a second");
    assert_eq!(notes[3], ("Filling, 180 s of about 280 s", seconds(180)));
}

#[tokio::test(start_paused = true)]
async fn a_new_state_is_told_at_once() {
    let wait = Wait::new("it to fill", seconds(8), seconds(900));
    let state = |at: Duration| match at.as_secs() {
        0 => Look::not_yet("Digging"),
        1 => Look::not_yet("Filling"),
        _ => Look::There(()),
    };
    let (looks, told) = looks(Pace::REAL, wait, state).await;
    assert_eq!(looks, [seconds(0), seconds(1), seconds(2)]);
    let told: Vec<&str> = notes(&told).into_iter().map(|(text, _)| text).collect();
    assert!(told.contains(&"Digging, 0 s of about 8 s") && told.contains(&"Filling, 1 s of about 8 s"));
}

#[tokio::test(start_paused = true)]
async fn it_never_asks_before_the_cloud_wants_to_be_asked() {
    let wait = Wait::new("it to fill", seconds(10), seconds(100));
    let (looks, told) = looks(Pace::REAL, wait, |_| Look::not_before("Filling", Some(seconds(30)))).await;
    assert_eq!(looks, [0, 30, 60, 90].map(seconds), "and not at the bound either");
    let error = &told.report.errors[0].1;
    assert_eq!(
        (error.kind, error.message.as_str()),
        (Kind::TimedOut, "wait for it to fill: Filling after 100 s")
    );
}

#[tokio::test(start_paused = true)]
async fn past_its_bound_it_looks_a_last_time_and_names_the_last_state() {
    let wait = Wait::new("it to fill", seconds(40), seconds(100));
    let (looks, told) = looks(Pace::REAL, wait, |_| Look::not_yet("Leaking")).await;
    assert_eq!(*looks.last().unwrap(), seconds(100));
    let error = &told.report.errors[0].1;
    assert_eq!(error.message, "wait for it to fill: Leaking after 100 s");
    assert_eq!((error.kind, error.residue), (Kind::TimedOut, Residue::Unknown));
}

#[tokio::test(start_paused = true)]
async fn however_fast_the_cloud_is_there_are_five_milliseconds_between_looks() {
    let wait = Wait::new("it to fill", seconds(280), seconds(900));
    let end = Duration::from_millis(50);
    let filling = move |at| if at < end { Look::not_yet("Filling") } else { Look::There(()) };
    let (looks, _) = looks(Pace::new(f64::INFINITY), wait, filling).await;
    assert_eq!(looks.len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_step_past_its_deadline_is_ended_and_its_last_state_named() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    graph.add("lake", Thing::<()>::new(&world, "lake").making(Making::Slow), ());
    let report = desk.up(&graph).await.report;
    let (_, error) = &report.errors[0];
    assert_eq!((error.kind, error.message.as_str()), (Kind::TimedOut, "finish the lake within 600 s"));
    assert_eq!(error.causes, ["last seen: Some(Making)"]);
    assert_eq!(error.residue, Residue::Something, "its ticket is kept");
    assert!(desk.memory().past("lake").unwrap().ticket.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_bounded_and_shown_like_any_wait() {
    let desk = Desk::new();
    let graph = doing(|cx| {
        Box::pin(async move {
            let seen = Seen::new();
            let watch = async {
                seen.set("0 of 2 ready");
                tokio::time::sleep(seconds(3)).await;
                seen.set("1 of 2 ready");
                pending().await
            };
            cx.attend(Wait::new("the boats to float", seconds(5), seconds(20)), &seen, watch).await
        })
    });
    let told = desk.up(&graph).await;
    let error = &told.report.errors[0].1;
    assert_eq!(error.message, "wait for the boats to float: 1 of 2 ready after 20 s");
    let notes = notes(&told);
    assert!(notes.iter().any(|(text, _)| *text == "0 of 2 ready, 0 s of about 5 s"));
    assert!(notes.iter().any(|(text, _)| *text == "1 of 2 ready, 3 s of about 5 s"));
    assert!(notes.len() >= 20, "{} notes in 20 s", notes.len());
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_given_up_when_the_run_is_to_end() {
    let desk = Desk::new();
    let stop = desk.stop.clone();
    let graph = doing(move |cx| {
        let stop = stop.clone();
        Box::pin(async move {
            let watch = async {
                stop.gently();
                pending().await
            };
            cx.attend(Wait::new("the boats to float", seconds(5), seconds(20)), &Seen::new(), watch).await
        })
    });
    assert_eq!(desk.up(&graph).await.report.outcome, Outcome::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_attaches_counts_from_when_the_ticket_was_kept() {
    #[derive(Serialize, Deserialize)]
    struct Operation(u32);
    let desk = Desk::new();
    let kept = jiff::Timestamp::try_from(SystemTime::now() - seconds(200)).unwrap();
    let path = desk.path().join("journal.jsonl");
    // A journal of the version before the seals can be written by hand.
    let mut text = include_str!("../fixtures/format-1.jsonl").lines().next().unwrap().to_owned() + "\n";
    text += &format!("{{\"at\":\"{kept:.3}\",\"entry\":\"ticket\",\"step\":\"lake\",\"ticket\":7}}\n");
    std::fs::write(&path, text).unwrap();
    let graph = doing(|cx| {
        Box::pin(async move {
            assert_eq!(cx.ticket::<Operation>().map(|operation| operation.0), Some(7));
            let (wait, looked) = (Wait::new("it to fill", seconds(280), seconds(900)), Mutex::new(false));
            cx.wait_until(wait, async || {
                let first = !std::mem::replace(&mut *looked.lock().unwrap(), true);
                Ok(if first { Look::not_yet("Filling") } else { Look::There(()) })
            })
            .await
        })
    });
    let told = desk.up(&graph).await;
    assert!(notes(&told)[0].1 >= seconds(200));
}

#[tokio::test(start_paused = true)]
async fn the_critical_path_ends_where_the_cloud_says_and_the_rest_is_overhead() {
    let desk = Desk::new();
    let graph = doing(|cx| {
        Box::pin(async move {
            tokio::time::sleep(seconds(10)).await;
            cx.ended_at(SystemTime::now() - seconds(4));
            Ok(())
        })
    });
    let report = desk.up(&graph).await.report;
    assert_eq!(report.elapsed, seconds(10));
    let ideal = report.critical_path;
    assert!(ideal <= seconds(6), "noticed four seconds late: {ideal:?}");
}
