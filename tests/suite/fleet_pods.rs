//! `--on kubernetes`: a fleet whose environments run in pods of a simulated cluster. Its kubelet starts this program for each
//! pod, with the folders, variables and tokens that the pod describes.

use crate::{
    environment::CommandOutput,
    fleet_state,
    management_cluster::{self, IMAGE},
    running_process::RunningProcess,
    shared_state::{Team, in_one_line, with_team},
};
use landfall_sim::Speed;
use serde_json::Value;

/// Writes the fleet file of three environments in two waves.
fn write(team: &Team, client_id: &str, of_b: &str) {
    let waves = "max_failures = 1\nwaves = [{ ring = \"canary\" }, { ring = \"rest\" }]\n";
    let kubernetes = format!("[kubernetes]\nimage = \"{IMAGE}\"\nclient_id = \"{client_id}\"\nretries = 0\n");
    for machine in &team.machines {
        let file = fleet_state::file(team.sim.connection(), waves, of_b);
        machine.write("fleet.toml", format!("{file}{kubernetes}"));
    }
}

/// Returns a field of the event of each environment that has ended, by name.
fn ended(output: &CommandOutput, field: &str) -> Vec<(String, String)> {
    let events = output.events();
    let ended = events.iter().filter(|event| event["event"] == "environment");
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut ended: Vec<_> = ended.map(|event| (text(&event["environment"]), text(&event[field]))).collect();
    ended.sort();
    ended
}

fn each<const N: usize>(values: [(&str, &str); N]) -> Vec<(String, String)> {
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Returns the Jobs of the fleet that were created so far.
fn jobs_created(team: &Team) -> usize {
    let log = team.sim.request_log();
    let is_job = |path: &str| path.contains("/apis/batch/v1/namespaces/landfall/jobs/");
    log.iter().filter(|line| line.method == "PATCH" && line.status == 201 && is_job(&line.path)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_runs_in_pods_and_only_failed_completes_it() {
    with_team(7_300, Speed::Instant, |team| {
        let client_id = management_cluster::set_up(team);
        let one = &team.machines[0];
        write(team, &client_id, "cluster.node_size = \"Standard_D4s_v99\"");
        let report = one.path().join("report.json");
        let up = [
            "fleet",
            "up",
            "--on",
            "kubernetes",
            "--format",
            "json",
            "--report-file",
            report.to_str().unwrap(),
        ];
        let first = one.run(&up);
        let text = format!("{}\n{}", first.stdout, first.stderr);
        assert_eq!(
            ended(&first, "outcome"),
            each([("a", "ready"), ("b", "failed"), ("c", "ready")]),
            "{text}"
        );
        assert_eq!(first.status.code(), Some(1), "{text}");
        let summary = first.summary();
        assert_eq!((&summary["ready"], &summary["failed"]), (&2.into(), &1.into()));
        assert_eq!(summary["causes"][0]["environments"][0], "b");
        assert!(summary["causes"][0]["reason"].as_str().unwrap().contains("Standard_D4s_v99"), "{summary}");
        let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
        assert_eq!(report["environments"][1]["outcome"], "failed", "{report}");
        assert_eq!(jobs_created(team), 2, "one for each wave");
        let status = team.machines[1].expect(0, &["fleet", "status"]).stdout;
        assert!(status.contains("2 ready, 1 failed"), "{status}");

        write(team, &client_id, "");
        let rest = one.expect(0, &["fleet", "up", "--on", "kubernetes", "--only-failed", "--format", "json"]);
        assert_eq!(ended(&rest, "outcome"), each([("b", "ready")]));
        assert_eq!(jobs_created(team), 3);
        let again = one.expect(0, &up[..6]);
        assert_eq!(
            ended(&again, "outcome"),
            each([("a", "unchanged"), ("b", "unchanged"), ("c", "unchanged")])
        );
        let down = one.expect(0, &["fleet", "down", "--on", "kubernetes", "--yes", "--format", "json"]);
        assert_eq!(ended(&down, "outcome"), each([("a", "ready"), ("b", "ready"), ("c", "ready")]));
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_a_killed_command_is_followed_by_the_next_one() {
    with_team(7_400, Speed::Times(60.0), |team| {
        let client_id = management_cluster::set_up(team);
        let machines = &team.machines;
        write(team, &client_id, "");
        let up = ["fleet", "up", "--on", "kubernetes"];
        let mut killed = RunningProcess::start(&machines[0], &up);
        killed.until(|event| event["event"] == "environment" && event["environment"] == "a");
        killed.until(|event| event["event"] == "wave" && event["wave"] == "rest");
        while jobs_created(team) < 2 {
            std::thread::yield_now();
        }
        killed.kill();
        // The lease of the fleet ends by itself; those of the environments are held by pods.
        let refused = in_one_line(&machines[1].expect(4, &up));
        assert!(refused.contains("failed to lock this fleet"), "{refused}");
        machines[0].expect(0, &up);
        assert_eq!(jobs_created(team), 2, "no Job is created twice");
        assert_eq!(team.created_twice(), [""; 0]);
        let status = machines[1].expect(0, &["fleet", "status"]).stdout;
        assert!(status.contains("3 environments: 3 ready"), "{status}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_fleet_suspends_its_job_and_the_next_command_continues_it() {
    with_team(7_500, Speed::Times(60.0), |team| {
        let client_id = management_cluster::set_up(team);
        let one = &team.machines[0];
        write(team, &client_id, "");
        let up = ["fleet", "up", "--on", "kubernetes"];
        let mut interrupted = RunningProcess::start(one, &up);
        interrupted.until(|event| event["event"] == "wave" && event["state"] == "started");
        while jobs_created(team) < 1 {
            std::thread::yield_now();
        }
        interrupted.signal("INT");
        let output = interrupted.end();
        assert_eq!(output.status.code(), Some(130), "{}\n{}", output.stdout, output.stderr);
        let up = one.expect(0, &[&up[..], &["--format", "json"]].concat());
        assert_eq!(ended(&up, "outcome").len(), 3, "{}", up.stdout);
        assert_eq!(jobs_created(team), 2);
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_leaves_no_result_is_a_failure_with_its_reason() {
    with_team(7_600, Speed::Instant, |team| {
        let client_id = management_cluster::set_up(team);
        let one = &team.machines[0];
        write(team, &client_id, "");
        let fleet = std::fs::read_to_string(one.path().join("fleet.toml")).unwrap();
        one.write("other.toml", fleet.replace(IMAGE, "registry.example.com/other:1"));
        let other = one.run(&[
            "fleet",
            "up",
            "--config",
            "other.toml",
            "--on",
            "kubernetes",
            "--select",
            "a",
            "--format",
            "json",
        ]);
        assert_eq!(ended(&other, "code"), each([("a", "NoResult")]), "{}", other.stderr);
    })
    .await;
}
