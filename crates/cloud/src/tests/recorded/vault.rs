//! The data plane of vaults: certificates, versions, deleted certificates, errors.

use super::{Counts, Row, certificate, player::Player, rows};
use crate::ApiErrorKind;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

fn hex(x5t: &Value) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(x5t.as_str().unwrap_or_default()).expect("a thumbprint");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn last(id: &Value) -> &str {
    id.as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default()
}

fn vault(player: &Player, row: &Row) -> crate::vault::Vault {
    player.vaults.at(&row.uri.origin().ascii_serialization()).expect("a vault of Azure")
}

#[tokio::test]
async fn recorded_bundles_and_items_are_parsed() {
    let Some(rows) = rows() else { return };
    let (player, mut counts) = (Player::new(), Counts::default());
    for row in rows.iter().filter(|row| !row.is_of_arm() && row.status < Some(400)) {
        let (place, vault) = (row.place(), vault(&player, row));
        let path: Vec<&str> = row.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        player.set_then(row, (200, json!({ "value": [], "nextLink": null })));
        match (row.method.as_str(), path.as_slice()) {
            ("GET", ["certificates", name]) => {
                let read = vault.certificate(name).await.expect(&place).expect(&place);
                assert_eq!(read.thumbprint_sha1_hex, hex(&row.answer["x5t"]), "{place}");
                assert_eq!(read.version, last(&row.answer["id"]), "{place}");
                assert_eq!(Some(read.secret_id.as_str()), row.answer["sid"].as_str(), "{place}");
                assert_eq!((read.cer.as_slice(), read.names.is_empty()), (certificate(), false), "{place}");
                let tags = row.answer["tags"].as_object().map_or(0, serde_json::Map::len);
                assert_eq!(read.tags.len(), tags, "{place}");
                counts.add("certificate");
            }
            ("POST", ["certificates", name, "import"]) => {
                let read = vault.import(name, b"pfx", "").await.expect(&place);
                assert_eq!(read.version, last(&row.answer["id"]), "{place}");
                counts.add("import");
            }
            ("GET", ["certificates", name, "versions"]) => {
                let read = vault.versions(name).await.expect(&place);
                let listed = row.answer["value"].as_array().expect(&place);
                assert_eq!(read.len(), listed.len(), "{place}");
                for (read, listed) in read.iter().zip(listed) {
                    assert_eq!(
                        (read.version.as_str(), &read.thumbprint_sha1_hex),
                        (last(&listed["id"]), &hex(&listed["x5t"]))
                    );
                    assert_eq!(Some(read.enabled), listed["attributes"]["enabled"].as_bool(), "{place}");
                    let created = read.created.map(jiff::Timestamp::as_second);
                    assert_eq!(created, listed["attributes"]["created"].as_i64(), "{place}");
                }
                counts.add("versions");
            }
            ("GET", ["deletedcertificates", name]) => {
                let read = vault.deleted_certificate(name).await.expect(&place).expect(&place);
                let purged = read.purged_at.map(jiff::Timestamp::as_second);
                assert_eq!(purged, row.answer["scheduledPurgeDate"].as_i64(), "{place}");
                counts.add("deleted certificate");
            }
            ("DELETE", ["certificates", name]) => {
                assert!(vault.delete_certificate(name).await.expect(&place), "{place}");
                counts.add("deletion");
            }
            ("POST", ["deletedcertificates", name, "recover"]) => {
                vault.recover_certificate(name).await.expect(&place);
                counts.add("recovery");
            }
            _ => counts.add("not sent by landfall"),
        }
    }
    counts.print("vault answers");
}

#[tokio::test]
async fn recorded_refusals_of_a_vault_are_parsed() {
    let Some(rows) = rows() else { return };
    let (player, mut counts) = (Player::new(), Counts::default());
    for row in rows.iter().filter(|row| !row.is_of_arm() && row.status >= Some(400)) {
        let (place, vault) = (row.place(), vault(&player, row));
        player.set(row);
        let read = vault.certificate("any").await;
        match row.status {
            Some(404) => assert_eq!(read.expect(&place), None, "{place}"),
            Some(401) => {
                let error = read.expect_err(&place);
                assert_eq!((error.kind, error.status), (ApiErrorKind::Unauthorized, Some(401)), "{place}");
                assert_eq!(error.code.as_deref(), row.answer["error"]["code"].as_str(), "{place}");
            }
            other => panic!("{place}: {other:?}"),
        }
        counts.add(row.status.unwrap_or_default().to_string());
    }
    counts.print("refusals of a vault");
}
