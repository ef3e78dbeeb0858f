//! A certificate by ACME: the order, its records, its resumption, and what prevents it.

use crate::{fixture::Fixture, settings, verify};
use jiff::Timestamp;
use landfall_diagnose::verify::CheckId;
use landfall_engine::{EnvironmentKey, How, Journal, Kind, Outcome, Run, Stop, TimeScale, UndoOutcome, up};
use landfall_steps::certificate::{
    VaultCertificate,
    acme::{Acme, AcmeDirectory, KeyPlace, Propagation},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The settings of the default server, without a trial order.
pub fn acme() -> Acme {
    Acme {
        directory: AcmeDirectory::Production,
        root: None,
        profile: None,
        names: Vec::new(),
        registration: Default::default(),
        propagation: Propagation::default(),
        rehearse: false,
        key: KeyPlace::Vault,
    }
}

pub async fn zone(fixture: &Fixture) -> String {
    let group = fixture.path("/resourceGroups/rg-names");
    fixture.put(&group, json!({ "location": "eastus" })).await;
    let id = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
    fixture.put(&id, json!({ "location": "global" })).await;
    id
}

/// Decodes the key of an external account.
pub fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

async fn with(acme: Acme) -> (Fixture, String) {
    let mut fixture = Fixture::without_cluster().await;
    fixture.settings.certificate.given = None;
    fixture.settings.certificate.acme = Some(Arc::new(acme));
    let zone = zone(&fixture).await;
    (fixture, zone)
}

fn held(fixture: &Fixture) -> VaultCertificate {
    fixture.journal_state().0["certificate"].read_output().unwrap()
}

async fn challenge_records(fixture: &Fixture, zone: &str) -> Value {
    let set = fixture.clients.azure.txt_set(zone, "_acme-challenge").await.unwrap();
    set.map_or(Value::Null, |set| json!(set.values()))
}

#[tokio::test]
async fn apex_and_wildcard_are_validated_in_one_record_set_and_merged_in_the_vault() {
    let (fixture, zone) = with(Acme { rehearse: true, ..acme() }).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("certificate"), Some(How::Created));
    let held = held(&fixture);
    let mut names = held.names.clone();
    names.sort();
    assert_eq!(names, [format!("*.{}", settings::DOMAIN), settings::DOMAIN.to_owned()]);
    assert_eq!((held.acme.as_deref(), held.self_signed), (Some("production"), false));
    assert_eq!(challenge_records(&fixture, &zone).await, Value::Null, "the record set is removed");

    let mark = fixture.mark();
    assert_eq!(fixture.up_ready().await.how("certificate"), Some(How::Found));
    assert_eq!(fixture.writes(mark), [""; 0]);
    assert!(fixture.plan().await.is_empty());

    let result = fixture.down_ready().await;
    assert_eq!(result.undone("certificate"), Some(&UndoOutcome::DeletedWithParent));
}

#[tokio::test]
async fn a_foreign_value_in_the_record_set_stays() {
    let (fixture, zone) = with(acme()).await;
    let properties = json!({ "TTL": 3600, "TXTRecords": [{ "value": ["of another program"] }] });
    fixture.put(&format!("{zone}/TXT/_acme-challenge"), json!({ "properties": properties })).await;
    fixture.up_ready().await;
    assert_eq!(challenge_records(&fixture, &zone).await, json!(["of another program"]));
}

#[tokio::test]
async fn a_key_of_this_machine_is_imported_with_its_chain() {
    let (fixture, _) = with(Acme { key: KeyPlace::Local, ..acme() }).await;
    fixture.up_ready().await;
    assert_eq!(held(&fixture).acme.as_deref(), Some("production"));
    assert_eq!(fixture.up_ready().await.how("certificate"), Some(How::Found));
}

#[tokio::test]
async fn without_a_zone_the_order_is_refused_before_anything_is_written() {
    let mut fixture = Fixture::without_cluster().await;
    fixture.settings.certificate.given = None;
    fixture.settings.certificate.acme = Some(Arc::new(acme()));
    let mark = fixture.mark();
    let result = fixture.up().await;
    let error = result.error("preflight");
    assert_eq!(error.kind, Kind::Input, "{error:#?}");
    assert!(error.causes[0].contains("no zone of this subscription contains"), "{error:#?}");
    assert_eq!(fixture.writes(mark), [""; 0]);
}

#[tokio::test]
async fn a_self_signed_certificate_is_replaced_when_the_issuer_changes() {
    let (mut fixture, _) = with(acme()).await;
    fixture.settings.certificate.acme = None;
    fixture.up_ready().await;
    assert!(held(&fixture).self_signed);
    fixture.settings.certificate.acme = Some(Arc::new(acme()));
    assert_eq!(fixture.up_ready().await.how("certificate"), Some(How::Changed));
    let after = held(&fixture);
    assert_eq!((after.acme.as_deref(), after.self_signed), (Some("production"), false));
}

#[tokio::test]
async fn the_gateways_serve_a_chain_to_a_root_of_the_server_and_a_renewal_needs_no_journal() {
    let mut fixture = verify::traffic().await;
    fixture.settings.certificate.given = None;
    fixture.settings.certificate.acme = Some(Arc::new(acme()));
    zone(&fixture).await;
    fixture.up_ready().await;
    let verdict = verify::wait_for_failures(&fixture, &[]).await;
    let detail = verify::detail(&verdict, CheckId::Certificate);
    assert!(detail.contains("leads to a root of its ACME server"), "{detail}");

    let (clients, settings) = (&fixture.clients, &fixture.settings);
    let state = landfall_steps::renewal_state(clients, settings, Timestamp::now()).await.unwrap();
    assert!(
        !state.is_due && state.has_cluster && state.reason.starts_with("the server suggests"),
        "{state:?}"
    );
    let later = state.due_at.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
    assert!(landfall_steps::renewal_state(clients, settings, later).await.unwrap().is_due);

    let before = held(&fixture).thumbprint;
    let folder = tempfile::tempdir().unwrap();
    let key = EnvironmentKey {
        cloud: "sim".to_owned(),
        subscription: clients.azure.id().to_owned(),
        environment: settings.environment.clone(),
    };
    let journal = Journal::open(&folder.path().join("renew"), "renew", &key, "0.1.0").unwrap();
    let (events, _seen) = tokio::sync::mpsc::unbounded_channel();
    let time_scale = TimeScale::new(fixture.sim.connection().time_scale);
    let run = Run { journal: journal.into(), time_scale, stop: Stop::new(), events };
    let report = up(&landfall_steps::renewal_graph(clients, settings, true), &run).await.unwrap();
    assert_eq!(report.outcome, Outcome::Ready, "{:#?}", report.errors);
    let next = landfall_steps::record_attempt(clients, settings, true, None, Timestamp::now()).await.unwrap();
    assert_eq!(next, None);
    let renewed: VaultCertificate = run.journal.journal_state().0["certificate"].read_output().unwrap();
    assert_ne!(renewed.thumbprint, before);
    let verdict = verify::wait_for_failures(&fixture, &[]).await;
    assert!(verify::detail(&verdict, CheckId::Certificate).contains("leads to a root"));
}
