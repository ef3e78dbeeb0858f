//! The first run creates everything, the second finds everything.

use crate::environment::TestEnvironment;
use serde_json::Value;

#[test]
fn the_first_run_creates_the_environment_and_the_second_changes_nothing() {
    let env = TestEnvironment::instant();
    let first = env.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(first["outcome"], "ready");
    assert_eq!((&first["failed"], &first["blocked"]), (&0.into(), &0.into()));
    let addresses: Vec<&str> =
        ["httpbin-gateway", "echo-gateway"].map(|name| first["gateways"][name].as_str().unwrap()).into();
    assert!(addresses.iter().all(|address| address.starts_with("127.0.0.")) && addresses[0] != addresses[1]);
    let after_first = env.request_log().len();

    let second = env.expect(0, &["up", "--format", "json"]);
    let summary = second.summary();
    assert_eq!((&summary["created"], &summary["changed"]), (&0.into(), &0.into()), "{summary}");
    assert_eq!(summary["found"], 19);
    // Checks share answers of the last second, which a busy machine may need for other things.
    let requests = |_| env.expect(0, &["up", "--format", "json"]).summary()["requests"].as_u64().unwrap();
    let mut runs = (0..5).map(requests);
    assert!(runs.any(|requests| requests <= 25), "an unchanged run sends more than 25 requests");

    let writes: Vec<Value> = env.request_log().split_off(after_first).into_iter().filter(is_write).collect();
    assert!(writes.is_empty(), "{writes:#?}");
}

/// Returns whether a request is a write. POSTs for the sign-in, the credential, names and policies change
/// nothing.
fn is_write(line: &Value) -> bool {
    let path = line["path"].as_str().unwrap();
    match line["method"].as_str().unwrap() {
        "GET" | "HEAD" => false,
        "POST" => {
            !["/token", "listClusterUserCredential", "/checkNameAvailability", "/checkPolicyRestrictions"]
                .iter()
                .any(|end| path.ends_with(end))
        }
        _ => !line["query"].to_string().contains(r#"["dryRun","All"]"#),
    }
}

#[test]
fn every_step_is_started_and_finished_in_the_order_of_the_graph() {
    let env = TestEnvironment::instant();
    let events = env.expect(0, &["up", "--format", "json"]).events();
    let opened = events.iter().find(|event| event["event"] == "opened").unwrap();
    assert_eq!((&opened["environment"], &opened["cloud"]), (&"default".into(), &"sim".into()));
    let steps = opened["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 19);
    let at = |event: &str, step: &str| events.iter().position(|e| e["event"] == event && e["step"] == step);
    for step in steps {
        assert!(at("finished", step.as_str().unwrap()).is_some(), "{step} never finished");
    }
    assert!(at("finished", "network") < at("started", "cluster"));
    assert!(at("finished", "cluster") < at("finished", "subnet-role"));
    assert!(at("finished", "tls-secret") < at("started", "gateways"));
    assert!(events.iter().all(|event| event["at"].is_string()));
}

#[test]
fn no_secret_is_in_any_state_file() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    for file in env.files() {
        // The simulated cloud stores its own secrets, and a kubeconfig is a credential by purpose.
        if file.components().any(|part| part.as_os_str() == "sim") || file.ends_with("kubeconfig") {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for word in ["PRIVATE KEY", "client-key-data", "client_secret", "eyJ"] {
            assert!(!text.contains(word), "{} holds {word}", file.display());
        }
    }
}

#[test]
fn without_a_zone_status_lists_the_dns_records_to_create() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let status = env.expect(0, &["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["dns"]["managed"], false);
    let names: Vec<&str> =
        status["dns"]["records"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.contains(&"echo-headers.demo.example.com"));
}
