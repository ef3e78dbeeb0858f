//! An accepted write with an unreadable answer: it left something, which is owned.

use crate::environment::TestEnvironment;
use serde_json::Value;

#[test]
fn an_accepted_write_with_an_unreadable_response_leaves_an_owned_resource() {
    // The sweep covers every write of every step; these cases check the messages for people.
    for (step, fault) in [
        ("cluster", "answer-foreign@PUT managedClusters"),
        ("resource-group", "answer-page@PUT management."),
        ("network", "answer-half@PUT virtualNetworks"),
        ("certificate", "answer-page@POST /import"),
        ("apps", "answer-moved@PATCH /deployments/httpbin"),
    ] {
        let env = TestEnvironment::instant();
        let run =
            env.command(&["up", "--format", "json"]).env("LANDFALL_SIM_FAULTS", fault).output().unwrap();
        let text = String::from_utf8(run.stdout).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let failed = events.iter().find(|event| event["event"] == "failed");
        let failed = failed.unwrap_or_else(|| panic!("{fault}: {text}"));
        assert_eq!((&failed["step"], &failed["residue"]), (&step.into(), &"something".into()), "{failed}");
        assert_eq!(run.status.code(), Some(1));
        assert_eq!(env.expect(0, &["up", "--format", "json"]).summary()["outcome"], "ready");
        env.expect(0, &["down", "--yes"]);
        assert!(env.expect(0, &["down", "--yes"]).stderr.contains("Nothing to delete"), "{fault}");
    }
}

#[test]
fn a_cluster_with_an_unreadable_response_is_deleted_by_down() {
    for fault in ["answer-page", "answer-foreign"] {
        let env = TestEnvironment::instant();
        let faults = format!("{fault}@PUT managedClusters");
        env.command(&["up"]).env("LANDFALL_SIM_FAULTS", faults).output().unwrap();
        env.expect(0, &["down", "--yes"]);
        assert_eq!(env.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1, "{fault}");
        assert_eq!(env.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1, "{fault}");
        assert!(env.count("DELETE", "/resourcegroups/rg-aks-istio-gateway-demo") > 0, "{fault}");
    }
}
