//! A fleet under random faults and kills: its report names every cause, a second run completes it, and a teardown leaves
//! nothing. `LANDFALL_FLEET=200` runs it with that many environments and ten kills, `LANDFALL_SEED` repeats a run, and
//! `LANDFALL_FLEET_KEEP=FOLDER` keeps a copy of the fleet with its failures.

use crate::{
    environment::{CommandOutput, TestEnvironment},
    running_process::RunningProcess,
};
use landfall_sim::{Options, Sim, fault::Faults};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf, process::Command, time::Instant};

/// Faults that another run does not repair by itself, with the outcomes and the code that each of them ends with.
const FAULTS: [(&str, &str, &str); 5] = [
    ("cores-few", "refused", "QuotaExceeded"),
    ("size-withheld", "refused", "VMSizeNotSupported"),
    ("policy-denies", "refused", "RequestDisallowedByPolicy"),
    // The request meets it first, and preflight after a kill.
    ("vault-taken", "failed|refused", "VaultAlreadyExists"),
    // Every attempt of every run meets it.
    ("operation-failed@PUT managedClusters*99", "failed", "AllocationFailed"),
];

/// Faults that the run itself overcomes.
const PASSING: [&str; 6] = [
    "throttled*2",
    "server-error@GET management.*2",
    "reset-after@PUT virtualNetworks",
    "unavailable@PUT vaults",
    "token-expired",
    "api-throttled@PATCH /kubernetes/*2",
];

/// A fleet with its faults.
struct Armed {
    env: TestEnvironment,
    size: usize,
    /// The fault of each faulty environment: its index in [`FAULTS`].
    faulty: BTreeMap<usize, usize>,
    passing: BTreeMap<usize, &'static str>,
}

fn name(number: usize) -> String {
    format!("shop-{number:03}")
}

impl Armed {
    fn new(size: usize, random: &mut fastrand::Rng) -> Self {
        let mut numbers: Vec<usize> = (0..size).collect();
        random.shuffle(&mut numbers);
        let tenth = size.div_ceil(10);
        let faulty = numbers[..tenth].iter().map(|number| (*number, random.usize(..FAULTS.len()))).collect();
        let passing =
            numbers[tenth..2 * tenth].iter().map(|number| (*number, PASSING[random.usize(..PASSING.len())]));
        let passing = passing.collect();
        let fleet = Self { env: TestEnvironment::instant(), size, faulty, passing };
        fleet.write();
        fleet
    }

    fn write(&self) {
        let defaults = "[defaults]\nresource_group = \"rg-{name}\"\ndomain = \"{name}.example.com\"\n";
        let entry = |number: usize| {
            let fault = self.faulty.get(&number).map(|fault| FAULTS[*fault].0);
            let fault = fault.or_else(|| self.passing.get(&number).copied());
            let faults = fault.map_or(String::new(), |fault| format!("sim.faults = [\"{fault}\"]\n"));
            format!("[[environment]]\nname = \"{}\"\n{faults}", name(number))
        };
        let entries: String = (0..self.size).map(entry).collect();
        self.env.write("fleet.toml", format!("{defaults}{entries}"));
    }

    fn state(&self, number: usize) -> PathBuf {
        self.env.path().join(".landfall").join(name(number)).join("sim")
    }

    /// Runs a command, and interrupts it that often after a random number of events.
    fn run_with_kills(
        &self,
        arguments: &[&str],
        kills: u32,
        random: &mut fastrand::Rng,
    ) -> (CommandOutput, u32) {
        let mut done = 0;
        while done < kills {
            let mut run = RunningProcess::start(&self.env, arguments);
            // Early enough that all of them happen: a run has dozens of events for each environment.
            let left = random.usize(1..self.size * 60 / kills as usize);
            if run.skip(left) < left {
                // It was faster.
                return (run.end(), done);
            }
            done += 1;
            if random.u8(..) < 64 {
                run.signal("INT");
                let output = run.end();
                assert!([130, 0, 1, 3].contains(&output.status.code().unwrap()), "{}", output.stderr);
            } else {
                run.kill();
            }
        }
        (RunningProcess::start(&self.env, arguments).end(), done)
    }

    /// Removes the faults, and what they have changed.
    async fn repair(&mut self) {
        for number in self.faulty.keys() {
            let sim = Sim::open(&self.state(*number), Options::default()).await.unwrap();
            sim.change(|state, _| {
                state.faults = Faults::default();
                (state.limits, state.policies) = Default::default();
                state.vaults.release_names();
            })
            .unwrap();
            sim.close().await;
        }
        self.faulty.clear();
        self.passing.clear();
        self.write();
    }

    /// Returns what an environment's cloud still has: resource groups, by name.
    async fn left(&self, number: usize) -> Vec<String> {
        let sim = Sim::open(&self.state(number), Options::default()).await.unwrap();
        let groups = sim.read(|state| state.groups.keys().cloned().collect());
        sim.close().await;
        groups
    }
}

fn results(report: &PathBuf) -> BTreeMap<String, Value> {
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let of = |one: &Value| (one["environment"].as_str().unwrap().to_owned(), one.clone());
    report["environments"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_under_faults_and_kills_reports_every_cause_and_completes() {
    let size: usize = std::env::var("LANDFALL_FLEET").map_or(12, |size| size.parse().unwrap());
    let kills = if size < 100 { 2 } else { 10 };
    let seed = std::env::var("LANDFALL_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("LANDFALL_SEED={seed} LANDFALL_FLEET={size}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut fleet = Armed::new(size, &mut random);
    let report = fleet.env.path().join("report.json");
    let up = ["fleet", "up", "--max-failures", "100%", "--report-file", report.to_str().unwrap()];

    let began = Instant::now();
    let (output, killed) = fleet.run_with_kills(&up, kills, &mut random);
    println!("up: {:.1} s, {killed} kills", began.elapsed().as_secs_f64());
    assert!(size < 100 || killed == kills, "the run ended after {killed} kills");
    let code = output.status.code();
    let reported = results(&report);
    let refused = reported.values().all(|one| one["outcome"] != "failed");
    assert_eq!(code, Some(if refused { 3 } else { 1 }), "{}\n{}", output.stderr, output.summary());
    assert_eq!(reported.len(), size);
    for number in 0..size {
        let one = &reported[&name(number)];
        match fleet.faulty.get(&number).map(|fault| FAULTS[*fault]) {
            Some((fault, outcomes, code)) => {
                let is_expected = |outcome: &str| one["outcome"] == outcome && one["code"] == code;
                assert!(outcomes.split('|').any(is_expected), "{fault}: {one}");
            }
            None => {
                let outcome = one["outcome"].as_str().unwrap();
                assert!(["ready", "unchanged"].contains(&outcome), "{:?}: {one}", fleet.passing.get(&number));
            }
        }
    }

    if let Some(folder) = std::env::var_os("LANDFALL_FLEET_KEEP") {
        let copied = Command::new("cp").arg("-r").arg(fleet.env.path()).arg(folder).status().unwrap();
        assert!(copied.success());
    }
    let faulty: Vec<String> = fleet.faulty.keys().map(|number| name(*number)).collect();
    let passing: Vec<String> = fleet.passing.keys().map(|number| name(*number)).collect();
    fleet.repair().await;
    let began = Instant::now();
    let only_failed = [&up[..], &["--only-failed"]].concat();
    let (output, killed) = fleet.run_with_kills(&only_failed, kills / 2, &mut random);
    println!("up --only-failed: {:.1} s, {killed} kills", began.elapsed().as_secs_f64());
    assert_eq!(output.status.code(), Some(0), "{}\n{}", output.stderr, output.stdout);
    let status = fleet.env.expect(0, &["fleet", "status"]).stdout;
    assert!(status.contains(&format!("{size} environments: {size} ready")), "{status}");
    // The settings of those without a fault are the same, so they are left alone.
    let run_again: Vec<String> = results(&report).into_keys().collect();
    assert!(run_again.iter().all(|name| faulty.contains(name) || passing.contains(name)), "{run_again:?}");

    let began = Instant::now();
    let (output, killed) = fleet.run_with_kills(&["fleet", "down", "--yes"], kills, &mut random);
    println!("down: {:.1} s, {killed} kills", began.elapsed().as_secs_f64());
    assert_eq!(output.status.code(), Some(0), "{}\n{}", output.stderr, output.stdout);
    for number in 0..size {
        assert_eq!(fleet.left(number).await, [""; 0], "{}", name(number));
    }
}
