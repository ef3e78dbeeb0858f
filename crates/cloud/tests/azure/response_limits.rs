//! Endless answers: every client stops at its size limit, counted in decoded bytes, and reports it.

use crate::cloud::{ARM, Cloud, LOGIN, TENANT, VAULT, reply};
use landfall_cloud::{ApiError, ApiErrorKind, SendStatus, arm::Condition};
use serde_json::json;

const GROUP: &str = "/subscriptions/s/resourceGroups/g";
const API: &str = "2025-04-01";

fn too_large(error: &ApiError, host: &str, limit: &str) {
    let wanted = format!("the answer of {host} is larger than {limit}");
    assert_eq!((error.kind, error.message.as_str()), (ApiErrorKind::Protocol, wanted.as_str()), "{error:?}");
}

#[tokio::test]
async fn a_compressed_arm_response_is_limited_by_its_decoded_size() {
    let cloud = Cloud::start().await;
    for status in [200, 404, 503] {
        cloud.on("GET", ARM, GROUP, [reply(status).gzip_bomb()]);
        let error = cloud.arm().get(GROUP, API).await.expect_err("no answer has this size");
        too_large(&error, ARM, "32 MiB");
        assert_eq!(
            cloud.requests_to(ARM).iter().filter(|received| received.path == GROUP).count(),
            1,
            "{status}"
        );
        cloud.forget();
    }
}

#[tokio::test]
async fn a_write_whose_success_is_too_large_took_effect() {
    let cloud = Cloud::start().await;
    cloud.on("PUT", ARM, GROUP, [reply(201).gzip_bomb()]);
    let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("too large");
    too_large(&error, ARM, "32 MiB");
    assert_eq!(error.sent, SendStatus::Accepted);
}

#[tokio::test]
async fn a_compressed_token_response_is_limited_by_its_decoded_size() {
    let cloud = Cloud::start().await;
    for status in [200, 401] {
        cloud.on("POST", LOGIN, &format!("/{TENANT}/oauth2/v2.0/token"), [reply(status).gzip_bomb()]);
        let error = cloud.arm().get(GROUP, API).await.expect_err("no token has this size");
        too_large(&error, LOGIN, "1 MiB");
    }
    assert!(cloud.requests_to(ARM).is_empty());
}

#[tokio::test]
async fn a_compressed_vault_response_is_limited_by_its_decoded_size() {
    let cloud = Cloud::start().await;
    let challenge =
        "Bearer authorization=\"https://login.test.localhost/t\", resource=\"https://vault.test.localhost\"";
    let asks = || reply(401).header("www-authenticate", challenge);
    let vault = cloud.vaults().at(&cloud.url(VAULT, "/")).expect("a vault of this cloud");
    for replies in [vec![asks(), reply(200).gzip_bomb()], vec![reply(200).gzip_bomb()]] {
        cloud.on("GET", VAULT, "/certificates/web/", replies);
        let error = vault.certificate("web").await.expect_err("no certificate has this size");
        too_large(&error, VAULT, "32 MiB");
    }
}

#[tokio::test]
async fn a_challenge_that_names_a_foreign_authority_is_refused_before_a_token_is_sent() {
    for authority in ["https://login.microsoftonline.us/t", "https://evil.example/t", "not an address"] {
        let cloud = Cloud::start().await;
        let challenge =
            format!("Bearer authorization=\"{authority}\", resource=\"https://vault.test.localhost\"");
        cloud.on("GET", VAULT, "/certificates/web/", [reply(401).header("www-authenticate", challenge)]);
        let vault = cloud.vaults().at(&cloud.url(VAULT, "/")).expect("a vault of this cloud");
        let error = vault.certificate("web").await.expect_err(authority);
        assert_eq!(error.kind, ApiErrorKind::Protocol, "{error:?}");
        assert!(error.message.contains("foreign sign-in authority"), "{error:?}");
        assert!(
            cloud.requests().iter().all(|received| received.header("authorization").is_empty()),
            "{authority}"
        );
        assert!(cloud.requests_to(LOGIN).is_empty(), "{authority}");
    }
}
