//! A foreign environment from a script or a colleague: used as it is, never owned.

use crate::fixture::Fixture;
use landfall_engine::{Action, How};
use serde_json::{Value, json};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/echo-canary";

/// Creates everything without a sign of landfall: no journal, no mark, a route that kubectl applied.
async fn foreign_environment() -> Fixture {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    std::fs::remove_dir_all(fixture.home.path().join("state")).unwrap();
    std::fs::remove_file(&fixture.settings.kubeconfig).unwrap();
    for id in [fixture.network_id(), fixture.vault_id(), fixture.cluster_id()] {
        let mut body = fixture.get(&id).await;
        for read_only in ["provisioningState", "powerState"] {
            body["properties"].as_object_mut().unwrap().remove(read_only);
        }
        body["tags"] = json!({ "Environment": "Script" });
        fixture.put(&id, body).await;
    }
    let kubectl = fixture.kubectl().await;
    let mut spec = kubectl.get(ROUTE).await["spec"].clone();
    for (backend, weight) in [(0, 80), (1, 20)] {
        spec["rules"][0]["backendRefs"][backend]["weight"] = json!(weight);
    }
    kubectl.delete(ROUTE).await;
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "echo-canary", "namespace": "default" }, "spec": spec,
    });
    kubectl.apply(ROUTE, &route).await;
    fixture
}

#[tokio::test]
async fn in_sync_resources_are_unchanged_and_a_field_takeover_is_in_the_plan() {
    let fixture = foreign_environment().await;
    let plan = fixture.plan().await;
    let open: Vec<_> = plan.steps.iter().filter(|planned| planned.action != Action::Ok).collect();
    let names: Vec<&str> = open.iter().map(|planned| planned.step).collect();
    assert_eq!(names, ["kubeconfig", "gateways"], "{open:#?}");
    let result: Vec<String> = open[1].changes.iter().map(ToString::to_string).collect();
    let takeover = "HTTPRoute echo-canary: metadata.managedFields [\"kubectl\"] → [\"landfall\"]";
    assert!(result.contains(&takeover.to_owned()), "{result:#?}");
    assert_eq!(result.len(), 3, "two weights, and who owns them: {result:#?}");

    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.counts(), (17, 1, 1));
    assert_eq!(result.how("gateways"), Some(How::Changed));
    let written = fixture.writes(mark).into_iter();
    let unexpected: Vec<String> = written.filter(|line| !line.contains("gateway.networking")).collect();
    assert_eq!(unexpected, [""; 0]);
    assert_eq!(fixture.get(&fixture.cluster_id()).await["tags"], json!({ "Environment": "Script" }));
    let journal_state = fixture.journal_state();
    let owned: Vec<&String> =
        journal_state.0.iter().filter(|(_, step_state)| step_state.owned).map(|(step, _)| step).collect();
    assert_eq!(owned, ["kubeconfig"], "only the context is ours");
}

#[tokio::test]
async fn records_of_a_foreign_environment_are_found_by_the_plan() {
    let fixture = foreign_environment().await;
    let group = fixture.path("/resourceGroups/rg-names");
    fixture.put(&group, json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", crate::settings::DOMAIN);
    fixture.put(&zone, json!({ "location": "global" })).await;
    let gateways = fixture.kubectl().await;
    for (gateway, hosts) in
        [("httpbin-gateway", vec!["httpbin"]), ("echo-gateway", vec!["echo", "echo-headers", "app"])]
    {
        let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/{gateway}");
        let address = gateways.get(&path).await["status"]["addresses"][0]["value"].clone();
        for host in hosts {
            let properties = json!({ "TTL": 3600, "ARecords": [{ "ipv4Address": address }] });
            fixture.put(&format!("{zone}/A/{host}"), json!({ "properties": properties })).await;
        }
    }
    let plan = fixture.plan().await;
    let open: Vec<_> = plan.steps.iter().filter(|planned| planned.action != Action::Ok).collect();
    let names: Vec<&str> = open.iter().map(|planned| planned.step).collect();
    assert_eq!(names, ["kubeconfig", "gateways"], "the records are found: {open:#?}");
    let mark = fixture.mark();
    assert_eq!(fixture.up_ready().await.how("dns"), Some(How::Found));
    assert_eq!(fixture.writes_at(mark, "dnszones"), [""; 0]);

    // A record with another address is in the way of an existing environment too.
    fixture.delete(&format!("{zone}/A/echo")).await;
    let elsewhere = json!({ "TTL": 3600, "ARecords": [{ "ipv4Address": "203.0.113.9" }] });
    fixture.put(&format!("{zone}/A/echo"), json!({ "properties": elsewhere })).await;
    let plan = fixture.plan().await;
    let dns = plan.steps.iter().find(|planned| planned.step == "dns").unwrap();
    assert_eq!(dns.action, Action::Refuse, "{dns:#?}");
}

#[tokio::test]
async fn without_a_journal_everything_is_discovered_and_deleted_once_adopted() {
    let fixture = foreign_environment().await;
    let found = fixture.discover().await;
    for step in [
        "resource-group",
        "network",
        "key-vault",
        "certificate",
        "cluster",
        "cluster-ready",
        "apps",
        "gateways",
    ] {
        assert!(found.contains(&step), "{step}: {found:?}");
    }
    fixture.adopt().await;
    // The route from kubectl was found and is adopted.
    assert_eq!(fixture.preconditions().await.in_cluster, [""; 0]);
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn a_found_object_in_an_owned_cluster_is_not_foreign_once_adopted() {
    let fixture = Fixture::instant().await;
    fixture.up_until(|step| step == "gateways").await;
    let kubectl = fixture.kubectl().await;
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "echo-canary", "namespace": "default" },
        "spec": {
            "hostnames": ["echo.demo.example.com"],
            "parentRefs": [{ "name": "echo-gateway" }],
            "rules": [{ "backendRefs": [{ "name": "echo-v1", "port": 80 }] }],
        },
    });
    kubectl.delete_if_exists(ROUTE).await;
    kubectl.apply(ROUTE, &route).await;
    fixture.up_ready().await;
    assert_eq!(fixture.preconditions().await.in_cluster, ["HTTPRoute default/echo-canary"]);
    fixture.adopt().await;
    assert_eq!(fixture.preconditions().await.in_cluster, [""; 0]);
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn found_records_stay_recorded_after_the_gateways_are_deleted() {
    let fixture = Fixture::instant().await;
    let group = fixture.path("/resourceGroups/rg-names");
    fixture.put(&group, json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", crate::settings::DOMAIN);
    fixture.put(&zone, json!({ "location": "global" })).await;
    fixture.up_ready().await;
    // A person entered the records by hand, and the journal contains them as found.
    let mut journal_state = fixture.journal_state();
    let published = journal_state.0.remove("dns").unwrap().output.unwrap();
    for (host, _) in published["records"].as_array().unwrap().iter().map(|r| (r[0].as_str().unwrap(), ())) {
        let name = host.strip_suffix(".demo.example.com").unwrap();
        let mut record = fixture.get(&format!("{zone}/A/{name}")).await;
        record["properties"]["metadata"] = json!({});
        fixture.put(&format!("{zone}/A/{name}"), json!({ "properties": record["properties"] })).await;
    }
    fixture.record_as_found("dns", published).await;
    fixture.down_ready().await;
    assert_ne!(fixture.get(&format!("{zone}/A/echo")).await, Value::Null);
    assert!(
        fixture.journal_state().step_state("dns").is_some_and(|step_state| step_state.output.is_some()),
        "it is still known"
    );
    fixture.adopt().await;
    fixture.down_ready().await;
    assert_eq!(fixture.get(&format!("{zone}/A/echo")).await, Value::Null);
}

#[tokio::test]
async fn down_deletes_nothing_of_a_foreign_environment() {
    let fixture = foreign_environment().await;
    fixture.up_ready().await;
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    assert_eq!(result.report.undone.len(), 1, "the context alone: {:?}", result.report.undone);
    assert_eq!(fixture.writes(mark), [""; 0]);
    assert_ne!(fixture.get(&fixture.cluster_id()).await, Value::Null);
}
