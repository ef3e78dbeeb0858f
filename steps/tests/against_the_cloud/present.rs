//! Live status: all well after a run, and each out-of-band change is reported correctly.

use crate::bench::Bench;
use landfall_diagnose::present::{self, Present};
use landfall_sim::{Options, Speed};
use serde_json::json;

const SPACE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default";

async fn look(bench: &Bench) -> Present {
    present::look(&bench.clouds, &bench.description(&bench.memory())).await
}

async fn made() -> Bench {
    let bench = Bench::with(Options { speed: Speed::Instant, ..Options::default() }).await;
    bench.up_ready().await;
    bench
}

#[tokio::test]
async fn what_was_just_made_is_well_and_everything_made_for_a_gateway_is_there() {
    let bench = made().await;
    let before = bench.sim.ledger().len();
    let seen = look(&bench).await;
    assert!(seen.is_well(), "{seen:#?}");
    let asked = bench.sim.ledger().split_off(before);
    assert!(asked.iter().all(|line| ["GET", "HEAD"].contains(&line.method.as_str())), "it only looks");
    assert_eq!((seen.gateways.len(), seen.routes.len(), seen.records.len()), (2, 6, 0));
    for gateway in &seen.gateways {
        let made = &gateway.made;
        assert!(made.deployment.as_ref().is_some_and(|(_, ready, wanted)| ready == wanted), "{gateway:#?}");
        assert!(made.service.is_some() && made.autoscaler.is_some() && made.budget.is_some(), "{gateway:#?}");
        assert!(gateway.listeners.iter().all(|(_, _, routes)| *routes > 0), "{gateway:#?}");
    }
    let canary = seen.routes.iter().find(|route| route.name == "echo-canary").unwrap();
    let shares: Vec<_> = canary.backends.iter().map(|backend| backend.share.unwrap()).collect();
    assert_eq!(shares, [(90, 100), (10, 100)]);
}

#[tokio::test]
async fn nothing_is_looked_for_that_was_never_made() {
    let bench = Bench::instant().await;
    let seen = present::look(&bench.clouds, &bench.description(&landfall_engine::Memory::default())).await;
    assert_eq!(seen, Present::default());
    assert!(!seen.is_well());
}

#[tokio::test]
async fn a_service_that_is_gone_shows_at_the_routes_that_lead_to_it() {
    let bench = made().await;
    bench.kubectl().await.delete("/api/v1/namespaces/default/services/echo-v2").await;
    let seen = look(&bench).await;
    let ill: Vec<&str> =
        seen.routes.iter().filter(|route| !route.is_well()).map(|route| route.name.as_str()).collect();
    assert_eq!(ill, ["app-paths", "echo-canary", "echo-headers"]);
    assert!(seen.gateways.iter().all(|gateway| gateway.is_well()) && !seen.is_well());
}

#[tokio::test]
async fn a_gateway_of_another_class_says_what_keeps_it() {
    let bench = made().await;
    let gateway = format!("{SPACE}/gateways/echo-gateway");
    bench.kubectl().await.merge(&gateway, &json!({ "spec": { "gatewayClassName": "nobodys" } })).await;
    let seen = look(&bench).await;
    let echo = seen.gateways.iter().find(|gateway| gateway.name == "echo-gateway").unwrap();
    assert!(echo.trouble.is_some() && !echo.is_well(), "{echo:#?}");
}

#[tokio::test]
async fn a_secret_that_carries_another_certificate_is_told_from_the_vaults() {
    let bench = made().await;
    let pods = "/api/v1/namespaces/default/secrets/gateway-tls-secret";
    let kubectl = bench.kubectl().await;
    let carried = kubectl.get(pods).await["data"]["tls.crt"].clone();
    assert!(carried.is_string());
    let held = look(&bench).await.certificate.unwrap();
    kubectl.merge(pods, &json!({ "data": { "tls.crt": "bm90aGluZw==" } })).await;
    let seen = look(&bench).await;
    // The driver restores the overwritten Secret, now or later. The wrong certificate must never count as the
    // right one.
    assert_eq!(
        seen.is_well(),
        seen.secret.is_some_and(|secret| secret.thumbprint == held.thumbprint_sha1_hex)
    );
}
