//! Accepted writes with an unreadable answer: no error claims that nothing was done.

use crate::cloud::{ARM, Cloud, Reply, VAULT, close_connection, reply};
use landfall_cloud::{ApiError, ApiErrorKind, SendStatus, arm::Condition};
use serde_json::json;

const GROUP: &str = "/subscriptions/s/resourceGroups/g";
const API: &str = "2025-04-01";

/// Returns successes of which only the status is readable.
fn unreadable(cloud: &Cloud) -> Vec<(&'static str, Reply)> {
    let page = "<html><head><title>Sign in to the network</title></head></html>";
    let elsewhere = cloud.url(VAULT, GROUP);
    vec![
        ("a page", reply(200).text(page).header("content-type", "text/html")),
        (
            "half a document",
            reply(201).text("{\"id\":\"/subscriptions/s/res").header("content-type", "application/json"),
        ),
        ("no gzip", reply(200).text("not gzip at all").header("content-encoding", "gzip")),
        (
            "a foreign status address",
            reply(201).json(json!({})).header("azure-asyncoperation", elsewhere.clone()),
        ),
        ("a foreign result address", reply(202).header("location", elsewhere)),
        ("a malformed status address", reply(202).header("azure-asyncoperation", "https://[::")),
        ("see other", reply(303).header("location", "/elsewhere")),
    ]
}

async fn each_write(cloud: &Cloud) -> Vec<ApiError> {
    let arm = cloud.arm();
    let put = arm.put(GROUP, API, &json!({}), Condition::None).await;
    let deleted = arm.delete(GROUP, API).await;
    let posted = arm.post(GROUP, API, None).await;
    [put, deleted, posted].into_iter().map(|done| done.expect_err("it cannot be read")).collect()
}

#[tokio::test]
async fn a_write_with_an_unreadable_success_counts_as_accepted() {
    let cloud = Cloud::start().await;
    for (what, reply) in unreadable(&cloud) {
        for method in ["PUT", "DELETE", "POST"] {
            cloud.on(method, ARM, GROUP, [reply.clone()]);
        }
        for error in each_write(&cloud).await {
            assert_eq!(error.sent, SendStatus::Accepted, "{what}: {error}");
            assert!(error.status.is_some() && !error.method.is_empty(), "{what}: {error}");
        }
    }
}

#[tokio::test]
async fn an_accepted_write_with_a_failed_resource_has_a_leftover() {
    let cloud = Cloud::start().await;
    let failed =
        json!({"properties": {"provisioningState": "Failed", "error": {"code": "X", "message": "y"}}});
    cloud.on("PUT", ARM, GROUP, [reply(201).json(failed)]);
    let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("it failed");
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Failed, SendStatus::Accepted));
}

#[tokio::test]
async fn a_redirect_or_gateway_error_leaves_the_effect_of_a_write_unknown() {
    let cloud = Cloud::start().await;
    for status in [301, 302, 307, 308] {
        cloud.on("PUT", ARM, GROUP, [reply(status).header("location", "/elsewhere")]);
        let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("moved");
        assert_eq!(error.sent, SendStatus::Unknown, "{status}: {error}");
    }
    // The gateway timed out on the first attempt, which may have taken effect nevertheless.
    for status in [500, 502, 504, 408] {
        let denied = json!({"error": {"code": "AuthorizationFailed", "message": "no"}});
        cloud.on("PUT", ARM, GROUP, [reply(status), reply(403).json(denied)]);
        let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("refused");
        assert_eq!((error.status, error.sent), (Some(403), SendStatus::Unknown), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_refusal_has_no_effect() {
    let cloud = Cloud::start().await;
    for status in [400, 401, 403, 404, 409, 412] {
        cloud.on("PUT", ARM, GROUP, [reply(status).json(json!({"error": {"code": "No", "message": "no"}}))]);
        let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("refused");
        assert_eq!(error.sent, SendStatus::Answered, "{status}: {error}");
    }
    cloud.on("PUT", ARM, GROUP, [close_connection()]);
    let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("lost");
    assert_eq!(error.sent, SendStatus::Unknown);
}

#[tokio::test]
async fn an_unreadable_read_has_no_effect() {
    let cloud = Cloud::start().await;
    for (what, reply) in unreadable(&cloud) {
        cloud.on("GET", ARM, GROUP, [reply.clone()]);
        if let Err(error) = cloud.arm().get(GROUP, API).await {
            assert!(error.sent <= SendStatus::Unknown, "{what}: {error}");
        }
        cloud.on("POST", ARM, GROUP, [reply]);
        if let Err(error) = cloud.arm().query(GROUP, API, None).await {
            assert_eq!(
                error.sent,
                SendStatus::Answered,
                "{what}: a question by POST changes nothing: {error}"
            );
        }
    }
}

#[tokio::test]
async fn an_import_with_an_unreadable_success_counts_as_accepted() {
    let cloud = Cloud::start().await;
    let vault = cloud.vaults().at(&cloud.url(VAULT, "/")).expect("a vault of this cloud");
    let import = "/certificates/web/import";
    let asks = || {
        let value = "Bearer authorization=\"https://login.test.localhost/t\", resource=\"https://vault.test.localhost\"";
        reply(401).header("www-authenticate", value)
    };
    cloud.on("POST", VAULT, import, [asks(), reply(200).text("<html>")]);
    for body in ["<html>", "{\"id\":\"x", "{\"id\":\"x\"}", "{\"id\":\"x\",\"cer\":\"AAAA\"}"] {
        cloud.on(
            "POST",
            VAULT,
            import,
            [asks(), reply(200).text(body).header("content-type", "application/json")],
        );
        let error = vault.import("web", b"pfx", "pw").await.expect_err("it cannot be read");
        assert_eq!((error.sent, error.status), (SendStatus::Accepted, Some(200)), "{body}: {error}");
        // A client caches the token, so there is no second challenge.
        cloud.on("POST", VAULT, import, [reply(200).text(body)]);
        let error = vault.import("web", b"pfx", "pw").await.expect_err("it cannot be read");
        assert_eq!(error.sent, SendStatus::Accepted, "{body}: {error}");
    }
}
