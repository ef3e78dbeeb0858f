//! Twenty pitfalls of the real services, one test each. The environment comes up (and down) in spite of the
//! pitfall, or refuses before it does harm, and creates nothing twice.

mod access;
pub mod hand;
mod inside;
mod operations;
mod places;

use crate::{
    environment::{BEGINNING, Command, End, Environment, fresh, told},
    inventory, settings,
};
use landfall_cloud::arm::{self, Condition};
use landfall_engine::{How, Outcome, Report, StepError, What};
use landfall_sim::{Line, Speed};
use serde_json::Value;

/// Fast, and still with the relative order of long and short durations.
const SIXTY: Speed = Speed::Times(60.0);

/// A completed run, with its events.
struct Told {
    report: Report,
    events: Vec<What>,
}

fn here(speed: Speed) -> Environment {
    Environment::new(fresh(), BEGINNING, speed)
}

async fn run(here: &Environment, command: Command) -> Told {
    match here.run(command).await {
        End::Reported(report, events) => {
            Told { report, events: events.into_iter().map(|event| event.what).collect() }
        }
        End::Cut => panic!("{command:?} was cut off"),
    }
}

/// Runs to a successful end, with every armed fault used up.
async fn succeeds(here: &Environment, command: Command) -> Told {
    let done = run(here, command).await;
    assert_eq!(done.report.outcome, Outcome::Ready, "{command:?} failed: {}", told(&done.report));
    let armed = here.world.read(|world| world.faults.armed.clone());
    assert!(armed.is_empty(), "this trouble never came: {armed:?}");
    done
}

/// Runs `up` once, with nothing created twice.
async fn comes_up(here: &Environment) -> Told {
    let done = succeeds(here, Command::Up).await;
    assert_eq!(inventory::made_twice(here.world.ledger().iter()), [""; 0]);
    done
}

/// Runs `up`, which must fail; returns the step's error.
async fn refuses(here: &Environment, step: &str) -> StepError {
    let done = run(here, Command::Up).await;
    assert_ne!(done.report.outcome, Outcome::Ready, "{step} was to refuse");
    done.error(step).clone()
}

/// Checks that a second run has nothing to do and sends no write.
async fn has_nothing_to_do(here: &Environment) {
    let mark = here.world.ledger().len();
    let done = succeeds(here, Command::Up).await;
    let writes = writes(here, mark);
    assert_eq!((done.report.created, done.report.changed, writes), (0, 0, Vec::new()));
}

impl Told {
    fn error(&self, step: &str) -> &StepError {
        let found = self.report.errors.iter().find(|(failed, _)| failed == step);
        &found.unwrap_or_else(|| panic!("{step} did not fail: {:?}", self.report)).1
    }

    fn how(&self, wanted: &str) -> Option<How> {
        self.events.iter().find_map(|what| match what {
            What::Finished { step, how, .. } if *step == wanted => Some(*how),
            _ => None,
        })
    }

    /// Returns the reasons for retries of a step's requests.
    fn repeated(&self, wanted: &str) -> Vec<&str> {
        let because = |what| match what {
            &What::Retrying { step, ref because, .. } if step == wanted => Some(because.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(because).collect()
    }

    fn notes(&self, wanted: &str) -> Vec<&str> {
        let text = |what| match what {
            &What::Note { step, ref text, .. } if step == wanted => Some(text.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }
}

/// Returns the requests of a verb with this path suffix, without case; of any verb if it is empty.
fn requests(here: &Environment, method: &str, end: &str) -> Vec<Line> {
    let is = |line: &Line| {
        (method.is_empty() || line.method == method)
            && line.path.to_ascii_lowercase().ends_with(&end.to_ascii_lowercase())
    };
    here.world.ledger().into_iter().filter(is).collect()
}

/// Returns their statuses.
fn statuses(here: &Environment, method: &str, end: &str) -> Vec<u16> {
    requests(here, method, end).iter().map(|line| line.status).collect()
}

/// Returns every write since that many requests: `PUT 201 /path`.
fn writes(here: &Environment, mark: usize) -> Vec<String> {
    // A vault first responds with its token authority; the client then repeats the request.
    let challenge = |line: &Line| line.status == 401 && line.host.contains(".vault.");
    // Checks of names and policies are POSTs.
    let checks = |line: &Line| line.path.rsplit('/').next().is_some_and(|last| last.starts_with("check"));
    let asks = |line: &Line| {
        line.method == "GET" || line.host.starts_with("login.") || challenge(line) || checks(line)
    };
    let hands_out = |line: &Line| line.path.ends_with("/listClusterUserCredential");
    let lines = here.world.ledger().into_iter().skip(mark);
    let lines = lines.filter(|line| !asks(line) && !hands_out(line));
    lines.map(|line| format!("{} {} {}", line.method, line.status, line.path)).collect()
}

/// Returns the milliseconds between two requests.
fn between(one: &Line, other: &Line) -> i128 {
    let at = |line: &Line| line.at.parse::<jiff::Timestamp>().unwrap().as_nanosecond();
    (at(other) - at(one)) / 1_000_000
}

/// Returns the id of a resource in the group: `Microsoft.X/type/name`.
fn id(here: &Environment, rest: &str) -> String {
    here.clouds().azure.path(&format!("/resourceGroups/{}/providers/{rest}", settings::GROUP))
}

fn cluster(here: &Environment) -> String {
    id(here, "Microsoft.ContainerService/managedClusters/aks-demo")
}

fn network(here: &Environment) -> String {
    id(here, "Microsoft.Network/virtualNetworks/vnet-demo")
}

/// Reads a resource; null if it does not exist.
async fn get(here: &Environment, id: &str, api: &str) -> Value {
    here.clouds().azure.arm().get(id, api).await.unwrap().unwrap_or_default()
}

/// Writes a resource out of band, and waits for it.
async fn put(here: &Environment, id: &str, api: &str, body: &Value) {
    let azure = here.clouds().azure;
    azure.arm().put(id, api, body, Condition::None).await.unwrap();
    while !matches!(arm::State::of(&get(here, id, api).await), arm::State::Succeeded) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
