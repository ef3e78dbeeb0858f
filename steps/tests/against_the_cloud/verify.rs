//! Verification from outside: it passes for a sound environment, and for each single fault exactly the right
//! check fails.

use crate::{bench::Bench, kubectl::Kubectl, settings};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use landfall_cloud::Ways;
use landfall_diagnose::verify::{Bounds, CheckId, State, Verdict, Verification};
use landfall_sim::{Options, Speed};
use serde_json::{Value, json};
use std::time::Duration;

const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes";
const SECRET: &str = "/api/v1/namespaces/default/secrets/gateway-tls-secret";
const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";
const HOLDER: &str = "/apis/apps/v1/namespaces/default/deployments/tls-secret-sync";
/// The timeout of a test that waits for a state.
const WATCHDOG: Duration = Duration::from_secs(180);

async fn traffic() -> Bench {
    Bench::with(Options { speed: Speed::Instant, traffic: true, ..Options::default() }).await
}

async fn serving() -> Bench {
    let bench = traffic().await;
    bench.up_ready().await;
    bench
}

/// Runs all checks once.
async fn prove(bench: &Bench) -> Verdict {
    let bounds = Bounds { patience: Duration::ZERO, ..Bounds::default() };
    let environment = bench.description(&bench.memory());
    let verification = Verification::new(&bench.clouds, &environment, bounds).unwrap();
    let ways = async || {
        let doors = bench.sim.doors_open().await;
        Ways::new(doors.into_iter().map(|((address, port), socket)| ((address.into(), port), socket)))
    };
    verification.run(ways, &|_, _| {}).await.unwrap()
}

fn failed(verdict: &Verdict) -> Vec<&'static str> {
    verdict.failed().map(CheckId::name).collect()
}

fn detail(verdict: &Verdict, check: CheckId) -> &str {
    &verdict.checks.iter().find(|one| one.check == check).unwrap().detail
}

/// Repeats the checks until exactly these fail: an out-of-band change reaches the gateways with a delay.
async fn fails(bench: &Bench, wanted: &[CheckId]) -> Verdict {
    let wanted: Vec<&str> = wanted.iter().map(|check| check.name()).collect();
    let mut last = None;
    let until = async {
        loop {
            let verdict = prove(bench).await;
            if failed(&verdict) == wanted {
                return verdict;
            }
            last = Some(verdict);
        }
    };
    let found = tokio::time::timeout(WATCHDOG, until).await;
    found.unwrap_or_else(|_| panic!("{wanted:?} did not fail by themselves: {last:#?}"))
}

/// Restores the environment with `up`.
async fn mended(bench: &Bench) {
    bench.up_ready().await;
    assert!(fails(bench, &[]).await.holds());
}

/// Changes the rules of a route by hand.
async fn edit(kubectl: &Kubectl, route: &str, change: impl FnOnce(&mut Value)) {
    let path = format!("{ROUTES}/{route}");
    let mut rules = kubectl.get(&path).await["spec"]["rules"].clone();
    change(&mut rules);
    kubectl.merge(&path, &json!({ "spec": { "rules": rules } })).await;
}

async fn zone(bench: &Bench) -> String {
    let group = bench.path("/resourceGroups/rg-names");
    bench.put(&group, json!({ "location": "eastus" })).await;
    let id = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
    bench.put(&id, json!({ "location": "global" })).await;
    id
}

#[tokio::test]
async fn everything_that_is_promised_holds() {
    let bench = traffic().await;
    zone(&bench).await;
    bench.up_ready().await;
    let verdict = fails(&bench, &[]).await;
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
async fn each_route_that_is_broken_is_named_by_what_it_was_for() {
    let bench = serving().await;
    let kubectl = bench.kubectl().await;
    kubectl.delete(&format!("{ROUTES}/echo-redirect")).await;
    let verdict = fails(&bench, &[CheckId::Redirect]).await;
    assert!(detail(&verdict, CheckId::Redirect).contains("returns 404 instead of 301"), "{verdict:#?}");
    mended(&bench).await;

    for (stable, canary) in [(50, 50), (100, 0)] {
        edit(&kubectl, "echo-canary", |rules| {
            rules[0]["backendRefs"][0]["weight"] = json!(stable);
            rules[0]["backendRefs"][1]["weight"] = json!(canary);
        })
        .await;
        fails(&bench, &[CheckId::Canary]).await;
    }
    edit(&kubectl, "echo-headers", |rules| {
        rules.as_array_mut().unwrap().remove(0);
    })
    .await;
    let verdict = fails(&bench, &[CheckId::Canary, CheckId::HeaderRouting]).await;
    let headers = detail(&verdict, CheckId::HeaderRouting);
    assert!(headers.contains("got echo-v1 instead of echo-v2 in 10 of 10"), "{headers}");
    mended(&bench).await;

    edit(&kubectl, "echo-headers", |rules| {
        rules.as_array_mut().unwrap().remove(0);
    })
    .await;
    fails(&bench, &[CheckId::HeaderRouting]).await;
    mended(&bench).await;

    edit(&kubectl, "app-paths", |rules| {
        rules.as_array_mut().unwrap().remove(1);
    })
    .await;
    let verdict = fails(&bench, &[CheckId::PathRouting]).await;
    assert!(detail(&verdict, CheckId::PathRouting).contains("/v2"), "{verdict:#?}");
    mended(&bench).await;
    edit(&kubectl, "app-paths", |rules| {
        rules[2]["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] = json!("/anything");
    })
    .await;
    let verdict = fails(&bench, &[CheckId::PathRouting]).await;
    assert!(
        detail(&verdict, CheckId::PathRouting).contains("arrived as /anything/anything/"),
        "{verdict:#?}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_the_vaults_newest_is_named_and_nothing_else() {
    let bench = serving().await;
    let kubectl = bench.kubectl().await;
    // A class with file names that do not exist in the mount keeps the driver from writing the Secret.
    let mut objects = kubectl.get(CLASS).await["spec"]["secretObjects"].clone();
    for one in objects[0]["data"].as_array_mut().unwrap() {
        one["objectName"] = json!("nobodys");
    }
    kubectl.merge(CLASS, &json!({ "spec": { "secretObjects": objects } })).await;
    let made = rcgen::generate_simple_self_signed([format!("*.{}", settings::DOMAIN)]).unwrap();
    let (crt, key) = (STANDARD.encode(made.cert.pem()), STANDARD.encode(made.signing_key.serialize_pem()));
    kubectl.merge(SECRET, &json!({ "data": { "tls.crt": crt, "tls.key": key } })).await;
    let verdict = fails(&bench, &[CheckId::Certificate]).await;
    let certificate = detail(&verdict, CheckId::Certificate);
    assert!(certificate.contains("the vault's newest version is SHA-1"), "{certificate}");
    let blocked =
        verdict.checks.iter().filter(|one| one.state == State::Blocked { by: CheckId::Certificate });
    assert_eq!(blocked.count(), 5, "what needs a trusted connection is not asked: {verdict:#?}");
    mended(&bench).await;

    kubectl.merge(CLASS, &json!({ "spec": { "secretObjects": objects } })).await;
    let other = settings::pfx("ec.pfx");
    let vault = bench.clouds.vaults.at(&vault_uri(&bench)).unwrap();
    vault.import("gateway-tls-cert", other.pfx().expose(), other.password().expose()).await.unwrap();
    let verdict = fails(&bench, &[CheckId::Certificate]).await;
    assert!(detail(&verdict, CheckId::Certificate).contains("serves SHA-1"), "{verdict:#?}");
}

fn vault_uri(bench: &Bench) -> String {
    let output = bench.memory().past("key-vault").unwrap().output.clone().unwrap();
    output["uri"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_secret_that_is_gone_or_of_another_type_or_nobodys_is_named_and_nothing_else() {
    let bench = serving().await;
    let kubectl = bench.kubectl().await;
    let secret = kubectl.get(SECRET).await;
    kubectl.delete(HOLDER).await;
    let verdict = fails(&bench, &[CheckId::TlsSecret]).await;
    assert_eq!(detail(&verdict, CheckId::TlsSecret), "Secret gateway-tls-secret does not exist");

    let by_hand = |kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "data": secret["data"],
            "metadata": { "name": "gateway-tls-secret", "namespace": "default" },
        })
    };
    kubectl.apply(SECRET, &by_hand("kubernetes.io/tls")).await;
    let verdict = fails_saying(&bench, CheckId::TlsSecret, "is not synced").await;
    let others = verdict.checks.iter().filter(|one| one.check != CheckId::TlsSecret);
    assert!(others.clone().all(|one| matches!(one.state, State::Ok | State::Skipped)), "{verdict:#?}");

    kubectl.delete(SECRET).await;
    kubectl.apply(SECRET, &by_hand("Opaque")).await;
    fails_saying(&bench, CheckId::TlsSecret, "is of type Opaque").await;
}

/// Like `fails`, until the check contains these words.
async fn fails_saying(bench: &Bench, check: CheckId, words: &str) -> Verdict {
    let mut last = None;
    let until = async {
        loop {
            let verdict = fails(bench, &[check]).await;
            if detail(&verdict, check).contains(words) {
                return verdict;
            }
            last = Some(verdict);
        }
    };
    let found = tokio::time::timeout(WATCHDOG, until).await;
    found.unwrap_or_else(|_| panic!("{} does not say {words}: {last:#?}", check.name()))
}

#[tokio::test]
async fn a_gateway_whose_probe_finds_nobody_is_said_to_be_silent() {
    let bench = serving().await;
    let kubectl = bench.kubectl().await;
    let gateway = format!("{GATEWAYS}/httpbin-gateway");
    let annotations = kubectl.get(&gateway).await["spec"]["infrastructure"]["annotations"].clone();
    let none: Value = annotations.as_object().unwrap().keys().map(|key| (key.clone(), Value::Null)).collect();
    let preset = "/api/v1/namespaces/aks-istio-system/configmaps/istio-gateway-class-defaults";
    kubectl.merge(preset, &json!({ "data": { "service": null } })).await;
    kubectl.merge(&gateway, &json!({ "spec": { "infrastructure": { "annotations": none } } })).await;
    let verdict = fails(&bench, &[CheckId::Gateways]).await;
    let said = verdict.checks.iter().find(|one| one.check == CheckId::Gateways).unwrap();
    assert!(said.detail.contains("no response within 5 s on port 80"), "{said:#?}");
    assert!(said.hint.as_ref().unwrap().contains("probe"), "{said:#?}");
}

#[tokio::test]
async fn a_record_that_leads_elsewhere_or_is_missing_is_named_and_nothing_else() {
    let bench = traffic().await;
    let zone = zone(&bench).await;
    bench.up_ready().await;
    let record = format!("{zone}/A/echo");
    let elsewhere = json!({ "TTL": 300, "ARecords": [{ "ipv4Address": "203.0.113.9" }] });
    bench.put(&record, json!({ "properties": elsewhere })).await;
    let verdict = fails(&bench, &[CheckId::Dns]).await;
    assert!(detail(&verdict, CheckId::Dns).contains("is 203.0.113.9 in zone"), "{verdict:#?}");
    bench.delete(&record).await;
    let verdict = fails_saying(&bench, CheckId::Dns, "has no A record").await;
    assert!(!verdict.holds());
}

#[tokio::test]
async fn what_the_users_own_manifests_promise_is_derived_from_them() {
    let mut bench = traffic().await;
    bench.wish.certificate.given = Some(settings::pfx("rsa-chain.pfx"));
    bench.wish.manifests = settings::manifests(OWN);
    bench.up_ready().await;
    let verdict = fails(&bench, &[]).await;
    assert!(verdict.holds(), "{verdict:#?}");
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
