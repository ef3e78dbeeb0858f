//! Tests of the contents of the node resource group.

use super::*;
use crate::test_cloud::TestCloud;

const GROUP: &str = "MC_rg_aks-demo_eastus";

fn cluster(cloud: &TestCloud) -> String {
    cloud.in_group("Microsoft.ContainerService/managedClusters/aks-demo?api-version=2026-06-01")
}

fn created() -> TestCloud {
    let mut cloud = TestCloud::new();
    let pool = json!({ "name": "pool", "mode": "System", "vmSize": "Standard_D4s_v5", "count": 2 });
    let body = json!({
        "location": "eastus", "identity": { "type": "SystemAssigned" },
        "properties": { "dnsPrefix": "demo", "agentPoolProfiles": [pool] },
    });
    assert_eq!(cloud.put(&cluster(&cloud), &body).status, 201);
    cloud.advance(600.0);
    cloud
}

fn listed(cloud: &mut TestCloud) -> Vec<String> {
    let path = cloud.path(&format!("/resourceGroups/{GROUP}/resources?api-version=2024-11-01"));
    let answer = cloud.get(&path).value();
    let list = answer["value"].as_array().cloned().unwrap_or_default();
    list.iter().map(|one| crate::arm::id::name(text(&one["type"])).to_owned()).collect()
}

/// Creates a Service of the type LoadBalancer in the cluster and waits for its address.
fn add_service(cloud: &mut TestCloud, uid: &str) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "default" },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }], "selector": { "a": "b" } },
    });
    let path = "/api/v1/namespaces/default/services";
    let request = crate::request::Request::new(http::Method::POST, "x", path).with_json(&service);
    let now = cloud.now;
    let store = crate::arm::clusters::fault_hooks::store_mut(&mut cloud.state, uid).unwrap();
    let answer = crate::kubernetes::serve(store, &request, "masterclient", now).reply;
    assert_eq!(answer.status, 201, "{answer:?}");
    cloud.advance(120.0);
}

#[test]
fn the_node_resource_group_has_the_contents_that_aks_creates() {
    let mut cloud = created();
    let mut kinds = listed(&mut cloud);
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "loadBalancers",
            "networkSecurityGroups",
            "publicIPAddresses",
            "userAssignedIdentities",
            "virtualMachineScaleSets"
        ]
    );
    let shown = cloud.get(&cluster(&cloud)).value();
    let outbound =
        text(&shown["properties"]["networkProfile"]["loadBalancerProfile"]["effectiveOutboundIPs"][0]["id"]);
    let outbound = cloud.get(&format!("{outbound}?api-version=2025-07-01")).value();
    assert_eq!(outbound["properties"]["ipAddress"], "203.0.113.1");
    let kubelet = text(&shown["properties"]["identityProfile"]["kubeletidentity"]["resourceId"]).to_owned();
    let kubelet = cloud.get(&format!("{kubelet}?api-version=2024-11-30")).value();
    assert_eq!(
        kubelet["properties"]["clientId"],
        shown["properties"]["identityProfile"]["kubeletidentity"]["clientId"]
    );
}

#[test]
fn a_service_adds_a_public_address_and_the_deletion_of_the_cluster_removes_everything() {
    let mut cloud = created();
    let shown = cloud.get(&cluster(&cloud)).value();
    let uid = text(&shown["properties"]["resourceUID"]).to_owned();
    add_service(&mut cloud, &uid);
    let addresses = cloud.path("/providers/Microsoft.Network/publicIPAddresses?api-version=2025-07-01");
    let found = cloud.get(&addresses).value()["value"].clone();
    let of_service: Vec<&Value> = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["tags"]["k8s-azure-service"] == "default/web")
        .collect();
    assert_eq!(of_service.len(), 1, "{found}");
    assert_eq!(of_service[0]["properties"]["ipAddress"], "127.0.0.11");
    let balancer = text(&of_service[0]["properties"]["ipConfiguration"]["id"]).to_owned();
    let (balancer, front_end) = balancer.split_once("/frontendIPConfigurations/").unwrap();
    let balancer = cloud.get(&format!("{balancer}?api-version=2025-07-01")).value();
    let fronts = balancer["properties"]["frontendIPConfigurations"].as_array().unwrap();
    assert!(fronts.iter().any(|front| front["name"] == front_end), "{balancer}");
    assert_eq!(balancer["properties"]["loadBalancingRules"][0]["properties"]["frontendPort"], 80);

    assert_eq!(cloud.delete(&cluster(&cloud)).status, 202);
    cloud.advance(600.0);
    assert_eq!(cloud.get(&addresses).value()["value"], json!([]));
    assert!(cloud.state.tracked.is_empty());
}
