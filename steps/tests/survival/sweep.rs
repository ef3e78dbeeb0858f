//! Crashes at every request and at every journal entry.
//!
//! One run is recorded: the simulated cloud and all files, before and after each request and each journal
//! entry. A process that is killed leaves exactly the state at that time. So each snapshot is the state after
//! a crash, and a new run continues from it.

use crate::{
    environment::{BEGINNING, Command, Environment, fresh, replayable},
    inventory,
    other_writer::{OtherWriter, leave_as_killed},
    still::{Camera, Film, Still},
    strangers::Strangers,
};
use landfall_sim::{Line, Speed, world::World};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Changes the settings, from the recorded run on.
type Wish = fn(&mut Environment);

/// A recorded run, and its expected results.
pub struct Filmed {
    wish: Wish,
    film: Film,
    pub strangers: Strangers,
    pub ledger: Vec<Line>,
    /// The inventories after `up` and after `down`.
    pub up: BTreeMap<String, Value>,
    down: BTreeMap<String, Value>,
}

/// Creates an environment among foreign resources and runs `before` with the first settings, then records
/// `filmed` with the second.
pub fn film(first: Wish, before: &[Command], filmed: Command, wish: Wish) -> Filmed {
    replayable(1, async {
        let mut here = Environment::new(fresh(), BEGINNING, Speed::Instant);
        first(&mut here);
        let strangers = Strangers::plant(&here).await;
        let down = inventory::of(&here.world.read(World::clone));
        for command in before {
            here.ready(*command).await.unwrap();
        }
        wish(&mut here);
        let camera = Camera::on(&here, &here.carrier);
        here.ready(filmed).await.unwrap();
        let film = camera.film(&here);
        let ledger = here.world.ledger();
        if filmed == Command::Down {
            here.ready(Command::Up).await.unwrap();
        }
        let up = inventory::of(&here.world.read(World::clone));
        Filmed { wish, film, strangers, ledger, up, down }
    })
}

impl Filmed {
    /// Returns the environment in the state of the crash.
    pub fn taken_up(&self, still: &Still) -> Environment {
        let mut here = Environment::at(still, Speed::Instant);
        (self.wish)(&mut here);
        here
    }
}

/// Continues from every snapshot, one per processor concurrently, and returns the failures with their places.
fn go_on(filmed: &Filmed, check: impl Fn(&Filmed, &Still) -> Vec<String> + Sync) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(still) = filmed.film.stills.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = std::panic::catch_unwind(AssertUnwindSafe(|| check(filmed, still)))
                        .unwrap_or_else(|_| vec!["panicked, see above".to_owned()]);
                    if !found.is_empty() {
                        let shown: Vec<String> =
                            found.iter().take(4).map(|one| one.chars().take(2400).collect()).collect();
                        let more = found.len() - shown.len();
                        let shown =
                            format!("killed {}, and {more} more:\n  {}", still.label, shown.join("\n  "));
                        wrong.lock().unwrap().push(shown);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// Lets another program change the kubeconfig during the runs. If the killed process may have been changing
/// it, its leftovers exist.
fn among_writers(here: &Environment, still: &Still) -> OtherWriter {
    if still.may_hold_kubeconfig() {
        leave_as_killed(&here.wish.kubeconfig);
    }
    let writer = OtherWriter::new(here, still.requests as u64);
    writer.join(here, false);
    writer
}

/// Runs `up` from a snapshot to the end: the environment is complete, with nothing created twice and no
/// foreign resource changed.
fn comes_up(filmed: &Filmed, still: &Still) -> Vec<String> {
    replayable(2, async {
        let here = filmed.taken_up(still);
        let writer = among_writers(&here, still);
        if let Err(why) = here.ready(Command::Up).await {
            return vec![why];
        }
        let mut wrong = inventory::differences(&filmed.up, &inventory::of(&here.world.read(World::clone)));
        let ledger = here.world.ledger();
        let lines = filmed.ledger.iter().filter(|line| line.n as usize <= still.requests).chain(&ledger);
        wrong.extend(inventory::made_twice(lines));
        wrong.extend(writer.leave());
        wrong.extend(filmed.strangers.harmed(&here, true).await);
        wrong
    })
}

/// Runs `down` from a snapshot to the end: nothing owned is left, and no foreign resource is changed.
pub fn goes_down(filmed: &Filmed, still: &Still) -> Vec<String> {
    replayable(3, async {
        let here = filmed.taken_up(still);
        let writer = among_writers(&here, still);
        let report = match here.ready(Command::Down).await {
            Ok(report) => report,
            Err(why) => return vec![why],
        };
        let mut wrong = inventory::differences(&filmed.down, &inventory::of(&here.world.read(World::clone)));
        wrong.retain(|line| !line.starts_with("vaults/deleted/"));
        wrong.extend(writer.leave());
        wrong.extend(filmed.strangers.harmed(&here, false).await);
        if !wrong.is_empty() {
            wrong.insert(0, format!("{:?} after {}", report.undone, still.last_entries()));
        }
        wrong
    })
}

fn both(filmed: &Filmed, still: &Still) -> Vec<String> {
    let mut wrong = comes_up(filmed, still);
    wrong.extend(goes_down(filmed, still).into_iter().map(|wrong| format!("then down: {wrong}")));
    wrong
}

fn sweep(name: &str, before: &[Command], filmed: Command) {
    swept(name, "two", film(|_| {}, before, filmed, |_| {}), both);
}

/// Continues from every snapshot, and prints the result.
pub fn swept(name: &str, runs: &str, filmed: Filmed, check: impl Fn(&Filmed, &Still) -> Vec<String> + Sync) {
    let began = std::time::Instant::now();
    let wrong = go_on(&filmed, check);
    println!(
        "{name}: {} instants, {} of them different, {runs} runs from each, {} wrong, {:.1} s",
        filmed.film.instants,
        filmed.film.stills.len(),
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn killed_at_any_instant_of_the_first_run() {
    sweep("the first run", &[], Command::Up);
}

#[test]
fn killed_at_any_instant_of_a_run_with_nothing_to_do() {
    sweep("a run with nothing to do", &[Command::Up], Command::Up);
}

#[test]
fn killed_at_any_instant_of_taking_down() {
    sweep("taking down", &[Command::Up], Command::Down);
}

#[test]
fn killed_at_any_instant_of_taking_down_while_an_aggregated_api_is_down() {
    let wish: Wish = |here| here.arm(&["aggregated-api-down"]);
    let filmed = film(|_| {}, &[Command::Up], Command::Down, wish);
    swept("taking down with an aggregated API down", "one", filmed, goes_down);
}

#[test]
fn an_environment_among_strangers_comes_and_goes() {
    replayable(1, async {
        let here = Environment::new(fresh(), BEGINNING, Speed::Instant);
        let strangers = Strangers::plant(&here).await;
        for command in [Command::Up, Command::Up, Command::Down] {
            here.ready(command).await.unwrap();
        }
        assert_eq!(strangers.harmed(&here, false).await, [""; 0]);
    });
}
