//! `fleet up` of environments that share one subscription with request limits: the time that the token buckets force, and the
//! time that the fleet took. No budget may be refused during the wait of a refusal, and the ratio may not exceed 1.1.
//!
//! The buckets delay the creation of the last cluster: the requests before it exceed a full bucket, and what exceeds it comes
//! at its rate. From there on, the fleet takes as long as it does without limits. The sum of both is the forced time.
//!
//! ```text
//! cargo bench --bench fleet_budget                     20 environments at speed 60
//! cargo bench --bench fleet_budget -- 40 120           40 environments at speed 120
//! ```
//!
//! The cloud is served in this process. The buckets are those of the fault `requests-few`, in cloud time.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says so by panicking")]

use landfall_sim::{Options, RegistrationOptions, Sim, Speed, arm::throttling::store::RequestLimits};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The largest ratio of the time to the forced time.
const RATIO_MAX: f64 = 1.1;

/// The classes of Resource Manager, with their methods and their fields in the limits.
const CLASSES: [(&str, &[&str], &str); 3] = [
    ("read", &["GET", "HEAD"], "reads"),
    ("write", &["PUT", "PATCH", "POST"], "writes"),
    ("delete", &["DELETE"], "deletes"),
];

#[tokio::main]
async fn main() {
    // cargo passes --bench.
    let numbers: Vec<f64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let size = numbers.first().map_or(20, |size| *size as usize);
    let speed = numbers.get(1).copied().unwrap_or(60.0);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    println!("{size} environments at speed {speed}\n");
    println!(
        "| limits | reads | writes | refused | refused early | last cluster | time | forced | ratio |\n|---|---|---|---|---|---|---|---|---|"
    );
    let unlimited = run(size, speed, false).await;
    unlimited.print("Azure's", None);
    let limited = run(size, speed, true).await;
    let forced = limited.forced(speed) + (unlimited.elapsed - unlimited.last_cluster);
    let ratio = limited.print("few", Some(forced)).unwrap();
    assert_eq!(limited.sum("", "refused_early"), 0.0, "a budget was refused during the wait of a refusal");
    assert!(ratio <= RATIO_MAX, "the ratio is {ratio:.3}");
}

/// A run of a fleet.
struct Run {
    elapsed: Duration,
    /// The time from the first request to that for the last cluster.
    last_cluster: Duration,
    /// The requests before it, by the class of their bucket.
    before: HashMap<&'static str, f64>,
    /// The limits and buckets afterwards.
    throttling: Value,
}

impl Run {
    fn sum(&self, class: &str, field: &str) -> f64 {
        let buckets = self.throttling["buckets"].as_object().unwrap().iter();
        buckets.filter(|(name, _)| name.starts_with(class)).map(|(_, bucket)| number(&bucket[field])).sum()
    }

    /// Returns the time that the buckets force on the requests before the last cluster.
    fn forced(&self, speed: f64) -> Duration {
        let seconds = CLASSES.iter().map(|(class, _, field)| {
            let rate = &self.throttling["limits"][field];
            let sent = self.before.get(class).copied().unwrap_or_default();
            (sent - number(&rate["size"])) / number(&rate["per_second"])
        });
        Duration::from_secs_f64(seconds.fold(0.0, f64::max) / speed)
    }

    fn print(&self, limits: &str, forced: Option<Duration>) -> Option<f64> {
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let ratio = forced.map(|forced| self.elapsed.as_secs_f64() / forced.as_secs_f64());
        println!(
            "| {limits} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.sum("read", "admitted"),
            self.sum("write", "admitted"),
            self.sum("", "refused"),
            self.sum("", "refused_early"),
            seconds(self.last_cluster),
            seconds(self.elapsed),
            forced.map_or_else(String::new, seconds),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        );
        ratio
    }
}

/// Runs a fleet from nothing.
async fn run(size: usize, speed: f64, limited: bool) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let environments: String =
        (1..=size).map(|number| format!("[[environment]]\nname = \"shop-{number:03}\"\n")).collect();
    let head = format!(
        "parallel = {size}\nparallel_per_subscription = {size}\n[defaults]\nresource_group = \"rg-{{name}}\"\n\
         domain = \"{{name}}.example.com\"\ncluster.name = \"aks-{{name}}\"\nsim.environment = \"cloud\"\nsim.speed = {speed}\n"
    );
    fs::write(folder.path().join("fleet.toml"), format!("{head}{environments}")).unwrap();
    let options = Options {
        speed: Speed::Times(speed),
        registration: Some(RegistrationOptions { kubeconfig: folder.path().join("kubeconfig") }),
        traffic: true,
        ..Options::default()
    };
    let sim = Sim::open(&folder.path().join(".landfall/cloud/sim"), options).await.unwrap();
    let limits = if limited { RequestLimits::few() } else { RequestLimits::default() };
    sim.change(|state, _| {
        let cores =
            json!({ "location": "eastus", "limits": { "cores": 10_000, "standardDSv5Family": 10_000 } });
        state.limits.change(&cores).unwrap();
        state.throttling.set(Some(limits));
    })
    .unwrap();
    let place = folder.path().to_owned();
    let elapsed = tokio::task::spawn_blocking(move || fleet_up(&place)).await.unwrap();
    let throttling = sim.read(|state| state.throttling.view());
    sim.close().await;
    let (last_cluster, before) = until_last_cluster(&folder.path().join(".landfall/cloud/sim/ledger.jsonl"));
    Run { elapsed, last_cluster, before, throttling }
}

/// Reads the log of the requests; returns the time of the creation of the last cluster, and the admitted requests of
/// subscriptions before it.
fn until_last_cluster(log: &Path) -> (Duration, HashMap<&'static str, f64>) {
    let text = fs::read_to_string(log).unwrap();
    let requests: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = |request: &Value| request["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let is_cluster = |request: &&Value| {
        let path = request["path"].as_str().unwrap().to_ascii_lowercase();
        let creates = request["method"] == "PUT" && request["status"] == 201;
        creates && path.rsplit('/').nth(1) == Some("managedclusters")
    };
    let last = at(requests.iter().rfind(is_cluster).expect("a cluster was created"));
    let mut before = HashMap::new();
    for request in requests.iter().filter(|request| at(request) < last && request["status"] != 429) {
        let is_limited =
            request["path"].as_str().unwrap().to_ascii_lowercase().starts_with("/subscriptions/");
        let method = request["method"].as_str().unwrap();
        let class =
            CLASSES.iter().find(|(_, methods, _)| methods.contains(&method)).map(|(class, ..)| *class);
        if let Some(class) = class.filter(|_| is_limited) {
            *before.entry(class).or_default() += 1.0;
        }
    }
    (last.duration_since(at(&requests[0])).unsigned_abs(), before)
}

fn fleet_up(folder: &Path) -> Duration {
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.args(["fleet", "up", "--quiet"]).current_dir(folder).env("HOME", folder).stdin(Stdio::null());
    let status = command.status().unwrap();
    assert!(status.success(), "fleet up: {status}");
    began.elapsed()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}
