//! `fleet up` on instant simulated clouds: time, processor time and memory of a first run and of one without changes.
//!
//! ```text
//! cargo bench --bench fleet                     10 and 100 environments
//! cargo bench --bench fleet -- 1000             1,000 environments
//! cargo build --profile dist && LANDFALL=target/dist/landfall cargo bench --bench fleet -- 10 100 1000
//! ```
//!
//! `landfall fleet sim` serves the clouds from a process of its own, so that its processor time and memory are apart from
//! those of `fleet up`. It needs about 20 open files for each environment (`ulimit -n`). `LANDFALL` names another binary
//! than the one that cargo builds. Linux only: the numbers are read from /proc.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says so by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The interval of the readings.
const READ_EVERY: Duration = Duration::from_millis(20);
/// The clock ticks a second of /proc (USER_HZ), the same on every Linux of today.
const TICKS: f64 = 100.0;

/// The resources that one command used.
struct Usage {
    wall: Duration,
    cpu_s: f64,
    memory_max_mb: f64,
    /// The processor time of the simulated clouds.
    sim_cpu_s: f64,
}

fn main() {
    // cargo passes --bench.
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10, 100] } else { sizes };
    println!(
        "| environments | run | time | a minute | CPU for each: landfall | simulated cloud | memory of landfall |\n\
         |---|---|---|---|---|---|---|"
    );
    for size in sizes {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), size);
        let mut sims = serve(folder.path());
        for run in ["first", "without changes"] {
            let usage = fleet_up(folder.path(), sims.id());
            println!(
                "| {size} | {run} | {:.1} s | {:.0} | {:.3} s | {:.3} s | {:.0} MB |",
                usage.wall.as_secs_f64(),
                size as f64 * 60.0 / usage.wall.as_secs_f64(),
                usage.cpu_s / size as f64,
                usage.sim_cpu_s / size as f64,
                usage.memory_max_mb,
            );
        }
        println!(
            "|  | simulated clouds | | | | | {:.0} MB |",
            memory_max(sims.id()).expect("they are served until here")
        );
        // The state is not needed any more.
        sims.kill().unwrap();
        sims.wait().unwrap();
    }
}

fn landfall(folder: &Path) -> Command {
    let path =
        std::env::var_os("LANDFALL").map_or_else(|| env!("CARGO_BIN_EXE_landfall").into(), PathBuf::from);
    let mut command = Command::new(fs::canonicalize(path).unwrap());
    command.current_dir(folder).env("HOME", folder).stdin(Stdio::null());
    // Backtraces of errors that are expected would count.
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    command
}

fn write(folder: &Path, size: usize) {
    let environments: String =
        (1..=size).map(|number| format!("[[environment]]\nname = \"shop-{number:04}\"\n")).collect();
    let head = "[defaults]\nresource_group = \"rg-{name}\"\ndomain = \"{name}.example.com\"\nsim.speed = \"instant\"\n";
    fs::write(folder.join("fleet.toml"), format!("{head}{environments}")).unwrap();
}

/// Serves the simulated clouds, and waits until all are served.
fn serve(folder: &Path) -> Child {
    let mut command = landfall(folder);
    command.args(["fleet", "sim", "--quiet", "--format", "json"]).stdout(Stdio::piped());
    let mut sims = command.spawn().unwrap();
    let mut lines = BufReader::new(sims.stdout.take().unwrap()).lines();
    let served = lines.any(|line| line.unwrap().contains("\"event\":\"serving_all\""));
    assert!(served, "fleet sim ended");
    sims
}

fn fleet_up(folder: &Path, sims: u32) -> Usage {
    let sim_cpu_before_s = cpu(sims).unwrap();
    let began = Instant::now();
    let mut child = landfall(folder).args(["fleet", "up", "--quiet"]).spawn().unwrap();
    let (mut cpu_s, mut memory_max_mb) = (0.0, 0.0);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        cpu_s = cpu(child.id()).unwrap_or(cpu_s);
        memory_max_mb = memory_max(child.id()).unwrap_or(memory_max_mb);
        sleep(READ_EVERY);
    };
    assert!(status.success(), "fleet up: {status}");
    let sim_cpu_s = cpu(sims).expect("they are still served") - sim_cpu_before_s;
    Usage { wall: began.elapsed(), cpu_s, memory_max_mb, sim_cpu_s }
}

/// Returns the processor time of a process in seconds, user and system (proc(5)).
fn cpu(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in parentheses, may contain spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

/// Returns the largest resident memory of a process so far, in megabytes.
fn memory_max(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? * 1024.0 / 1e6)
}
