//! Immutable fields of the services: refused before any change, with the reason and the remedy.

use crate::bench::Bench;
use landfall_engine::{Action, Kind};
use serde_json::json;

/// The plan and the run must refuse this step with these words, and write nothing.
async fn refused(bench: &Bench, step: &str, kind: Kind, words: &[&str]) {
    let mark = bench.mark();
    let plan = bench.plan().await;
    let planned = plan.steps.iter().find(|planned| planned.step == step).unwrap();
    assert_eq!(planned.action, Action::Refuse, "{planned:#?}");
    let told = bench.up().await;
    let error = told.error(step);
    assert_eq!(error.kind, kind, "{error:#?}");
    let said = format!("{} {}", error.causes.join("; "), error.hint.as_deref().unwrap_or_default());
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    assert_eq!(bench.writes(mark), [""; 0]);
}

#[tokio::test]
async fn another_region() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    bench.wish.location = "westeurope".to_owned();
    let words = ["is in eastus, but westeurope is required", "set location back"];
    refused(&bench, "resource-group", Kind::Input, &words).await;
}

#[tokio::test]
async fn another_range_of_a_subnet_in_use() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    bench.wish.network.subnet_prefix = "10.0.8.0/22".parse().unwrap();
    let words = ["in use by", "its range cannot become 10.0.8.0/22", "set network.subnet_prefix back"];
    refused(&bench, "network", Kind::Input, &words).await;
}

#[tokio::test]
async fn another_subnet_of_the_pool() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    let mut network = bench.get(&bench.network_id()).await;
    network["properties"].as_object_mut().unwrap().remove("provisioningState");
    let other = json!({ "name": "snet-new", "properties": { "addressPrefix": "10.0.8.0/22" } });
    network["properties"]["subnets"].as_array_mut().unwrap().push(other);
    bench.put(&bench.network_id(), network).await;
    bench.wish.network.subnet = "snet-new".to_owned();
    bench.wish.network.subnet_prefix = "10.0.8.0/22".parse().unwrap();
    let words = ["has its nodes in", "snet-new is required"];
    refused(&bench, "cluster", Kind::Foreign, &words).await;
}

#[tokio::test]
async fn what_is_fixed_when_a_cluster_is_made() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    bench.wish.cluster.node_size = "Standard_D8s_v5".to_owned();
    bench.wish.cluster.service_cidr = "10.2.0.0/16".parse().unwrap();
    bench.wish.cluster.dns_service_ip = "10.2.0.10".parse().unwrap();
    bench.wish.node_resource_group = "rg-elsewhere".to_owned();
    let words = [
        "cluster.node_size is Standard_D4s_v5",
        "cluster.service_cidr is 10.1.0.0/16",
        "cluster.dns_service_ip is 10.1.0.10",
        "node_resource_group is rg-demo-nodes",
        "delete the environment and create it again",
    ];
    refused(&bench, "cluster", Kind::Input, &words).await;
}

#[tokio::test]
async fn another_version_of_kubernetes() {
    let mut bench = Bench::instant().await;
    bench.wish.cluster.version = Some("1.35".to_owned());
    bench.up_ready().await;
    bench.wish.cluster.version = Some("1.36".to_owned());
    refused(&bench, "cluster", Kind::Input, &["but the settings have 1.36", "az aks upgrade"]).await;
}

#[tokio::test]
async fn a_strangers_cluster_with_another_network_plugin() {
    let bench = Bench::instant().await;
    let subnet = crate::cluster::network(&bench).await;
    let mut body = crate::cluster::body(&subnet, true);
    body["properties"]["networkProfile"]["networkPlugin"] = json!("kubenet");
    bench.put(&bench.cluster_id(), body).await;
    refused_after_grants(&bench).await;
}

/// The vault and its roles are created concurrently: only the cluster is refused.
async fn refused_after_grants(bench: &Bench) {
    let told = bench.up().await;
    let error = told.error("cluster");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.causes[0].contains("network plugin kubenet"), "{error:#?}");
    assert_eq!(bench.writes_at(0, "managedClusters/aks-demo").len(), 1, "only the stranger's own PUT");
}
