//! A journal in a storage account of the same cloud: a crash at every request to it, before and after its effect. The
//! next run is on the same machine, or on another one with a home of its own.

use crate::{
    environment::{Command, Environment, START_TIME, fresh, replayable, report_text},
    inventory,
    transport::Side,
};
use landfall_cloud::{arm::Role, blob::BlobContainer};
use landfall_engine::{
    EnvironmentKey, Journal, JournalError, LEASE, OpenError, Outcome, RemoteOptions, Report, Run, Stop,
    TimeScale, down, up,
};
use landfall_sim::{Speed, state::CloudState};
use landfall_steps::{BlobJournalStore, JournalGate};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::mpsc::unbounded_channel, task::yield_now, time::sleep};

const GROUP: &str = "rg-landfall-state";
const ACCOUNT: &str = "acct";
/// The path of the journal in the names of requests.
const JOURNAL: &str = "/landfall/default/journal.jsonl";

/// Creates the account, its container and the role, as `landfall state init` does.
async fn prepare(env: &Environment) {
    let azure = env.clients().azure;
    azure.put_group(GROUP, "eastus", &BTreeMap::new()).await.unwrap();
    let body = json!({ "location": "eastus", "kind": "StorageV2", "sku": { "name": "Standard_LRS" } });
    azure.put_storage_account(GROUP, ACCOUNT, &body).await.unwrap();
    azure.put_blob_container(GROUP, ACCOUNT, "landfall").await.unwrap();
    let principal = env.sim.connection().object_id.clone();
    let scope = azure.storage_account_id(GROUP, ACCOUNT);
    azure.grant(&scope, &principal, "ServicePrincipal", Role::BLOB_CONTRIBUTOR).await.unwrap();
}

/// Opens the journal and runs a command, as one process of one machine does.
async fn run(env: &Environment, command: Command) -> Result<Report, String> {
    let (endpoints, credential, request_counter, clients) = env.connect();
    let account = format!("https://{ACCOUNT}.blob.landfall.localhost").parse().unwrap();
    let container =
        BlobContainer::new(&endpoints, &credential, &request_counter, &account, "landfall").unwrap();
    let store = Arc::new(BlobJournalStore::new(container, "", "default"));
    let key = EnvironmentKey {
        cloud: "sim".to_owned(),
        subscription: clients.azure.id().to_owned(),
        environment: "default".to_owned(),
    };
    let name = if command == Command::Down { "down" } else { "up" };
    let journal = loop {
        let options = RemoteOptions::new(new_id());
        match Journal::open_remote(store.clone(), &env.state(), name, &key, "0.1.0", options).await {
            // The tasks of a cut-off run release the folder at their next poll.
            Err(OpenError::Locked { .. }) => yield_now().await,
            Err(error) => return Err(format!("not opened: {error}")),
            Ok(journal) => break Arc::new(journal),
        }
    };
    request_counter.set_write_gate(Arc::new(JournalGate::new(&journal)));
    let graph = env.graph(&clients);
    let (events, _receiver) = unbounded_channel();
    let time_scale = TimeScale::new(env.sim.connection().time_scale);
    let run = Run { journal: journal.clone(), time_scale, stop: Stop::new(), events };
    let ended: Result<Report, JournalError> = match command {
        Command::Down => down(&graph, &run).await,
        Command::Up | Command::Rotate => up(&graph, &run).await,
        Command::Renew => return Err("a renewal keeps no journal".to_owned()),
    };
    journal.close().await;
    match ended {
        Ok(report) if report.outcome == Outcome::Ready => Ok(report),
        Ok(report) => Err(report_text(&report)),
        Err(error) => Err(format!("{error}: {}", error.source)),
    }
}

fn new_id() -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", fastrand::u32(..), fastrand::u64(..) >> 16)
}

/// Runs a command until the traffic stops, and drops everything. Returns false if the run ended before: entries that are
/// written while an append is under way share the next one, so that a run may need a few requests less.
async fn run_until_stopped(env: &Environment, command: Command) -> bool {
    tokio::select! {
        biased;
        () = env.transport.stopped() => true,
        ended = run(env, command) => {
            ended.unwrap_or_else(|why| panic!("it ended before the crash: {why}"));
            false
        }
    }
}

/// Moves to another machine: a home of its own, after the lease of the dead process is over.
async fn move_to_other_machine(env: &mut Environment) {
    sleep(LEASE + Duration::from_secs(1)).await;
    let home = TempDir::new().unwrap();
    env.settings = crate::settings::demo(home.path());
    env.home = home;
}

/// A request to the journal, by its number and its name.
type JournalRequest = (usize, String);

/// Runs `up` once; returns the requests to the journal and the inventory.
fn recorded() -> (Vec<JournalRequest>, BTreeMap<String, Value>) {
    replayable(1, async {
        let mut env = Environment::new(fresh(), START_TIME, Speed::Instant);
        prepare(&env).await;
        env.restart();
        let seen: Arc<Mutex<Vec<JournalRequest>>> = Arc::default();
        let observed = seen.clone();
        env.transport.observe(Box::new(move |side, number, name| {
            if side == Side::Before && name.starts_with("PUT") && name.contains(JOURNAL) {
                observed.lock().unwrap().push((number, name.to_owned()));
            }
        }));
        run(&env, Command::Up).await.unwrap();
        let requests = seen.lock().unwrap().clone();
        (requests, inventory::collect(&env.sim.read(CloudState::clone)))
    })
}

/// Crashes at one side of a request, and continues; returns what is wrong, or `None` if the run did not come so far.
fn crash(
    number: usize,
    side: Side,
    same_machine: bool,
    wanted: &BTreeMap<String, Value>,
) -> Option<Vec<String>> {
    replayable(1, async {
        let mut env = Environment::new(fresh(), START_TIME, Speed::Instant);
        prepare(&env).await;
        env.restart();
        env.transport.stop_at(number, side);
        if !run_until_stopped(&env, Command::Up).await {
            return None;
        }
        env.restart();
        if !same_machine {
            move_to_other_machine(&mut env).await;
        }
        let mut wrong = Vec::new();
        if let Err(why) = run(&env, Command::Up).await {
            return Some(vec![why]);
        }
        let found = inventory::collect(&env.sim.read(CloudState::clone));
        wrong.extend(
            inventory::differences(wanted, &found).into_iter().filter(|line| !line.contains("kubeconfig")),
        );
        let log = env.sim.request_log();
        wrong.extend(inventory::created_twice(log.iter().filter(|line| !line.host.contains(".blob."))));
        if let Err(why) = run(&env, Command::Down).await {
            wrong.push(format!("then down: {why}"));
        }
        let groups = env.sim.read(|state| state.groups.keys().cloned().collect::<Vec<_>>());
        if groups != [GROUP] {
            wrong.push(format!("left after down: {groups:?}"));
        }
        Some(wrong)
    })
}

#[test]
fn a_crash_at_any_request_to_the_journal_is_continued_on_either_machine() {
    let (requests, wanted) = recorded();
    assert!(requests.len() > 20, "{requests:?}");
    let mut points = Vec::new();
    for (index, (number, name)) in requests.iter().enumerate() {
        for side in [Side::Before, Side::After] {
            // Each side of each request is continued on one machine, and the other side on the other one.
            let same_machine = (index % 2 == 0) == (side == Side::Before);
            points.push((*number, name.clone(), side, same_machine));
        }
    }
    let (next, crashes, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((number, name, side, same_machine)) =
                    points.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let found = std::panic::catch_unwind(AssertUnwindSafe(|| {
                        crash(*number, *side, *same_machine, &wanted)
                    }));
                    let found = found.unwrap_or_else(|_| Some(vec!["panicked, see above".to_owned()]));
                    let Some(found) = found else { continue };
                    crashes.fetch_add(1, Ordering::Relaxed);
                    if !found.is_empty() {
                        let at = format!("{side:?} request {number}, {name}, same machine: {same_machine}");
                        wrong.lock().unwrap().push(format!("killed {at}:\n  {}", found.join("\n  ")));
                    }
                }
            });
        }
    });
    let crashes = crashes.into_inner();
    println!("{crashes} crashes at {} requests to the journal", requests.len());
    assert!(crashes * 4 >= points.len() * 3, "{crashes} of {} points were reached", points.len());
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), points.len(), wrong.join("\n"));
}
