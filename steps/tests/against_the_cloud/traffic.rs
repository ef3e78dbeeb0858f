//! Responses of the gateways: redirects, certificates, weights, headers, paths, and missing parts.

use crate::fixture::Fixture;
use landfall_sim::{Listeners, Options, Speed};
use landfall_steps::identity_mode::IdentityMode;
use reqwest::{Client, Response, redirect};
use serde_json::{Value, json};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::timeout;

const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes";
const PROBE: &str = "service.beta.kubernetes.io/port_80_health-probe_port";
const DOMAIN: &str = crate::settings::DOMAIN;

async fn serving() -> Fixture {
    let options = Options { speed: Speed::Instant, traffic: true, ..Options::default() };
    let mut fixture = Fixture::with(options).await;
    fixture.up_ready().await;
    fixture.sim.wait_for_listeners_until(|listeners| listeners.len() == 4).await.unwrap();
    fixture
}

/// The sockets of the two gateways.
struct Gateways {
    listeners: Listeners,
    httpbin: Ipv4Addr,
    echo: Ipv4Addr,
}

impl Gateways {
    async fn of(fixture: &Fixture) -> Self {
        let kubectl = fixture.kubectl().await;
        let address = async |name: &str| {
            let gateway = kubectl.get(&format!("{GATEWAYS}/{name}")).await;
            gateway["status"]["addresses"][0]["value"].as_str().unwrap().parse().unwrap()
        };
        let (httpbin, echo) = (address("httpbin-gateway").await, address("echo-gateway").await);
        Self { listeners: fixture.sim.listeners(), httpbin, echo }
    }
}

/// Returns a client that connects to the gateways' addresses and accepts every certificate.
fn client(gateways: &Gateways) -> Client {
    let (httpbin, echo) = (gateways.httpbin, gateways.echo);
    let mut builder = Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .tls_info(true)
        .redirect(redirect::Policy::none());
    for (host, address) in [("httpbin", httpbin), ("echo", echo), ("echo-headers", echo), ("app", echo)] {
        builder = builder.resolve(&format!("{host}.{DOMAIN}"), (address, 0).into());
    }
    builder.build().unwrap()
}

/// Returns the URL of a host with its own port, because the machine may reserve 80 and 443.
fn url(gateways: &Gateways, scheme: &str, host: &str, path: &str) -> String {
    let address = if host == "httpbin" { gateways.httpbin } else { gateways.echo };
    let port = gateways.listeners[&(address, if scheme == "https" { 443 } else { 80 })].port();
    format!("{scheme}://{host}.{DOMAIN}:{port}{path}")
}

async fn get(
    gateways: &Gateways,
    scheme: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response {
    let mut request = client(gateways).get(url(gateways, scheme, host, path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn body_text(gateways: &Gateways, host: &str, path: &str, headers: &[(&str, &str)]) -> String {
    get(gateways, "https", host, path, headers).await.text().await.unwrap().trim().to_owned()
}

#[tokio::test]
async fn every_route_responds_as_configured() {
    let fixture = serving().await;
    let gateways = Gateways::of(&fixture).await;
    let root = get(&gateways, "https", "httpbin", "/", &[]).await;
    assert_eq!((root.status().as_u16(), root.headers()["server"].to_str().unwrap()), (200, "istio-envoy"));
    // A redirect keeps the port of the request's host; on port 80 a client sends none.
    for host in [format!("httpbin.{DOMAIN}"), format!("httpbin.{DOMAIN}:8080")] {
        let redirect = get(&gateways, "http", "httpbin", "/some/path?a=1", &[("host", &host)]).await;
        assert_eq!(redirect.status(), 301);
        assert_eq!(redirect.headers()["location"], format!("https://{host}/some/path?a=1"));
    }
    assert_eq!(body_text(&gateways, "echo-headers", "/", &[("version", "v2")]).await, "Hello from Echo v2");
    assert_eq!(body_text(&gateways, "echo-headers", "/", &[("version", "v3")]).await, "Hello from Echo v1");
    assert_eq!(body_text(&gateways, "app", "/v1/x", &[]).await, "Hello from Echo v1");
    assert_eq!(body_text(&gateways, "app", "/v2", &[]).await, "Hello from Echo v2");
    let seen: Value = get(&gateways, "https", "app", "/httpbin/anything/x", &[]).await.json().await.unwrap();
    assert!(seen["url"].as_str().unwrap().ends_with("/anything/x"), "{seen}");
    assert_eq!(get(&gateways, "https", "app", "/nowhere", &[]).await.status(), 404);
    let mut canaries = 0;
    let client = client(&gateways);
    for _ in 0..300 {
        let body =
            client.get(url(&gateways, "https", "echo", "/")).send().await.unwrap().text().await.unwrap();
        canaries += usize::from(body.trim() == "Hello from Echo v2");
    }
    // 10 of 100, with six standard deviations on either side.
    assert!((0..=62).contains(&canaries) && canaries > 0, "{canaries} of 300");
}

/// A client that sends one request after the other, each over a new connection, while the identity is switched.
#[tokio::test]
async fn a_switch_of_the_identity_interrupts_no_request() {
    let options = Options { speed: Speed::Times(300.0), traffic: true, ..Options::default() };
    let mut fixture = Fixture::with(options).await;
    fixture.settings.identity = Some(IdentityMode::AddOn);
    fixture.up_ready().await;
    fixture.sim.wait_for_listeners_until(|listeners| listeners.len() == 4).await.unwrap();
    let gateways = Gateways::of(&fixture).await;
    for mode in [IdentityMode::Workload, IdentityMode::AddOn] {
        fixture.settings.identity = Some(mode);
        let sent = Cell::new(0);
        let requests = async {
            loop {
                let status = get(&gateways, "https", "httpbin", "/", &[]).await.status();
                assert_eq!(status, 200, "{mode:?}, after {} requests", sent.get());
                sent.set(sent.get() + 1);
            }
        };
        let result = tokio::select! {
            result = fixture.up_ready() => result,
            () = requests => unreachable!("it sends without end"),
        };
        assert!(!result.report.undone.is_empty(), "{mode:?}: the other way is gone");
        assert!(sent.get() > 20, "{mode:?}: {} requests", sent.get());
    }
}

#[tokio::test]
async fn changes_in_the_cluster_change_the_responses() {
    let fixture = serving().await;
    let gateways = Gateways::of(&fixture).await;
    let kubectl = fixture.kubectl().await;
    let mut route = kubectl.get(&format!("{ROUTES}/echo-canary")).await;
    route["spec"]["rules"][0]["backendRefs"][1] = json!({ "name": "nobody", "port": 80, "weight": 100 });
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(0);
    let metadata = json!({ "name": "echo-canary", "namespace": "default" });
    let edited = json!({ "apiVersion": route["apiVersion"], "kind": "HTTPRoute", "metadata": metadata, "spec": route["spec"] });
    kubectl.apply(&format!("{ROUTES}/echo-canary"), &edited).await;
    until(async || get(&gateways, "https", "echo", "/", &[]).await.status() == 500).await;
    kubectl.delete(&format!("{ROUTES}/echo-canary")).await;
    until(async || get(&gateways, "https", "echo", "/", &[]).await.status() == 404).await;
}

#[tokio::test]
async fn the_gateway_responds_if_a_backend_exceeds_the_rule_timeout() {
    let fixture = serving().await;
    let gateways = Gateways::of(&fixture).await;
    let kubectl = fixture.kubectl().await;
    let route = format!("{ROUTES}/httpbin");
    let mut rules = kubectl.get(&route).await["spec"]["rules"].clone();
    rules[0]["timeouts"] = json!({ "request": "100ms" });
    kubectl.merge(&route, &json!({ "spec": { "rules": rules } })).await;
    until(async || get(&gateways, "https", "httpbin", "/delay/2", &[]).await.status() == 504).await;
    assert_eq!(get(&gateways, "https", "httpbin", "/get", &[]).await.status(), 200);
}

#[tokio::test]
async fn without_probe_annotations_a_gateway_hangs_and_with_them_it_responds() {
    let fixture = serving().await;
    let gateways = Gateways::of(&fixture).await;
    let kubectl = fixture.kubectl().await;
    let preset = "/api/v1/namespaces/aks-istio-system/configmaps/istio-gateway-class-defaults";
    let defaults = kubectl.get(preset).await["data"]["service"].clone();
    assert!(defaults.as_str().unwrap().contains("port_80_health-probe"), "{defaults}");
    let gateway = format!("{GATEWAYS}/httpbin-gateway");
    let annotations = kubectl.get(&gateway).await["spec"]["infrastructure"]["annotations"].clone();
    let none: Value = annotations.as_object().unwrap().keys().map(|key| (key.clone(), Value::Null)).collect();
    kubectl.merge(preset, &json!({ "data": { "service": null } })).await;
    kubectl.merge(&gateway, &json!({ "spec": { "infrastructure": { "annotations": none } } })).await;
    let service = "/api/v1/namespaces/default/services/httpbin-gateway-approuting-istio";
    let probed = async || kubectl.get(service).await["metadata"]["annotations"][PROBE].is_string();
    until(async || !probed().await).await;
    // Azure's probe then requests `/`, and a redirect is not a healthy response either.
    let limit = Duration::from_millis(300);
    until(async || timeout(limit, get(&gateways, "http", "httpbin", "/", &[])).await.is_err()).await;
    let pending =
        tokio::spawn(async move { get(&gateways, "http", "httpbin", "/", &[]).await.status().as_u16() });
    kubectl.merge(&gateway, &json!({ "spec": { "infrastructure": { "annotations": annotations } } })).await;
    assert_eq!(pending.await.unwrap(), 301);
}

#[tokio::test]
async fn a_new_certificate_is_served_on_new_connections_and_open_ones_continue() {
    let mut fixture = serving().await;
    let gateways = Gateways::of(&fixture).await;
    let address = url(&gateways, "https", "httpbin", "/get");
    let open = client(&gateways);
    let before = served(&open, &address).await;
    fixture.settings.certificate.given = Some(crate::settings::pfx("ec.pfx"));
    fixture.up_ready().await;
    until(async || served(&client(&gateways), &address).await != before).await;
    assert_eq!(served(&open, &address).await, before, "the connection that was open is still the same one");
}

/// Returns the leaf of the connection on which a response arrived.
async fn served(client: &Client, address: &str) -> Vec<u8> {
    let response = client.get(address).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let leaf =
        response.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec();
    // Only a connection whose response was read completely is reused.
    response.bytes().await.unwrap();
    leaf
}

/// Repeats the request until the condition holds.
async fn until(is: impl AsyncFn() -> bool) {
    let holds = async {
        while !is().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(120), holds).await.expect("the condition never held");
}
