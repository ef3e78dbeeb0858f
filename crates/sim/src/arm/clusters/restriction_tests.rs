//! Restrictions of clusters: Entra integration, local accounts, Azure RBAC, authorized ranges, private clusters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::tests::{at, body, get, put};
use crate::entra::{self, AKS_SERVER};
use crate::request::{Delivery, Reply, Request};
use crate::test_cloud::{TestCloud, code};

const NODES: &str = "/api/v1/nodes";
const ADMIN_GROUP: &str = "5f1a2c3d-0000-4000-8000-000000000001";
const CLUSTER_ADMIN: &str = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b";
const CLUSTER_READER: &str = "7f6c6a51-bcf8-42ba-9220-52d62157d7db";

/// Creates the cluster with these properties.
fn with(properties: &[(&str, Value)]) -> TestCloud {
    let (mut cloud, mut body) = (TestCloud::new(), body());
    for (name, value) in properties {
        body["properties"][name] = value.clone();
    }
    let accepted = put(&mut cloud, &body);
    assert_eq!(accepted.status, 201, "{accepted:?}");
    cloud.advance(281.0);
    cloud
}

fn entra_only(azure_rbac: bool) -> TestCloud {
    let profile =
        json!({ "managed": true, "enableAzureRBAC": azure_rbac, "adminGroupObjectIDs": [ADMIN_GROUP] });
    with(&[("aadProfile", profile), ("disableLocalAccounts", json!(true))])
}

/// Sends a request to the API server, with a bearer token.
fn api(cloud: &mut TestCloud, method: Method, path: &str, token: &str) -> Reply {
    let uid = get(cloud)["properties"]["resourceUID"].as_str().unwrap().to_owned();
    let request = Request::new(method, "127.0.0.1", &format!("/kubernetes/{uid}{path}"));
    cloud.send(&request.with_header("authorization", &format!("Bearer {token}")))
}

fn entra_token(cloud: &TestCloud, object_id: &str) -> String {
    entra::token_for(&cloud.state, object_id, AKS_SERVER, cloud.now)
}

fn owner(cloud: &TestCloud) -> String {
    cloud.state.directory.owner().object_id.clone()
}

fn kubeconfig(cloud: &mut TestCloud, action: &str) -> Reply {
    cloud.arm(Method::POST, &at(action), None)
}

fn text(reply: &Reply) -> String {
    let value = reply.value()["kubeconfigs"][0]["value"].as_str().unwrap_or_default().to_owned();
    String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
}

#[test]
fn an_entra_cluster_names_kubelogin_and_gives_no_admin_credential() {
    let mut cloud = entra_only(false);
    let profile = get(&mut cloud)["properties"]["aadProfile"].clone();
    assert_eq!(profile["tenantID"], json!(cloud.state.directory.tenant));
    assert_eq!(profile["adminUsers"], Value::Null);
    let user = text(&kubeconfig(&mut cloud, "/listClusterUserCredential"));
    let exec = "command: kubelogin\n      env: null";
    assert!(user.contains(exec) && user.contains(AKS_SERVER) && !user.contains("token:"), "{user}");
    let refused = kubeconfig(&mut cloud, "/listClusterAdminCredential");
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "BadRequest"));
    assert!(refused.value()["message"].as_str().unwrap().contains("disable local accounts"));
}

#[test]
fn local_accounts_beside_entra_work_until_they_are_disabled() {
    let mut cloud = with(&[("aadProfile", json!({ "managed": true }))]);
    let admin = text(&kubeconfig(&mut cloud, "/listClusterAdminCredential"));
    let token = admin.split_once("token: ").unwrap().1.trim().to_owned();
    assert_eq!(api(&mut cloud, Method::GET, NODES, &token).status, 200);
    let mut changed = get(&mut cloud);
    changed["properties"]["disableLocalAccounts"] = json!(true);
    assert_eq!(put(&mut cloud, &changed).status, 200);
    cloud.advance(91.0);
    assert_eq!(api(&mut cloud, Method::GET, NODES, &token).status, 401);
}

#[test]
fn the_members_of_an_admin_group_may_do_everything_and_others_need_a_binding() {
    let mut cloud = entra_only(false);
    let owner = owner(&cloud);
    let token = entra_token(&cloud, &owner);
    let refused = api(&mut cloud, Method::GET, NODES, &token);
    assert_eq!(refused.status, 403);
    let why = format!(
        "nodes is forbidden: User \"{owner}\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );
    assert_eq!(refused.value()["message"], json!(why));
    assert_eq!(api(&mut cloud, Method::GET, "/apis", &token).status, 200, "everybody may discover");
    cloud.state.directory.add_member(ADMIN_GROUP, &owner);
    assert_eq!(api(&mut cloud, Method::GET, NODES, &token).status, 200);
}

#[test]
fn azure_roles_authorize_at_the_cluster_and_its_namespaces() {
    let mut cloud = entra_only(true);
    let owner = owner(&cloud);
    let token = entra_token(&cloud, &owner);
    let refused = api(&mut cloud, Method::GET, NODES, &token);
    let why = refused.value()["message"].as_str().unwrap().to_owned();
    assert!(why.ends_with("Update role assignment to allow access."), "{why}");
    let scope = at("").split_once('?').unwrap().0.to_owned();
    cloud.grant(&format!("{scope}/namespaces/default"), CLUSTER_READER, &owner);
    cloud.advance(600.0);
    assert_eq!(api(&mut cloud, Method::GET, "/api/v1/namespaces/default/pods", &token).status, 200);
    assert_eq!(api(&mut cloud, Method::GET, "/api/v1/namespaces/default/secrets", &token).status, 403);
    assert_eq!(api(&mut cloud, Method::GET, "/api/v1/pods", &token).status, 403);
    cloud.grant(&scope, CLUSTER_ADMIN, &owner);
    cloud.advance(600.0);
    assert_eq!(api(&mut cloud, Method::GET, NODES, &token).status, 200);
}

#[test]
fn a_token_for_another_audience_or_cluster_is_unauthorized() {
    let mut cloud = entra_only(true);
    let owner = owner(&cloud);
    let arm = entra::token_for(&cloud.state, &owner, &cloud.state.arm_audience(), cloud.now);
    assert_eq!(api(&mut cloud, Method::GET, NODES, &arm).status, 401);
    let mut plain = with(&[]);
    let token = entra_token(&plain, &self::owner(&plain));
    assert_eq!(api(&mut plain, Method::GET, NODES, &token).status, 401);
}

#[test]
fn a_client_outside_the_authorized_ranges_gets_no_connection() {
    let ranges = |ranges: Value| [("apiServerAccessProfile", json!({ "authorizedIPRanges": ranges }))];
    for (given, delivery) in [
        (json!(["203.0.113.7"]), Delivery::Cut),
        (json!(["203.0.113.0/24", "127.0.0.0/8"]), Delivery::Whole),
        (json!([]), Delivery::Whole),
    ] {
        let mut cloud = with(&ranges(given.clone()));
        assert_eq!(api(&mut cloud, Method::GET, "/version", "").delivery, delivery, "{given}");
    }
    let mut cloud = with(&ranges(json!(["203.0.113.7"])));
    let profile = get(&mut cloud)["properties"]["apiServerAccessProfile"].clone();
    assert_eq!(profile["authorizedIPRanges"], json!(["203.0.113.7/32"]));
}

#[test]
fn a_private_cluster_is_not_reachable_and_stays_private() {
    let access = json!({ "enablePrivateCluster": true, "enablePrivateClusterPublicFQDN": false });
    let mut cloud = with(&[("apiServerAccessProfile", access)]);
    let mut live = get(&mut cloud);
    let properties = &live["properties"];
    assert!(properties.get("fqdn").is_none(), "{properties}");
    assert!(properties["privateFQDN"].as_str().unwrap().ends_with(".privatelink.eastus.azmk8s.io"));
    assert_eq!(properties["apiServerAccessProfile"]["privateDNSZone"], "system");
    assert_eq!(api(&mut cloud, Method::GET, "/version", "").delivery, Delivery::Cut);
    live["properties"]["apiServerAccessProfile"]["enablePrivateCluster"] = json!(false);
    assert_eq!(code(&put(&mut cloud, &live)), "PropertyChangeNotAllowed");
    live["properties"]["apiServerAccessProfile"]["enablePrivateCluster"] = json!(true);
    assert_eq!(put(&mut cloud, &live).status, 200);
}

#[test]
fn invalid_restrictions_are_refused() {
    let private = json!({ "enablePrivateCluster": true, "authorizedIPRanges": ["203.0.113.7"] });
    for (name, value, expected) in [
        ("disableLocalAccounts", json!(true), "BadRequest"),
        ("aadProfile", json!({ "enableAzureRBAC": true }), "BadRequest"),
        ("apiServerAccessProfile", json!({ "authorizedIPRanges": ["office"] }), "InvalidParameter"),
        ("apiServerAccessProfile", private, "BadRequest"),
    ] {
        let (mut cloud, mut body) = (TestCloud::new(), body());
        body["properties"][name] = value;
        assert_eq!(code(&put(&mut cloud, &body)), expected, "{name}");
    }
}
