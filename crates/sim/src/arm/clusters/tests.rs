use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::request::{Delivery, Reply, Request};
use crate::test_cloud::{TestCloud, code};

const PATH: &str = "/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks-demo";

pub(super) fn at(rest: &str) -> String {
    format!("{PATH}{rest}?api-version=2026-06-01")
}

pub(super) fn body() -> Value {
    json!({
        "location": "East US",
        "identity": {"type": "SystemAssigned"},
        "sku": {"name": "Base", "tier": "Standard"},
        "tags": {"Environment": "Demo"},
        "properties": {
            "kubernetesVersion": "1.34",
            "dnsPrefix": "demo",
            "nodeResourceGroup": "rg-nodes",
            "agentPoolProfiles": [{
                "name": "nodepool1", "mode": "System", "type": "VirtualMachineScaleSets", "osType": "Linux",
                "orchestratorVersion": "1.34", "vmSize": "Standard_D4s_v5", "count": 2,
                "enableAutoScaling": true, "minCount": 1, "maxCount": 3,
            }],
            "networkProfile": {"networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10"},
            "addonProfiles": {"azureKeyvaultSecretsProvider": {
                "enabled": true, "config": {"enableSecretRotation": "true", "rotationPollInterval": "2m"},
            }},
            "ingressProfile": {
                "webAppRouting": {"gatewayAPIImplementations": {"appRoutingIstio": {"mode": "Enabled"}}},
                "gatewayAPI": {"installation": "Standard"},
            },
        },
    })
}

pub(super) fn put(cloud: &mut TestCloud, body: &Value) -> Reply {
    cloud.arm(Method::PUT, &at(""), Some(body))
}

pub(super) fn get(cloud: &mut TestCloud) -> Value {
    cloud.arm(Method::GET, &at(""), None).value()
}

pub(super) fn created() -> TestCloud {
    let mut cloud = TestCloud::new();
    let accepted = put(&mut cloud, &body());
    assert_eq!(accepted.status, 201, "{accepted:?}");
    cloud.advance(281.0);
    cloud
}

/// Polls the URL of an operation.
fn follow(cloud: &mut TestCloud, reply: &Reply, header: &str) -> Reply {
    let url = reply.headers[header].to_str().unwrap();
    let path = url.split_once(&cloud.state.subscription).unwrap().1.to_owned();
    cloud.arm(Method::GET, &path, None)
}

#[test]
fn a_creation_is_accepted_with_the_principal_and_ends_with_the_identities() {
    let mut cloud = TestCloud::new();
    let accepted = put(&mut cloud, &body());
    assert_eq!(accepted.status, 201);
    assert!(accepted.headers.get("retry-after").is_none());
    assert!(accepted.headers.get("location").is_none());
    let first = accepted.value();
    assert_eq!(first["properties"]["provisioningState"], "Creating");
    assert!(first["identity"]["principalId"].is_string());
    assert!(first["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"].is_null());
    assert!(first["properties"]["identityProfile"].is_null());
    assert_eq!(first["type"], "Microsoft.ContainerService/ManagedClusters");
    assert!(first["id"].as_str().unwrap().contains("/resourcegroups/rg/"));
    assert!(cloud.state.groups.contains_key("rg-nodes"));
    assert_eq!(follow(&mut cloud, &accepted, "azure-asyncoperation").value()["status"], "InProgress");
    cloud.advance(250.0);
    assert_eq!(follow(&mut cloud, &accepted, "azure-asyncoperation").value()["status"], "ReconcilingAddons");
    cloud.advance(31.0);
    let over = follow(&mut cloud, &accepted, "azure-asyncoperation").value();
    assert_eq!(over["status"], "Succeeded");
    assert!(over["endTime"].as_str().unwrap().ends_with('Z'));
    let done = get(&mut cloud);
    let properties = &done["properties"];
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert_eq!(properties["agentPoolProfiles"][0]["provisioningState"], "Succeeded");
    assert_eq!(
        (&properties["kubernetesVersion"], &properties["currentKubernetesVersion"]),
        (&json!("1.34"), &json!("1.34.4"))
    );
    let identity = &properties["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"];
    assert!(cloud.state.directory.by_client_id(identity["clientId"].as_str().unwrap()).is_some());
    assert!(identity["resourceId"].as_str().unwrap().ends_with("/azurekeyvaultsecretsprovider-aks-demo"));
    assert_eq!(done["identity"]["principalId"], first["identity"]["principalId"]);
    assert_eq!(cloud.arm(Method::GET, &at("/operations/latest"), None).value()["status"], "Succeeded");
}

#[test]
fn a_refusal_has_no_envelope_and_leaves_nothing_behind() {
    let mut cloud = TestCloud::new();
    let mut wrong = body();
    wrong["properties"]["kubernetesVersion"] = json!("1.20");
    let refused = put(&mut cloud, &wrong);
    assert_eq!(refused.status, 400);
    assert_eq!(refused.value()["code"], "K8sVersionNotSupported");
    assert!(!cloud.state.groups.contains_key("rg-nodes"));
    assert_eq!(cloud.arm(Method::GET, &at(""), None).status, 404);
}

#[test]
fn a_second_write_waits_for_the_first() {
    let mut cloud = TestCloud::new();
    put(&mut cloud, &body());
    let busy = put(&mut cloud, &body());
    assert_eq!((busy.status.as_u16(), busy.value()["code"].clone()), (409, json!("EtagMismatch")));
    assert_eq!(busy.value()["subcode"], "PutManagedClusterAndComponents_FailedPrecondition");
    cloud.advance(281.0);
    let updating = put(&mut cloud, &body());
    assert_eq!(updating.status, 200);
    assert_eq!(updating.value()["properties"]["provisioningState"], "Updating");
    assert_eq!(code(&put(&mut cloud, &body())), "OperationNotAllowed");
    cloud.advance(91.0);
    assert_eq!(get(&mut cloud)["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn conditions_guard_a_write() {
    let mut cloud = TestCloud::new();
    let none: &[(&'static str, &str)] = &[("if-none-match", "*")];
    assert_eq!(cloud.arm_with(Method::PUT, &at(""), Some(&body()), none).status, 201);
    cloud.advance(281.0);
    assert_eq!(cloud.arm_with(Method::PUT, &at(""), Some(&body()), none).status, 412);
    let stale = cloud.arm_with(Method::PUT, &at(""), Some(&body()), &[("if-match", "\"other\"")]);
    assert_eq!((stale.status.as_u16(), code(&stale).as_str()), (412, "PreconditionFailed"));
    let tag = get(&mut cloud)["eTag"].as_str().unwrap().to_owned();
    assert_eq!(cloud.arm_with(Method::PUT, &at(""), Some(&body()), &[("if-match", &tag)]).status, 200);
}

#[test]
fn what_is_fixed_at_creation_cannot_change() {
    let mut cloud = created();
    for (pointer, value, target) in [
        ("/properties/dnsPrefix", json!("other"), "dnsPrefix"),
        ("/properties/nodeResourceGroup", json!("rg-other"), "nodeResourceGroup"),
        ("/properties/networkProfile/serviceCidr", json!("10.2.0.0/16"), "networkProfile.serviceCidr"),
        ("/properties/agentPoolProfiles/0/vmSize", json!("Standard_D2s_v5"), "agentPoolProfile.vmSize"),
    ] {
        let mut changed = body();
        *changed.pointer_mut(pointer).unwrap() = value;
        let refused = put(&mut cloud, &changed).value();
        assert_eq!(
            (&refused["code"], &refused["target"]),
            (&json!("PropertyChangeNotAllowed"), &json!(target))
        );
    }
    let mut moved = body();
    moved["location"] = json!("westus3");
    assert_eq!(code(&put(&mut cloud, &moved)), "InvalidResourceLocation");
    let mut renamed = body();
    renamed["properties"]["agentPoolProfiles"][0]["name"] = json!("other");
    assert_eq!(put(&mut cloud, &renamed).value()["target"], "agentPoolProfiles");
    assert_eq!(get(&mut cloud)["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn a_put_of_what_was_read_changes_nothing_but_the_etag() {
    let mut cloud = created();
    let before = get(&mut cloud);
    assert_eq!(put(&mut cloud, &before).status, 200);
    cloud.advance(91.0);
    let mut after = get(&mut cloud);
    assert_ne!(before["eTag"], after["eTag"]);
    after["eTag"] = before["eTag"].clone();
    after["properties"]["agentPoolProfiles"][0]["eTag"] =
        before["properties"]["agentPoolProfiles"][0]["eTag"].clone();
    assert_eq!(before, after);
}

#[test]
fn a_put_resets_the_optional_blocks_it_leaves_out() {
    let mut cloud = created();
    let mut bare = body();
    for name in ["ingressProfile", "addonProfiles", "networkProfile"] {
        bare["properties"].as_object_mut().unwrap().remove(name);
    }
    assert_eq!(put(&mut cloud, &bare).status, 200);
    cloud.advance(91.0);
    let properties = get(&mut cloud)["properties"].clone();
    assert_eq!(properties["ingressProfile"]["gatewayAPI"]["installation"], "Disabled");
    assert!(properties["addonProfiles"].is_null());
    assert_eq!(properties["networkProfile"]["serviceCidr"], "10.1.0.0/16");
}

#[test]
fn a_deletion_deletes_the_node_group_and_every_principal() {
    let mut cloud = created();
    let cluster = get(&mut cloud);
    let deleted = cloud.arm(Method::DELETE, &at(""), None);
    assert_eq!(deleted.status, 202);
    assert!(deleted.headers.contains_key("azure-asyncoperation"));
    assert_eq!(follow(&mut cloud, &deleted, "location").status, 202);
    assert_eq!(get(&mut cloud)["properties"]["provisioningState"], "Deleting");
    assert_eq!(code(&put(&mut cloud, &body())), "OperationNotAllowed");
    assert_eq!(cloud.arm(Method::DELETE, &at(""), None).status, 202);
    cloud.advance(301.0);
    assert_eq!(cloud.arm(Method::GET, &at(""), None).status, 404);
    assert_eq!(follow(&mut cloud, &deleted, "location").status, 204);
    assert_eq!(cloud.arm(Method::DELETE, &at(""), None).status, 204);
    assert!(!cloud.state.groups.contains_key("rg-nodes"));
    let principal = cluster["identity"]["principalId"].as_str().unwrap();
    assert!(cloud.state.directory.by_object_id(principal).is_none());
}

#[test]
fn a_deletion_preempts_a_running_creation() {
    let mut cloud = TestCloud::new();
    let accepted = put(&mut cloud, &body());
    cloud.advance(10.0);
    assert_eq!(cloud.arm(Method::DELETE, &at(""), None).status, 202);
    let ended = follow(&mut cloud, &accepted, "azure-asyncoperation").value();
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("Failed"), &json!("AKSOperationPreemptedByDelete"))
    );
}

#[test]
fn an_aborted_creation_is_finished_by_the_next_put() {
    let mut cloud = TestCloud::new();
    let accepted = put(&mut cloud, &body());
    cloud.advance(10.0);
    assert_eq!(cloud.arm(Method::POST, &at("/abort"), None).status, 202);
    assert_eq!(get(&mut cloud)["properties"]["provisioningState"], "Canceled");
    assert_eq!(follow(&mut cloud, &accepted, "azure-asyncoperation").value()["status"], "Canceled");
    assert_eq!(cloud.arm(Method::POST, &at("/abort"), None).status, 409);
    assert_eq!(put(&mut cloud, &body()).status, 200);
    cloud.advance(281.0);
    assert_eq!(get(&mut cloud)["properties"]["provisioningState"], "Succeeded");
    assert_eq!(cloud.arm(Method::POST, &at("/listClusterUserCredential"), None).status, 200);
}

#[test]
fn a_patch_changes_tags_and_nothing_else() {
    let mut cloud = created();
    let desired = json!({"tags": {"a": "b"}, "properties": {"dnsPrefix": "ignored"}});
    let patched = cloud.arm(Method::PATCH, &at(""), Some(&desired));
    assert_eq!(patched.status, 200);
    assert_eq!(patched.value()["properties"]["provisioningState"], "Updating");
    cloud.advance(21.0);
    let after = get(&mut cloud);
    assert_eq!((&after["tags"], &after["properties"]["dnsPrefix"]), (&json!({"a": "b"}), &json!("demo")));
}

#[test]
fn the_kubeconfig_has_the_api_server_and_a_valid_token() {
    let mut cloud = TestCloud::new();
    cloud.state.clusters.trust("PEM");
    put(&mut cloud, &body());
    assert_eq!(cloud.arm(Method::POST, &at("/listClusterUserCredential"), None).status, 409);
    cloud.advance(281.0);
    let answer = cloud.arm(Method::POST, &at("/listClusterUserCredential"), None).value();
    assert_eq!(answer["kubeconfigs"][0]["name"], "clusterUser");
    let text = STANDARD.decode(answer["kubeconfigs"][0]["value"].as_str().unwrap()).unwrap();
    let config: Value = serde_saphyr::from_slice(&text).unwrap();
    let uid = get(&mut cloud)["properties"]["resourceUID"].as_str().unwrap().to_owned();
    assert_eq!(config["current-context"], "aks-demo");
    assert_eq!(
        config["clusters"][0]["cluster"]["server"],
        format!("https://127.0.0.1:20000/kubernetes/{uid}")
    );
    assert_eq!(config["clusters"][0]["cluster"]["certificate-authority-data"], STANDARD.encode("PEM"));
    assert_eq!(config["users"][0]["name"], "clusterUser_rg_aks-demo");
    let admin = cloud.arm(Method::POST, &at("/listClusterAdminCredential"), None).value();
    let admin = STANDARD.decode(admin["kubeconfigs"][0]["value"].as_str().unwrap()).unwrap();
    let admin: Value = serde_saphyr::from_slice(&admin).unwrap();
    let named = (&admin["contexts"][0]["name"], &admin["contexts"][0]["context"]["user"]);
    assert_eq!(named, (&json!("aks-demo"), &json!("clusterAdmin_rg_aks-demo")));
    let token = config["users"][0]["user"]["token"].as_str().unwrap().to_owned();
    let mut send = |uid: &str, token: &str| {
        let request = Request::new(Method::GET, "127.0.0.1", "/api/v1/namespaces/kube-system")
            .with_header("authorization", &format!("Bearer {token}"));
        super::kubernetes_api::serve(&mut cloud.state, uid, &request, cloud.now, &cloud.timing)
    };
    assert_eq!(send(&uid, &token).value()["metadata"]["name"], "kube-system");
    assert_eq!(send(&uid, "other").status, 401);
    assert_eq!(send("nowhere", &token).delivery, Delivery::Cut);
}

#[test]
fn a_cluster_creation_resumes_from_the_state_file() {
    let mut cloud = TestCloud::new();
    put(&mut cloud, &body());
    let text = serde_json::to_string(&cloud.state).unwrap();
    cloud.state = serde_json::from_str(&text).unwrap();
    cloud.advance(281.0);
    assert_eq!(get(&mut cloud)["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn the_members_of_a_deleted_group_are_deleted_as_by_a_client() {
    let mut cloud = created();
    let deleted_at = super::provider::delete_members(&mut cloud.state, "RG", cloud.now, &cloud.timing);
    assert_eq!(deleted_at, cloud.timing.after(cloud.now, crate::durations::CLUSTER_DELETE));
    assert_eq!(super::provider::members(&cloud.state, "rg").len(), 1);
    cloud.advance(301.0);
    assert!(super::provider::members(&cloud.state, "rg").is_empty());
}

#[test]
fn cores_are_counted_against_the_quota_of_their_family() {
    let mut cloud = TestCloud::new();
    let mut big = body();
    let pool = &mut big["properties"]["agentPoolProfiles"][0];
    (pool["count"], pool["maxCount"], pool["vmSize"]) = (json!(7), json!(7), json!("Standard_D16s_v5"));
    let refused = put(&mut cloud, &big);
    assert_eq!(refused.value()["code"], "ErrCode_InsufficientVCPUQuota");
    assert!(refused.value()["message"].as_str().unwrap().contains("requested 112, remaining 100"));
    put(&mut cloud, &body());
    let path = "/providers/Microsoft.Compute/locations/eastus/usages?api-version=2024-07-01";
    let usages = cloud.arm(Method::GET, path, None).value();
    let used =
        usages["value"].as_array().unwrap().iter().find(|row| row["name"]["value"] == "standardDSv5Family");
    assert_eq!(used.unwrap()["currentValue"], 8);
    let path = "/providers/Microsoft.Compute/skus?api-version=2021-07-01&$filter=location%20eq%20'eastus'";
    let skus = cloud.arm(Method::GET, path, None).value();
    assert!(skus["value"].as_array().unwrap().iter().any(|sku| sku["name"] == "Standard_D4s_v5"));
}

#[test]
fn a_failed_creation_is_repaired_by_the_same_put() {
    let mut cloud = TestCloud::new();
    let accepted = put(&mut cloud, &body());
    cloud.advance(10.0);
    let id = accepted.value()["id"].as_str().unwrap().to_owned();
    assert!(super::fail(&mut cloud.state, &id, "AllocationFailed", "no machines left", cloud.now));
    assert!(!super::fail(&mut cloud.state, &id, "AllocationFailed", "no machines left", cloud.now));
    let ended = follow(&mut cloud, &accepted, "azure-asyncoperation");
    assert_eq!(ended.status, 200);
    assert_eq!(ended.value()["error"]["code"], "AllocationFailed");
    assert_eq!(get(&mut cloud)["properties"]["provisioningState"], "Failed");
    assert_eq!(put(&mut cloud, &body()).status, 200);
    cloud.advance(281.0);
    let properties = get(&mut cloud)["properties"].clone();
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert!(properties["status"].is_null());
}

#[test]
fn a_withheld_identity_is_added_by_the_next_write() {
    let mut cloud = TestCloud::new();
    cloud.state.clusters.withhold_identity();
    put(&mut cloud, &body());
    cloud.advance(281.0);
    let addon = |cloud: &mut TestCloud| {
        get(cloud)["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"].clone()
    };
    assert!(addon(&mut cloud)["identity"].is_null());
    put(&mut cloud, &body());
    cloud.advance(91.0);
    assert!(addon(&mut cloud)["identity"]["objectId"].is_string());
}

#[test]
fn pools_can_be_read_by_themselves() {
    let mut cloud = created();
    let pools = cloud.arm(Method::GET, &at("/agentPools"), None).value();
    assert_eq!(pools["value"][0]["name"], "nodepool1");
    let pool = cloud.arm(Method::GET, &at("/agentPools/nodepool1"), None).value();
    assert_eq!(pool["properties"]["provisioningState"], "Succeeded");
    assert_eq!(cloud.arm(Method::GET, &at("/agentPools/none"), None).status, 404);
}

#[test]
fn nodes_take_addresses_of_their_subnet_and_hold_on_to_it() {
    const NETWORK: &str =
        "/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet?api-version=2025-07-01";
    let mut cloud = TestCloud::new();
    let network = |range: &str| {
        json!({"location": "eastus", "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "snet", "properties": {"addressPrefix": range}}],
        }})
    };
    let created = cloud.arm(Method::PUT, NETWORK, Some(&network("10.0.0.0/27")));
    let subnet = created.value()["properties"]["subnets"][0]["id"].as_str().unwrap().to_owned();
    let mut desired = body();
    desired["properties"]["agentPoolProfiles"][0]["vnetSubnetID"] = json!(subnet.to_lowercase());
    assert_eq!(code(&put(&mut cloud, &desired)), "VirtualNetworkNotInSucceededState");
    cloud.advance(6.0);
    assert_eq!(code(&put(&mut cloud, &desired)), "InsufficientSubnetSize");
    cloud.arm(Method::PUT, NETWORK, Some(&network("10.0.0.0/22")));
    cloud.advance(6.0);
    desired["properties"]["networkProfile"] =
        json!({"serviceCidr": "10.0.0.0/20", "dnsServiceIP": "10.0.0.10"});
    assert_eq!(code(&put(&mut cloud, &desired)), "ServiceCidrOverlapExistingSubnetsCidr");
    desired["properties"]["networkProfile"] = body()["properties"]["networkProfile"].clone();
    assert_eq!(put(&mut cloud, &desired).status, 201);
    cloud.advance(281.0);
    assert_eq!(super::using_subnet(&cloud.state, &subnet).len(), 2);
    desired["properties"]["agentPoolProfiles"][0]["vnetSubnetID"] = json!(format!("{subnet}-none"));
    assert_eq!(put(&mut cloud, &desired).value()["target"], "agentPoolProfile.vnetSubnetID");
}

#[test]
fn a_secret_appears_in_the_cluster_once_the_add_on_may_read_the_vault() {
    let mut cloud = created();
    cloud.make_vault("kv-demo");
    cloud.make_officer("kv-demo");
    let pfx = crate::vault::material::tests::fixture("chain.pfx");
    let import = json!({"value": pfx, "pwd": "correct-horse"});
    let created =
        cloud.vault("kv-demo", Method::POST, "/certificates/tls/import?api-version=7.4", Some(&import));
    assert_eq!(created.status, 200);
    let cluster = get(&mut cloud);
    let identity = cluster["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"].clone();
    let uid = cluster["properties"]["resourceUID"].as_str().unwrap().to_owned();
    let (client, tenant) = (identity["clientId"].clone(), cloud.state.directory.tenant.clone());
    let class = json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {"name": "tls", "namespace": "default"},
        "spec": {
            "provider": "azure",
            "parameters": {
                "useVMManagedIdentity": "true", "userAssignedIdentityID": client, "keyvaultName": "kv-demo",
                "tenantId": tenant, "objects": "array:\n  - |\n    objectName: tls\n    objectType: secret\n",
            },
            "secretObjects": [{"secretName": "tls", "type": "kubernetes.io/tls", "data": [
                {"objectName": "tls", "key": "tls.key"}, {"objectName": "tls", "key": "tls.crt"},
            ]}],
        },
    });
    let holder = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "holder", "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "holder"}},
            "template": {
                "metadata": {"labels": {"app": "holder"}},
                "spec": {
                    "containers": [{
                        "name": "pause", "image": "mcr.microsoft.com/oss/kubernetes/pause:3.9",
                        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": true}],
                    }],
                    "volumes": [{"name": "tls", "csi": {
                        "driver": "secrets-store.csi.k8s.io", "readOnly": true,
                        "volumeAttributes": {"secretProviderClass": "tls"},
                    }}],
                },
            },
        },
    });
    let now = cloud.now;
    let own = cloud.state.clusters.all.values_mut().find(|cluster| cluster.uid() == uid).unwrap();
    own.store.put("secretproviderclasses.secrets-store.csi.x-k8s.io", class, "test", now);
    own.store.put("deployments.apps", holder, "test", now);
    cloud.advance(60.0);
    let secret = |cloud: &TestCloud| {
        super::kubernetes_api::store(&cloud.state, &uid).unwrap().get("secrets", "default", "tls").cloned()
    };
    assert_eq!(secret(&cloud), None);
    let scope = "/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-demo";
    cloud.grant(scope, "4633458b-17de-408a-b874-0445c86b69e6", identity["objectId"].as_str().unwrap());
    cloud.advance(240.0);
    let secret = secret(&cloud).expect("the driver mounts once the grant counts");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let chain = STANDARD.decode(secret["data"]["tls.crt"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(chain).unwrap().matches("BEGIN CERTIFICATE").count(), 3);
}
