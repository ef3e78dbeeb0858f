//! The certificate in the vault.

use crate::{
    bench::{Bench, STEPS},
    settings,
};
use landfall_cloud::vault::Vault;
use landfall_engine::{How, Kind, Undone};
use landfall_steps::settings::Renewal;
use serde_json::json;

const NAME: &str = "gateway-tls-cert";

async fn vault(bench: &Bench) -> Vault {
    let uri = bench.get(&bench.vault_id()).await["properties"]["vaultUri"].as_str().unwrap().to_owned();
    bench.clouds.vaults.at(&uri).unwrap()
}

/// Creates a foreign vault, in a foreign group.
async fn somebodys_vault(bench: &Bench) {
    bench.make_group("eastus").await;
    let properties = json!({
        "tenantId": bench.sim.facts().tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": true, "accessPolicies": [],
    });
    bench.put(&bench.vault_id(), json!({ "location": "eastus", "properties": properties })).await;
}

#[tokio::test]
async fn a_new_pfx_becomes_a_new_version_and_the_same_one_is_not_imported_again() {
    let mut bench = Bench::without_cluster().await;
    bench.up_ready().await;
    assert_eq!(bench.writes_at(0, "/import").len(), 1);
    let given = settings::pfx("ec.pfx");
    bench.wish.certificate.given = Some(given.clone());
    let told = bench.up_ready().await;
    assert_eq!(told.how("certificate"), Some(How::Changed));
    let imports = bench.writes_at(0, "/import");
    assert_eq!(imports.len(), 2);
    assert_eq!(vault(&bench).await.versions(NAME).await.unwrap().len(), 2);
    let held = vault(&bench).await.certificate(NAME).await.unwrap().unwrap();
    assert_eq!(held.thumbprint_sha1_hex, given.leaf().thumbprint_sha1);
    assert_eq!(bench.up_ready().await.counts(), (STEPS, 0, 0));
    assert_eq!(bench.writes_at(0, "/import"), imports);
}

#[tokio::test]
async fn without_a_pfx_one_is_made_and_kept_as_long_as_it_fits() {
    let mut bench = Bench::without_cluster().await;
    bench.wish.certificate.given = None;
    bench.up_ready().await;
    assert_eq!(bench.up_ready().await.counts(), (STEPS, 0, 0));
    assert_eq!(bench.writes_at(0, "/import").len(), 1);
    let held = vault(&bench).await.certificate(NAME).await.unwrap().unwrap();
    assert!(held.names.contains(&format!("*.{}", settings::DOMAIN)), "{:?}", held.names);
}

#[tokio::test]
async fn a_deleted_certificate_of_that_name_is_recovered_before_the_import() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    vault(&bench).await.delete_certificate(NAME).await.unwrap();
    let told = bench.up_ready().await;
    assert_eq!(told.how("certificate"), Some(How::Created));
    assert_eq!(bench.writes_at(0, "/recover").len(), 1);
    assert!(vault(&bench).await.certificate(NAME).await.unwrap().is_some());
}

#[tokio::test]
async fn our_certificate_in_somebody_elses_vault_is_deleted_and_nothing_else_there() {
    let bench = Bench::without_cluster().await;
    somebodys_vault(&bench).await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("key-vault"), Some(How::Found));
    // The roles of the add-on are sufficient for reads, but a deletion needs the officer's role.
    let theirs = settings::pfx("ec.pfx");
    let import = vault(&bench).await;
    import.import("somebody-elses", theirs.pfx().expose(), theirs.password().expose()).await.unwrap();
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.undone("certificate"), Some(&Undone::Deleted));
    assert_eq!(told.undone("key-vault"), None);
    let deleted = bench.writes_at(mark, "/certificates/");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].starts_with("DELETE 200 /certificates/gateway-tls-cert"));
    assert_ne!(bench.get(&bench.vault_id()).await, json!(null));

    // A second `down` has nothing to do, and the next `up` restores the certificate.
    let mark = bench.mark();
    assert!(bench.down_ready().await.report.undone.is_empty());
    assert_eq!(bench.writes(mark), [""; 0]);
    assert_eq!(bench.up_ready().await.how("certificate"), Some(How::Created));
}

#[tokio::test]
async fn a_certificate_that_somebody_put_in_place_of_ours_is_kept() {
    let bench = Bench::without_cluster().await;
    somebodys_vault(&bench).await;
    bench.up_ready().await;
    let theirs = settings::pfx("ec.pfx");
    let import = vault(&bench).await;
    import.import(NAME, theirs.pfx().expose(), theirs.password().expose()).await.unwrap();
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.undone("certificate"), Some(&Undone::AlreadyGone));
    assert!(told.notes("certificate").iter().any(|note| note.contains("is kept")));
    assert_eq!(bench.writes_at(mark, "/certificates/"), [""; 0]);
}

/// Creates a foreign certificate under our name, in a foreign vault.
async fn somebodys_certificate(bench: &Bench) {
    somebodys_vault(bench).await;
    bench.up_until(|step| step == "certificate").await;
    let theirs = settings::pfx("ec.pfx");
    let vault = vault(bench).await;
    vault.import(NAME, theirs.pfx().expose(), theirs.password().expose()).await.unwrap();
}

#[tokio::test]
async fn a_strangers_certificate_is_never_written_over() {
    let bench = Bench::without_cluster().await;
    somebodys_certificate(&bench).await;
    let mark = bench.mark();
    let told = bench.up().await;
    let error = told.error("certificate");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.causes[0].contains("certificate.name"), "{error:?}");
    assert_eq!(vault(&bench).await.versions(NAME).await.unwrap().len(), 1);
    bench.down_ready().await;
    assert_eq!(bench.writes_at(mark, "/certificates/"), [""; 0]);
}

#[tokio::test]
async fn a_strangers_deleted_certificate_is_not_brought_back_to_be_written_over() {
    let bench = Bench::without_cluster().await;
    somebodys_certificate(&bench).await;
    vault(&bench).await.delete_certificate(NAME).await.unwrap();
    let told = bench.up().await;
    let error = told.error("certificate");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.hint.as_deref().unwrap().contains("certificate.name"), "{error:?}");
    assert_eq!(bench.writes_at(0, "/recover"), [""; 0]);
}

#[tokio::test]
async fn our_recovered_certificate_is_not_imported_once_more() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    vault(&bench).await.delete_certificate(NAME).await.unwrap();
    bench.up_ready().await;
    assert_eq!(vault(&bench).await.versions(NAME).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_strangers_certificate_that_fits_is_used_and_never_rotated() {
    let mut bench = Bench::without_cluster().await;
    somebodys_certificate(&bench).await;
    bench.wish.certificate.given = None;
    bench.wish.certificate.renewal = Some(Renewal::WhenLeft(300_000));
    let mark = bench.mark();
    bench.up_ready().await;
    bench.wish.certificate.renewal = Some(Renewal::Now);
    let told = bench.up().await;
    let error = told.error("certificate");
    assert_eq!(error.kind, Kind::Foreign, "{error:?}");
    assert!(error.causes[0].contains("not owned by landfall and is not replaced"), "{error:?}");
    assert_eq!(bench.writes_at(mark, "/certificates/"), [""; 0]);
}

#[tokio::test]
async fn one_that_was_given_is_not_made_anew_and_one_that_was_made_here_is() {
    let mut bench = Bench::without_cluster().await;
    bench.wish.certificate.given = Some(settings::pfx("rsa-chain.pfx"));
    bench.up_ready().await;
    bench.wish.certificate.given = None;
    bench.wish.certificate.renewal = Some(Renewal::Now);
    let told = bench.up().await;
    let error = told.error("certificate");
    assert_eq!(error.code.as_deref(), Some("NotMadeHere"), "{error:?}");
    assert!(error.hint.as_ref().unwrap().contains("rotate --pfx"), "{error:?}");
    assert_eq!(bench.writes_at(0, "/import").len(), 1);

    let mut bench = Bench::without_cluster().await;
    bench.wish.certificate.given = None;
    bench.up_ready().await;
    bench.wish.certificate.renewal = Some(Renewal::WhenLeft(364));
    assert_eq!(bench.up_ready().await.how("certificate"), Some(How::Found));
    bench.wish.certificate.renewal = Some(Renewal::WhenLeft(366));
    assert_eq!(bench.up_ready().await.how("certificate"), Some(How::Changed));
    assert_eq!(vault(&bench).await.versions(NAME).await.unwrap().len(), 2);
}
