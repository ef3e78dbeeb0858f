//! Every write of a run gets an unreadable answer once: its resource is owned, the next run converges, and
//! `down` leaves nothing.

use crate::{
    environment::{BEGINNING, Command, End, Environment, fresh, replayable, told},
    inventory,
    strangers::Strangers,
    weather::UNREADABLE,
};
use landfall_engine::{Outcome, Residue};
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

/// A run without faults: its writes, and the states before and after it.
struct Calm {
    writes: Vec<String>,
    up: BTreeMap<String, Value>,
    down: BTreeMap<String, Value>,
}

fn calm(command: Command) -> Calm {
    replayable(1, async {
        let here = Environment::new(fresh(), BEGINNING, Speed::Instant);
        Strangers::plant(&here).await;
        let down = inventory::of(&here.world.read(World::clone));
        let mut mark = here.world.ledger().len();
        here.ready(Command::Up).await.unwrap();
        let up = inventory::of(&here.world.read(World::clone));
        if command == Command::Down {
            mark = here.world.ledger().len();
            here.ready(command).await.unwrap();
        }
        Calm { writes: writes(&here.world.ledger()[mark..]), up, down }
    })
}

/// Returns the places of all accepted writes, each once.
fn writes(ledger: &[Line]) -> Vec<String> {
    let asks = |line: &Line| {
        let last = line.path.rsplit('/').next().unwrap_or_default();
        line.method == "GET"
            || line.host.starts_with("login.")
            || last.starts_with("check")
            || last.starts_with("list")
    };
    let made = ledger.iter().filter(|line| !asks(line) && (200..300).contains(&line.status));
    let mut places: Vec<String> = made.map(|line| format!("{} {}", line.method, line.path)).collect();
    places.sort();
    places.dedup();
    places
}

/// Runs a command in which one write is answered like this, and continues with `then`; returns the failures.
fn answered(calm: &Calm, command: Command, fault: &str, then: Command) -> Vec<String> {
    replayable(2, async {
        let here = Environment::new(fresh(), BEGINNING, Speed::Instant);
        let strangers = Strangers::plant(&here).await;
        if command == Command::Down {
            here.ready(Command::Up).await.unwrap();
        }
        here.arm(&[fault]);
        let End::Reported(report, _) = here.run(command).await else {
            return vec!["it was cut off".to_owned()];
        };
        let bitten = here.world.read(|world| world.faults.armed.is_empty());
        if !bitten {
            // Without an operation there is no address that could lead to another server.
            return Vec::new();
        }
        let mut wrong: Vec<String> = report
            .errors
            .iter()
            .filter(|(_, error)| error.residue != Residue::Something || error.hint.is_none())
            .map(|(step, error)| format!("{step} left {:?}: {error:?}", error.residue))
            .collect();
        if report.outcome == Outcome::Ready && report.failed > 0 {
            wrong.push("ready with failures".to_owned());
        }
        if let Err(why) = here.ready(then).await {
            wrong.push(format!("then {why}; before: {}", told(&report)));
            return wrong;
        }
        let found = inventory::of(&here.world.read(World::clone));
        let wanted = if then == Command::Up { &calm.up } else { &calm.down };
        let mut differs = inventory::differences(wanted, &found);
        differs.retain(|line| !line.starts_with("vaults/deleted/"));
        wrong.extend(differs);
        wrong.extend(inventory::made_twice(here.world.ledger().iter()));
        if then == Command::Up {
            if let Err(why) = here.ready(Command::Down).await {
                wrong.push(format!("then {why}"));
            }
            let mut left = inventory::differences(&calm.down, &inventory::of(&here.world.read(World::clone)));
            left.retain(|line| !line.starts_with("vaults/deleted/"));
            wrong.extend(left.into_iter().map(|line| format!("then down: {line}")));
        }
        wrong.extend(strangers.harmed(&here, false).await);
        wrong
    })
}

/// Covers every write with two kinds of unreadable answers, each with one of the commands after it.
fn sweep(command: Command, then: &[Command]) {
    let calm = calm(command);
    let ways = |at: usize| [UNREADABLE[0], UNREADABLE[1 + at % 3]];
    let mut cases = Vec::new();
    for (at, place) in calm.writes.iter().enumerate() {
        for (turn, fault) in ways(at).into_iter().enumerate() {
            cases.push((format!("{}@{place}", fault.name()), then[(at + turn) % then.len()]));
        }
    }
    assert!(cases.len() > 20, "{cases:?}");
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((fault, then)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let check = AssertUnwindSafe(|| answered(&calm, command, fault, *then));
                    let found = std::panic::catch_unwind(check)
                        .unwrap_or_else(|_| vec!["panicked, see above".to_owned()]);
                    if !found.is_empty() {
                        let shown = found.iter().take(4).cloned().collect::<Vec<_>>().join("\n  ");
                        wrong.lock().unwrap().push(format!("{fault}, then {then:?}:\n  {shown}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{} writes answered unreadably, {} wrong", cases.len(), wrong.len());
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_write_of_a_first_run_that_is_answered_unreadably_made_something_of_ours() {
    sweep(Command::Up, &[Command::Up, Command::Down]);
}

#[test]
fn every_write_of_taking_down_that_is_answered_unreadably_is_gone_on_with() {
    sweep(Command::Down, &[Command::Down]);
}
