//! Verification from outside: it passes for a sound environment, and for each single fault exactly the right
//! check fails.

use crate::{fixture::Fixture, kubectl::Kubectl, settings};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use landfall_cloud::AddressMap;
use landfall_diagnose::verify::{CheckId, State, Verdict, Verification, VerifyTimeouts};
use landfall_sim::{Options, Speed};
use serde_json::{Value, json};
use std::time::Duration;

const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes";
const SECRET: &str = "/api/v1/namespaces/default/secrets/gateway-tls-secret";
const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";
const SYNC_WORKLOAD: &str = "/apis/apps/v1/namespaces/default/deployments/tls-secret-sync";
/// The timeout of a test that waits for a state.
const TEST_TIMEOUT: Duration = Duration::from_secs(180);

pub async fn traffic() -> Fixture {
    Fixture::with(Options { speed: Speed::Instant, traffic: true, ..Options::default() }).await
}

async fn serving() -> Fixture {
    let fixture = traffic().await;
    fixture.up_ready().await;
    fixture
}

/// Runs all checks once.
pub async fn run_checks(fixture: &Fixture) -> Verdict {
    let timeouts = VerifyTimeouts { retry_timeout: Duration::ZERO, ..VerifyTimeouts::default() };
    let environment = fixture.description(&fixture.journal_state());
    let verification = Verification::new(&fixture.clients, &environment, timeouts).unwrap();
    verification.run(address_map_of(fixture), &|_, _| {}).await.unwrap()
}

/// Waits until the check of the served certificate alone passes.
pub async fn wait_for_certificate(fixture: &Fixture) {
    let timeouts = VerifyTimeouts { retry_timeout: TEST_TIMEOUT, ..VerifyTimeouts::default() };
    let environment = fixture.description(&fixture.journal_state());
    let verification = Verification::new(&fixture.clients, &environment, timeouts).unwrap();
    let verdict =
        verification.only(CheckId::Certificate).run(address_map_of(fixture), &|_, _| {}).await.unwrap();
    assert!(verdict.passes(), "{verdict:#?}");
}

fn address_map_of(fixture: &Fixture) -> impl AsyncFn() -> AddressMap {
    async || {
        let listeners = fixture.sim.wait_for_listeners().await;
        AddressMap::new(
            listeners.into_iter().map(|((address, port), socket)| ((address.into(), port), socket)),
        )
    }
}

pub fn failed(verdict: &Verdict) -> Vec<&'static str> {
    verdict.failed().map(CheckId::name).collect()
}

pub fn detail(verdict: &Verdict, check: CheckId) -> &str {
    &verdict.checks.iter().find(|one| one.check == check).unwrap().detail
}

/// Repeats the checks until exactly these fail: an out-of-band change reaches the gateways with a delay.
pub async fn wait_for_failures(fixture: &Fixture, wanted: &[CheckId]) -> Verdict {
    let wanted: Vec<&str> = wanted.iter().map(|check| check.name()).collect();
    let mut last = None;
    let until = async {
        loop {
            let verdict = run_checks(fixture).await;
            if failed(&verdict) == wanted {
                return verdict;
            }
            last = Some(verdict);
        }
    };
    let found = tokio::time::timeout(TEST_TIMEOUT, until).await;
    found.unwrap_or_else(|_| panic!("{wanted:?} did not fail by themselves: {last:#?}"))
}

/// Restores the environment with `up`.
async fn restore(fixture: &Fixture) {
    fixture.up_ready().await;
    assert!(wait_for_failures(fixture, &[]).await.passes());
}

/// Changes the rules of a route by hand.
async fn edit(kubectl: &Kubectl, route: &str, change: impl FnOnce(&mut Value)) {
    let path = format!("{ROUTES}/{route}");
    let mut rules = kubectl.get(&path).await["spec"]["rules"].clone();
    change(&mut rules);
    kubectl.merge(&path, &json!({ "spec": { "rules": rules } })).await;
}

async fn zone(fixture: &Fixture) -> String {
    let group = fixture.path("/resourceGroups/rg-names");
    fixture.put(&group, json!({ "location": "eastus" })).await;
    let id = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
    fixture.put(&id, json!({ "location": "global" })).await;
    id
}

#[tokio::test]
async fn every_check_passes_in_a_healthy_environment() {
    let fixture = traffic().await;
    zone(&fixture).await;
    fixture.up_ready().await;
    let verdict = wait_for_failures(&fixture, &[]).await;
    assert!(verdict.checks.iter().all(|one| one.state == State::Ok), "{verdict:#?}");
    let names: Vec<CheckId> = verdict.checks.iter().map(|one| one.check).collect();
    assert_eq!(names, CheckId::ALL);
    let canary = detail(&verdict, CheckId::Canary);
    assert!(canary.contains("400 requests") && canary.contains("90/10 allows"), "{canary}");
    let certificate = detail(&verdict, CheckId::Certificate);
    assert!(certificate.contains("covers 4 of 4 names"), "{certificate}");
    let redirect = detail(&verdict, CheckId::Redirect);
    assert!(redirect.starts_with(&format!("301 → https://httpbin.{}/", settings::DOMAIN)), "{redirect}");
    let dns = detail(&verdict, CheckId::Dns);
    assert!(dns.starts_with("4 of 4 records") && dns.contains("name servers are"), "{dns}");
    let headers = detail(&verdict, CheckId::HeaderRouting);
    assert!(headers.starts_with("version: v2 → echo-v2, without it → echo-v1"), "{headers}");
    let paths = detail(&verdict, CheckId::PathRouting);
    assert_eq!(paths, "/v1 → echo-v1, /v2 → echo-v2, /httpbin → httpbin");
}

#[tokio::test]
async fn each_broken_route_fails_its_check() {
    let fixture = serving().await;
    let kubectl = fixture.kubectl().await;
    kubectl.delete(&format!("{ROUTES}/echo-redirect")).await;
    let verdict = wait_for_failures(&fixture, &[CheckId::Redirect]).await;
    assert!(detail(&verdict, CheckId::Redirect).contains("returns 404 instead of 301"), "{verdict:#?}");
    restore(&fixture).await;

    for (stable, canary) in [(50, 50), (100, 0)] {
        edit(&kubectl, "echo-canary", |rules| {
            rules[0]["backendRefs"][0]["weight"] = json!(stable);
            rules[0]["backendRefs"][1]["weight"] = json!(canary);
        })
        .await;
        wait_for_failures(&fixture, &[CheckId::Canary]).await;
    }
    edit(&kubectl, "echo-headers", |rules| {
        rules.as_array_mut().unwrap().remove(0);
    })
    .await;
    let verdict = wait_for_failures(&fixture, &[CheckId::Canary, CheckId::HeaderRouting]).await;
    let headers = detail(&verdict, CheckId::HeaderRouting);
    assert!(headers.contains("got echo-v1 instead of echo-v2 in 10 of 10"), "{headers}");
    restore(&fixture).await;

    edit(&kubectl, "echo-headers", |rules| {
        rules.as_array_mut().unwrap().remove(0);
    })
    .await;
    wait_for_failures(&fixture, &[CheckId::HeaderRouting]).await;
    restore(&fixture).await;

    edit(&kubectl, "app-paths", |rules| {
        rules.as_array_mut().unwrap().remove(1);
    })
    .await;
    let verdict = wait_for_failures(&fixture, &[CheckId::PathRouting]).await;
    assert!(detail(&verdict, CheckId::PathRouting).contains("/v2"), "{verdict:#?}");
    restore(&fixture).await;
    edit(&kubectl, "app-paths", |rules| {
        rules[2]["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] = json!("/anything");
    })
    .await;
    let verdict = wait_for_failures(&fixture, &[CheckId::PathRouting]).await;
    assert!(
        detail(&verdict, CheckId::PathRouting).contains("arrived as /anything/anything/"),
        "{verdict:#?}"
    );
}

#[tokio::test]
async fn a_certificate_other_than_the_newest_fails_only_its_check() {
    let fixture = serving().await;
    let kubectl = fixture.kubectl().await;
    // A class with file names that do not exist in the mount keeps the driver from writing the Secret.
    let mut objects = kubectl.get(CLASS).await["spec"]["secretObjects"].clone();
    for one in objects[0]["data"].as_array_mut().unwrap() {
        one["objectName"] = json!("nobodys");
    }
    kubectl.merge(CLASS, &json!({ "spec": { "secretObjects": objects } })).await;
    let generated = rcgen::generate_simple_self_signed([format!("*.{}", settings::DOMAIN)]).unwrap();
    let (crt, key) =
        (STANDARD.encode(generated.cert.pem()), STANDARD.encode(generated.signing_key.serialize_pem()));
    kubectl.merge(SECRET, &json!({ "data": { "tls.crt": crt, "tls.key": key } })).await;
    let verdict = wait_for_failures(&fixture, &[CheckId::Certificate]).await;
    let certificate = detail(&verdict, CheckId::Certificate);
    assert!(certificate.contains("the vault's newest version is SHA-1"), "{certificate}");
    let blocked =
        verdict.checks.iter().filter(|one| one.state == State::Blocked { by: CheckId::Certificate });
    assert_eq!(blocked.count(), 5, "what needs a trusted connection is not asked: {verdict:#?}");
    restore(&fixture).await;

    kubectl.merge(CLASS, &json!({ "spec": { "secretObjects": objects } })).await;
    let other = settings::pfx("ec.pfx");
    let vault = fixture.clients.vaults.at(&vault_uri(&fixture)).unwrap();
    vault.import("gateway-tls-cert", other.pfx().expose(), other.password().expose()).await.unwrap();
    let verdict = wait_for_failures(&fixture, &[CheckId::Certificate]).await;
    assert!(detail(&verdict, CheckId::Certificate).contains("serves SHA-1"), "{verdict:#?}");
}

fn vault_uri(fixture: &Fixture) -> String {
    let output = fixture.journal_state().step_state("key-vault").unwrap().output.clone().unwrap();
    output["uri"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_missing_mistyped_or_unmanaged_secret_fails_only_its_check() {
    let fixture = serving().await;
    let kubectl = fixture.kubectl().await;
    let secret = kubectl.get(SECRET).await;
    kubectl.delete(SYNC_WORKLOAD).await;
    let verdict = wait_for_failures(&fixture, &[CheckId::TlsSecret]).await;
    assert_eq!(detail(&verdict, CheckId::TlsSecret), "Secret gateway-tls-secret does not exist");

    let unmanaged_secret = |kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "data": secret["data"],
            "metadata": { "name": "gateway-tls-secret", "namespace": "default" },
        })
    };
    kubectl.apply(SECRET, &unmanaged_secret("kubernetes.io/tls")).await;
    let verdict = wait_for_failure_detail(&fixture, CheckId::TlsSecret, "is not synced").await;
    let others = verdict.checks.iter().filter(|one| one.check != CheckId::TlsSecret);
    assert!(others.clone().all(|one| matches!(one.state, State::Ok | State::Skipped)), "{verdict:#?}");

    kubectl.delete(SECRET).await;
    kubectl.apply(SECRET, &unmanaged_secret("Opaque")).await;
    wait_for_failure_detail(&fixture, CheckId::TlsSecret, "is of type Opaque").await;
}

/// Like `fails`, until the check contains these words.
async fn wait_for_failure_detail(fixture: &Fixture, check: CheckId, words: &str) -> Verdict {
    let mut last = None;
    let until = async {
        loop {
            let verdict = wait_for_failures(fixture, &[check]).await;
            if detail(&verdict, check).contains(words) {
                return verdict;
            }
            last = Some(verdict);
        }
    };
    let found = tokio::time::timeout(TEST_TIMEOUT, until).await;
    found.unwrap_or_else(|_| panic!("{} does not say {words}: {last:#?}", check.name()))
}

#[tokio::test]
async fn a_gateway_with_a_failing_probe_is_reported_as_unreachable() {
    let fixture = serving().await;
    let kubectl = fixture.kubectl().await;
    let gateway = format!("{GATEWAYS}/httpbin-gateway");
    let annotations = kubectl.get(&gateway).await["spec"]["infrastructure"]["annotations"].clone();
    let none: Value = annotations.as_object().unwrap().keys().map(|key| (key.clone(), Value::Null)).collect();
    let preset = "/api/v1/namespaces/aks-istio-system/configmaps/istio-gateway-class-defaults";
    kubectl.merge(preset, &json!({ "data": { "service": null } })).await;
    kubectl.merge(&gateway, &json!({ "spec": { "infrastructure": { "annotations": none } } })).await;
    let verdict = wait_for_failures(&fixture, &[CheckId::Gateways]).await;
    let gateways = verdict.checks.iter().find(|one| one.check == CheckId::Gateways).unwrap();
    assert!(gateways.detail.contains("no response within 5 s on port 80"), "{gateways:#?}");
    assert!(gateways.hint.as_ref().unwrap().contains("probe"), "{gateways:#?}");
}

#[tokio::test]
async fn a_wrong_or_missing_record_fails_only_its_check() {
    let fixture = traffic().await;
    let zone = zone(&fixture).await;
    fixture.up_ready().await;
    let record = format!("{zone}/A/echo");
    let elsewhere = json!({ "TTL": 300, "ARecords": [{ "ipv4Address": "203.0.113.9" }] });
    fixture.put(&record, json!({ "properties": elsewhere })).await;
    let verdict = wait_for_failures(&fixture, &[CheckId::Dns]).await;
    assert!(detail(&verdict, CheckId::Dns).contains("is 203.0.113.9 in zone"), "{verdict:#?}");
    fixture.delete(&record).await;
    let verdict = wait_for_failure_detail(&fixture, CheckId::Dns, "has no A record").await;
    assert!(!verdict.passes());
}

#[tokio::test]
async fn checks_are_derived_from_the_users_own_manifests() {
    let mut fixture = traffic().await;
    fixture.settings.certificate.given = Some(settings::pfx("rsa-chain.pfx"));
    fixture.settings.manifests = settings::manifests(OWN);
    fixture.up_ready().await;
    let verdict = wait_for_failures(&fixture, &[]).await;
    assert!(verdict.passes(), "{verdict:#?}");
    let skipped = verdict.checks.iter().filter(|one| one.state == State::Skipped);
    let skipped: Vec<&str> = skipped.map(|one| one.check.name()).collect();
    assert_eq!(skipped, ["any-path", "canary", "header-routing", "dns"], "{verdict:#?}");
    assert!(detail(&verdict, CheckId::AnyPath).contains("to a path is unknown"), "{verdict:#?}");
    assert!(detail(&verdict, CheckId::Canary).contains("does not identify its backend"), "{verdict:#?}");
    assert!(detail(&verdict, CheckId::HeaderRouting).contains("by a pattern"), "{verdict:#?}");
    let redirect = detail(&verdict, CheckId::Redirect);
    assert!(redirect.starts_with("302 → https://shop.demo.example.com/new"), "{redirect}");
    let certificate = detail(&verdict, CheckId::Certificate);
    assert!(certificate.contains("pinned, since no root of this system trusts it"), "{certificate}");
}

/// A shop with unknown responses, behind one gateway.
const OWN: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop, namespace: default }
spec:
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop } }
    spec:
      containers: [{ name: shop, image: "example.com/shop:1" }]
---
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { selector: { app: shop }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: shop-next, namespace: default }
spec: { selector: { app: shop }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: shop-gateway, namespace: default }
spec:
  gatewayClassName: approuting-istio
  infrastructure:
    annotations:
      service.beta.kubernetes.io/port_80_health-probe_port: "15021"
      service.beta.kubernetes.io/port_80_health-probe_protocol: http
      service.beta.kubernetes.io/port_80_health-probe_request-path: /healthz/ready
      service.beta.kubernetes.io/port_443_health-probe_port: "15021"
      service.beta.kubernetes.io/port_443_health-probe_protocol: http
      service.beta.kubernetes.io/port_443_health-probe_request-path: /healthz/ready
  listeners:
    - { name: http, port: 80, protocol: HTTP, hostname: "*.__DOMAIN_NAME__" }
    - name: https
      port: 443
      protocol: HTTPS
      hostname: "*.__DOMAIN_NAME__"
      tls: { mode: Terminate, certificateRefs: [{ name: gateway-tls-secret }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop-redirect, namespace: default }
spec:
  parentRefs: [{ name: shop-gateway, sectionName: http }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /old } }]
      filters:
        - type: RequestRedirect
          requestRedirect:
            scheme: https
            path: { type: ReplacePrefixMatch, replacePrefixMatch: /new }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop, namespace: default }
spec:
  parentRefs: [{ name: shop-gateway, sectionName: https }]
  hostnames: ["shop.__DOMAIN_NAME__"]
  rules:
    - backendRefs: [{ name: shop, port: 80, weight: 3 }, { name: shop-next, port: 80, weight: 1 }]
    - matches: [{ path: { type: PathPrefix, value: /basket } }]
      backendRefs: [{ name: shop, port: 80 }]
    - matches: [{ headers: [{ type: RegularExpression, name: agent, value: ".*bot.*" }] }]
      backendRefs: [{ name: shop-next, port: 80 }]
"#;
