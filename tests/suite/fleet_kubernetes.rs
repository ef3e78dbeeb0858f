//! Fleets on Kubernetes: the manifests, and the command that their pods run.

use crate::{
    environment::{CommandOutput, TestEnvironment},
    fleet_state,
    running_process::RunningProcess,
    shared_state::{Team, in_one_line, with_team},
};
use landfall_sim::Speed;
use serde_json::Value;
use std::path::{Path, PathBuf};

const KUBERNETES: &str = "[kubernetes]\nimage = \"registry.example.com/landfall@sha256:7f3a\"\n\
                          client_id = \"00000000-0000-4000-8000-00000000000c\"\n";

/// Returns a fleet file of five environments in two subscriptions and three waves, in Azure.
fn file(head: &str, kubernetes: &str, defaults: &str) -> String {
    let entry = |(name, ring, subscription): (&str, &str, u8)| {
        format!(
            "[[environment]]\nname = \"{name}\"\nring = \"{ring}\"\nsubscription = \
             \"00000000-0000-4000-8000-00000000000{subscription}\"\n"
        )
    };
    let environments: String =
        [("a", "canary", 1), ("b", "rest", 1), ("c", "rest", 1), ("d", "rest", 1), ("e", "rest", 2)]
            .map(entry)
            .concat();
    format!(
        "name = \"shops\"\nmax_failures = \"50%\"\nparallel = 10\nparallel_per_subscription = 1\n{head}\n{kubernetes}\n\
         [defaults]\ncloud = \"azure\"\nkubeconfig = \"kubeconfig\"\nauth = \"cli\"\nresource_group = \"rg-{{name}}\"\n\
         domain = \"{{name}}.example.com\"\n{defaults}\n[defaults.cluster]\nname = \"aks-{{name}}\"\n{environments}"
    )
}

const STATE: &str =
    "state = { account = \"contosostate\" }\nwaves = [{ ring = \"canary\" }, { ring = \"rest\" }]";

fn with_file(text: &str) -> TestEnvironment {
    let env = TestEnvironment::instant();
    env.write("fleet.toml", text);
    env
}

#[test]
fn the_manifests_of_a_fleet_are_rendered() {
    let env = with_file(&file(STATE, KUBERNETES, ""))
        .with("LOCATION", "westeurope")
        .with("SSL_PFX_PASSWORD", "planted");
    let rendered = env.expect(0, &["fleet", "render", "--run", "7f3a", "--rbac", "--verify", "--nodes", "3"]);
    assert!(rendered.stderr.contains("The others are suspended"), "{}", rendered.stderr);
    assert!(
        !rendered.stdout.contains("planted") && !rendered.stdout.contains("kubeconfig"),
        "{}",
        rendered.stdout
    );
    insta::assert_snapshot!(rendered.stdout);

    // One file for each object, and an id that depends on the content only.
    let folder = env.path().join("manifests");
    let into = |folder: &Path| env.expect(0, &["fleet", "render", "-o", folder.to_str().unwrap()]);
    into(&folder);
    into(&env.path().join("again"));
    let read = |folder: &Path| std::fs::read_to_string(folder.join("wave-2-job.yaml")).unwrap();
    assert_eq!(read(&folder), read(&env.path().join("again")));
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let of_waves = ["wave-1-config-map.yaml", "wave-1-job.yaml", "wave-2-config-map.yaml", "wave-2-job.yaml"];
    assert_eq!(names, [&["namespace.yaml", "role.yaml", "service-account.yaml"][..], &of_waves].concat());
}

#[test]
fn what_pods_would_lack_is_refused_before_anything_is_printed() {
    for (text, expected) in [
        (file("", KUBERNETES, ""), "the journals are in the state folder of this machine"),
        (file(STATE, "[kubernetes]\nkeep = \"1y\"", ""), "kubernetes.image is not set"),
        (
            file(STATE, "[kubernetes]\nnamespace = \"Land Fall\"", ""),
            "`kubernetes.namespace` is \"Land Fall\"",
        ),
        (file(STATE, KUBERNETES, "certificate.password = \"planted\""), "certificate.password is a secret"),
        (
            file(STATE, KUBERNETES, "certificate.pfx = \"site.pfx\""),
            "certificate.pfx is \"site.pfx\", relative",
        ),
        (file(STATE, KUBERNETES, "endpoints.ca_file = \"large.pem\""), "a ConfigMap holds"),
    ] {
        let env = with_file(&text);
        env.write("large.pem", format!("-----BEGIN CERTIFICATE-----\n{}", "x".repeat(1_100_000)));
        let refused = env.expect(2, &["--config", "fleet.toml", "fleet", "render"]);
        let message = in_one_line(&refused);
        assert!(message.contains(expected) && !message.contains("planted"), "{expected}: {message}");
        assert_eq!(refused.stdout, "");
    }
    // A Secret gives the password.
    let secret = format!(
        "{KUBERNETES}[kubernetes.secret_variables]\nSSL_PFX_PASSWORD = {{ secret = \"pfx\", key = \"password\" }}\n"
    );
    let env = with_file(&file(STATE, &secret, "certificate.password = \"planted\""));
    let rendered = env.expect(0, &["fleet", "render"]).stdout;
    assert!(!rendered.contains("planted") && rendered.contains("secretKeyRef:"), "{rendered}");
}

/// Returns the data of a rendered ConfigMap: its literal blocks.
fn data(config_map: &str) -> Vec<(String, String)> {
    let mut data: Vec<(String, String)> = Vec::new();
    for line in config_map.lines().skip_while(|line| *line != "data:").skip(1) {
        match (line.strip_prefix("    "), line.strip_suffix(": |"), data.last_mut()) {
            (Some(text), _, Some((_, content))) => content.push_str(&format!("{text}\n")),
            (None, Some(name), _) => data.push((name.trim().to_owned(), String::new())),
            _ => break,
        }
    }
    data
}

/// Writes the files of the wave into a machine, as a pod would have them; returns the path of the list.
fn mounted(team: &Team, at: usize) -> PathBuf {
    let machine = &team.machines[at];
    let facts = team.sim.connection();
    machine.write("fleet.toml", format!("{}{KUBERNETES}", fleet_state::file(facts, "", "")));
    machine.expect(0, &["fleet", "render", "-o", "manifests"]);
    let config_map =
        std::fs::read_to_string(machine.path().join("manifests/wave-1-config-map.yaml")).unwrap();
    let files = data(&config_map);
    assert_eq!(files.len(), 2, "the list, and the authorities once: {config_map}");
    for (name, content) in files {
        machine.write(&format!("pod/{name}"), content);
    }
    machine.path().join("pod/wave.json")
}

/// Returns the last event of a pod.
fn result(output: &CommandOutput) -> Value {
    output.events().into_iter().rfind(|event| event["event"] == "environment").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_one_environment_of_the_list() {
    with_team(7_000, Speed::Instant, |team| {
        let one = &team.machines[0];
        one.expect(0, &["state", "init"]);
        let list = mounted(team, 0);
        let list = list.to_str().unwrap();
        let pod = |index: &'static str| {
            ["fleet", "one", "--list", list, "--state-dir", "work/state", "--index", index, "--in-container"]
        };
        // An empty volume of a pod is open to everyone in the pod.
        let work = one.path().join("work");
        std::fs::create_dir(&work).unwrap();
        std::fs::set_permissions(&work, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let refused = one.expect(2, &pod("1")[..8]);
        assert!(refused.stdout.contains("every user may write to it"), "{}", refused.stdout);
        let created = one.expect(0, &pod("1"));
        let event = result(&created);
        assert_eq!((&event["environment"], &event["outcome"]), (&"b".into(), &"ready".into()), "{event}");
        assert!(
            created.events().iter().any(|event| event["event"] == "finished" && event["environment"] == "b")
        );
        assert_eq!(result(&one.expect(0, &pod("1")))["outcome"], "unchanged");
        let missing = one.expect(2, &pod("3"));
        assert!(in_one_line(&missing).contains("it has 3 environments"), "{}", missing.stderr);
        // The index of a Job, and a status that needs no journal.
        let job = TestEnvironment::instant().with("JOB_COMPLETION_INDEX", "2");
        let refused = job.expect(3, &["fleet", "one", "--list", list]);
        assert_eq!(result(&refused)["environment"], "c", "no credential: {}", refused.stdout);
        let status = one.expect(0, &["fleet", "status", "--format", "json"]).summary();
        let states: Vec<&Value> =
            status["environments"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
        assert_eq!(states, ["never run", "ready", "never run"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_for_the_lease_of_a_dead_one() {
    with_team(7_100, Speed::Times(60.0), |team| {
        let lists = [mounted(team, 0), mounted(team, 1)];
        let [one, two] = &team.machines;
        one.expect(0, &["state", "init"]);
        let pod = |at: usize| ["fleet", "one", "--index", "0", "--list", lists[at].to_str().unwrap()];
        let mut dead = RunningProcess::start(one, &pod(0));
        dead.until_step("started", "cluster-ready");
        let process = format!("process {}", dead.id());
        dead.kill();
        let mut waiting = RunningProcess::start(two, &pod(1));
        let message = waiting.until(|event| event["event"] == "message");
        assert!(message["text"].as_str().unwrap().contains(&process), "{message}");
        team.wait_for_lease();
        let ended = waiting.end();
        assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
        assert_eq!(team.created_twice(), [""; 0]);
    })
    .await;
}
