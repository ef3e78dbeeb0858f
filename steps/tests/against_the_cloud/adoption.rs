//! A foreign environment from a script or a colleague: used as it is, never owned.

use crate::bench::Bench;
use landfall_engine::{Action, How};
use serde_json::{Value, json};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/echo-canary";

/// Creates everything without a sign of landfall: no journal, no mark, a route that kubectl applied.
async fn somebodys() -> Bench {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    std::fs::remove_dir_all(bench.home.path().join("state")).unwrap();
    std::fs::remove_file(&bench.wish.kubeconfig).unwrap();
    for id in [bench.network_id(), bench.vault_id(), bench.cluster_id()] {
        let mut body = bench.get(&id).await;
        for read_only in ["provisioningState", "powerState"] {
            body["properties"].as_object_mut().unwrap().remove(read_only);
        }
        body["tags"] = json!({ "Environment": "Script" });
        bench.put(&id, body).await;
    }
    let kubectl = bench.kubectl().await;
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
    bench
}

#[tokio::test]
async fn what_is_right_is_used_unchanged_and_the_takeover_of_a_route_is_planned_by_name() {
    let bench = somebodys().await;
    let plan = bench.plan().await;
    let open: Vec<_> = plan.steps.iter().filter(|planned| planned.action != Action::Ok).collect();
    let names: Vec<&str> = open.iter().map(|planned| planned.step).collect();
    // Without a record, the names can be checked only when the gateways are in sync.
    assert_eq!(names, ["kubeconfig", "gateways", "dns"], "{open:#?}");
    let told: Vec<String> = open[1].changes.iter().map(ToString::to_string).collect();
    let takeover = "HTTPRoute echo-canary: metadata.managedFields [\"kubectl\"] → [\"landfall\"]";
    assert!(told.contains(&takeover.to_owned()), "{told:#?}");
    assert_eq!(told.len(), 3, "two weights, and who owns them: {told:#?}");

    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.counts(), (15, 1, 1));
    assert_eq!(told.how("gateways"), Some(How::Changed));
    let written = bench.writes(mark).into_iter();
    let stray: Vec<String> = written.filter(|line| !line.contains("gateway.networking")).collect();
    assert_eq!(stray, [""; 0]);
    assert_eq!(bench.get(&bench.cluster_id()).await["tags"], json!({ "Environment": "Script" }));
    let memory = bench.memory();
    let ours: Vec<&String> = memory.0.iter().filter(|(_, past)| past.ours).map(|(step, _)| step).collect();
    assert_eq!(ours, ["kubeconfig"], "only the context is ours");
}

#[tokio::test]
async fn without_a_journal_everything_is_discovered_and_goes_when_it_is_adopted() {
    let bench = somebodys().await;
    let found = bench.discover().await;
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
    bench.adopt().await;
    // The route from kubectl was found and is adopted.
    assert_eq!(bench.survey().await.in_cluster, [""; 0]);
    bench.down_ready().await;
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn what_was_found_in_a_cluster_of_ours_is_not_foreign_once_its_step_is_adopted() {
    let bench = Bench::instant().await;
    bench.up_until(|step| step == "gateways").await;
    let kubectl = bench.kubectl().await;
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "echo-canary", "namespace": "default" },
        "spec": {
            "hostnames": ["echo.demo.example.com"],
            "parentRefs": [{ "name": "echo-gateway" }],
            "rules": [{ "backendRefs": [{ "name": "echo-v1", "port": 80 }] }],
        },
    });
    kubectl.delete_if_there(ROUTE).await;
    kubectl.apply(ROUTE, &route).await;
    bench.up_ready().await;
    assert_eq!(bench.survey().await.in_cluster, ["HTTPRoute default/echo-canary"]);
    bench.adopt().await;
    assert_eq!(bench.survey().await.in_cluster, [""; 0]);
    bench.down_ready().await;
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn records_that_were_found_stay_known_when_the_gateways_are_gone() {
    let bench = Bench::instant().await;
    let group = bench.path("/resourceGroups/rg-names");
    bench.put(&group, json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", crate::settings::DOMAIN);
    bench.put(&zone, json!({ "location": "global" })).await;
    bench.up_ready().await;
    // A person entered the records by hand, and the journal contains them as found.
    let mut memory = bench.memory();
    let published = memory.0.remove("dns").unwrap().output.unwrap();
    for (host, _) in published["records"].as_array().unwrap().iter().map(|r| (r[0].as_str().unwrap(), ())) {
        let name = host.strip_suffix(".demo.example.com").unwrap();
        let mut record = bench.get(&format!("{zone}/A/{name}")).await;
        record["properties"]["metadata"] = json!({});
        bench.put(&format!("{zone}/A/{name}"), json!({ "properties": record["properties"] })).await;
    }
    bench.forget_and_find("dns", published).await;
    bench.down_ready().await;
    assert_ne!(bench.get(&format!("{zone}/A/echo")).await, Value::Null);
    assert!(bench.memory().past("dns").is_some_and(|past| past.output.is_some()), "it is still known");
    bench.adopt().await;
    bench.down_ready().await;
    assert_eq!(bench.get(&format!("{zone}/A/echo")).await, Value::Null);
}

#[tokio::test]
async fn down_takes_nothing_of_it() {
    let bench = somebodys().await;
    bench.up_ready().await;
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.report.undone.len(), 1, "the context alone: {:?}", told.report.undone);
    assert_eq!(bench.writes(mark), [""; 0]);
    assert_ne!(bench.get(&bench.cluster_id()).await, Value::Null);
}
