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

fn body() -> Value {
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

fn put(bench: &mut TestCloud, body: &Value) -> Reply {
    bench.arm(Method::PUT, &at(""), Some(body))
}

fn get(bench: &mut TestCloud) -> Value {
    bench.arm(Method::GET, &at(""), None).value()
}

pub(super) fn made() -> TestCloud {
    let mut bench = TestCloud::new();
    let accepted = put(&mut bench, &body());
    assert_eq!(accepted.status, 201, "{accepted:?}");
    bench.pass(281.0);
    bench
}

/// Polls the URL of an operation.
fn follow(bench: &mut TestCloud, reply: &Reply, header: &str) -> Reply {
    let url = reply.headers[header].to_str().unwrap();
    let path = url.split_once(&bench.world.subscription).unwrap().1.to_owned();
    bench.arm(Method::GET, &path, None)
}

#[test]
fn a_creation_is_accepted_with_the_principal_and_ends_with_the_identities() {
    let mut bench = TestCloud::new();
    let accepted = put(&mut bench, &body());
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
    assert!(bench.world.groups.contains_key("rg-nodes"));
    assert_eq!(follow(&mut bench, &accepted, "azure-asyncoperation").value()["status"], "InProgress");
    bench.pass(250.0);
    assert_eq!(follow(&mut bench, &accepted, "azure-asyncoperation").value()["status"], "ReconcilingAddons");
    bench.pass(31.0);
    let over = follow(&mut bench, &accepted, "azure-asyncoperation").value();
    assert_eq!(over["status"], "Succeeded");
    assert!(over["endTime"].as_str().unwrap().ends_with('Z'));
    let done = get(&mut bench);
    let properties = &done["properties"];
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert_eq!(properties["agentPoolProfiles"][0]["provisioningState"], "Succeeded");
    assert_eq!(
        (&properties["kubernetesVersion"], &properties["currentKubernetesVersion"]),
        (&json!("1.34"), &json!("1.34.4"))
    );
    let identity = &properties["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"];
    assert!(bench.world.directory.by_client_id(identity["clientId"].as_str().unwrap()).is_some());
    assert!(identity["resourceId"].as_str().unwrap().ends_with("/azurekeyvaultsecretsprovider-aks-demo"));
    assert_eq!(done["identity"]["principalId"], first["identity"]["principalId"]);
    assert_eq!(bench.arm(Method::GET, &at("/operations/latest"), None).value()["status"], "Succeeded");
}

#[test]
fn a_refusal_has_no_envelope_and_leaves_nothing_behind() {
    let mut bench = TestCloud::new();
    let mut wrong = body();
    wrong["properties"]["kubernetesVersion"] = json!("1.20");
    let refused = put(&mut bench, &wrong);
    assert_eq!(refused.status, 400);
    assert_eq!(refused.value()["code"], "K8sVersionNotSupported");
    assert!(!bench.world.groups.contains_key("rg-nodes"));
    assert_eq!(bench.arm(Method::GET, &at(""), None).status, 404);
}

#[test]
fn a_second_write_waits_for_the_first() {
    let mut bench = TestCloud::new();
    put(&mut bench, &body());
    let busy = put(&mut bench, &body());
    assert_eq!((busy.status.as_u16(), busy.value()["code"].clone()), (409, json!("EtagMismatch")));
    assert_eq!(busy.value()["subcode"], "PutManagedClusterAndComponents_FailedPrecondition");
    bench.pass(281.0);
    let updating = put(&mut bench, &body());
    assert_eq!(updating.status, 200);
    assert_eq!(updating.value()["properties"]["provisioningState"], "Updating");
    assert_eq!(code(&put(&mut bench, &body())), "OperationNotAllowed");
    bench.pass(91.0);
    assert_eq!(get(&mut bench)["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn conditions_guard_a_write() {
    let mut bench = TestCloud::new();
    let none: &[(&'static str, &str)] = &[("if-none-match", "*")];
    assert_eq!(bench.arm_with(Method::PUT, &at(""), Some(&body()), none).status, 201);
    bench.pass(281.0);
    assert_eq!(bench.arm_with(Method::PUT, &at(""), Some(&body()), none).status, 412);
    let stale = bench.arm_with(Method::PUT, &at(""), Some(&body()), &[("if-match", "\"other\"")]);
    assert_eq!((stale.status.as_u16(), code(&stale).as_str()), (412, "PreconditionFailed"));
    let tag = get(&mut bench)["eTag"].as_str().unwrap().to_owned();
    assert_eq!(bench.arm_with(Method::PUT, &at(""), Some(&body()), &[("if-match", &tag)]).status, 200);
}

#[test]
fn what_is_fixed_at_creation_cannot_change() {
    let mut bench = made();
    for (pointer, value, target) in [
        ("/properties/dnsPrefix", json!("other"), "dnsPrefix"),
        ("/properties/nodeResourceGroup", json!("rg-other"), "nodeResourceGroup"),
        ("/properties/networkProfile/serviceCidr", json!("10.2.0.0/16"), "networkProfile.serviceCidr"),
        ("/properties/agentPoolProfiles/0/vmSize", json!("Standard_D2s_v5"), "agentPoolProfile.vmSize"),
    ] {
        let mut changed = body();
        *changed.pointer_mut(pointer).unwrap() = value;
        let refused = put(&mut bench, &changed).value();
        assert_eq!(
            (&refused["code"], &refused["target"]),
            (&json!("PropertyChangeNotAllowed"), &json!(target))
        );
    }
    let mut moved = body();
    moved["location"] = json!("westus3");
    assert_eq!(code(&put(&mut bench, &moved)), "InvalidResourceLocation");
    let mut renamed = body();
    renamed["properties"]["agentPoolProfiles"][0]["name"] = json!("other");
    assert_eq!(put(&mut bench, &renamed).value()["target"], "agentPoolProfiles");
    assert_eq!(get(&mut bench)["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn a_put_of_what_was_read_changes_nothing_but_the_etag() {
    let mut bench = made();
    let before = get(&mut bench);
    assert_eq!(put(&mut bench, &before).status, 200);
    bench.pass(91.0);
    let mut after = get(&mut bench);
    assert_ne!(before["eTag"], after["eTag"]);
    after["eTag"] = before["eTag"].clone();
    after["properties"]["agentPoolProfiles"][0]["eTag"] =
        before["properties"]["agentPoolProfiles"][0]["eTag"].clone();
    assert_eq!(before, after);
}

#[test]
fn a_put_resets_the_optional_blocks_it_leaves_out() {
    let mut bench = made();
    let mut bare = body();
    for name in ["ingressProfile", "addonProfiles", "networkProfile"] {
        bare["properties"].as_object_mut().unwrap().remove(name);
    }
    assert_eq!(put(&mut bench, &bare).status, 200);
    bench.pass(91.0);
    let properties = get(&mut bench)["properties"].clone();
    assert_eq!(properties["ingressProfile"]["gatewayAPI"]["installation"], "Disabled");
    assert!(properties["addonProfiles"].is_null());
    assert_eq!(properties["networkProfile"]["serviceCidr"], "10.1.0.0/16");
}

#[test]
fn a_deletion_takes_the_node_group_and_every_principal_along() {
    let mut bench = made();
    let cluster = get(&mut bench);
    let deleted = bench.arm(Method::DELETE, &at(""), None);
    assert_eq!(deleted.status, 202);
    assert!(deleted.headers.contains_key("azure-asyncoperation"));
    assert_eq!(follow(&mut bench, &deleted, "location").status, 202);
    assert_eq!(get(&mut bench)["properties"]["provisioningState"], "Deleting");
    assert_eq!(code(&put(&mut bench, &body())), "OperationNotAllowed");
    assert_eq!(bench.arm(Method::DELETE, &at(""), None).status, 202);
    bench.pass(301.0);
    assert_eq!(bench.arm(Method::GET, &at(""), None).status, 404);
    assert_eq!(follow(&mut bench, &deleted, "location").status, 204);
    assert_eq!(bench.arm(Method::DELETE, &at(""), None).status, 204);
    assert!(!bench.world.groups.contains_key("rg-nodes"));
    let principal = cluster["identity"]["principalId"].as_str().unwrap();
    assert!(bench.world.directory.by_object_id(principal).is_none());
}

#[test]
fn a_deletion_preempts_a_running_creation() {
    let mut bench = TestCloud::new();
    let accepted = put(&mut bench, &body());
    bench.pass(10.0);
    assert_eq!(bench.arm(Method::DELETE, &at(""), None).status, 202);
    let ended = follow(&mut bench, &accepted, "azure-asyncoperation").value();
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("Failed"), &json!("AKSOperationPreemptedByDelete"))
    );
}

#[test]
fn an_aborted_creation_is_finished_by_the_next_put() {
    let mut bench = TestCloud::new();
    let accepted = put(&mut bench, &body());
    bench.pass(10.0);
    assert_eq!(bench.arm(Method::POST, &at("/abort"), None).status, 202);
    assert_eq!(get(&mut bench)["properties"]["provisioningState"], "Canceled");
    assert_eq!(follow(&mut bench, &accepted, "azure-asyncoperation").value()["status"], "Canceled");
    assert_eq!(bench.arm(Method::POST, &at("/abort"), None).status, 409);
    assert_eq!(put(&mut bench, &body()).status, 200);
    bench.pass(281.0);
    assert_eq!(get(&mut bench)["properties"]["provisioningState"], "Succeeded");
    assert_eq!(bench.arm(Method::POST, &at("/listClusterUserCredential"), None).status, 200);
}

#[test]
fn a_patch_changes_tags_and_nothing_else() {
    let mut bench = made();
    let wished = json!({"tags": {"a": "b"}, "properties": {"dnsPrefix": "ignored"}});
    let patched = bench.arm(Method::PATCH, &at(""), Some(&wished));
    assert_eq!(patched.status, 200);
    assert_eq!(patched.value()["properties"]["provisioningState"], "Updating");
    bench.pass(21.0);
    let after = get(&mut bench);
    assert_eq!((&after["tags"], &after["properties"]["dnsPrefix"]), (&json!({"a": "b"}), &json!("demo")));
}

#[test]
fn the_kubeconfig_leads_to_this_clusters_api_with_a_token_it_accepts() {
    let mut bench = TestCloud::new();
    bench.world.clusters.trust("PEM");
    put(&mut bench, &body());
    assert_eq!(bench.arm(Method::POST, &at("/listClusterUserCredential"), None).status, 409);
    bench.pass(281.0);
    let answer = bench.arm(Method::POST, &at("/listClusterUserCredential"), None).value();
    assert_eq!(answer["kubeconfigs"][0]["name"], "clusterUser");
    let text = STANDARD.decode(answer["kubeconfigs"][0]["value"].as_str().unwrap()).unwrap();
    let config: Value = serde_saphyr::from_slice(&text).unwrap();
    let uid = get(&mut bench)["properties"]["resourceUID"].as_str().unwrap().to_owned();
    assert_eq!(config["current-context"], "aks-demo");
    assert_eq!(
        config["clusters"][0]["cluster"]["server"],
        format!("https://127.0.0.1:20000/kubernetes/{uid}")
    );
    assert_eq!(config["clusters"][0]["cluster"]["certificate-authority-data"], STANDARD.encode("PEM"));
    assert_eq!(config["users"][0]["name"], "clusterUser_rg_aks-demo");
    let admin = bench.arm(Method::POST, &at("/listClusterAdminCredential"), None).value();
    let admin = STANDARD.decode(admin["kubeconfigs"][0]["value"].as_str().unwrap()).unwrap();
    let admin: Value = serde_saphyr::from_slice(&admin).unwrap();
    let named = (&admin["contexts"][0]["name"], &admin["contexts"][0]["context"]["user"]);
    assert_eq!(named, (&json!("aks-demo"), &json!("clusterAdmin_rg_aks-demo")));
    let token = config["users"][0]["user"]["token"].as_str().unwrap().to_owned();
    let mut ask = |uid: &str, token: &str| {
        let request = Request::new(Method::GET, "127.0.0.1", "/api/v1/namespaces/kube-system")
            .with_header("authorization", &format!("Bearer {token}"));
        super::serve_kubernetes(&mut bench.world, uid, &request, bench.now, &bench.timing)
    };
    assert_eq!(ask(&uid, &token).value()["metadata"]["name"], "kube-system");
    assert_eq!(ask(&uid, "other").status, 401);
    assert_eq!(ask("nowhere", &token).delivery, Delivery::Cut);
}

#[test]
fn an_admin_credential_is_refused_when_local_accounts_are_off() {
    let mut bench = TestCloud::new();
    let mut locked = body();
    locked["properties"]["disableLocalAccounts"] = json!(true);
    put(&mut bench, &locked);
    bench.pass(281.0);
    assert_eq!(bench.arm(Method::POST, &at("/listClusterAdminCredential"), None).status, 400);
}

#[test]
fn a_world_comes_back_from_its_file_with_its_cluster_still_being_made() {
    let mut bench = TestCloud::new();
    put(&mut bench, &body());
    let text = serde_json::to_string(&bench.world).unwrap();
    bench.world = serde_json::from_str(&text).unwrap();
    bench.pass(281.0);
    assert_eq!(get(&mut bench)["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn the_members_of_a_dying_group_are_deleted_like_anybody_would() {
    let mut bench = made();
    let gone = super::delete_members(&mut bench.world, "RG", bench.now, &bench.timing);
    assert_eq!(gone, bench.timing.after(bench.now, crate::durations::CLUSTER_DELETE));
    assert_eq!(super::members(&bench.world, "rg").len(), 1);
    bench.pass(301.0);
    assert!(super::members(&bench.world, "rg").is_empty());
}

#[test]
fn cores_are_counted_against_the_quota_of_their_family() {
    let mut bench = TestCloud::new();
    let mut big = body();
    let pool = &mut big["properties"]["agentPoolProfiles"][0];
    (pool["count"], pool["maxCount"], pool["vmSize"]) = (json!(7), json!(7), json!("Standard_D16s_v5"));
    let refused = put(&mut bench, &big);
    assert_eq!(refused.value()["code"], "ErrCode_InsufficientVCPUQuota");
    assert!(refused.value()["message"].as_str().unwrap().contains("requested 112, remaining 100"));
    put(&mut bench, &body());
    let path = "/providers/Microsoft.Compute/locations/eastus/usages?api-version=2024-07-01";
    let usages = bench.arm(Method::GET, path, None).value();
    let used =
        usages["value"].as_array().unwrap().iter().find(|row| row["name"]["value"] == "standardDSv5Family");
    assert_eq!(used.unwrap()["currentValue"], 8);
    let path = "/providers/Microsoft.Compute/skus?api-version=2021-07-01&$filter=location%20eq%20'eastus'";
    let skus = bench.arm(Method::GET, path, None).value();
    assert!(skus["value"].as_array().unwrap().iter().any(|sku| sku["name"] == "Standard_D4s_v5"));
}

#[test]
fn a_failed_creation_is_repaired_by_the_same_put() {
    let mut bench = TestCloud::new();
    let accepted = put(&mut bench, &body());
    bench.pass(10.0);
    let id = accepted.value()["id"].as_str().unwrap().to_owned();
    assert!(super::fail(&mut bench.world, &id, "AllocationFailed", "no machines left", bench.now));
    assert!(!super::fail(&mut bench.world, &id, "AllocationFailed", "no machines left", bench.now));
    let ended = follow(&mut bench, &accepted, "azure-asyncoperation");
    assert_eq!(ended.status, 200);
    assert_eq!(ended.value()["error"]["code"], "AllocationFailed");
    assert_eq!(get(&mut bench)["properties"]["provisioningState"], "Failed");
    assert_eq!(put(&mut bench, &body()).status, 200);
    bench.pass(281.0);
    let properties = get(&mut bench)["properties"].clone();
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert!(properties["status"].is_null());
}

#[test]
fn an_identity_that_was_left_out_comes_with_the_next_write() {
    let mut bench = TestCloud::new();
    bench.world.clusters.withhold_identity();
    put(&mut bench, &body());
    bench.pass(281.0);
    let addon = |bench: &mut TestCloud| {
        get(bench)["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"].clone()
    };
    assert!(addon(&mut bench)["identity"].is_null());
    put(&mut bench, &body());
    bench.pass(91.0);
    assert!(addon(&mut bench)["identity"]["objectId"].is_string());
}

#[test]
fn pools_can_be_read_by_themselves() {
    let mut bench = made();
    let pools = bench.arm(Method::GET, &at("/agentPools"), None).value();
    assert_eq!(pools["value"][0]["name"], "nodepool1");
    let pool = bench.arm(Method::GET, &at("/agentPools/nodepool1"), None).value();
    assert_eq!(pool["properties"]["provisioningState"], "Succeeded");
    assert_eq!(bench.arm(Method::GET, &at("/agentPools/none"), None).status, 404);
}

#[test]
fn nodes_take_addresses_of_their_subnet_and_hold_on_to_it() {
    const NETWORK: &str =
        "/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet?api-version=2025-07-01";
    let mut bench = TestCloud::new();
    let network = |range: &str| {
        json!({"location": "eastus", "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "snet", "properties": {"addressPrefix": range}}],
        }})
    };
    let made = bench.arm(Method::PUT, NETWORK, Some(&network("10.0.0.0/27")));
    let subnet = made.value()["properties"]["subnets"][0]["id"].as_str().unwrap().to_owned();
    let mut wished = body();
    wished["properties"]["agentPoolProfiles"][0]["vnetSubnetID"] = json!(subnet.to_lowercase());
    assert_eq!(code(&put(&mut bench, &wished)), "VirtualNetworkNotInSucceededState");
    bench.pass(6.0);
    assert_eq!(code(&put(&mut bench, &wished)), "InsufficientSubnetSize");
    bench.arm(Method::PUT, NETWORK, Some(&network("10.0.0.0/22")));
    bench.pass(6.0);
    wished["properties"]["networkProfile"] =
        json!({"serviceCidr": "10.0.0.0/20", "dnsServiceIP": "10.0.0.10"});
    assert_eq!(code(&put(&mut bench, &wished)), "ServiceCidrOverlapExistingSubnetsCidr");
    wished["properties"]["networkProfile"] = body()["properties"]["networkProfile"].clone();
    assert_eq!(put(&mut bench, &wished).status, 201);
    bench.pass(281.0);
    assert_eq!(super::using_subnet(&bench.world, &subnet).len(), 2);
    wished["properties"]["agentPoolProfiles"][0]["vnetSubnetID"] = json!(format!("{subnet}-none"));
    assert_eq!(put(&mut bench, &wished).value()["target"], "agentPoolProfile.vnetSubnetID");
}

#[test]
fn a_secret_appears_in_the_cluster_once_the_add_on_may_read_the_vault() {
    let mut bench = made();
    bench.make_vault("kv-demo");
    bench.make_officer("kv-demo");
    let pfx = crate::vault::material::tests::fixture("chain.pfx");
    let import = json!({"value": pfx, "pwd": "correct-horse"});
    let made =
        bench.vault("kv-demo", Method::POST, "/certificates/tls/import?api-version=7.4", Some(&import));
    assert_eq!(made.status, 200);
    let cluster = get(&mut bench);
    let identity = cluster["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"].clone();
    let uid = cluster["properties"]["resourceUID"].as_str().unwrap().to_owned();
    let (client, tenant) = (identity["clientId"].clone(), bench.world.directory.tenant.clone());
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
    let now = bench.now;
    let own = bench.world.clusters.all.values_mut().find(|cluster| cluster.uid() == uid).unwrap();
    own.store.put("secretproviderclasses.secrets-store.csi.x-k8s.io", class, "test", now);
    own.store.put("deployments.apps", holder, "test", now);
    bench.pass(60.0);
    let secret = |bench: &TestCloud| {
        super::store(&bench.world, &uid).unwrap().get("secrets", "default", "tls").cloned()
    };
    assert_eq!(secret(&bench), None);
    let scope = "/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-demo";
    bench.grant(scope, "4633458b-17de-408a-b874-0445c86b69e6", identity["objectId"].as_str().unwrap());
    bench.pass(240.0);
    let secret = secret(&bench).expect("the driver mounts once the grant counts");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let chain = STANDARD.decode(secret["data"]["tls.crt"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(chain).unwrap().matches("BEGIN CERTIFICATE").count(), 3);
}
