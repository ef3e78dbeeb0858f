//! The server's port is also the proxy for all names of the simulated cloud.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_sim::{ConnectionInfo, Options, Sim, Speed};
use reqwest::{Certificate, Client, Method, Proxy, redirect};
use serde_json::{Value, json};

const CLASS: &str = "approuting-istio";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default";

/// Returns a client that cannot resolve the cloud's names and uses its port as a proxy for all of them.
fn client(connection: &ConnectionInfo) -> Client {
    Client::builder()
        .proxy(Proxy::all(format!("http://127.0.0.1:{}", connection.port)).unwrap())
        .tls_certs_only([Certificate::from_pem(connection.ca_pem.as_bytes()).unwrap()])
        .redirect(redirect::Policy::none())
        .build()
        .unwrap()
}

/// A principal signed in to Resource Manager.
struct Person {
    http: Client,
    arm: String,
    token: String,
}

impl Person {
    async fn sign_in(connection: &ConnectionInfo) -> Self {
        let http = client(connection);
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &connection.client_id)
            .append_pair("client_secret", &connection.client_secret)
            .append_pair("scope", &format!("{}/.default", connection.arm_audience))
            .finish();
        let request = http.post(format!("{}/{}/oauth2/v2.0/token", connection.login, connection.tenant));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Self { http, arm: format!("{}/subscriptions/{}", connection.arm, connection.subscription), token }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.http.request(method, format!("{}{path}", self.arm)).bearer_auth(&self.token);
        let answer = request.json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {:?}", answer.text().await);
        answer.json().await.unwrap()
    }

    async fn put(&self, path: &str, body: &Value) -> Value {
        self.send(Method::PUT, path, body).await
    }
}

/// Creates a cluster with gateways, and a record in a zone.
async fn furnish(person: &Person) {
    let group = "/resourceGroups/rg";
    let network = format!("{group}/providers/Microsoft.Network");
    person.put(&format!("{group}?api-version=2024-11-01"), &json!({ "location": "eastus" })).await;
    let subnets = json!([{ "name": "snet", "properties": { "addressPrefix": "10.0.0.0/22" } }]);
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] }, "subnets": subnets });
    let vnet = format!("{network}/virtualNetworks/vnet?api-version=2025-07-01");
    let vnet = person.put(&vnet, &json!({ "location": "eastus", "properties": space })).await;
    let pool = json!({
        "name": "nodepool1", "mode": "System", "vmSize": "Standard_D4s_v5", "count": 1,
        "vnetSubnetID": vnet["properties"]["subnets"][0]["id"],
    });
    let cluster = json!({ "location": "eastus", "identity": { "type": "SystemAssigned" }, "properties": {
        "dnsPrefix": "demo", "agentPoolProfiles": [pool],
        "networkProfile": { "networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10" },
        "ingressProfile": {
            "webAppRouting": { "gatewayAPIImplementations": { "appRoutingIstio": { "mode": "Enabled" } } },
            "gatewayAPI": { "installation": "Standard" },
        },
    } });
    let path = format!("{group}/providers/Microsoft.ContainerService/managedClusters/aks");
    let created = person.put(&format!("{path}?api-version=2026-06-01"), &cluster).await;
    let principal = created["identity"]["principalId"].clone();
    let role = "/providers/Microsoft.Authorization/roleDefinitions/4d97b98b-1d4f-4787-a291-c67834d212e7";
    let grant = json!({ "properties": {
        "roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal",
    } });
    let name = "5b0a1c1e-7f0e-4c7b-8a4f-3c5d0e7d9a01";
    let at = format!(
        "{network}/virtualNetworks/vnet/subnets/snet/providers/Microsoft.Authorization/roleAssignments/{name}"
    );
    person.put(&format!("{at}?api-version=2022-04-01"), &grant).await;
    person
        .put(
            &format!("{network}/dnsZones/demo.example.com?api-version=2018-05-01"),
            &json!({ "location": "global" }),
        )
        .await;
}

/// Returns the content of a kubeconfig: the API server, and a token for it.
async fn credential(person: &Person) -> (String, String) {
    let path = "/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks/listClusterUserCredential";
    let answer = person.send(Method::POST, &format!("{path}?api-version=2026-06-01"), &json!({})).await;
    let config = STANDARD.decode(answer["kubeconfigs"][0]["value"].as_str().unwrap()).unwrap();
    let config: Value = serde_saphyr::from_slice(&config).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&config["clusters"][0]["cluster"]["server"]), text(&config["users"][0]["user"]["token"]))
}

#[tokio::test]
async fn every_name_of_the_cloud_is_reached_through_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { speed: Speed::Instant, seed: Some(700), traffic: true, ..Options::default() };
    let mut sim = Sim::open(folder.path(), options).await.unwrap();
    let person = Person::sign_in(sim.connection()).await;
    furnish(&person).await;
    let (server, token) = credential(&person).await;
    let create = async |kind: &str, body: &Value| {
        let request = person.http.post(format!("{server}{ROUTES}/{kind}")).bearer_auth(&token).json(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    };
    let listener = json!({ "name": "http", "protocol": "HTTP", "port": 80 });
    let spec = json!({ "gatewayClassName": CLASS, "listeners": [listener] });
    let head = |kind: &str| json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": { "name": "app" } });
    let with = |kind: &str, spec: &Value| {
        let mut body = head(kind);
        body["spec"] = spec.clone();
        body
    };
    create("gateways", &with("Gateway", &spec)).await;
    let redirect =
        json!({ "type": "RequestRedirect", "requestRedirect": { "hostname": "elsewhere.example.com" } });
    let route = json!({ "parentRefs": [{ "name": "app" }], "rules": [{ "filters": [redirect] }] });
    create("httproutes", &with("HTTPRoute", &route)).await;
    let listeners = sim.wait_for_listeners_until(|listeners| !listeners.is_empty()).await.unwrap();
    let (address, _) = listeners.keys().next().unwrap();
    let record = json!({ "properties": { "TTL": 300, "ARecords": [{ "ipv4Address": address }] } });
    let zone = "/resourceGroups/rg/providers/Microsoft.Network/dnsZones/demo.example.com";
    person.put(&format!("{zone}/A/app?api-version=2018-05-01"), &record).await;

    let url = "http://app.demo.example.com/some/path";
    let answer = loop {
        let answer = person.http.get(url).send().await.unwrap();
        // The route is attached a moment after its creation.
        if answer.status() != 404 {
            break answer;
        }
    };
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["server"].to_str().unwrap()),
        (302, "istio-envoy")
    );
    assert_eq!(answer.headers()["location"], "http://elsewhere.example.com/some/path");
    assert_eq!(person.http.get("http://other.demo.example.com/").send().await.unwrap().status(), 403);
    assert!(person.http.get("https://example.com/").send().await.is_err());
    sim.close().await;
}
