//! `kill -9` at every request of a first `up` and of a `down`: the next run continues, creates nothing twice
//! and forgets nothing.
//!
//! A stalled request stops the run at a known point: before the request's effect, or between its effect and
//! its response. The request log shows that the point is reached. A read is killed on one side only, because
//! it changes nothing. A write is killed on both sides, one run after the other, so that the run after the
//! first kill is killed as well.

use crate::environment::TestEnvironment;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The number of tests that share the requests of a first `up`, so that they run concurrently.
const SHARES: usize = 4;
/// The interval of requests at which the environment is also deleted and searched for leftovers.
const SAMPLE: usize = 10;
/// The timeout of a run until it reaches the kill point.
const ARRIVAL_MAX: Duration = Duration::from_secs(180);
/// More than the number of requests of a first `up`; a loop that gets there has a bug.
const REQUESTS_MAX: usize = 300;

/// A kubeconfig of the user's own, with details that a parse and rewrite would lose.
const KUBECONFIG: &str = "# mine\napiVersion: v1\nkind: Config\ncontexts:\n- context:\n    cluster: prod\n    user: me\n  \
                          name: prod\nclusters:\n- cluster:\n    server: https://prod.example.com\n  name: prod\nusers:\n\
                          - name: me\n  user:\n    token: secret\ncurrent-context: prod\n";

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap()
}

/// A kill point's environment.
struct KillPoint {
    env: TestEnvironment,
    kubeconfig: PathBuf,
    seed: usize,
    kills: usize,
}

impl KillPoint {
    fn new(seed: usize) -> Self {
        let env = TestEnvironment::instant().with("LANDFALL_SIM_SEED", &seed.to_string());
        let kubeconfig = env.write("kube/config", KUBECONFIG);
        let env = env.with("KUBECONFIG", kubeconfig.to_str().unwrap());
        Self { env, kubeconfig, seed, kills: 0 }
    }

    /// Runs until the fault acts, and kills the run there. Returns the stalled request; `None` if the run
    /// ended without it, and then the run must have succeeded.
    fn killed(&mut self, command: &[&str], fault: &str) -> Option<Value> {
        let before = self.env.request_log().len();
        let output = || File::create(self.env.path().join("killed.txt")).unwrap();
        let mut run = self.env.command(&[command, &["--format", "json", "--sim-fault", fault]].concat());
        let mut run = run.stdout(output()).stderr(output()).spawn().unwrap();
        let request_log = self.env.state().join("sim/ledger.jsonl");
        let began = Instant::now();
        let is_injected = loop {
            // The exit is polled first: an exited process writes nothing to the request log afterwards.
            let ended = run.try_wait().unwrap();
            let lines = std::fs::read_to_string(&request_log).unwrap_or_default();
            let mut lines = lines.lines().skip(before).map_while(|line| serde_json::from_str(line).ok());
            if let Some(line) = lines.find(|line: &Value| !text(line, "fault").is_empty()) {
                break line;
            }
            if let Some(status) = ended {
                assert!(status.success(), "{command:?} {fault} with seed {}: {status}", self.seed);
                return None;
            }
            assert!(began.elapsed() < ARRIVAL_MAX, "{command:?} never came to {fault}, seed {}", self.seed);
            std::thread::sleep(Duration::from_millis(3));
        };
        run.kill().unwrap();
        assert_eq!(run.wait().unwrap().signal(), Some(9), "{fault}: it ended before it was killed");
        self.kills += 1;
        Some(is_injected)
    }

    /// Kills at the n-th request. If it is a write, also kills the next run at the same request after its
    /// effect. `None` if there is no n-th request.
    fn killed_at(&mut self, command: &[&str], n: usize) -> Option<Value> {
        let line = self.killed(command, &format!("stalled-before@#{n}"))?;
        let method = text(&line, "method");
        let signs_in = text(&line, "host").starts_with("login.");
        if method != "GET" && !signs_in {
            self.killed(command, &format!("stalled-after@{method} {}", text(&line, "path")));
        }
        Some(line)
    }

    fn resume_up(&self, killed: &str) {
        let summary = self.env.expect(0, &["up", "--format", "json"]).summary();
        assert_eq!(summary["outcome"], "ready", "{killed}");
        let request_log = self.env.request_log();
        let mut created: BTreeMap<String, usize> = BTreeMap::new();
        for line in request_log.iter().filter(|line| creates(line)) {
            let path = text(line, "path").to_lowercase();
            // A stalled write has no status: it counts as an update of an existing path. An import never
            // does.
            let hung = !text(line, "fault").is_empty() && !path.ends_with("/import");
            if !(hung && created.contains_key(&path)) {
                *created.entry(path).or_default() += 1;
            }
        }
        created.retain(|_, times| *times > 1);
        assert!(created.is_empty(), "{killed}: made more than once: {created:#?}");
        let cluster = |line: &&Value| text(line, "method") == "PUT" && is_cluster(text(line, "path"));
        let accepted = request_log.iter().filter(cluster).filter(|line| took_effect(line)).count();
        assert_eq!(accepted, 1, "{killed}: the cluster was written {accepted} times");
    }

    fn resume_down(&self, killed: &str) {
        let summary = self.env.expect(0, &["down", "--yes", "--format", "json"]).summary();
        assert_eq!(summary["outcome"], "gone", "{killed}");
        let state = std::fs::read_to_string(self.env.state().join("sim/world.json")).unwrap();
        let state: Value = serde_json::from_str(&state).unwrap();
        for left in [
            &state["groups"],
            &state["tracked"],
            &state["vaults"]["live"],
            &state["clusters"]["all"],
            &state["dns"]["zones"],
        ] {
            assert_eq!(left, &serde_json::json!({}), "{killed}");
        }
        let grants = state["roles"]["assignments"].as_object().unwrap();
        let owned =
            grants.values().find(|grant| text(grant, "scope").to_lowercase().contains("resourcegroups"));
        assert_eq!(owned, None, "{killed}");
        assert_eq!(std::fs::read_to_string(&self.kubeconfig).unwrap(), KUBECONFIG, "{killed}");
    }
}

fn is_cluster(path: &str) -> bool {
    path.to_lowercase().contains("/managedclusters/") && !path.contains("/providers/Microsoft.Authorization/")
}

/// Returns whether a request changed something; one that stalled after its effect has no status.
fn took_effect(line: &Value) -> bool {
    text(line, "fault") == "stalled-after" || matches!(line["status"].as_u64(), Some(200..=299))
}

/// Returns whether a request created something. An import first requests the challenge, without a body.
fn creates(line: &Value) -> bool {
    match text(line, "method") {
        "PUT" | "PATCH" => line["status"] == 201 || text(line, "fault") == "stalled-after",
        "POST" => text(line, "path").ends_with("/import") && line["request_bytes"] != 0 && took_effect(line),
        _ => false,
    }
}

fn description(n: usize, line: &Value, seed: usize) -> String {
    let field = |name| text(line, name);
    format!("killed {} request {n} {} {}, seed {seed}", field("fault"), field("method"), field("path"))
}

/// Kills first runs at the requests of one share.
fn first_runs(share: usize) {
    let (mut kills, mut places) = (0, 0);
    for n in (share + 1..REQUESTS_MAX).step_by(SHARES) {
        let mut kill_point = KillPoint::new(1000 + 20 * n);
        let Some(line) = kill_point.killed_at(&["up"], n) else {
            println!("share {share}: {kills} kills at {places} requests, seeds 1000 + 20 n");
            assert!(kills >= 15, "a first run has more requests than that");
            return;
        };
        let killed = description(n, &line, kill_point.seed);
        kill_point.resume_up(&killed);
        if n % SAMPLE == 0 {
            kill_point.resume_down(&killed);
        }
        kills += kill_point.kills;
        places += 1;
    }
    panic!("a first run does not end at {REQUESTS_MAX} requests");
}

#[test]
fn at_every_request_of_a_first_run_the_first_share() {
    first_runs(0);
}

#[test]
fn at_every_request_of_a_first_run_the_second_share() {
    first_runs(1);
}

#[test]
fn at_every_request_of_a_first_run_the_third_share() {
    first_runs(2);
}

#[test]
fn at_every_request_of_a_first_run_the_fourth_share() {
    first_runs(3);
}

/// Every file below a home folder, to be restored.
struct StateSnapshot(Vec<(PathBuf, Vec<u8>, Permissions)>);

impl StateSnapshot {
    fn of(env: &TestEnvironment) -> Self {
        let read = |file: PathBuf| {
            let permissions = std::fs::metadata(&file).unwrap().permissions();
            let bytes = std::fs::read(&file).unwrap();
            (file, bytes, permissions)
        };
        Self(env.files().into_iter().map(read).collect())
    }

    fn restore(&self, env: &TestEnvironment) {
        for file in env.files() {
            std::fs::remove_file(file).unwrap();
        }
        for (file, bytes, permissions) in &self.0 {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
            std::fs::set_permissions(file, permissions.clone()).unwrap();
        }
    }
}

#[test]
fn at_every_request_of_a_down() {
    let mut kill_point = KillPoint::new(9001);
    kill_point.resume_up("not killed");
    let up = StateSnapshot::of(&kill_point.env);
    for n in 1..REQUESTS_MAX {
        let Some(line) = kill_point.killed_at(&["down", "--yes"], n) else {
            println!(
                "taking down: {} kills at {} requests, seed {}",
                kill_point.kills,
                n - 1,
                kill_point.seed
            );
            assert!(kill_point.kills >= 15, "taking down has more requests than that");
            return;
        };
        kill_point.resume_down(&description(n, &line, kill_point.seed));
        up.restore(&kill_point.env);
    }
    panic!("taking down does not end at {REQUESTS_MAX} requests");
}
