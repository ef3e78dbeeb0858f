//! Resource Manager, from the outside.

use landfall_sim::Speed;
use reqwest::Method;
use serde_json::json;

use crate::client::{Client, options};

#[tokio::test]
async fn a_network_is_followed_by_its_operation_to_the_end() {
    let client = Client::open(options(Speed::Instant)).await;
    assert_eq!(client.group().await.status, 201);
    let client = Client::reopen(client.close().await, options(Speed::Times(1.0))).await;

    let vnet = client
        .path("/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet?api-version=2025-07-01");
    let body = json!({ "location": "eastus", "properties": {
        "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
        "subnets": [{ "name": "snet", "properties": { "addressPrefix": "10.0.0.0/22" } }],
    } });
    let created = client.put(&vnet, &body).await;
    assert_eq!(
        (created.status, created.header("retry-after"), created.header("retry-after-ms")),
        (201, "10", "10000")
    );
    let operation = created.header("azure-asyncoperation").to_owned();
    assert!(operation.starts_with(&client.sim.connection().arm), "absolute: {operation}");
    assert_eq!(client.get(&operation).await.body["status"], "InProgress");
    assert_eq!(client.put(&vnet, &body).await.code(), "RetryableError");
    client.advance(5.5).await;
    let ended = client.get(&operation).await;
    assert_eq!((ended.status, &ended.body["status"]), (200, &json!("Succeeded")));
    assert_eq!(client.get(&vnet).await.body["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn everything_is_ready_at_the_first_poll_at_instant_speed() {
    let client = Client::open(options(Speed::Instant)).await;
    assert_eq!(client.group().await.status, 201);
    let vnet = client
        .path("/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet?api-version=2025-07-01");
    let body = json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } });
    let created = client.put(&vnet, &body).await;
    assert_eq!(client.get(created.header("azure-asyncoperation")).await.body["status"], "Succeeded");
    assert_eq!(client.get(&vnet).await.body["properties"]["provisioningState"], "Succeeded");
    let group = client.path("/resourcegroups/rg?api-version=2024-11-01");
    let deleting = client.delete(&group).await;
    assert_eq!(deleting.status, 202);
    assert_eq!(client.get(deleting.header("location")).await.status, 200);
    assert_eq!(client.send(Method::HEAD, &group, None).await.status, 404);
}

#[tokio::test]
async fn roles_are_given_once_and_under_one_name() {
    let client = Client::open(options(Speed::Instant)).await;
    client.group().await;
    let at = |name: &str| {
        client.path(&format!("/resourceGroups/rg/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"))
    };
    let (one, two) = (at("8f1f5b1c-5c87-4a4b-9a0e-1f1b0e7d0001"), at("8f1f5b1c-5c87-4a4b-9a0e-1f1b0e7d0002"));
    let role = "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6";
    let body =
        |principal: &str| json!({ "properties": { "roleDefinitionId": role, "principalId": principal } });
    let me = client.sim.connection().object_id.clone();
    assert_eq!(client.put(&one, &body(&me)).await.status, 201);
    assert_eq!(client.put(&one, &body(&me)).await.status, 200);
    let twice = client.put(&two, &body(&me)).await;
    assert_eq!((twice.status, twice.code()), (409, "RoleAssignmentExists"));
    let unknown = client.put(&two, &body("00000000-0000-4000-8000-000000000000")).await;
    assert_eq!((unknown.status, unknown.code()), (400, "PrincipalNotFound"));
    assert_eq!(client.delete(&one).await.status, 200);
    assert_eq!(client.delete(&one).await.status, 204);
}

#[tokio::test]
async fn record_sets_change_only_under_the_etag_that_was_read() {
    let client = Client::open(options(Speed::Instant)).await;
    client.group().await;
    let zone = client.path("/resourceGroups/rg/providers/Microsoft.Network/dnsZones/demo.example.com");
    assert_eq!(
        client.put(&format!("{zone}?api-version=2018-05-01"), &json!({ "location": "global" })).await.status,
        201
    );
    let record = format!("{zone}/A/app?api-version=2018-05-01");
    let body =
        |address: &str| json!({ "properties": { "TTL": 300, "ARecords": [{ "ipv4Address": address }] } });
    let first = client.put(&record, &body("203.0.113.10")).await;
    assert_eq!(first.status, 201);
    let conditional = |name: &'static str, value: String| {
        client.request(Method::PUT, &record).header(name, value).json(&body("203.0.113.11")).send()
    };
    assert_eq!(conditional("if-none-match", "*".to_owned()).await.unwrap().status(), 412);
    assert_eq!(conditional("if-match", first.header("etag").to_owned()).await.unwrap().status(), 200);
    assert_eq!(conditional("if-match", first.header("etag").to_owned()).await.unwrap().status(), 412);
    let missing = client.get(&record.replace("/app?", "/web?")).await;
    assert_eq!((missing.status, missing.body["code"].as_str()), (404, Some("NotFound")));
}
