//! Faults of the preconditions: the group, the cluster, its nodes, its gateway control plane.

use super::{Case, case};
use serde_json::json;

const ISTIOD: &str = "/apis/apps/v1/namespaces/aks-istio-system/deployments/istiod";

pub const CASES: &[Case] = &[
    case!("the group is gone", "RESOURCE_GROUP_MISSING", "404", h => {
        let id = h.fixture.path(&format!("/resourceGroups/{}", crate::settings::GROUP));
        h.fixture.delete(&id).await;
    }),
    case!("the cluster is gone", "CLUSTER_MISSING", "404", h => {
        h.fixture.delete(&h.fixture.cluster_id()).await;
    }),
    case!("the cluster is stopped", "CLUSTER_STOPPED", "powerState", h => {
        h.arm("cluster-stopped");
    }),
    case!("a write to the cluster has failed", "CLUSTER_FAILED", "AllocationFailed", h => {
        h.arm("operation-failed@PUT managedclusters");
        h.touch_cluster().await;
    }),
    case!("a node pool has failed", "NODE_POOL_FAILED", "Failed", h => {
        h.arm("pool-failed");
        h.touch_cluster().await;
    }),
    case!("no node is ready", "NODES_NOT_READY", "0 of", h => {
        h.arm("nodes-lost");
    }),
    case!("the cluster signs in through Entra ID, without a role for us", "CLUSTER_ROLE_MISSING", "Microsoft Entra ID", h => {
        h.cluster(|cluster| {
            cluster["disableLocalAccounts"] = json!(true);
            cluster["aadProfile"] = json!({ "managed": true, "enableAzureRBAC": true });
        }).await;
    }),
    case!("the API server admits others only", "CLUSTER_ADDRESS_NOT_AUTHORIZED", "could not read the objects", h => {
        h.cluster(|cluster| {
            cluster["apiServerAccessProfile"] = json!({ "authorizedIPRanges": ["203.0.113.7"] });
        }).await;
    }),
    case!("the group is read-only", "READ_ONLY_LOCK", "its level is ReadOnly", h => {
        let group = h.fixture.path(&format!("/resourceGroups/{}", crate::settings::GROUP));
        h.fixture.lock_as(&group, "ReadOnly").await;
    }),
    case!("the gateways' add-on is off", "GATEWAY_API_OFF", "appRoutingIstio.mode", h => {
        h.cluster(|cluster| {
            cluster["ingressProfile"]["webAppRouting"]["gatewayAPIImplementations"]["appRoutingIstio"]["mode"] =
                json!("Disabled");
        }).await;
    }),
    case!("istiod does not run", "CONTROL_PLANE_DOWN", "istiod", h => {
        h.kubectl.merge(ISTIOD, &json!({ "spec": { "replicas": 0 } })).await;
    }),
];
