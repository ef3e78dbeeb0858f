//! A renewal that is stuck: its job records the cause in the tags of the certificate, and the doctor reports it.

use super::diagnosis_at;
use crate::{acme, fixture::Fixture, settings, verify};
use jiff::SignedDuration;
use landfall_diagnose::{doctor::Diagnosis, live_status, verify::CheckId};
use landfall_engine::Outcome;
use landfall_sim::fault::Armed;
use std::sync::Arc;

/// The days of the profile classic after which less than a sixth is left.
const OVERDUE: i64 = 80;
/// The days after which it is due.
const DUE: i64 = 61;

async fn environment() -> Fixture {
    let mut fixture = verify::traffic().await;
    fixture.settings.certificate.given = None;
    fixture.settings.certificate.acme = Some(Arc::new(acme::acme()));
    acme::zone(&fixture).await;
    fixture.up_ready().await;
    fixture
}

fn arm(fixture: &Fixture, fault: &str) {
    let armed = Armed::read(fault).unwrap();
    fixture.sim.change(|sim, _| sim.faults.armed.push(armed)).unwrap();
}

async fn diagnosis(fixture: &Fixture) -> Diagnosis {
    diagnosis_at(fixture, fixture.clients.clock().now()).await
}

/// Lets a renewal fail, and returns the error that its job records.
async fn fail(fixture: &Fixture) -> String {
    let target = acme::renewal(fixture).await;
    let result = fixture.renew(&target).await;
    assert_eq!(result.report.outcome, Outcome::Failed);
    let error = &result.report.errors[0].1;
    format!("{:?} {}", error.code, error.message)
}

#[tokio::test]
async fn without_a_job_a_renewal_is_overdue_in_the_last_sixth() {
    let mut fixture = environment().await;
    fixture.advance(SignedDuration::from_hours(24 * DUE));
    assert!(diagnosis(&fixture).await.root().is_none());
    fixture.advance(SignedDuration::from_hours(24 * (OVERDUE - DUE)));
    let found = diagnosis(&fixture).await;
    assert_eq!(found.root().unwrap().code, "CERTIFICATE_RENEWAL_OVERDUE", "{found:#?}");
    let evidence = found.root().unwrap().evidence.join(" ");
    assert!(evidence.contains("9 of 90 days left"), "{evidence}");
}

#[tokio::test]
async fn each_cause_of_a_failing_renewal_has_its_own_finding() {
    for (fault, code) in [
        ("acme-rate-limited", "RENEWAL_LIMITED"),
        ("acme-caa", "RENEWAL_CAA"),
        ("acme-secondary-fails", "RENEWAL_VALIDATION_FAILED"),
        ("acme-terms-changed*2", "RENEWAL_FAILED"),
        ("dns-zone-undelegated", "RENEWAL_ZONE_NOT_DELEGATED"),
        ("dns-write-denied", "RENEWAL_ZONE_RIGHTS"),
    ] {
        let mut fixture = environment().await;
        fixture.advance(SignedDuration::from_hours(24 * DUE));
        arm(&fixture, fault);
        let error = fail(&fixture).await;
        let found = diagnosis(&fixture).await;
        let last = found.findings.last().unwrap_or_else(|| panic!("{fault}: {error}"));
        assert_eq!(last.code, code, "{fault}: {error}");
        fixture.advance(SignedDuration::from_hours(24 * (OVERDUE - DUE)));
        let found = diagnosis(&fixture).await;
        assert_eq!(found.root().unwrap().code, code, "{fault}");
        assert!(
            found.root().unwrap().evidence[0].starts_with("the last attempt failed; the next one is due at")
        );
    }
}

#[tokio::test]
async fn a_job_that_may_not_read_the_account_key_is_reported() {
    let mut fixture = environment().await;
    let officer = fixture.journal_state().0["vault-officer"].output.clone().unwrap();
    let of_secrets = officer["assignments"][1].as_str().unwrap();
    fixture.clients.azure.revoke(of_secrets).await.unwrap();
    fixture.advance(SignedDuration::from_hours(24 * OVERDUE));
    fail(&fixture).await;
    let found = diagnosis(&fixture).await;
    assert_eq!(found.root().unwrap().code, "RENEWAL_VAULT_RIGHTS");
}

#[tokio::test]
async fn verify_and_status_name_the_last_renewal_and_its_failures() {
    let mut fixture = environment().await;
    fixture.advance(SignedDuration::from_hours(24 * DUE));
    let verdict = verify::wait_for_failures(&fixture, &[]).await;
    let detail = verify::detail(&verdict, CheckId::Certificate);
    assert!(detail.contains("28 of 90 days left, renewed "), "{detail}");
    arm(&fixture, "acme-rate-limited");
    fail(&fixture).await;
    let verdict = verify::wait_for_failures(&fixture, &[]).await;
    let detail = verify::detail(&verdict, CheckId::Certificate);
    assert!(detail.contains("warning: 1 failed since"), "{detail}");
    let environment = fixture.description(&fixture.journal_state());
    let status = live_status::read(&fixture.clients, &environment).await;
    let tags = status.certificate.unwrap().tags;
    assert_eq!(tags.get("landfall-renew-failures").map(String::as_str), Some("1"));
}

#[tokio::test]
async fn a_gateway_that_keeps_the_old_certificate_is_the_cause_and_the_renewal_is_not_served() {
    let mut fixture = environment().await;
    arm(&fixture, "gateway-keeps-certificate");
    // Any read of the cluster lets the fault act.
    let kubectl = fixture.kubectl().await;
    kubectl.get("/api/v1/namespaces/default").await;
    fixture.advance(SignedDuration::from_hours(24 * DUE));
    let target = acme::renewal(&fixture).await;
    assert_eq!(fixture.renew(&target).await.report.outcome, Outcome::Ready);
    let served = verify::wait_for_failures(&fixture, &[CheckId::Certificate]).await;
    let detail = verify::detail(&served, CheckId::Certificate);
    assert!(detail.contains("but the vault's newest version is"), "{detail}");
    // The driver polls the vault.
    fixture.advance(SignedDuration::from_mins(10));
    let found = super::diagnose_until(&fixture, "GATEWAY_SERVES_OTHER_CERTIFICATE").await;
    assert!(found.is_ok(), "{:?}", found.unwrap_err().findings);
}

#[tokio::test]
async fn a_pending_request_that_blocks_an_import_is_reported() {
    let fixture = super::Template::shared().await.copy().await;
    let body = fixture.get(&fixture.vault_id()).await;
    let vault = fixture.clients.vaults.at(body["properties"]["vaultUri"].as_str().unwrap()).unwrap();
    let request = landfall_cloud::vault::NewRequest {
        names: vec![settings::DOMAIN.to_owned()],
        key: landfall_cloud::vault::KeyKind::P256,
        tags: Default::default(),
    };
    vault.create_request("gateway-tls-cert", &request).await.unwrap();
    let found = diagnosis(&fixture).await;
    assert_eq!(found.root().unwrap().code, "CERTIFICATE_REQUEST_PENDING", "{found:#?}");
}
