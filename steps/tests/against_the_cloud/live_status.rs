//! Live status: all well after a run, and each out-of-band change is reported correctly.

use crate::fixture::Fixture;
use landfall_diagnose::live_status::{self, LiveStatus};
use landfall_sim::{Options, Speed};
use serde_json::json;

const SPACE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default";

async fn read_status(fixture: &Fixture) -> LiveStatus {
    live_status::read(&fixture.clients, &fixture.description(&fixture.journal_state())).await
}

async fn created() -> Fixture {
    let fixture = Fixture::with(Options { speed: Speed::Instant, ..Options::default() }).await;
    fixture.up_ready().await;
    fixture
}

#[tokio::test]
async fn a_new_environment_is_healthy_and_every_gateway_has_its_resources() {
    let fixture = created().await;
    let before = fixture.sim.request_log().len();
    let status = read_status(&fixture).await;
    assert!(status.is_healthy(), "{status:#?}");
    let requests = fixture.sim.request_log().split_off(before);
    assert!(requests.iter().all(|line| ["GET", "HEAD"].contains(&line.method.as_str())), "it only looks");
    assert_eq!((status.gateways.len(), status.routes.len(), status.records.len()), (2, 6, 0));
    for gateway in &status.gateways {
        let created = &gateway.created;
        assert!(
            created.deployment.as_ref().is_some_and(|(_, ready, wanted)| ready == wanted),
            "{gateway:#?}"
        );
        assert!(
            created.service.is_some() && created.autoscaler.is_some() && created.budget.is_some(),
            "{gateway:#?}"
        );
        assert!(gateway.listeners.iter().all(|(_, _, routes)| *routes > 0), "{gateway:#?}");
    }
    let canary = status.routes.iter().find(|route| route.name == "echo-canary").unwrap();
    let shares: Vec<_> = canary.backends.iter().map(|backend| backend.share.unwrap()).collect();
    assert_eq!(shares, [(90, 100), (10, 100)]);
}

#[tokio::test]
async fn resources_that_were_never_created_are_not_read() {
    let fixture = Fixture::instant().await;
    let status =
        live_status::read(&fixture.clients, &fixture.description(&landfall_engine::JournalState::default()))
            .await;
    assert_eq!(status, LiveStatus::default());
    assert!(!status.is_healthy());
}

#[tokio::test]
async fn a_deleted_service_is_reported_at_its_routes() {
    let fixture = created().await;
    fixture.kubectl().await.delete("/api/v1/namespaces/default/services/echo-v2").await;
    let status = read_status(&fixture).await;
    let unhealthy: Vec<&str> =
        status.routes.iter().filter(|route| !route.is_healthy()).map(|route| route.name.as_str()).collect();
    assert_eq!(unhealthy, ["app-paths", "echo-canary", "echo-headers"]);
    assert!(status.gateways.iter().all(|gateway| gateway.is_healthy()) && !status.is_healthy());
}

#[tokio::test]
async fn a_gateway_of_another_class_reports_the_reason() {
    let fixture = created().await;
    let gateway = format!("{SPACE}/gateways/echo-gateway");
    fixture.kubectl().await.merge(&gateway, &json!({ "spec": { "gatewayClassName": "nobodys" } })).await;
    let status = read_status(&fixture).await;
    let echo = status.gateways.iter().find(|gateway| gateway.name == "echo-gateway").unwrap();
    assert!(echo.problem.is_some() && !echo.is_healthy(), "{echo:#?}");
}

#[tokio::test]
async fn a_secret_with_another_certificate_than_the_vault_is_reported() {
    let fixture = created().await;
    let pods = "/api/v1/namespaces/default/secrets/gateway-tls-secret";
    let kubectl = fixture.kubectl().await;
    let carried = kubectl.get(pods).await["data"]["tls.crt"].clone();
    assert!(carried.is_string());
    let held = read_status(&fixture).await.certificate.unwrap();
    kubectl.merge(pods, &json!({ "data": { "tls.crt": "bm90aGluZw==" } })).await;
    let status = read_status(&fixture).await;
    // The driver restores the overwritten Secret, now or later. The wrong certificate must never count as the
    // right one.
    assert_eq!(
        status.is_healthy(),
        status.secret.is_some_and(|secret| secret.thumbprint == held.thumbprint_sha1_hex)
    );
}
