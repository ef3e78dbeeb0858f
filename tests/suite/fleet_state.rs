//! A fleet whose journals are in a storage account: several machines, one fleet.

use crate::{
    azure,
    environment::{CommandOutput, TestEnvironment},
    running_process::RunningProcess,
    shared_state::{Team, in_one_line, with_team},
};
use landfall_sim::{ConnectionInfo, Speed};
use serde_json::Value;

const WAVES: &str = "waves = [{ ring = \"canary\" }, { ring = \"rest\" }]\n";

/// Returns a fleet file of three environments in one served cloud, the journals in the account `acct`.
pub fn file(facts: &ConnectionInfo, head: &str, of_b: &str) -> String {
    let endpoint = format!("https://acct.{}:{}", facts.blob_suffix, facts.port);
    let endpoints = azure::endpoints(facts).replace("[endpoints]", "[defaults.endpoints]");
    format!(
        "name = \"shops\"\nstate = {{ endpoint = \"{endpoint}\", prefix = \"team-a\" }}\n{head}[defaults]\n\
         resource_group = \"rg-{{name}}\"\ndomain = \"{{name}}.example.com\"\n{endpoints}[defaults.cluster]\n\
         name = \"aks-{{name}}\"\n[[environment]]\nname = \"a\"\nring = \"canary\"\n[[environment]]\nname = \"b\"\n{of_b}\n\
         [[environment]]\nname = \"c\"\n"
    )
}

fn write(team: &Team, of_b: &str) {
    for machine in &team.machines {
        machine.write("fleet.toml", file(team.sim.connection(), WAVES, of_b));
    }
}

/// Returns an event field of each environment, by name.
fn ended(output: &CommandOutput, field: &str) -> Vec<(String, Value)> {
    let events = output.events();
    let ended = events.iter().filter(|event| event["event"] == "environment");
    let mut ended: Vec<_> = ended
        .map(|event| (event["environment"].as_str().unwrap().to_owned(), event[field].clone()))
        .collect();
    ended.sort_by(|one, other| one.0.cmp(&other.0));
    ended
}

fn each<const N: usize>(values: [(&str, Value); N]) -> Vec<(String, Value)> {
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Returns the number of requests to the storage account that a command sends.
fn blob_requests(team: &Team, machine: &TestEnvironment, arguments: &[&str]) -> (CommandOutput, usize) {
    let number = || team.sim.request_log().iter().filter(|line| line.host.contains(".blob.")).count();
    let before = number();
    let output = machine.expect(0, arguments);
    (output, number() - before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_was_killed_on_one_machine_ends_on_the_other() {
    with_team(6_700, Speed::Instant, |team| {
        let [one, two] = &team.machines;
        write(team, "");
        one.expect(0, &["state", "init"]);
        let mut killed = RunningProcess::start(one, &["fleet", "up", "-j", "1"]);
        killed.until(|event| event["event"] == "finished" && event["environment"] == "b");
        let process = format!("process {}", killed.id());
        killed.kill();

        let refused = in_one_line(&two.expect(4, &["fleet", "up"]));
        for part in ["failed to lock this fleet", "`fleet up`", &process, "_fleet/shops/journal.jsonl"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        // A read needs no lease.
        let status = two.expect(0, &["fleet", "status"]).stdout;
        assert!(status.contains("1 ready"), "{status}");
        team.wait_for_lease();
        let up = two.expect(0, &["fleet", "up", "--format", "json"]);
        let earlier = [("a", true.into()), ("b", false.into()), ("c", false.into())];
        assert_eq!(ended(&up, "earlier"), each(earlier));
        assert_eq!(team.created_twice(), [""; 0]);
        assert!(!two.path().join(".landfall/_fleet/shops/fleet.jsonl").exists(), "in the account only");

        let (status, requests) = blob_requests(team, one, &["fleet", "status"]);
        assert!(status.stdout.contains("3 environments: 3 ready"), "{}", status.stdout);
        assert_eq!(requests, 2, "a list, and the journal of the fleet");
        let again = one.expect(0, &["fleet", "up", "--format", "json"]);
        assert_eq!(
            ended(&again, "created"),
            each([("a", 0.into()), ("b", 1.into()), ("c", 1.into())]),
            "kubeconfigs"
        );
        let again = one.expect(0, &["fleet", "up", "--format", "json"]);
        let unchanged = || Value::from("unchanged");
        assert_eq!(
            ended(&again, "outcome"),
            each([("a", unchanged()), ("b", unchanged()), ("c", unchanged())])
        );
        // What another command has written is read from its journal.
        let single = one.path().join("landfall.toml");
        let settings = std::fs::read_to_string(&single).unwrap();
        let (head, tables) = settings.split_once("\n\n").unwrap();
        let names = "resource_group = \"rg-b\"\ndomain = \"b.example.com\"";
        std::fs::write(&single, format!("{head}\n{names}\n{tables}\n[cluster]\nname = \"aks-b\"\n")).unwrap();
        one.expect(0, &["--environment", "b", "down", "--yes"]);
        let (status, requests) = blob_requests(team, two, &["fleet", "status"]);
        assert!(status.stdout.contains("2 ready"), "{}", status.stdout);
        assert_eq!(requests, 3, "and the journal of b");

        two.expect(0, &["fleet", "down", "--yes"]);
        let (status, requests) = blob_requests(team, one, &["fleet", "status"]);
        assert!(status.stdout.contains("3 deleted"), "{}", status.stdout);
        assert_eq!(requests, 3, "there was nothing to delete in b, so its journal has no new summary");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_on_one_machine_is_repeated_on_the_other() {
    with_team(6_800, Speed::Instant, |team| {
        let [one, two] = &team.machines;
        write(team, "cluster.node_size = \"Standard_D4s_v99\"");
        one.expect(0, &["state", "init"]);
        let failed = one.run(&["fleet", "up", "--format", "json"]);
        let outcome = ended(&failed, "outcome").remove(1).1;
        assert!(outcome == "failed" || outcome == "refused", "{}", failed.stdout);
        let status = two.expect(0, &["fleet", "status"]).stdout;
        assert!(status.contains("2 ready, 1"), "{status}");
        assert!(status.contains("eastus has no size"), "the error is in the account: {status}");
        write(team, "");
        let rest = two.expect(0, &["fleet", "up", "--only-failed", "--format", "json"]);
        assert_eq!(ended(&rest, "outcome"), each([("b", "ready".into())]));
        let nothing = one.expect(0, &["fleet", "up", "--only-failed"]);
        assert!(nothing.stderr.contains("Nothing to do"), "{}", nothing.stderr);
        let tokens = team.sim.request_log().iter().filter(|line| line.path.ends_with("/token")).count();
        // Resource Manager, vaults and storage for each of two runs; storage alone for what only reads.
        assert!(tokens <= 11, "{tokens} tokens");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_was_suspended_starts_nothing_after_another_one_took_over() {
    with_team(6_900, Speed::Times(60.0), |team| {
        let [one, two] = &team.machines;
        write(team, "");
        one.expect(0, &["state", "init"]);
        let mut suspended = RunningProcess::start(one, &["fleet", "up"]);
        suspended.until(|event| event["event"] == "started" && event["step"] == "cluster-ready");
        suspended.signal("STOP");
        team.wait_for_lease();
        let mut second = RunningProcess::start(two, &["fleet", "up"]);
        second.until(|event| event["event"] == "started" && event["environment"] == "a");
        suspended.signal("CONT");
        let lost = suspended.end();
        let text = in_one_line(&lost);
        assert_eq!(lost.status.code(), Some(4), "{text}");
        assert!(text.contains("failed to keep the lock of this fleet"), "{text}");
        assert!(text.contains(&format!("process {}", second.id())), "{text}");
        let second = second.end();
        assert_eq!(second.status.code(), Some(0), "{}\n{}", second.stdout, second.stderr);
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}
