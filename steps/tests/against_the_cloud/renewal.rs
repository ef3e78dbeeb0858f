//! The renewal without a state folder: the tags of the certificate have the settings of its order, the failures, and the
//! progress of an interrupted order.

use crate::{acme, fixture::Fixture, settings, verify};
use jiff::SignedDuration;
use landfall_engine::Outcome;
use landfall_sim::fault::Armed;
use landfall_steps::certificate::acme::{Acme, AcmeDirectory, KeyPlace, Propagation};
use serde_json::Value;

/// Creates an environment up to its certificate, and removes everything from the settings that names its issuer.
async fn without_settings(acme: Acme) -> (Fixture, String) {
    let (mut fixture, zone) = acme::with(acme).await;
    fixture.up_ready().await;
    fixture.settings.certificate.acme = None;
    (fixture, zone)
}

/// Advances the clock to the time from which the certificate is due.
async fn advance_to_due(fixture: &mut Fixture) {
    let state = acme::renewal(fixture).await.state(&fixture.clients).await;
    let wait = state.due_at.duration_since(fixture.clients.clock().now());
    fixture.advance(wait + SignedDuration::from_secs(1));
}

fn arm(fixture: &Fixture, faults: &[&str]) {
    let read: Vec<Armed> = faults.iter().map(|text| Armed::read(text).unwrap()).collect();
    fixture.sim.change(|sim, _| sim.faults.armed.extend(read)).unwrap();
}

/// Returns the orders of the simulated production server.
fn orders(fixture: &Fixture) -> Vec<Value> {
    let sim = fixture.sim.read(|state| serde_json::to_value(state).unwrap());
    sim["acme"]["production"]["orders"].as_object().unwrap().values().cloned().collect()
}

#[tokio::test]
async fn profile_names_zone_and_key_come_from_the_tags() {
    let names = vec![settings::DOMAIN.to_owned(), format!("www.{}", settings::DOMAIN)];
    let (mut fixture, _) = acme::with(Acme {
        profile: Some("tlsserver".to_owned()),
        names: names.clone(),
        propagation: Propagation::parse("wait 20s").unwrap(),
        key: KeyPlace::Local,
        ..acme::acme()
    })
    .await;
    fixture.settings.dns.resource_group = Some("rg-names".to_owned());
    fixture.up_ready().await;
    fixture.settings.certificate.acme = None;
    fixture.settings.dns.resource_group = None;
    advance_to_due(&mut fixture).await;
    let target = acme::renewal(&fixture).await;
    let read = target.settings().certificate.acme.clone().unwrap();
    assert_eq!((read.profile.as_deref(), read.key), (Some("tlsserver"), KeyPlace::Local));
    assert_eq!(read.propagation, Propagation::parse("wait 20s").unwrap());
    assert_eq!(target.settings().dns.resource_group.as_deref(), Some("rg-names"));
    let before = acme::stored(&fixture).await;
    let result = fixture.renew(&target).await;
    assert_eq!(result.report.outcome, Outcome::Ready, "{:#?}", result.report.errors);
    let after = acme::stored(&fixture).await;
    assert_ne!(after.thumbprint_sha1_hex, before.thumbprint_sha1_hex);
    assert_eq!(after.tags.get("landfall-acme-profile"), before.tags.get("landfall-acme-profile"));
    let mut renewed = after.names;
    renewed.sort();
    assert_eq!(renewed, names);
    let lifetime = after.not_after.duration_since(after.not_before);
    assert_eq!((lifetime.as_secs() as f64 / 86_400.0).round(), 45.0);
}

#[tokio::test]
async fn failures_and_the_next_attempt_are_in_the_tags_until_the_renewal_succeeds() {
    let (mut fixture, _) = without_settings(acme::acme()).await;
    advance_to_due(&mut fixture).await;
    for failures in 1..=2 {
        arm(&fixture, &["acme-terms-changed*2"]);
        let target = acme::renewal(&fixture).await;
        let result = fixture.renew(&target).await;
        assert_eq!(result.report.outcome, Outcome::Failed);
        let state = acme::renewal(&fixture).await.state(&fixture.clients).await;
        assert_eq!(state.failures, failures);
        assert!(state.error.unwrap().contains("Terms of service have changed"));
        let wait = state.not_before.unwrap().duration_since(fixture.clients.clock().now());
        assert!((1..=[1, 10][failures - 1]).contains(&(wait.as_secs() / 60 + 1)), "{wait:?}");
        fixture.advance(SignedDuration::from_mins(11));
    }
    fixture.sim.change(|sim, _| sim.faults.armed.clear()).unwrap();
    let target = acme::renewal(&fixture).await;
    assert_eq!(fixture.renew(&target).await.report.outcome, Outcome::Ready);
    let state = acme::renewal(&fixture).await.state(&fixture.clients).await;
    assert_eq!((state.failures, state.not_before, state.error), (0, None, None));
}

#[tokio::test]
async fn a_new_order_names_the_replaced_certificate_and_is_placed_once_more_without_it_if_refused() {
    let (mut fixture, _) = without_settings(acme::acme()).await;
    advance_to_due(&mut fixture).await;
    let target = acme::renewal(&fixture).await;
    assert_eq!(fixture.renew(&target).await.report.outcome, Outcome::Ready);
    let is_exempt = |order: &&Value| order["exempt"] == true && !order["replaces"].is_null();
    assert_eq!(orders(&fixture).iter().filter(is_exempt).count(), 1);

    advance_to_due(&mut fixture).await;
    arm(&fixture, &["acme-replaces-refused"]);
    let mark = fixture.mark();
    let target = acme::renewal(&fixture).await;
    let result = fixture.renew(&target).await;
    assert_eq!(result.report.outcome, Outcome::Ready);
    let notes = result.notes("certificate");
    assert!(notes.iter().any(|note| note.contains("ordering without it")), "{notes:?}");
    assert_eq!(fixture.writes_at(mark, "/new-order").iter().filter(|line| line.contains(" 201 ")).count(), 1);
    assert_eq!(orders(&fixture).iter().filter(is_exempt).count(), 1);
}

#[tokio::test]
async fn a_directory_that_a_tag_names_is_reported_for_consent() {
    let (mut fixture, _) = acme::with(acme::acme()).await;
    let connection = fixture.sim.connection().clone();
    let own = Acme {
        directory: AcmeDirectory::Url(connection.acme_directory.parse().unwrap()),
        root: Some(connection.ca_pem.clone()),
        ..acme::acme()
    };
    fixture.settings.certificate.acme = Some(std::sync::Arc::new(own));
    fixture.up_ready().await;
    assert_eq!(acme::renewal(&fixture).await.directory_of_tag(), None, "the settings name it");
    fixture.settings.certificate.acme = None;
    let mark = fixture.mark();
    let target = acme::renewal(&fixture).await;
    assert_eq!(target.directory_of_tag().unwrap().as_str(), connection.acme_directory);
    let log = fixture.sim.request_log();
    assert!(log[mark..].iter().all(|line| !line.host.starts_with("acme")), "nothing is sent to it before");
    let read = target.settings().certificate.acme.clone().unwrap();
    assert_eq!(
        read.root.as_deref(),
        Some(connection.ca_pem.as_str()),
        "the secret of the account has its root"
    );
    advance_to_due(&mut fixture).await;
    let target = acme::renewal(&fixture).await;
    assert_eq!(fixture.renew(&target).await.report.outcome, Outcome::Ready);
}

#[tokio::test]
async fn an_incident_makes_a_certificate_due_at_once_and_without_a_window_its_lifetime_decides() {
    let (mut fixture, _) = without_settings(acme::acme()).await;
    arm(&fixture, &["acme-window-invalid"]);
    let state = acme::renewal(&fixture).await.state(&fixture.clients).await;
    assert!(!state.is_due && state.reason.starts_with("two thirds of its lifetime"), "{state:?}");
    arm(&fixture, &["acme-incident"]);
    let state = acme::renewal(&fixture).await.state(&fixture.clients).await;
    assert!(state.is_due && state.reason.contains("incident"), "{state:?}");
    fixture.advance(SignedDuration::from_secs(1));
    let target = acme::renewal(&fixture).await;
    assert_eq!(fixture.renew(&target).await.report.outcome, Outcome::Ready);
}

/// `LANDFALL_RENEWALS` sets the number of renewals, and `LANDFALL_RENEWAL_PROFILE` the profile; two years of shortlived have 219.
#[tokio::test]
async fn the_gateways_serve_a_valid_certificate_before_and_after_each_renewal() {
    let renewals = std::env::var("LANDFALL_RENEWALS").map_or(3, |text| text.parse().unwrap());
    let profile = std::env::var("LANDFALL_RENEWAL_PROFILE").unwrap_or_else(|_| "shortlived".to_owned());
    let mut fixture = verify::traffic().await;
    fixture.settings.certificate.given = None;
    let ordered = Acme { profile: Some(profile.clone()), ..acme::acme() };
    fixture.settings.certificate.acme = Some(std::sync::Arc::new(ordered));
    acme::zone(&fixture).await;
    fixture.up_ready().await;
    let (complete, began) = (fixture.settings.clone(), std::time::Instant::now());
    let first = fixture.clients.clock().now();
    for _ in 0..renewals {
        fixture.settings.certificate.acme = None;
        advance_to_due(&mut fixture).await;
        // The check fails unless every gateway serves the vault's newest version, valid at this time of the cloud.
        fixture.settings = complete.clone();
        verify::wait_for_certificate(&fixture).await;
        fixture.settings.certificate.acme = None;
        let target = acme::renewal(&fixture).await;
        assert!(target.state(&fixture.clients).await.is_due);
        let result = fixture.renew(&target).await;
        assert_eq!(result.report.outcome, Outcome::Ready, "{:#?}", result.report.errors);
        fixture.settings = complete.clone();
        verify::wait_for_certificate(&fixture).await;
    }
    let days = fixture.clients.clock().now().duration_since(first).as_hours() / 24;
    println!("{profile}: {renewals} renewals in {days} days, served {:.1} s", began.elapsed().as_secs_f64());
}
