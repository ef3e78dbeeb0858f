//! The certificate in the vault.

use crate::{
    fixture::{Fixture, STEPS},
    settings,
};
use landfall_cloud::vault::Vault;
use landfall_engine::{How, Kind, UndoOutcome};
use landfall_steps::settings::Renewal;
use serde_json::json;

const NAME: &str = "gateway-tls-cert";

async fn vault(fixture: &Fixture) -> Vault {
    let uri = fixture.get(&fixture.vault_id()).await["properties"]["vaultUri"].as_str().unwrap().to_owned();
    fixture.clients.vaults.at(&uri).unwrap()
}

/// Creates a foreign vault, in a foreign group.
async fn create_foreign_vault(fixture: &Fixture) {
    fixture.create_group("eastus").await;
    let properties = json!({
        "tenantId": fixture.sim.connection().tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": true, "accessPolicies": [],
    });
    fixture.put(&fixture.vault_id(), json!({ "location": "eastus", "properties": properties })).await;
}

#[tokio::test]
async fn a_new_pfx_becomes_a_new_version_and_the_same_one_is_not_imported_again() {
    let mut fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    assert_eq!(fixture.writes_at(0, "/import").len(), 1);
    let given = settings::pfx("ec.pfx");
    fixture.settings.certificate.given = Some(given.clone());
    let result = fixture.up_ready().await;
    assert_eq!(result.how("certificate"), Some(How::Changed));
    let imports = fixture.writes_at(0, "/import");
    assert_eq!(imports.len(), 2);
    assert_eq!(vault(&fixture).await.versions(NAME).await.unwrap().len(), 2);
    let held = vault(&fixture).await.certificate(NAME).await.unwrap().unwrap();
    assert_eq!(held.thumbprint_sha1_hex, given.leaf().thumbprint_sha1);
    assert_eq!(fixture.up_ready().await.counts(), (STEPS, 0, 0));
    assert_eq!(fixture.writes_at(0, "/import"), imports);
}

#[tokio::test]
async fn without_a_pfx_a_certificate_is_generated_and_kept_while_it_matches() {
    let mut fixture = Fixture::without_cluster().await;
    fixture.settings.certificate.given = None;
    fixture.up_ready().await;
    assert_eq!(fixture.up_ready().await.counts(), (STEPS, 0, 0));
    assert_eq!(fixture.writes_at(0, "/import").len(), 1);
    let held = vault(&fixture).await.certificate(NAME).await.unwrap().unwrap();
    assert!(held.names.contains(&format!("*.{}", settings::DOMAIN)), "{:?}", held.names);
}

#[tokio::test]
async fn a_deleted_certificate_of_that_name_is_recovered_before_the_import() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    vault(&fixture).await.delete_certificate(NAME).await.unwrap();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("certificate"), Some(How::Created));
    assert_eq!(fixture.writes_at(0, "/recover").len(), 1);
    assert!(vault(&fixture).await.certificate(NAME).await.unwrap().is_some());
}

#[tokio::test]
async fn an_owned_certificate_in_a_foreign_vault_is_deleted_and_nothing_else() {
    let fixture = Fixture::without_cluster().await;
    create_foreign_vault(&fixture).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("key-vault"), Some(How::Found));
    // The roles of the add-on are sufficient for reads, but a deletion needs the officer's role.
    let foreign = settings::pfx("ec.pfx");
    let import = vault(&fixture).await;
    import.import("somebody-elses", foreign.pfx().expose(), foreign.password().expose()).await.unwrap();
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("certificate"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("key-vault"), None);
    let deleted = fixture.writes_at(mark, "/certificates/");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].starts_with("DELETE 200 /certificates/gateway-tls-cert"));
    assert_ne!(fixture.get(&fixture.vault_id()).await, json!(null));

    // A second `down` has nothing to do, and the next `up` restores the certificate.
    let mark = fixture.mark();
    assert!(fixture.down_ready().await.report.undone.is_empty());
    assert_eq!(fixture.writes(mark), [""; 0]);
    assert_eq!(fixture.up_ready().await.how("certificate"), Some(How::Created));
}

#[tokio::test]
async fn a_foreign_certificate_that_replaced_the_owned_one_is_kept() {
    let fixture = Fixture::without_cluster().await;
    create_foreign_vault(&fixture).await;
    fixture.up_ready().await;
    let foreign = settings::pfx("ec.pfx");
    let import = vault(&fixture).await;
    import.import(NAME, foreign.pfx().expose(), foreign.password().expose()).await.unwrap();
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("certificate"), Some(&UndoOutcome::AlreadyDeleted));
    assert!(result.notes("certificate").iter().any(|note| note.contains("is kept")));
    assert_eq!(fixture.writes_at(mark, "/certificates/"), [""; 0]);
}

/// Creates a foreign certificate under our name, in a foreign vault.
async fn import_foreign_certificate(fixture: &Fixture) {
    create_foreign_vault(fixture).await;
    fixture.up_until(|step| step == "certificate").await;
    let foreign = settings::pfx("ec.pfx");
    let vault = vault(fixture).await;
    vault.import(NAME, foreign.pfx().expose(), foreign.password().expose()).await.unwrap();
}

#[tokio::test]
async fn a_foreign_certificate_is_never_overwritten() {
    let fixture = Fixture::without_cluster().await;
    import_foreign_certificate(&fixture).await;
    let mark = fixture.mark();
    let result = fixture.up().await;
    let error = result.error("certificate");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.causes[0].contains("certificate.name"), "{error:?}");
    assert_eq!(vault(&fixture).await.versions(NAME).await.unwrap().len(), 1);
    fixture.down_ready().await;
    assert_eq!(fixture.writes_at(mark, "/certificates/"), [""; 0]);
}

#[tokio::test]
async fn a_foreign_deleted_certificate_is_not_recovered() {
    let fixture = Fixture::without_cluster().await;
    import_foreign_certificate(&fixture).await;
    vault(&fixture).await.delete_certificate(NAME).await.unwrap();
    let result = fixture.up().await;
    let error = result.error("certificate");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.hint.as_deref().unwrap().contains("certificate.name"), "{error:?}");
    assert_eq!(fixture.writes_at(0, "/recover"), [""; 0]);
}

#[tokio::test]
async fn an_owned_recovered_certificate_is_not_imported_again() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    vault(&fixture).await.delete_certificate(NAME).await.unwrap();
    fixture.up_ready().await;
    assert_eq!(vault(&fixture).await.versions(NAME).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_foreign_matching_certificate_is_used_and_never_rotated() {
    let mut fixture = Fixture::without_cluster().await;
    import_foreign_certificate(&fixture).await;
    fixture.settings.certificate.given = None;
    fixture.settings.certificate.renewal = Some(Renewal::WhenLeft(300_000));
    let mark = fixture.mark();
    fixture.up_ready().await;
    fixture.settings.certificate.renewal = Some(Renewal::Now);
    let result = fixture.up().await;
    let error = result.error("certificate");
    assert_eq!(error.kind, Kind::Foreign, "{error:?}");
    assert!(error.causes[0].contains("not owned by landfall and is not replaced"), "{error:?}");
    assert_eq!(fixture.writes_at(mark, "/certificates/"), [""; 0]);
}

#[tokio::test]
async fn only_a_generated_certificate_is_renewed() {
    let mut fixture = Fixture::without_cluster().await;
    fixture.settings.certificate.given = Some(settings::pfx("rsa-chain.pfx"));
    fixture.up_ready().await;
    fixture.settings.certificate.given = None;
    fixture.settings.certificate.renewal = Some(Renewal::Now);
    let result = fixture.up().await;
    let error = result.error("certificate");
    assert_eq!(error.code.as_deref(), Some("NotMadeHere"), "{error:?}");
    assert!(error.hint.as_ref().unwrap().contains("rotate --pfx"), "{error:?}");
    assert_eq!(fixture.writes_at(0, "/import").len(), 1);

    let mut fixture = Fixture::without_cluster().await;
    fixture.settings.certificate.given = None;
    fixture.up_ready().await;
    fixture.settings.certificate.renewal = Some(Renewal::WhenLeft(364));
    assert_eq!(fixture.up_ready().await.how("certificate"), Some(How::Found));
    fixture.settings.certificate.renewal = Some(Renewal::WhenLeft(366));
    assert_eq!(fixture.up_ready().await.how("certificate"), Some(How::Changed));
    assert_eq!(vault(&fixture).await.versions(NAME).await.unwrap().len(), 2);
}
