//! Every write of a run gets an unreadable answer once: its resource is owned, the next run converges, and
//! `down` leaves nothing.

use crate::{
    conditions::UNREADABLE,
    environment::{Command, End, Environment, START_TIME, fresh, replayable, report_text},
    foreign_resources::ForeignResources,
    inventory,
};
use landfall_engine::{Leftover, Outcome};
use landfall_sim::{RequestRecord, Speed, state::CloudState};
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
struct Baseline {
    writes: Vec<String>,
    up: BTreeMap<String, Value>,
    down: BTreeMap<String, Value>,
}

fn baseline(command: Command) -> Baseline {
    replayable(1, async {
        let env = Environment::new(fresh(), START_TIME, Speed::Instant);
        ForeignResources::create(&env).await;
        let down = inventory::collect(&env.sim.read(CloudState::clone));
        let mut mark = env.sim.request_log().len();
        env.run_to_success(Command::Up).await.unwrap();
        let up = inventory::collect(&env.sim.read(CloudState::clone));
        if command == Command::Down {
            mark = env.sim.request_log().len();
            env.run_to_success(command).await.unwrap();
        }
        Baseline { writes: writes(&env.sim.request_log()[mark..]), up, down }
    })
}

/// Returns the places of all accepted writes, each once.
fn writes(request_log: &[RequestRecord]) -> Vec<String> {
    let is_read = |line: &RequestRecord| {
        let last = line.path.rsplit('/').next().unwrap_or_default();
        line.method == "GET"
            || line.is_dry_run()
            || line.host.starts_with("login.")
            || last.starts_with("check")
            || last.starts_with("list")
    };
    let created = request_log.iter().filter(|line| !is_read(line) && (200..300).contains(&line.status));
    let mut paths: Vec<String> = created.map(|line| format!("{} {}", line.method, line.path)).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Runs a command in which one write is answered like this, and continues with `then`; returns the failures.
fn run_with_unreadable_response(
    baseline: &Baseline,
    command: Command,
    fault: &str,
    then: Command,
) -> Vec<String> {
    replayable(2, async {
        let env = Environment::new(fresh(), START_TIME, Speed::Instant);
        let foreign_resources = ForeignResources::create(&env).await;
        if command == Command::Down {
            env.run_to_success(Command::Up).await.unwrap();
        }
        env.arm(&[fault]);
        let End::Reported(report, _) = env.run(command).await else {
            return vec!["it was cut off".to_owned()];
        };
        let injected = env.sim.read(|sim| sim.faults.armed.is_empty());
        if !injected {
            // Without an operation there is no address that could lead to another server.
            return Vec::new();
        }
        let mut wrong: Vec<String> = report
            .errors
            .iter()
            .filter(|(_, error)| error.leftover != Leftover::Something || error.hint.is_none())
            .map(|(step, error)| format!("{step} left {:?}: {error:?}", error.leftover))
            .collect();
        if report.outcome == Outcome::Ready && report.failed > 0 {
            wrong.push("ready with failures".to_owned());
        }
        if let Err(why) = env.run_to_success(then).await {
            wrong.push(format!("then {why}; before: {}", report_text(&report)));
            return wrong;
        }
        let found = inventory::collect(&env.sim.read(CloudState::clone));
        let wanted = if then == Command::Up { &baseline.up } else { &baseline.down };
        let mut differs = inventory::differences(wanted, &found);
        differs.retain(|line| !line.starts_with("vaults/deleted/"));
        wrong.extend(differs);
        wrong.extend(inventory::created_twice(env.sim.request_log().iter()));
        if then == Command::Up {
            if let Err(why) = env.run_to_success(Command::Down).await {
                wrong.push(format!("then {why}"));
            }
            let mut left =
                inventory::differences(&baseline.down, &inventory::collect(&env.sim.read(CloudState::clone)));
            left.retain(|line| !line.starts_with("vaults/deleted/"));
            wrong.extend(left.into_iter().map(|line| format!("then down: {line}")));
        }
        wrong.extend(foreign_resources.changed(&env, false).await);
        wrong
    })
}

/// Covers every write with two kinds of unreadable answers, each with one of the commands after it.
fn sweep(command: Command, then: &[Command]) {
    let baseline = baseline(command);
    let fault_pair = |at: usize| [UNREADABLE[0], UNREADABLE[1 + at % 3]];
    let mut cases = Vec::new();
    for (at, place) in baseline.writes.iter().enumerate() {
        for (turn, fault) in fault_pair(at).into_iter().enumerate() {
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
                    let check =
                        AssertUnwindSafe(|| run_with_unreadable_response(&baseline, command, fault, *then));
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
fn every_write_of_a_first_run_with_an_unreadable_response_is_owned() {
    sweep(Command::Up, &[Command::Up, Command::Down]);
}

#[test]
fn every_write_of_down_with_an_unreadable_response_is_continued() {
    sweep(Command::Down, &[Command::Down]);
}
