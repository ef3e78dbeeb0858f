//! `landfall fleet`: many environments from one file, in waves, with one report.

use crate::{
    azure,
    environment::{CommandOutput, TestEnvironment},
    running_process::RunningProcess,
};
use landfall_sim::{Options, Sim, Speed};
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

/// The head of every fleet file here: names that differ between the environments.
const DEFAULTS: &str = "[defaults]\nresource_group = \"rg-{name}\"\ndomain = \"{name}.example.com\"\n";

/// Returns an instant environment with a fleet file of these environments, one line of settings each.
fn fleet(head: &str, environments: &[(&str, &str)]) -> TestEnvironment {
    let env = TestEnvironment::instant();
    write(&env, head, environments);
    env
}

fn write(env: &TestEnvironment, head: &str, environments: &[(&str, &str)]) {
    let entry = |(name, settings): &(&str, &str)| format!("[[environment]]\nname = \"{name}\"\n{settings}\n");
    let entries: String = environments.iter().map(entry).collect();
    env.write("fleet.toml", format!("{head}\n{DEFAULTS}{entries}"));
}

fn state(env: &TestEnvironment, name: &str) -> PathBuf {
    env.path().join(".landfall").join(name)
}

/// Returns the number of requests of this method in the cloud of an environment, to a path that contains this.
fn requests(env: &TestEnvironment, name: &str, method: &str, part: &str) -> usize {
    let log = std::fs::read_to_string(state(env, name).join("sim/ledger.jsonl")).unwrap_or_default();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is = |line: &Value| {
        line["method"] == method && line["path"].as_str().unwrap().to_ascii_lowercase().contains(part)
    };
    lines.filter(is).count()
}

/// Returns the outcome of each environment that has ended, in the order of the names.
fn outcomes(output: &CommandOutput) -> Vec<(String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let events = output.events();
    let ended = events.iter().filter(|event| event["event"] == "environment");
    let mut outcomes: Vec<_> =
        ended.map(|event| (text(event, "environment"), text(event, "outcome"))).collect();
    outcomes.sort_unstable();
    outcomes
}

fn all(outcome: &str, names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), outcome.to_owned())).collect()
}

#[test]
fn a_fleet_comes_up_in_waves_and_goes_down() {
    let waves =
        "name = \"shops\"\nwaves = [{ ring = \"canary\", soak = \"15m\" }, { ring = \"rest\", size = 1 }]";
    let env = fleet(waves, &[("shop-b", ""), ("shop-a", "ring = \"canary\""), ("shop-c", "")]);
    let names = ["shop-a", "shop-b", "shop-c"];
    let planned = env.expect(10, &["fleet", "plan", "--detailed-exitcode", "--select", "shop-b"]);
    assert!(planned.stderr.contains("1 with changes"), "{}", planned.stderr);

    let up = env.expect(0, &["fleet", "up", "--format", "json"]);
    assert_eq!(outcomes(&up), all("ready", &names));
    let events = up.events();
    let begun = events.iter().filter(|event| event["event"] == "wave" && event["state"] == "started");
    assert_eq!(begun.map(|event| &event["wave"]).collect::<Vec<_>>(), ["canary", "rest 1/2", "rest 2/2"]);
    let ended: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "environment")
        .map(|event| event["environment"].as_str().unwrap())
        .collect();
    assert_eq!(ended[0], "shop-a", "the ring canary is first");
    let mut steps = events.iter().filter(|event| event["event"] == "finished");
    assert!(steps.all(|event| event["environment"].is_string()));
    let summary = up.summary();
    assert_eq!((&summary["event"], &summary["environments"]), (&"fleet".into(), &3.into()));
    assert_eq!((&summary["ready"], &summary["failed"]), (&3.into(), &0.into()));

    let again = env.expect(0, &["fleet", "up", "--report", "csv"]);
    assert!(again.stderr.contains("3 unchanged"), "{}", again.stderr);
    let lines: Vec<&str> = again.stdout.lines().collect();
    assert!(lines[0].starts_with("environment,wave,"), "{}", again.stdout);
    assert_eq!(lines.iter().filter(|line| line.contains(",unchanged,")).count(), 3, "{}", again.stdout);
    assert!(
        again.stderr.contains("environment") && !again.stderr.contains("soak"),
        "nothing changed, nothing soaks"
    );

    let status = env.expect(0, &["fleet", "status"]).stdout;
    assert!(status.contains("3 environments: 3 ready"), "{status}");
    let verified = env.expect(0, &["fleet", "verify", "--select", "ring=canary"]).stderr;
    assert!(verified.contains("1 environment in") && verified.contains("1 verified"), "{verified}");

    env.expect(2, &["fleet", "down"]);
    let report = env.path().join("down.xml");
    env.expect(0, &["fleet", "down", "--yes", "--report-file", report.to_str().unwrap()]);
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("tests=\"3\" failures=\"0\"") && report.contains("name=\"shop-c\""), "{report}");
    let status = env.expect(0, &["fleet", "status", "--format", "json"]).summary();
    assert!(
        status["environments"].as_array().unwrap().iter().all(|one| one["state"] == "deleted"),
        "{status}"
    );
}

#[test]
fn every_mistake_in_the_file_is_reported_before_anything_is_changed() {
    let env = TestEnvironment::instant();
    env.write(
        "fleet.toml",
        "max_failures = \"many\"\nparalel = 3\nwaves = [{ ring = \"canary\", soak = \"a while\" }, { rings = \"x\" }]\n\
         [defaults]\nlocation = \"West Europe\"\n\n[[environment]]\nname = \"a\"\nring = \"canray\"\n\n[[environment]]\n\
         name = \"a\"\nring = \"canary\"\n[[environment]]\nring = \"canary\"\n[[environment]]\nname = \"b\"\nring = \"canary\"\n\
         cluster.nodes = \"three\"\n",
    );
    let output = env.expect(2, &["fleet", "up"]).stderr;
    for expected in [
        "fleet.toml:1: `max_failures` is \"many\"",
        "fleet.toml:2: unknown key `paralel`",
        "did you mean `parallel`?",
        "fleet.toml:3: `soak` is \"a while\"",
        "fleet.toml:3: unknown key `waves[1].rings`",
        "fleet.toml:3: the wave has no ring",
        "fleet.toml:5: \"West Europe\" is not a region's programmatic name (environment a and 1 more)",
        "fleet.toml:9: environment a is in ring \"canray\", which no wave has",
        "did you mean \"canary\"?",
        "another environment \"a\", at line 7",
        "fleet.toml:14: the environment has no name",
        "fleet.toml:19: `environment[3].cluster.nodes` is the text \"three\"",
    ] {
        assert!(output.contains(expected), "{expected}\n{output}");
    }
    assert!(!env.path().join(".landfall").exists());
}

#[test]
fn environments_that_share_a_resource_are_refused() {
    let env = TestEnvironment::instant();
    env.write(
        "fleet.toml",
        "[defaults]\ndomain = \"{name}.example.com\"\n[[environment]]\nname = \"a\"\n[[environment]]\nname = \"b\"\n",
    );
    let output = env.expect(2, &["fleet", "up"]).stderr;
    assert!(
        output.contains("fleet.toml:5: resource_group is \"rg-aks-istio-gateway-demo\" in 2 environments"),
        "{output}"
    );
    assert!(output.contains("resource_group = \"rg-{name}\""), "{output}");
    // A variable of the shell replaces a default, never what an environment says itself.
    let env = fleet("", &[("a", "location = \"westeurope\""), ("b", "")]).with("LOCATION", "northeurope");
    env.expect(0, &["fleet", "status"]);
    let selected = |expression: &str| env.run(&["fleet", "status", "--select", expression]).status.code();
    assert_eq!(selected("name=a,location=westeurope"), Some(0));
    assert_eq!(selected("name=b,location=northeurope"), Some(0));
    assert_eq!(selected("location=eastus"), Some(2));
    assert_eq!(env.run(&["fleet", "status", "--environment", "a"]).status.code(), Some(2));
}

#[test]
fn each_environment_keeps_the_identity_that_reads_its_vault() {
    let add_on = "identity = \"add-on\"";
    let env = fleet("", &[("a", add_on), ("b", "")]);
    env.expect(0, &["fleet", "up"]);
    let identities = |name| requests(&env, name, "PUT", "/userassignedidentities/");
    assert_eq!((identities("a"), identities("b") > 0), (0, true));
    // Without the setting, the existing environment keeps its own.
    write(&env, "", &[("a", ""), ("b", "")]);
    env.expect(0, &["fleet", "plan", "--detailed-exitcode"]);
    let again = env.expect(0, &["fleet", "up", "--from-start"]);
    assert!(again.stderr.contains("2 unchanged"), "{}", again.stderr);
    assert_eq!(identities("a"), 0);
    let status = env.expect(0, &["fleet", "status"]).stdout;
    assert!(status.contains("2 environments: 2 ready"), "{status}");
}

#[test]
fn a_storage_account_must_hold_the_journals_of_every_environment() {
    let own = "cloud = \"azure\"\nstate.account = \"fleetjournals\"";
    let env = fleet("", &[("a", "cloud = \"azure\""), ("b", own)]);
    for command in ["up", "status", "down"] {
        let output = env.expect(2, &["fleet", command, "--yes"]).stderr;
        let expected =
            "the journal of environment a is in the state folder, but that of b in fleetjournals/landfall";
        assert!(output.contains(&format!("fleet.toml:11: {expected}")), "{output}");
    }
    // Each simulated cloud would have an account of its own.
    let env = fleet("state = { account = \"fleetjournals\" }", &[("a", ""), ("b", "")]);
    let output = env.expect(2, &["fleet", "up"]).stderr;
    assert!(output.contains("fleet.toml:1: ") && output.contains("a simulated cloud of its own"), "{output}");
    assert!(!env.path().join(".landfall").exists());
}

#[test]
fn a_failed_wave_stops_the_next_one_and_only_failed_completes_it() {
    let waves = "waves = [{ ring = \"canary\" }, { ring = \"rest\" }]";
    let few = "ring = \"canary\"\nsim.faults = [\"cores-few\"]";
    let env = fleet(waves, &[("a", few), ("b", few), ("c", "ring = \"canary\""), ("d", "")]);
    let up = env.expect(3, &["fleet", "up", "--max-failures", "1"]);
    let text = &up.stderr;
    assert!(text.contains("2 × QuotaExceeded"), "one cause: {text}");
    assert_eq!(text.matches("hint: ").count(), 1, "one remedy: {text}");
    assert!(text.contains("environments: a and b"), "{text}");
    assert!(text.contains("1 ready, 2 refused, 1 not run"), "{text}");
    assert!(text.contains("fleet up --only-failed"), "{text}");
    assert!(!state(&env, "d").exists(), "the next wave has not begun");

    // The remedy of the message: fewer nodes.
    let fixed = "ring = \"canary\"\ncluster.nodes = 1\ncluster.nodes_max = 1";
    write(&env, waves, &[("a", fixed), ("b", fixed), ("c", "ring = \"canary\""), ("d", "")]);
    let before = requests(&env, "c", "GET", "/");
    let rest = env.expect(0, &["fleet", "up", "--only-failed", "--format", "json"]);
    assert_eq!(outcomes(&rest), all("ready", &["a", "b", "d"]));
    assert_eq!(requests(&env, "c", "GET", "/"), before, "what was ready is left alone");
    let nothing = env.expect(0, &["fleet", "up", "--only-failed"]);
    assert!(nothing.stderr.contains("Nothing to do"), "{}", nothing.stderr);
}

#[test]
fn a_killed_fleet_continues() {
    let waves = "waves = [{ ring = \"canary\", soak = \"1m\" }, { ring = \"rest\" }]";
    let env = fleet(waves, &[("a", "ring = \"canary\""), ("b", ""), ("c", "")]);
    let mut killed = RunningProcess::start(&env, &["fleet", "up", "-j", "1"]);
    killed.until(|event| event["event"] == "finished" && event["environment"] == "b");
    killed.kill();
    let created = |name| requests(&env, name, "PUT", "/managedclusters/");
    let before = created("a");

    let up = env.expect(0, &["fleet", "up", "--format", "json"]);
    assert!(up.stderr.is_empty(), "{}", up.stderr);
    let earlier = |name: &str| {
        let events = up.events();
        let is = |event: &&Value| event["event"] == "environment" && event["environment"] == name;
        events.iter().find(is).unwrap()["earlier"].as_bool().unwrap()
    };
    assert_eq!([earlier("a"), earlier("b"), earlier("c")], [true, false, false]);
    assert_eq!((created("a"), created("b")), (before, created("c")), "nothing is created twice");

    // The run has ended, so the next one checks everything.
    let again = env.expect(0, &["fleet", "up", "--format", "json"]);
    assert_eq!(outcomes(&again), all("unchanged", &["a", "b", "c"]));
}

#[test]
fn an_interrupted_fleet_ends_gracefully_and_a_second_one_is_refused_until_then() {
    let env = fleet("", &[("a", ""), ("b", "")]).with("LANDFALL_SIM_SPEED", "60");
    let mut run = RunningProcess::start(&env, &["fleet", "up", "-j", "1"]);
    run.until(|event| event["event"] == "started" && event["environment"] == "a");
    let refused = env.expect(4, &["fleet", "up"]).stderr;
    assert!(refused.contains("another run holds it: `fleet up` (process"), "{refused}");
    run.signal("INT");
    let output = run.end();
    assert_eq!(output.status.code(), Some(130), "{}", output.stderr);
    assert_eq!(output.summary()["not_run"], 1);
    let text = env.expect(0, &["fleet", "status"]).stdout;
    assert!(text.contains("1 interrupted, 1 never run"), "{text}");
    let env = env.with("LANDFALL_SIM_SPEED", "instant");
    let up = env.expect(0, &["fleet", "up"]);
    assert!(up.stderr.contains("Continuing the interrupted run."), "{}", up.stderr);
}

/// Starts a cloud for a fleet of two environments that sign in to it as to Azure.
async fn served(seed: u64, faults: &[&str], settings: &str) -> (Sim, TempDir, TestEnvironment) {
    let folder = TempDir::new().unwrap();
    let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
    let options = Options { speed: Speed::Instant, seed: Some(seed), faults, ..Options::default() };
    let sim = Sim::open(folder.path(), options).await.unwrap();
    let facts = sim.connection().clone();
    let endpoints = azure::endpoints(&facts).replace("[endpoints]", "[defaults.endpoints]");
    let env = azure::signed_in(TestEnvironment::instant(), &facts, &facts.client_secret);
    env.write("authorities.pem", &facts.ca_pem);
    env.write(
        "fleet.toml",
        format!(
            "{DEFAULTS}{endpoints}\n[defaults.cluster]\nname = \"aks-{{name}}\"\n{settings}\n[[environment]]\nname = \"a\"\n\
             [[environment]]\nname = \"b\"\n"
        ),
    );
    (sim, folder, env)
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_of_one_sign_in_share_its_tokens() {
    let (sim, _folder, env) = served(6_100, &[], "").await;
    let sent = |method: &str, end: &str| {
        let log = sim.request_log();
        let is = |path: &str| path.to_ascii_lowercase().ends_with(end);
        log.iter().filter(|line| line.method == method && is(&line.path)).count()
    };
    let output = tokio::task::spawn_blocking(move || {
        let up = env.expect(0, &["fleet", "up"]);
        let kubeconfig = std::fs::read_to_string(env.path().join("kubeconfig")).unwrap();
        (env, up, kubeconfig)
    });
    let (env, up, kubeconfig) = output.await.unwrap();
    assert!(up.stderr.contains("2 ready"), "{}", up.stderr);
    assert!(kubeconfig.contains("aks-a") && kubeconfig.contains("aks-b"), "{kubeconfig}");
    assert_eq!(sent("POST", "/token"), 2, "one for each audience: Resource Manager and vaults");
    assert_eq!(sent("PUT", "/resourcegroups/rg-a"), 1);
    tokio::task::spawn_blocking(move || env.expect(0, &["fleet", "down", "--yes"])).await.unwrap();
    assert_eq!(sent("POST", "/token"), 3, "a deletion needs Resource Manager only");
    sim.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_only_all_environments_exceed_is_refused_before_the_first_wave() {
    // One cluster with a node and another one for upgrades needs 8 of the 10 cores.
    let settings = "nodes = 1\nnodes_max = 1";
    let (sim, _folder, env) = served(6_200, &["cores-few"], settings).await;
    let output = tokio::task::spawn_blocking(move || env.expect(3, &["fleet", "up"])).await.unwrap();
    let text = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("but 16 are needed for a and b"), "{text}");
    assert!(sim.request_log().iter().all(|line| line.method != "PUT"), "nothing was changed");
    sim.close().await;
}
