//! The vault's data plane: the challenge, certificates, errors.

use crate::cloud::{Cloud, LOGIN, VAULT, close_connection, reply};
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use landfall_cloud::{ApiErrorKind, SendStatus, vault::Vault};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

const IMPORT: &str = "/certificates/web/import";
const VERSION: &str = "0123456789abcdef0123456789abcdef";

fn challenge(resource: &str) -> crate::cloud::Reply {
    let value = format!("Bearer authorization=\"https://login.test.localhost/t\", resource=\"{resource}\"");
    reply(401)
        .header("www-authenticate", value)
        .json(json!({"error": {"code": "Unauthorized", "message": "no token"}}))
}

fn challenge_response() -> crate::cloud::Reply {
    challenge("https://vault.test.localhost")
}

fn vault(cloud: &Cloud) -> Vault {
    cloud.vaults().at(&cloud.url(VAULT, "/")).expect("a vault of this cloud")
}

fn bundle() -> Value {
    let names = vec!["a.test".to_owned(), "*.a.test".to_owned()];
    let key = KeyPair::generate().expect("keys can be made");
    let cer = CertificateParams::new(names).expect("valid names").self_signed(&key).expect("signs itself");
    json!({
        "id": format!("https://{VAULT}/certificates/web/{VERSION}"),
        "sid": format!("https://{VAULT}/secrets/web/{VERSION}"),
        "x5t": URL_SAFE_NO_PAD.encode([0xAB; 20]),
        "cer": STANDARD.encode(cer.der()),
        "attributes": {"enabled": true, "nbf": 1_600_000_000, "exp": 4_000_000_000_u64}
    })
}

#[tokio::test]
async fn an_import_authenticates_before_it_sends_the_key() {
    let cloud = Cloud::start().await;
    cloud.on("POST", VAULT, IMPORT, [challenge_response(), reply(200).json(bundle())]);
    let stored = vault(&cloud).import("web", b"pfx bytes", "pw").await.expect("imported");
    assert_eq!(stored.thumbprint_sha1_hex, "ab".repeat(20));
    assert_eq!(
        (stored.version.as_str(), stored.names),
        (VERSION, vec!["a.test".to_owned(), "*.a.test".to_owned()])
    );
    assert!(stored.secret_id.ends_with(&format!("/secrets/web/{VERSION}")));
    assert!(stored.not_before < stored.not_after);
    let received = cloud.requests_to(VAULT);
    assert_eq!((received.len(), received[0].body.as_str(), received[0].header("authorization")), (2, "", ""));
    let body: Value = serde_json::from_str(&received[1].body).expect("JSON");
    assert_eq!((&body["value"], &body["pwd"]), (&json!(STANDARD.encode(b"pfx bytes")), &json!("pw")));
    assert!(cloud.requests_to(LOGIN)[0].body.contains("scope=https%3A%2F%2Fvault.test.localhost%2F.default"));
    assert_eq!(cloud.request_counter.requests(), 3);
}

#[tokio::test]
async fn a_vault_that_requests_a_foreign_token_gets_none() {
    for resource in ["https://management.test.localhost", "https://test.localhost", "https://evil.example"] {
        let cloud = Cloud::start().await;
        cloud.on("POST", VAULT, IMPORT, [challenge(resource), reply(200).json(bundle())]);
        let error = vault(&cloud).import("web", b"pfx", "pw").await.expect_err(resource);
        assert!(matches!(error.kind, ApiErrorKind::Protocol | ApiErrorKind::SignIn), "{resource}: {error:?}");
        assert!(
            cloud.requests().iter().all(|received| received.header("authorization").is_empty()),
            "{resource}"
        );
    }
}

#[tokio::test]
async fn a_missing_role_is_reported_by_the_inner_code_and_not_retried() {
    let cloud = Cloud::start().await;
    let refused = json!({"error": {"code": "Forbidden", "message": "Caller is not authorized to perform action on resource.",
        "innererror": {"code": "ForbiddenByRbac"}}});
    cloud.on("POST", VAULT, IMPORT, [challenge_response(), reply(403).json(refused)]);
    let error = vault(&cloud).import("web", b"pfx", "pw").await.expect_err("no role");
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Forbidden, Some("Forbidden")));
    assert_eq!(error.inner_code.as_deref(), Some("ForbiddenByRbac"));
    assert_eq!((error.method, error.url.as_str()), ("POST", IMPORT));
    assert_eq!(cloud.requests_to(VAULT).len(), 2);
}

#[tokio::test]
async fn an_import_keeps_its_body_on_retries_and_is_retried_only_if_safe() {
    let cloud = Cloud::start().await;
    // 429 and 503 mean that the service did nothing, both before and after the challenge.
    cloud.on(
        "POST",
        VAULT,
        IMPORT,
        [reply(429), challenge_response(), reply(503), reply(200).json(bundle())],
    );
    let vault = vault(&cloud);
    vault.import("web", b"pfx", "pw").await.expect("the fourth request");
    let received = cloud.requests_to(VAULT);
    assert_eq!(received.len(), 4);
    assert!(received[2..].iter().all(|one| one.body == received[2].body && !one.body.is_empty()));
    cloud.on("POST", VAULT, IMPORT, [close_connection()]);
    let error = vault.import("web", b"pfx", "pw").await.expect_err("it may have been imported");
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, SendStatus::Unknown));
    assert_eq!(cloud.requests_to(VAULT).len(), 5);
}

#[tokio::test]
async fn a_token_refused_during_a_run_is_replaced() {
    let cloud = Cloud::start().await;
    let path = "/certificates/web/";
    cloud.on(
        "GET",
        VAULT,
        path,
        [challenge_response(), reply(200).json(bundle()), challenge_response(), reply(200).json(bundle())],
    );
    let vault = vault(&cloud);
    vault.certificate("web").await.expect("there").expect("there");
    vault.certificate("web").await.expect("there").expect("there");
    let tokens: Vec<_> =
        cloud.requests_to(VAULT).iter().map(|received| received.header("authorization").to_owned()).collect();
    assert!(tokens[1] == tokens[2] && tokens[2] != tokens[3], "{tokens:?}");
    assert_eq!(cloud.requests_to(LOGIN).len(), 2);
}

#[tokio::test]
async fn a_certificate_exists_is_deleted_or_lists_its_versions() {
    let cloud = Cloud::start().await;
    let missing = json!({"error": {"code": "CertificateNotFound", "message": "A certificate with (name/id) web was not found"}});
    cloud.on("GET", VAULT, "/certificates/web/", [challenge_response(), reply(404).json(missing.clone())]);
    cloud.on(
        "GET",
        VAULT,
        "/deletedcertificates/web",
        [reply(200).json(json!({"scheduledPurgeDate": 1_800_000_000}))],
    );
    cloud.on("POST", VAULT, "/deletedcertificates/web/recover", [reply(200).json(bundle())]);
    let item = |n: u8| {
        json!({"id": format!("https://{VAULT}/certificates/web/{n:032}"),
        "x5t": URL_SAFE_NO_PAD.encode([n; 20]), "attributes": {"enabled": n == 1, "created": 1_700_000_000}})
    };
    let next = cloud.url(VAULT, "/certificates/web/versions/2");
    cloud.on(
        "GET",
        VAULT,
        "/certificates/web/versions",
        [reply(200).json(json!({"value": [item(1)], "nextLink": next}))],
    );
    cloud.on("GET", VAULT, "/certificates/web/versions/2", [reply(200).json(json!({"value": [item(2)]}))]);
    let vault = vault(&cloud);
    assert_eq!(vault.certificate("web").await.expect("an answer"), None);
    let deleted = vault.deleted_certificate("web").await.expect("an answer").expect("deleted");
    assert_eq!(deleted.purged_at.map(|at| at.as_second()), Some(1_800_000_000));
    vault.recover_certificate("web").await.expect("begun");
    let versions = vault.versions("web").await.expect("two pages");
    assert_eq!(versions.len(), 2);
    assert_eq!((versions[0].enabled, versions[1].enabled), (true, false));
    assert_eq!(versions[1].thumbprint_sha1_hex, "02".repeat(20));
}

#[tokio::test]
async fn a_list_of_versions_is_never_read_from_a_foreign_server() {
    let (cloud, foreign) = (Cloud::start().await, Cloud::start().await);
    let next = foreign.url(VAULT, "/certificates/web/versions");
    let page = reply(200).json(json!({"value": [], "nextLink": next}));
    cloud.on("GET", VAULT, "/certificates/web/versions", [challenge_response(), page]);
    let error = vault(&cloud).versions("web").await.expect_err("elsewhere");
    assert_eq!(error.kind, ApiErrorKind::Protocol);
    assert!(foreign.requests().is_empty());
}

#[tokio::test]
async fn only_vaults_of_this_cloud_are_used() {
    let cloud = Cloud::start().await;
    let vaults = cloud.vaults();
    let foreign = [
        "https://kv.vault.azure.net/",
        "http://kv.vault.test.localhost/",
        "https://evilvault.test.localhost/",
        "https://vault.test.localhost/",
        "https://a.b.vault.test.localhost/",
        "https://kv.vault.test.localhost.evil.example/",
        "https://kv.vault.test.localhost@evil.example/",
        "kv",
    ];
    for uri in foreign {
        let error = vaults.at(uri).err().unwrap_or_else(|| panic!("{uri} was taken"));
        assert_eq!((error.kind, error.sent), (ApiErrorKind::Invalid, SendStatus::Never), "{uri}");
    }
    assert!(vaults.at("https://KV.Vault.Test.localhost").is_ok());
}

#[test]
fn every_request_can_wait_on_any_thread() {
    fn can_move<T: Send>(_: impl FnOnce(Vault, landfall_cloud::ArmClient) -> T) {}
    can_move(|vault, _| async move { vault.import("web", b"pfx", "pw").await });
    can_move(|vault, _| async move { vault.versions("web").await });
    can_move(|_, arm| async move { arm.list("/subscriptions", "1", &[("$filter", "x")]).await });
    can_move(
        |_, arm| async move { arm.put("/x", "1", &json!({}), landfall_cloud::arm::Condition::None).await },
    );
    can_move(|_, arm| async move { arm.identity().await });
}
