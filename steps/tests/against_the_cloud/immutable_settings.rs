//! Immutable fields of the services: refused before any change, with the reason and the remedy.

use crate::fixture::Fixture;
use landfall_engine::{Action, Kind};
use serde_json::json;

/// The plan and the run must refuse this step with these words, and write nothing.
async fn assert_refused(fixture: &Fixture, step: &str, kind: Kind, words: &[&str]) {
    let mark = fixture.mark();
    let plan = fixture.plan().await;
    let planned = plan.steps.iter().find(|planned| planned.step == step).unwrap();
    assert_eq!(planned.action, Action::Refuse, "{planned:#?}");
    let result = fixture.up().await;
    let error = result.error(step);
    assert_eq!(error.kind, kind, "{error:#?}");
    let text = format!("{} {}", error.causes.join("; "), error.hint.as_deref().unwrap_or_default());
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    assert_eq!(fixture.writes(mark), [""; 0]);
}

#[tokio::test]
async fn another_region() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    fixture.settings.location = "westeurope".to_owned();
    let words = ["is in eastus, but westeurope is required", "set location back"];
    assert_refused(&fixture, "resource-group", Kind::Input, &words).await;
}

#[tokio::test]
async fn another_prefix_of_a_subnet_in_use() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    fixture.settings.network.subnet_prefix = "10.0.8.0/22".parse().unwrap();
    let words = ["in use by", "its range cannot become 10.0.8.0/22", "set network.subnet_prefix back"];
    assert_refused(&fixture, "network", Kind::Input, &words).await;
}

#[tokio::test]
async fn another_subnet_of_the_node_pool() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let mut network = fixture.get(&fixture.network_id()).await;
    network["properties"].as_object_mut().unwrap().remove("provisioningState");
    let other = json!({ "name": "snet-new", "properties": { "addressPrefix": "10.0.8.0/22" } });
    network["properties"]["subnets"].as_array_mut().unwrap().push(other);
    fixture.put(&fixture.network_id(), network).await;
    fixture.settings.network.subnet = "snet-new".to_owned();
    fixture.settings.network.subnet_prefix = "10.0.8.0/22".parse().unwrap();
    let words = ["has its nodes in", "snet-new is required"];
    assert_refused(&fixture, "cluster", Kind::Foreign, &words).await;
}

#[tokio::test]
async fn the_immutable_settings_of_a_cluster() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    fixture.settings.cluster.node_size = "Standard_D8s_v5".to_owned();
    fixture.settings.cluster.service_cidr = "10.2.0.0/16".parse().unwrap();
    fixture.settings.cluster.dns_service_ip = "10.2.0.10".parse().unwrap();
    fixture.settings.node_resource_group = "rg-elsewhere".to_owned();
    let words = [
        "cluster.node_size is Standard_D4s_v5",
        "cluster.service_cidr is 10.1.0.0/16",
        "cluster.dns_service_ip is 10.1.0.10",
        "node_resource_group is rg-demo-nodes",
        "delete the environment and create it again",
    ];
    assert_refused(&fixture, "cluster", Kind::Input, &words).await;
}

#[tokio::test]
async fn another_kubernetes_version() {
    let mut fixture = Fixture::instant().await;
    let Some([earlier, later]) = fixture.versions().await else { return };
    fixture.settings.cluster.version = Some(earlier);
    fixture.up_ready().await;
    let words = [&format!("but the settings have {later}"), "az aks upgrade"];
    fixture.settings.cluster.version = Some(later.clone());
    assert_refused(&fixture, "cluster", Kind::Input, &words).await;
}

#[tokio::test]
async fn a_foreign_cluster_with_another_network_plugin() {
    let fixture = Fixture::instant().await;
    let subnet = crate::cluster::network(&fixture).await;
    let mut body = crate::cluster::body(&subnet, true);
    body["properties"]["networkProfile"]["networkPlugin"] = json!("kubenet");
    fixture.put(&fixture.cluster_id(), body).await;
    assert_cluster_refused(&fixture).await;
}

/// The vault and its roles are created concurrently: only the cluster is refused.
async fn assert_cluster_refused(fixture: &Fixture) {
    let result = fixture.up().await;
    let error = result.error("cluster");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.causes[0].contains("network plugin kubenet"), "{error:#?}");
    assert_eq!(fixture.writes_at(0, "managedClusters/aks-demo").len(), 1, "only the stranger's own PUT");
}
