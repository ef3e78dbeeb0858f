//! The cost of a journal in a storage account: a first `up` with it, compared with the same `up` with the journal in the
//! state folder. Each append takes 10 ms, as within a region; everything else is the same cloud at speed 60.
//!
//! `cargo bench --bench remote_journal`. Each round measures both, so that other load on the machine affects both.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says so by panicking")]

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const ROUNDS: usize = 5;
/// The largest accepted ratio.
const RATIO_MAX: f64 = 1.03;

fn main() {
    println!("{:>10} {:>10} {:>7} {:>8}", "folder", "account", "ratio", "appends");
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let seed = 8_100 + 20 * round;
        let (folder, _) = first_up(seed, false);
        let (account, appends) = first_up(seed + 10, true);
        let ratio = account.as_secs_f64() / folder.as_secs_f64();
        println!(
            "{:>8.2} s {:>8.2} s {ratio:>7.3} {appends:>8}",
            folder.as_secs_f64(),
            account.as_secs_f64()
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ROUNDS / 2];
    println!("median ratio {median:.3}; at most {RATIO_MAX}");
    assert!(median <= RATIO_MAX, "a journal in a storage account costs too much");
}

/// Creates a cloud with a storage account, and an environment in it; returns the time of `up`, and the number of appends.
fn first_up(seed: usize, is_shared: bool) -> (Duration, usize) {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("landfall.toml");
    std::fs::write(&config, format!("[state]\naccount = \"acct\"\n[sim]\nspeed = 60\nseed = {seed}\n"))
        .unwrap();
    landfall(home.path(), &["state", "init"]);
    if !is_shared {
        std::fs::write(&config, "[sim]\nspeed = 60\n").unwrap();
    }
    let elapsed = landfall(home.path(), &["up"]);
    let log = std::fs::read_to_string(home.path().join(".landfall/default/sim/ledger.jsonl")).unwrap();
    (elapsed, log.lines().filter(|line| line.contains("\"appendblock\"")).count())
}

fn landfall(home: &Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.arg("--quiet").args(arguments).current_dir(home).env_clear().env("HOME", home);
    let began = Instant::now();
    assert!(command.status().unwrap().success());
    began.elapsed()
}
