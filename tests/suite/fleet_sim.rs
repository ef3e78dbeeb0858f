//! `landfall fleet sim`: one process serves the simulated clouds of a fleet, and every command uses them.

use crate::{environment::TestEnvironment, running_process::RunningProcess};
use serde_json::Value;
use std::{cell::RefCell, path::PathBuf};

const FLEET: &str = "[defaults]\nresource_group = \"rg-{name}\"\ndomain = \"{name}.example.com\"\n\
                     [[environment]]\nname = \"shop-a\"\n[[environment]]\nname = \"shop-b\"\n";

fn sim_folder(env: &TestEnvironment, name: &str) -> PathBuf {
    env.path().join(".landfall").join(name).join("sim")
}

fn serve(env: &TestEnvironment, arguments: &[&str]) -> (RunningProcess, Vec<Value>) {
    let mut server = RunningProcess::start(env, &[&["fleet", "sim"], arguments].concat());
    let served = RefCell::new(Vec::new());
    server.until(|event| {
        if event["event"] == "serving" {
            served.borrow_mut().push(event.clone());
        }
        event["event"] == "serving_all"
    });
    (server, served.into_inner())
}

fn end(server: RunningProcess) {
    server.signal("INT");
    let output = server.end();
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert_eq!(output.events().last().unwrap()["event"], "ended", "{}", output.stdout);
}

#[test]
fn the_commands_of_a_fleet_use_the_clouds_that_one_process_serves() {
    let env = TestEnvironment::instant();
    env.write("fleet.toml", FLEET);
    let (server, served) = serve(&env, &[]);
    let names: Vec<&str> = served.iter().map(|event| event["environment"].as_str().unwrap()).collect();
    assert_eq!(names, ["shop-a", "shop-b"]);
    assert!(served.iter().all(|event| event["pid"] == server.id()), "{served:?}");
    assert_ne!(served[0]["port"], served[1]["port"]);

    let refused = env.expect(4, &["fleet", "sim"]).stderr;
    assert!(refused.contains("`landfall fleet sim`") && refused.contains("environment shop-"), "{refused}");
    let up = env.expect(0, &["fleet", "up", "--verify", "--format", "json"]);
    assert_eq!(up.summary()["ready"], 2);
    let one = env.expect(0, &["--environment", "shop-a", "sim", "env"]).stdout;
    assert!(one.contains(&format!("http://127.0.0.1:{}", served[0]["port"])), "{one}");
    assert!(sim_folder(&env, "shop-b").join("serving.json").exists());
    end(server);

    for name in ["shop-a", "shop-b"] {
        assert!(!sim_folder(&env, name).join("serving.json").exists(), "{name}");
        let log = std::fs::read_to_string(sim_folder(&env, name).join("ledger.jsonl")).unwrap();
        assert!(log.contains("managedClusters"), "the requests of {name} went to its own cloud");
    }
    let again = env.expect(0, &["fleet", "up", "--format", "json"]);
    assert_eq!(again.summary()["unchanged"], 2, "the state outlives the server");
}

#[test]
fn selected_clouds_are_served_and_none_of_azure() {
    let env = TestEnvironment::instant();
    env.write("fleet.toml", FLEET);
    let (server, served) = serve(&env, &["--select", "shop-b"]);
    assert_eq!(served.len(), 1);
    assert_eq!(served[0]["environment"], "shop-b");
    assert!(!sim_folder(&env, "shop-a").exists());
    end(server);
    let azure = FLEET.replace("[defaults]", "[defaults]\ncloud = \"azure\"\ncluster.name = \"aks-{name}\"");
    env.write("fleet.toml", azure);
    let refused = env.expect(2, &["fleet", "sim"]).stderr;
    assert!(refused.contains("cloud is azure"), "{refused}");
}
