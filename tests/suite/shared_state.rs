//! Two machines, with a home and a state folder each, share an environment: its journal is in a storage account of a
//! simulated cloud that a third process serves.

use crate::{
    azure,
    environment::{CommandOutput, TestEnvironment},
    management_cluster,
    running_process::RunningProcess,
};
use landfall_sim::{ConnectionInfo, Options, RequestRecord, Sim, Speed, fault::Armed};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The time after which the lease of a dead process is over.
const LEASE_OVER_MS: i64 = 61_000;

/// The cloud and the machines.
pub struct Team {
    pub sim: Arc<Sim>,
    pub machines: [TestEnvironment; 2],
    _folder: TempDir,
}

/// Returns the settings of a machine with its journal in the account `acct`.
pub fn settings(facts: &ConnectionInfo) -> String {
    let endpoint = format!("https://acct.{}:{}", facts.blob_suffix, facts.port);
    format!(
        "{}\n[state]\nendpoint = \"{endpoint}\"\ncontainer = \"landfall\"\nprefix = \"team-a\"\n",
        azure::endpoints(facts)
    )
}

/// Returns a machine that signs in to a cloud, with these settings.
pub fn machine(facts: &ConnectionInfo, settings: &str) -> TestEnvironment {
    let env = TestEnvironment::instant();
    env.write("authorities.pem", &facts.ca_pem);
    env.write("landfall.toml", settings);
    azure::signed_in(env, facts, &facts.client_secret)
}

/// Calls a function with a cloud and two machines, on a thread that may block.
pub async fn with_team(seed: u64, speed: Speed, test: impl FnOnce(&Team) + Send + 'static) {
    let folder = TempDir::new().unwrap();
    let options =
        Options { speed, seed: Some(seed), images: management_cluster::images(), ..Options::default() };
    let sim = Arc::new(Sim::open(folder.path(), options).await.unwrap());
    let facts = sim.connection().clone();
    let machines = [(); 2].map(|()| machine(&facts, &settings(&facts)));
    let team = Team { sim, machines, _folder: folder };
    tokio::task::spawn_blocking(move || test(&team)).await.unwrap();
}

impl Team {
    /// Lets the lease of a dead process end.
    pub fn wait_for_lease(&self) {
        self.sim.change(|state, _| state.clock_offset_ms += LEASE_OVER_MS).unwrap();
    }

    pub fn arm(&self, fault: &str) {
        let armed = Armed::read(fault).unwrap();
        self.sim.change(|state, _| state.faults.armed.push(armed)).unwrap();
    }

    /// Returns what was created twice without a deletion in between.
    pub fn created_twice(&self) -> Vec<String> {
        let mut created: BTreeMap<String, u32> = BTreeMap::new();
        for line in self.sim.request_log() {
            let path = line.path.to_ascii_lowercase();
            match line {
                _ if line.host.contains(".blob.") => {}
                RequestRecord { status: 201, .. } => *created.entry(path).or_default() += 1,
                RequestRecord { status: 200 | 202, ref method, .. } if method == "DELETE" => {
                    created.retain(|created, _| !created.starts_with(&path));
                }
                _ => {}
            }
        }
        created.retain(|_, times| *times > 1);
        created.into_iter().map(|(path, times)| format!("{path}: {times} times")).collect()
    }
}

/// Checks that a run on another machine created nothing but the kubeconfig of that machine.
pub fn assert_nothing_new(summary: &Value) {
    let number = |name: &str| summary[name].as_u64().unwrap();
    assert!(number("created") <= 1 && number("changed") == 0 && number("found") > 10, "{summary}");
}

fn json(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout).unwrap()
}

pub fn in_one_line(output: &CommandOutput) -> String {
    output.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_share_an_environment() {
    with_team(6_100, Speed::Instant, |team| {
        let [one, two] = &team.machines;
        let refused = one.expect(1, &["up"]);
        assert!(in_one_line(&refused).contains("acct.blob"), "{}", refused.stderr);
        let prepared = one.expect(0, &["state", "init"]);
        assert!(prepared.stderr.contains("The storage account acct was created"), "{}", prepared.stderr);
        one.expect(0, &["state", "init"]);
        let account =
            team.sim.read(|state| state.tracked.of_kind("Microsoft.Storage/storageAccounts").next().cloned());
        assert_eq!(account.unwrap().properties["allowSharedKeyAccess"], false);
        let protected = in_one_line(&one.expect(0, &["state", "init"]));
        assert!(!protected.to_lowercase().contains("warning"), "{protected}");

        one.expect(0, &["up"]);
        assert!(!one.state().join("journal.jsonl").exists(), "the journal is in the account only");
        let found = two.expect(0, &["up", "--format", "json"]);
        assert_nothing_new(&found.summary());
        let status: Value =
            serde_json::from_str(&two.expect(0, &["status", "--format", "json"]).stdout).unwrap();
        assert!(status["steps"].as_array().unwrap().iter().all(|step| step["state"] == "ready"), "{status}");
        let listed: Value =
            serde_json::from_str(&two.expect(0, &["state", "list", "--format", "json"]).stdout).unwrap();
        assert_eq!(listed["environments"][0]["environment"], "default");
        assert_eq!(listed["environments"][0]["held"], false);
        assert!(two.expect(0, &["state", "list"]).stdout.contains("free"));
        two.expect(0, &["plan", "--detailed-exitcode"]);
        // The other machine's run is reported from here.
        let report = two.expect(0, &["report", "1", "-o", "run.html", "--format", "json"]);
        assert_eq!(json(&report)["state"], "ready", "{}", report.stdout);
        assert!(
            fs::read_to_string(two.path().join("run.html"))
                .unwrap()
                .contains("<title>default: up ready</title>")
        );
        let all = two.expect(0, &["report", "--all", "-o", "all.html", "--format", "json"]);
        assert_eq!(json(&all)["environments"][0]["environment"], "default", "{}", all.stdout);
        let unknown = two.expect(2, &["report", "9"]);
        assert!(in_one_line(&unknown).contains("the journal has 2 runs"), "{}", unknown.stderr);
        let down = two.expect(0, &["down", "--yes"]);
        assert!(!down.stderr.contains("rg-landfall-state"), "{}", down.stderr);
        one.expect(0, &["down", "--yes"]);
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}

#[test]
fn a_run_releases_the_lease_before_the_cloud_in_its_own_process_ends() {
    let env = TestEnvironment::instant();
    env.write("landfall.toml", "[state]\naccount = \"acct\"\n[sim]\nspeed = \"instant\"\n");
    env.expect(0, &["state", "init"]);
    env.expect(0, &["up"]);
    let log = std::fs::read_to_string(env.path().join(".landfall/default/sim/ledger.jsonl")).unwrap();
    let leases = log.lines().filter(|line| line.contains("[[\"comp\",\"lease\"]]")).count();
    assert_eq!(leases, 2, "one acquires it, one releases it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_is_refused_reads_are_allowed_and_a_dead_run_blocks_for_a_minute() {
    with_team(6_200, Speed::Times(60.0), |team| {
        let [one, two] = &team.machines;
        one.expect(0, &["state", "init"]);
        let mut run = RunningProcess::start(one, &["up"]);
        run.until_step("started", "cluster-ready");
        let refused = two.expect(4, &["up"]);
        for word in [format!("process {}", run.id()), "`up`".to_owned(), "landfall unlock".to_owned()] {
            assert!(in_one_line(&refused).contains(&word), "{word}: {}", refused.stderr);
        }
        two.expect(0, &["status"]);
        two.expect(0, &["plan"]);
        assert!(two.expect(0, &["state", "list"]).stdout.contains("held by `up`"));
        let report = two.expect(0, &["report", "-o", "run.html", "--format", "json"]);
        assert_eq!(json(&report)["state"], "running", "{}", report.stdout);
        run.kill();
        two.expect(4, &["up"]);
        team.wait_for_lease();
        two.expect(0, &["up"]);
        assert_eq!(team.created_twice(), [""; 0]);

        // The machine of a dead process does not wait.
        let mut run = RunningProcess::start(two, &["up"]);
        run.until(|event| event["event"] == "opened");
        run.kill();
        two.expect(0, &["up"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lease_was_ended_starts_nothing_more_and_exits_with_4() {
    with_team(6_300, Speed::Times(60.0), |team| {
        let [one, two] = &team.machines;
        one.expect(0, &["state", "init"]);
        assert!(two.expect(0, &["unlock"]).stderr.contains("No run holds environment default"));
        let mut run = RunningProcess::start(one, &["up"]);
        run.until_step("started", "cluster-ready");
        let unlocked = two.expect(0, &["unlock", "--now"]);
        let text = in_one_line(&unlocked);
        assert!(text.contains(&format!("process {}", run.id())) && text.contains("is free now"), "{text}");
        let mut second = RunningProcess::start(two, &["up"]);
        second.until(|event| event["event"] == "opened");
        let lost = run.end();
        assert_eq!(lost.status.code(), Some(4), "{}\n{}", lost.stdout, lost.stderr);
        let text = in_one_line(&lost);
        // It may end before the second run has written its first line, which names the holder.
        let is_named = text.contains(&format!("process {}", second.id()));
        assert!(is_named || text.contains("another run may hold it at any time"), "{text}");
        assert!(text.contains("keep the lock of this environment") && text.contains("run again"), "{text}");
        let second = second.end();
        assert_eq!(second.status.code(), Some(0), "{}", second.stderr);
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_store_are_survived_or_named() {
    with_team(6_400, Speed::Instant, |team| {
        let [one, two] = &team.machines;
        one.expect(0, &["state", "init"]);
        for fault in ["append-answer-lost#4*2", "append-busy#7*2", "lease-expired#9"] {
            team.arm(fault);
        }
        one.expect(0, &["up"]);
        assert!(team.sim.read(|state| state.faults.armed.is_empty()), "every fault was injected");
        team.arm("append-forbidden#2");
        let refused = two.expect(3, &["up"]);
        let text = in_one_line(&refused);
        assert!(text.contains("Storage Blob Data Contributor") && text.contains("state init"), "{text}");
        for fault in ["lease-broken#2", "lease-taken#2"] {
            team.arm(fault);
            let lost = two.expect(4, &["up"]);
            assert!(lost.stderr.contains("keep the lock of this environment"), "{fault}: {}", lost.stderr);
            team.wait_for_lease();
        }
        one.expect(0, &["up"]);
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_moves_to_the_account_and_back() {
    with_team(6_500, Speed::Instant, |team| {
        let [one, two] = &team.machines;
        let with_state = fs::read_to_string(one.path().join("landfall.toml")).unwrap();
        let (without_state, _) = with_state.split_once("[state]").unwrap();
        one.expect(0, &["state", "init"]);
        one.write("landfall.toml", without_state);
        let refused = one.expect(2, &["state", "push"]);
        assert!(refused.stderr.contains("LANDFALL_STATE"), "{}", refused.stderr);
        one.expect(0, &["up"]);
        one.write("landfall.toml", &with_state);
        let refused = one.expect(2, &["up"]);
        assert!(in_one_line(&refused).contains("two journals"), "{}", refused.stderr);
        one.expect(0, &["state", "push"]);
        one.expect(2, &["state", "push"]);
        assert_nothing_new(&two.expect(0, &["up", "--format", "json"]).summary());
        one.write("landfall.toml", without_state);
        let moved = one.expect(2, &["up"]);
        assert!(in_one_line(&moved).contains("was moved to https://acct.blob"), "{}", moved.stderr);
        one.write("landfall.toml", &with_state);
        one.expect(0, &["state", "pull"]);
        assert!(in_one_line(&two.expect(2, &["up"])).contains("was moved to"));
        assert!(two.expect(0, &["state", "list"]).stdout.contains("moved to"));
        one.write("landfall.toml", without_state);
        assert_nothing_new(&one.expect(0, &["up", "--format", "json"]).summary());
        one.expect(0, &["down", "--yes"]);
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_in_the_account_is_accepted_at_a_persons_request() {
    with_team(6_700, Speed::Instant, |team| {
        let [one, two] = &team.machines;
        one.expect(0, &["state", "init"]);
        one.expect(0, &["up"]);
        let damaged = team.sim.change(|state, _| {
            let journal = "team-a/default/journal.jsonl";
            state.storage.damage(
                "acct",
                "landfall",
                journal,
                "\"step\":\"preflight\"",
                "\"step\":\"preflihgt\"",
            )
        });
        assert!(damaged.unwrap());
        let refused = two.expect(1, &["up"]);
        assert!(in_one_line(&refused).contains("--accept-journal"), "{}", refused.stderr);
        let accepted = two.expect(0, &["up", "--accept-journal"]);
        let text = in_one_line(&accepted);
        assert!(
            text.contains("The journal is accepted with") && text.contains("team-a/default/journal.jsonl"),
            "{text}"
        );
        let again = one.expect(0, &["up", "--accept-journal"]);
        assert!(!again.stderr.contains("accepted"), "{}", again.stderr);
        one.expect(0, &["down", "--yes"]);
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}

/// Kills runs on both machines in turn, at random instants, until that many were killed. Of two runs, the second one
/// continues on the same machine or on the other one.
fn kill_runs(team: &Team, kills: usize, mut wait_for_lease: impl FnMut()) {
    let mut rng = fastrand::Rng::with_seed(team.sim.connection().seed);
    let (mut killed, mut machine, mut command) = (0, 0, "up");
    let mut typical = Duration::from_secs(2);
    while killed < kills {
        let env = &team.machines[machine];
        let mut run = env.spawn(&[command, "--yes"]);
        let began = Instant::now();
        let until = typical.mul_f64(rng.f64());
        let ended = loop {
            match run.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if began.elapsed() >= until => break None,
                None => sleep(Duration::from_millis(2)),
            }
        };
        match ended {
            Some(status) => {
                assert!(status.success(), "{command} on machine {machine}: {status}");
                typical = began.elapsed().max(Duration::from_millis(500));
                command = if command == "up" { "down" } else { "up" };
            }
            None => {
                run.kill().unwrap();
                run.wait().unwrap();
                killed += 1;
            }
        }
        if rng.bool() {
            machine = 1 - machine;
            wait_for_lease();
        }
    }
    wait_for_lease();
    team.machines[0].expect(0, &["up"]);
    team.machines[1].expect(0, &["up"]);
    assert_eq!(team.created_twice(), [""; 0]);
    team.machines[1].expect(0, &["down", "--yes"]);
    let left = team.sim.read(|state| state.groups.keys().cloned().collect::<Vec<_>>());
    assert_eq!(left, ["rg-landfall-state"], "only the group of the account is left");
}

/// The number of real kills; LANDFALL_KILLS sets another one.
fn kills() -> usize {
    std::env::var("LANDFALL_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(16)
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_killed_on_one_machine_end_on_the_other() {
    with_team(6_600, Speed::Instant, |team| {
        team.machines[0].expect(0, &["state", "init"]);
        kill_runs(team, kills(), || team.wait_for_lease());
        println!("{} runs were killed", kills());
    })
    .await;
}
