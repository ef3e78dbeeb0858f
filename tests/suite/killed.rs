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
struct Scene {
    here: TestEnvironment,
    kubeconfig: PathBuf,
    seed: usize,
    kills: usize,
}

impl Scene {
    fn new(seed: usize) -> Self {
        let here = TestEnvironment::instant().with("LANDFALL_SIM_SEED", &seed.to_string());
        let kubeconfig = here.write("kube/config", KUBECONFIG);
        let here = here.with("KUBECONFIG", kubeconfig.to_str().unwrap());
        Self { here, kubeconfig, seed, kills: 0 }
    }

    /// Runs until the fault acts, and kills the run there. Returns the stalled request; `None` if the run
    /// ended without it, and then the run must have succeeded.
    fn killed(&mut self, command: &[&str], fault: &str) -> Option<Value> {
        let before = self.here.ledger().len();
        let output = || File::create(self.here.path().join("killed.txt")).unwrap();
        let mut run = self.here.command(&[command, &["--format", "json", "--sim-fault", fault]].concat());
        let mut run = run.stdout(output()).stderr(output()).spawn().unwrap();
        let ledger = self.here.state().join("sim/ledger.jsonl");
        let began = Instant::now();
        let bitten = loop {
            // The exit is polled first: an exited process writes nothing to the request log afterwards.
            let ended = run.try_wait().unwrap();
            let lines = std::fs::read_to_string(&ledger).unwrap_or_default();
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
        Some(bitten)
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

    fn comes_up(&self, killed: &str) {
        let summary = self.here.expect(0, &["up", "--format", "json"]).summary();
        assert_eq!(summary["outcome"], "ready", "{killed}");
        let ledger = self.here.ledger();
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        for line in ledger.iter().filter(|line| makes(line)) {
            let path = text(line, "path").to_lowercase();
            // A stalled write has no status: it counts as an update of an existing path. An import never
            // does.
            let hung = !text(line, "fault").is_empty() && !path.ends_with("/import");
            if !(hung && made.contains_key(&path)) {
                *made.entry(path).or_default() += 1;
            }
        }
        made.retain(|_, times| *times > 1);
        assert!(made.is_empty(), "{killed}: made more than once: {made:#?}");
        let cluster = |line: &&Value| text(line, "method") == "PUT" && is_cluster(text(line, "path"));
        let accepted = ledger.iter().filter(cluster).filter(|line| took_effect(line)).count();
        assert_eq!(accepted, 1, "{killed}: the cluster was written {accepted} times");
    }

    fn goes_down(&self, killed: &str) {
        let summary = self.here.expect(0, &["down", "--yes", "--format", "json"]).summary();
        assert_eq!(summary["outcome"], "gone", "{killed}");
        let world = std::fs::read_to_string(self.here.state().join("sim/world.json")).unwrap();
        let world: Value = serde_json::from_str(&world).unwrap();
        for left in [
            &world["groups"],
            &world["networks"]["networks"],
            &world["vaults"]["live"],
            &world["clusters"]["all"],
            &world["dns"]["zones"],
        ] {
            assert_eq!(left, &serde_json::json!({}), "{killed}");
        }
        let grants = world["roles"]["assignments"].as_object().unwrap();
        let ours =
            grants.values().find(|grant| text(grant, "scope").to_lowercase().contains("resourcegroups"));
        assert_eq!(ours, None, "{killed}");
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
fn makes(line: &Value) -> bool {
    match text(line, "method") {
        "PUT" | "PATCH" => line["status"] == 201 || text(line, "fault") == "stalled-after",
        "POST" => text(line, "path").ends_with("/import") && line["request_bytes"] != 0 && took_effect(line),
        _ => false,
    }
}

fn told(n: usize, line: &Value, seed: usize) -> String {
    let field = |name| text(line, name);
    format!("killed {} request {n} {} {}, seed {seed}", field("fault"), field("method"), field("path"))
}

/// Kills first runs at the requests of one share.
fn first_runs(share: usize) {
    let (mut kills, mut places) = (0, 0);
    for n in (share + 1..REQUESTS_MAX).step_by(SHARES) {
        let mut scene = Scene::new(1000 + 20 * n);
        let Some(line) = scene.killed_at(&["up"], n) else {
            println!("share {share}: {kills} kills at {places} requests, seeds 1000 + 20 n");
            assert!(kills >= 15, "a first run has more requests than that");
            return;
        };
        let killed = told(n, &line, scene.seed);
        scene.comes_up(&killed);
        if n % SAMPLE == 0 {
            scene.goes_down(&killed);
        }
        kills += scene.kills;
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
struct Photograph(Vec<(PathBuf, Vec<u8>, Permissions)>);

impl Photograph {
    fn of(here: &TestEnvironment) -> Self {
        let read = |file: PathBuf| {
            let permissions = std::fs::metadata(&file).unwrap().permissions();
            let bytes = std::fs::read(&file).unwrap();
            (file, bytes, permissions)
        };
        Self(here.files().into_iter().map(read).collect())
    }

    fn put_back(&self, here: &TestEnvironment) {
        for file in here.files() {
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
fn at_every_request_of_taking_down() {
    let mut scene = Scene::new(9001);
    scene.comes_up("not killed");
    let up = Photograph::of(&scene.here);
    for n in 1..REQUESTS_MAX {
        let Some(line) = scene.killed_at(&["down", "--yes"], n) else {
            println!("taking down: {} kills at {} requests, seed {}", scene.kills, n - 1, scene.seed);
            assert!(scene.kills >= 15, "taking down has more requests than that");
            return;
        };
        scene.goes_down(&told(n, &line, scene.seed));
        up.put_back(&scene.here);
    }
    panic!("taking down does not end at {REQUESTS_MAX} requests");
}
