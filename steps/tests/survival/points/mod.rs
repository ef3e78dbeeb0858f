//! Twenty pitfalls of the real services, one test each. The environment comes up (and down) in spite of the
//! pitfall, or refuses before it does harm, and creates nothing twice.

mod access;
mod cluster_objects;
mod existing_resources;
pub mod foreign_client;
mod operations;

use crate::{
    environment::{Command, End, Environment, START_TIME, fresh, report_text},
    inventory, settings,
};
use landfall_cloud::arm::{self, Condition};
use landfall_engine::{EventKind, How, Outcome, Report, StepError};
use landfall_sim::{RequestRecord, Speed};
use serde_json::Value;

/// Fast, and still with the relative order of long and short durations.
const SPEED_60X: Speed = Speed::Times(60.0);

/// A completed run, with its events.
struct RunResult {
    report: Report,
    events: Vec<EventKind>,
}

fn env(speed: Speed) -> Environment {
    Environment::new(fresh(), START_TIME, speed)
}

async fn run(env: &Environment, command: Command) -> RunResult {
    match env.run(command).await {
        End::Reported(report, events) => {
            RunResult { report, events: events.into_iter().map(|event| event.what).collect() }
        }
        End::Cut => panic!("{command:?} was cut off"),
    }
}

/// Runs to a successful end, with every armed fault used up.
async fn run_to_success(env: &Environment, command: Command) -> RunResult {
    let done = run(env, command).await;
    assert_eq!(done.report.outcome, Outcome::Ready, "{command:?} failed: {}", report_text(&done.report));
    let armed = env.sim.read(|sim| sim.faults.armed.clone());
    assert!(armed.is_empty(), "this trouble never came: {armed:?}");
    done
}

/// Runs `up` once, with nothing created twice.
async fn run_up(env: &Environment) -> RunResult {
    let done = run_to_success(env, Command::Up).await;
    assert_eq!(inventory::created_twice(env.sim.request_log().iter()), [""; 0]);
    done
}

/// Runs `up`, which must fail; returns the step's error.
async fn run_refused(env: &Environment, step: &str) -> StepError {
    let done = run(env, Command::Up).await;
    assert_ne!(done.report.outcome, Outcome::Ready, "{step} was to refuse");
    done.error(step).clone()
}

/// Checks that a second run has nothing to do and sends no write.
async fn assert_no_changes(env: &Environment) {
    let mark = env.sim.request_log().len();
    let done = run_to_success(env, Command::Up).await;
    let writes = writes(env, mark);
    assert_eq!((done.report.created, done.report.changed, writes), (0, 0, Vec::new()));
}

impl RunResult {
    fn error(&self, step: &str) -> &StepError {
        let found = self.report.errors.iter().find(|(failed, _)| failed == step);
        &found.unwrap_or_else(|| panic!("{step} did not fail: {:?}", self.report)).1
    }

    fn how(&self, wanted: &str) -> Option<How> {
        self.events.iter().find_map(|what| match what {
            EventKind::Finished { step, how, .. } if *step == wanted => Some(*how),
            _ => None,
        })
    }

    /// Returns the reasons for retries of a step's requests.
    fn retry_reasons(&self, wanted: &str) -> Vec<&str> {
        let because = |what| match what {
            &EventKind::Retrying { step, ref because, .. } if step == wanted => Some(because.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(because).collect()
    }

    fn notes(&self, wanted: &str) -> Vec<&str> {
        let text = |what| match what {
            &EventKind::Note { step, ref text, .. } if step == wanted => Some(text.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }
}

/// Returns the requests of a verb with this path suffix, without case; of any verb if it is empty.
fn requests(env: &Environment, method: &str, end: &str) -> Vec<RequestRecord> {
    let is = |line: &RequestRecord| {
        (method.is_empty() || line.method == method)
            && line.path.to_ascii_lowercase().ends_with(&end.to_ascii_lowercase())
    };
    env.sim.request_log().into_iter().filter(is).collect()
}

/// Returns their statuses.
fn statuses(env: &Environment, method: &str, end: &str) -> Vec<u16> {
    requests(env, method, end).iter().map(|line| line.status).collect()
}

/// Returns every write since that many requests: `PUT 201 /path`.
fn writes(env: &Environment, mark: usize) -> Vec<String> {
    // A vault first responds with its token authority; the client then repeats the request.
    let challenge = |line: &RequestRecord| line.status == 401 && line.host.contains(".vault.");
    // Checks of names and policies are POSTs.
    let checks =
        |line: &RequestRecord| line.path.rsplit('/').next().is_some_and(|last| last.starts_with("check"));
    let is_read = |line: &RequestRecord| {
        line.method == "GET"
            || line.is_dry_run()
            || line.host.starts_with("login.")
            || challenge(line)
            || checks(line)
    };
    let is_credential_request = |line: &RequestRecord| line.path.ends_with("/listClusterUserCredential");
    let lines = env.sim.request_log().into_iter().skip(mark);
    let lines = lines.filter(|line| !is_read(line) && !is_credential_request(line));
    lines.map(|line| format!("{} {} {}", line.method, line.status, line.path)).collect()
}

/// Returns the milliseconds between two requests.
fn milliseconds_between(one: &RequestRecord, other: &RequestRecord) -> i128 {
    let at = |line: &RequestRecord| line.at.parse::<jiff::Timestamp>().unwrap().as_nanosecond();
    (at(other) - at(one)) / 1_000_000
}

/// Returns the id of a resource in the group: `Microsoft.X/type/name`.
fn id(env: &Environment, rest: &str) -> String {
    env.clients().azure.path(&format!("/resourceGroups/{}/providers/{rest}", settings::GROUP))
}

fn cluster(env: &Environment) -> String {
    id(env, "Microsoft.ContainerService/managedClusters/aks-demo")
}

fn network(env: &Environment) -> String {
    id(env, "Microsoft.Network/virtualNetworks/vnet-demo")
}

/// Reads a resource; null if it does not exist.
async fn get(env: &Environment, id: &str, api: &str) -> Value {
    env.clients().azure.arm().get(id, api).await.unwrap().unwrap_or_default()
}

/// Writes a resource out of band, and waits for it.
async fn put(env: &Environment, id: &str, api: &str, body: &Value) {
    let azure = env.clients().azure;
    azure.arm().put(id, api, body, Condition::None).await.unwrap();
    while !matches!(arm::State::of(&get(env, id, api).await), arm::State::Succeeded) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
