//! A certificate by ACME: the order, its records, its resumption, and what prevents it.

use crate::{fixture::Fixture, settings, verify};
use landfall_cloud::vault::StoredCertificate;
use landfall_diagnose::verify::CheckId;
use landfall_engine::{How, Kind, Outcome, UndoOutcome};
use landfall_steps::{
    RenewalTarget,
    certificate::{
        VaultCertificate,
        acme::{Acme, AcmeDirectory, KeyPlace, Propagation},
    },
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

pub async fn with(acme: Acme) -> (Fixture, String) {
    let mut fixture = Fixture::without_cluster().await;
    fixture.settings.certificate.given = None;
    fixture.settings.certificate.acme = Some(Arc::new(acme));
    let zone = zone(&fixture).await;
    (fixture, zone)
}

fn held(fixture: &Fixture) -> VaultCertificate {
    fixture.journal_state().0["certificate"].read_output().unwrap()
}

pub async fn challenge_records(fixture: &Fixture, zone: &str) -> Value {
    let set = fixture.clients.azure.txt_set(zone, "_acme-challenge").await.unwrap();
    set.map_or(Value::Null, |set| json!(set.values()))
}

/// Finds the certificate as a renewal does.
pub async fn renewal(fixture: &Fixture) -> RenewalTarget {
    RenewalTarget::find(&fixture.clients, &fixture.settings).await.unwrap()
}

/// Returns the newest version in the vault.
pub async fn stored(fixture: &Fixture) -> StoredCertificate {
    let body = fixture.get(&fixture.vault_id()).await;
    let vault = fixture.clients.vaults.at(body["properties"]["vaultUri"].as_str().unwrap()).unwrap();
    vault.certificate("gateway-tls-cert").await.unwrap().unwrap()
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

    // The vault has all that a renewal needs, so neither the settings nor the journal are used.
    let complete = fixture.settings.clone();
    fixture.settings.certificate.acme = None;
    let state = renewal(&fixture).await.state(&fixture.clients).await;
    assert!(
        !state.is_due && state.has_cluster && state.reason.starts_with("the server suggests"),
        "{state:?}"
    );
    let now = fixture.clients.clock().now();
    fixture.advance(state.due_at.duration_since(now) + jiff::SignedDuration::from_secs(1));
    let target = renewal(&fixture).await;
    assert!(target.state(&fixture.clients).await.is_due);

    let before = held(&fixture).thumbprint;
    let result = fixture.renew(&target).await;
    assert_eq!(result.report.outcome, Outcome::Ready, "{:#?}", result.report.errors);
    let stored = stored(&fixture).await;
    assert_ne!(stored.thumbprint_sha1_hex, before);
    fixture.settings = complete;
    let verdict = verify::wait_for_failures(&fixture, &[]).await;
    assert!(verify::detail(&verdict, CheckId::Certificate).contains("leads to a root"));
    assert!(!renewal(&fixture).await.state(&fixture.clients).await.is_due);
}
