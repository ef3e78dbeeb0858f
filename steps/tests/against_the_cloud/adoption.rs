//! An environment that a script or a colleague made: used as it is, never ours.

use crate::bench::Bench;
use landfall_engine::{Action, How};
use serde_json::{Value, json};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/echo-canary";

/// Everything is there, and nothing says that we made it: no journal, no mark, a route that kubectl applied.
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
    // Without a memory, the names can be looked at only when the gateways are as they should be.
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
async fn down_takes_nothing_of_it() {
    let bench = somebodys().await;
    bench.up_ready().await;
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.report.undone.len(), 1, "the context alone: {:?}", told.report.undone);
    assert_eq!(bench.writes(mark), [""; 0]);
    assert_ne!(bench.get(&bench.cluster_id()).await, Value::Null);
}
