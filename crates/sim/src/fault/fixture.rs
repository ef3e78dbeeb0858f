//! Fixtures for the tests of faults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::Armed;
use crate::request::{Reply, Request};
use crate::test_cloud::{TestCloud, target};

/// The cluster of the tests.
const CLUSTER: &str = "Microsoft.ContainerService/managedClusters/aks-demo";

/// Arms a fault by its text.
pub(super) fn arm(cloud: &mut TestCloud, text: &str) {
    cloud.state.faults.armed.push(Armed::read(text).expect("the text names a fault"));
}

/// Returns the path of a resource group.
pub(super) fn group(cloud: &TestCloud, name: &str) -> String {
    cloud.path(&format!("/resourceGroups/{name}?api-version=2024-11-01"))
}

/// Returns whether a resource group exists.
pub(super) fn exists(cloud: &TestCloud, name: &str) -> bool {
    cloud.state.groups.contains_key(name)
}

/// Returns the path of a network.
pub(super) fn network(cloud: &TestCloud) -> String {
    cloud.in_group("Microsoft.Network/virtualNetworks/vn?api-version=2025-07-01")
}

/// Returns the body of a network.
pub(super) fn network_body() -> Value {
    json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } })
}

/// Returns the path of the cluster, or of something below it.
pub(super) fn cluster(cloud: &TestCloud, rest: &str) -> String {
    cloud.in_group(&format!("{CLUSTER}{rest}?api-version=2026-06-01"))
}

/// Returns the body of the cluster.
pub(super) fn cluster_body() -> Value {
    json!({
        "location": "eastus",
        "identity": { "type": "SystemAssigned" },
        "sku": { "name": "Base", "tier": "Standard" },
        "properties": {
            "kubernetesVersion": "1.34",
            "dnsPrefix": "demo",
            "nodeResourceGroup": "rg-nodes",
            "agentPoolProfiles": [{
                "name": "nodepool1", "mode": "System", "type": "VirtualMachineScaleSets", "osType": "Linux",
                "vmSize": "Standard_D4s_v5", "count": 2,
            }],
            "networkProfile": { "networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10" },
            "addonProfiles": { "azureKeyvaultSecretsProvider": { "enabled": true } },
            "ingressProfile": {
                "webAppRouting": { "gatewayAPIImplementations": { "appRoutingIstio": { "mode": "Enabled" } } },
                "gatewayAPI": { "installation": "Standard" },
            },
        },
    })
}

/// Sends a PUT for the cluster.
pub(super) fn put_cluster(cloud: &mut TestCloud) -> Reply {
    let at = cluster(cloud, "");
    cloud.put(&at, &cluster_body())
}

/// Returns the cluster's properties.
pub(super) fn properties(cloud: &mut TestCloud) -> Value {
    let at = cluster(cloud, "");
    cloud.get(&at).value()["properties"].clone()
}

/// Creates the cluster and waits until it exists.
pub(super) fn make_cluster(cloud: &mut TestCloud) {
    assert_eq!(put_cluster(cloud).status, 201);
    cloud.advance(281.0);
}

/// Polls the operation that a reply announces.
pub(super) fn follow(cloud: &mut TestCloud, reply: &Reply) -> Reply {
    let at = target(reply, "azure-asyncoperation");
    cloud.get(&at)
}

/// A client of the cluster's Kubernetes API.
pub(super) struct TestCluster {
    pub(super) uid: String,
    token: String,
}

impl TestCluster {
    /// Reads the kubeconfig and signs in.
    pub(super) fn of(cloud: &mut TestCloud) -> Self {
        let at = cluster(cloud, "/listClusterAdminCredential");
        let request = cloud.request(Method::POST, &at);
        let answer = cloud.send(&request).value();
        let text =
            STANDARD.decode(answer["kubeconfigs"][0]["value"].as_str().expect("a text")).expect("base64");
        let config: Value = serde_saphyr::from_slice(&text).expect("YAML");
        let token = config["users"][0]["user"]["token"].as_str().expect("a token").to_owned();
        let uid = properties(cloud)["resourceUID"].as_str().expect("a UID").to_owned();
        Self { uid, token }
    }

    /// Creates a request.
    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        Request::new(method, "127.0.0.1", &format!("/kubernetes/{}{path}", self.uid))
            .with_header("authorization", &format!("Bearer {}", self.token))
    }

    /// Sends a GET.
    pub(super) fn get(&self, cloud: &mut TestCloud, path: &str) -> Reply {
        cloud.send(&self.request(Method::GET, path))
    }

    /// Applies an object; `path` contains its name and the field manager.
    pub(super) fn apply(&self, cloud: &mut TestCloud, path: &str, object: &Value) -> Reply {
        let mut request = self.request(Method::PATCH, path).with_json(object);
        let kind = "application/apply-patch+yaml".parse().expect("a header");
        request.headers.insert("content-type", kind);
        cloud.send(&request)
    }
}
