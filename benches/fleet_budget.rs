//! `fleet up` of environments that share one subscription with request limits: the time that the token buckets force, and the
//! time that the fleet took. No budget may be refused during the wait of a refusal, and the ratio may not exceed 1.1.
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
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The largest ratio of the time to the forced time.
const RATIO_MAX: f64 = 1.1;

/// The classes of Resource Manager, with their fields in the limits.
const CLASSES: [(&str, &str); 3] = [("read", "reads"), ("write", "writes"), ("delete", "deletes")];

#[tokio::main]
async fn main() {
    // cargo passes --bench.
    let numbers: Vec<f64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let size = numbers.first().map_or(20, |size| *size as usize);
    let speed = numbers.get(1).copied().unwrap_or(60.0);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    println!("{size} environments at speed {speed}\n");
    println!(
        "| limits | reads | writes | refused | refused early | forced | time | ratio |\n|---|---|---|---|---|---|---|---|"
    );
    let (unlimited, _) = run(size, speed, false).await;
    let (elapsed, throttling) = run(size, speed, true).await;
    // A fleet takes at least its own time, whatever the buckets force.
    let forced = forced(&throttling, speed).max(unlimited);
    let ratio = elapsed.as_secs_f64() / forced.as_secs_f64();
    let early: u64 =
        buckets(&throttling).iter().map(|(_, bucket)| number(&bucket["refused_early"]) as u64).sum();
    assert_eq!(early, 0, "a budget was refused during the wait of a refusal: {throttling:#}");
    assert!(ratio <= RATIO_MAX, "the ratio is {ratio:.3}");
}

/// Runs a fleet from nothing; returns its time, and the buckets afterwards.
async fn run(size: usize, speed: f64, limited: bool) -> (Duration, Value) {
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
    let sum = |class: &str, field: &str| -> f64 {
        let buckets = buckets(&throttling);
        buckets
            .iter()
            .filter(|(name, _)| name.starts_with(class))
            .map(|(_, bucket)| number(&bucket[field]))
            .sum()
    };
    let forced = forced(&throttling, speed);
    println!(
        "| {} | {} | {} | {} | {} | {:.1} s | {:.1} s | {:.2} |",
        if limited { "few" } else { "Azure's" },
        sum("read", "admitted"),
        sum("write", "admitted"),
        sum("", "refused"),
        sum("", "refused_early"),
        forced.as_secs_f64(),
        elapsed.as_secs_f64(),
        elapsed.as_secs_f64() / forced.as_secs_f64(),
    );
    (elapsed, throttling)
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

fn buckets(throttling: &Value) -> Vec<(&String, &Value)> {
    throttling["buckets"].as_object().unwrap().iter().collect()
}

/// Returns the time that the buckets of Resource Manager force on their requests: what exceeds a full bucket comes at its rate.
fn forced(throttling: &Value, speed: f64) -> Duration {
    let seconds = |(name, bucket): (&String, &Value)| {
        let class = name.split(' ').next().unwrap();
        let (_, field) = CLASSES.iter().find(|(known, _)| *known == class)?;
        let rate = &throttling["limits"][field];
        Some((number(&bucket["admitted"]) - number(&rate["size"])) / number(&rate["per_second"]))
    };
    let longest = buckets(throttling).into_iter().filter_map(seconds).fold(0.0, f64::max);
    Duration::from_secs_f64(longest / speed)
}
