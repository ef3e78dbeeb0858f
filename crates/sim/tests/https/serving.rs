//! The server besides its responses: the disk, the request log, broken connections, names.

use landfall_sim::{Options, Sim, SimError, Speed};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, options};

const VNET: &str =
    "/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet?api-version=2025-07-01";

fn vnet() -> Value {
    json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } })
}

#[tokio::test]
async fn an_operation_completes_on_time_without_a_server() {
    let client = Client::open(options(Speed::Times(50.0))).await;
    client.group().await;
    let created = client.put(&client.path(VNET), &vnet()).await;
    let (port, operation) = (client.sim.connection().port, created.header("azure-asyncoperation").to_owned());
    let before = client.sim.read(|state| state.directory.tenant.clone());
    let client = Client::reopen(client.close().await, options(Speed::Times(50.0))).await;
    assert_eq!(client.sim.connection().port, port, "kubeconfigs and operation URLs stay true");
    assert_eq!(client.sim.connection().tenant, before);
    let ended = loop {
        let answer = client.get(&operation).await;
        if answer.body["status"] == "Succeeded" {
            break answer.body;
        }
        assert_eq!(answer.body["status"], "InProgress");
    };
    let at = |name: &str| ended[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert_eq!(at("endTime") - at("startTime"), 110, "5.5 s at fifty times the speed of life");
}

#[tokio::test]
async fn the_state_is_served_by_one_process_and_a_newer_format_is_refused() {
    let client = Client::open(options(Speed::Instant)).await;
    let second = Sim::open(client.folder.path(), Options::default()).await;
    assert!(matches!(second, Err(SimError::Busy { .. })));
    let folder = client.close().await;
    let path = folder.path().join("world.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    state["format"] = json!(99);
    std::fs::write(&path, state.to_string()).unwrap();
    let newer = Sim::open(folder.path(), Options::default()).await;
    assert!(matches!(newer, Err(SimError::Newer { format: 99, .. })));
}

#[tokio::test]
async fn the_request_log_has_every_request_and_no_secret() {
    let client = Client::open(options(Speed::Instant)).await;
    client.group().await;
    let request = client.request(Method::GET, &client.path("/resourcegroups?api-version=2024-11-01"));
    request.header("x-ms-client-request-id", "mine").send().await.unwrap();
    let lines = client.sim.request_log();
    let seen: Vec<_> = lines.iter().map(|line| (line.n, line.method.as_str(), line.status)).collect();
    assert_eq!(seen, [(1, "POST", 200), (2, "PUT", 201), (3, "GET", 200)]);
    assert_eq!(
        (lines[0].by.as_str(), lines[1].by.as_str()),
        ("", client.sim.connection().object_id.as_str())
    );
    assert_eq!(lines[2].client_request_id, "mine");
    let (secret, token) = (client.sim.connection().client_secret.clone(), client.token.clone());
    let folder = client.close().await;
    let text = std::fs::read_to_string(folder.path().join("ledger.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(!text.contains(&secret) && !text.contains(&token));
    let client = Client::reopen(folder, options(Speed::Instant)).await;
    assert_eq!(client.sim.request_log()[0].n, 4, "the count goes on");
}

#[tokio::test]
async fn a_reset_before_has_no_effect_and_a_reset_after_has_one() {
    let faults =
        vec!["reset-before@PUT resourcegroups".to_owned(), "reset-after@PUT resourcegroups".to_owned()];
    let client = Client::open(Options { faults, ..options(Speed::Instant) }).await;
    let group = client.path("/resourcegroups/rg?api-version=2024-11-01");
    let put = || client.request(Method::PUT, &group).json(&json!({ "location": "eastus" })).send();
    assert!(put().await.is_err());
    assert_eq!(client.get(&group).await.status, 404);
    assert!(put().await.is_err());
    assert_eq!(client.get(&group).await.status, 200);
    assert_eq!(put().await.unwrap().status(), 200);
    assert_eq!(client.sim.request_log().iter().filter(|line| line.status == 0).count(), 2);
}

#[tokio::test]
async fn faults_are_armed_and_listed_through_the_admin_api() {
    let client = Client::open(options(Speed::Instant)).await;
    let list = client.path("/resourcegroups?api-version=2024-11-01");
    let armed = json!({ "faults": ["throttled@GET resourcegroups", "unavailable", "token-expired"] });
    assert_eq!(client.send(Method::POST, "/_sim/faults", Some(&armed)).await.status, 200);
    let throttled = client.get(&list).await;
    assert_eq!(
        (throttled.status, throttled.header("retry-after"), throttled.code()),
        (429, "1", "TooManyRequests")
    );
    let unavailable = client.get(&list).await;
    assert_eq!((unavailable.status, unavailable.header("content-type")), (503, "text/html"));
    assert_eq!(client.get(&list).await.code(), "ExpiredAuthenticationToken");
    assert_eq!(client.get(&list).await.status, 200);
    for _ in 0..2 {
        client.send(Method::POST, "/_sim/faults", Some(&json!({ "faults": ["unavailable"] }))).await;
    }
    assert_eq!(client.get("/_sim/faults").await.body["armed"].as_array().unwrap().len(), 2, "they add up");
    client.send(Method::DELETE, "/_sim/faults", None).await;
    assert_eq!(client.get(&list).await.status, 200);
    let unknown = json!({ "faults": ["gremlins"] });
    assert_eq!(client.send(Method::POST, "/_sim/faults", Some(&unknown)).await.status, 400);
}

#[tokio::test]
async fn the_admin_api_shows_the_state_without_secrets() {
    let client = Client::open(options(Speed::Instant)).await;
    client.group().await;
    let state = client.get("/_sim/world").await.body;
    assert_eq!(state["groups"][0]["name"], "rg");
    assert!(!state.to_string().contains(&client.sim.connection().client_secret));
    let pem = client.request(Method::GET, "/_sim/ca.pem").send().await.unwrap().text().await.unwrap();
    assert_eq!(pem, client.sim.connection().ca_pem);
}

#[tokio::test]
async fn names_that_are_not_of_this_cloud_get_no_certificate() {
    let client = Client::open(options(Speed::Instant)).await;
    let port = client.sim.connection().port;
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let foreign = reqwest::Client::builder()
        .resolve("management.azure.com", loopback)
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    assert!(foreign.get(format!("https://management.azure.com:{port}/")).send().await.is_err());
    let by_address = client.http.get(format!("https://127.0.0.1:{port}/_sim/ca.pem")).send().await.unwrap();
    assert_eq!(by_address.status(), 200);
    let response =
        client.http.get(format!("https://elsewhere.landfall.localhost:{port}/")).send().await.unwrap();
    assert_eq!(response.status(), 404);
}

/// The state after an `up` of an earlier version.
#[tokio::test]
async fn a_state_of_an_earlier_version_opens_and_its_cluster_answers() {
    let folder = tempfile::tempdir().unwrap();
    let packed: &[u8] = include_bytes!("../fixtures/world-format-1.json.gz");
    let mut state = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut state).unwrap();
    std::fs::write(folder.path().join("world.json"), state).unwrap();
    let client = Client::reopen(folder, options(Speed::Instant)).await;
    let group = "/resourceGroups/rg-aks-istio-gateway-demo";
    let cluster = format!(
        "{group}/providers/Microsoft.ContainerService/managedClusters/aks-istio-gateway-demo?api-version=2026-06-01"
    );
    let cluster = client.get(&client.path(&cluster)).await;
    assert_eq!(
        (cluster.status, &cluster.body["properties"]["provisioningState"]),
        (200, &json!("Succeeded"))
    );
    let state = client.get("/_sim/world").await.body;
    let gateways = state["gateways"].as_array().unwrap();
    assert_eq!(gateways.len(), 2, "{state}");
    client.advance(86_400.0).await;
    let folder = client.close().await;
    let client = Client::reopen(folder, options(Speed::Instant)).await;
    assert_eq!(client.get("/_sim/world").await.body["gateways"].as_array().unwrap().len(), 2);
}
