//! Accepted writes with an unreadable answer: no error claims that nothing was done.

use crate::cloud::{ARM, Answer, Cloud, VAULT, answer, hang_up};
use landfall_cloud::{ApiError, ApiErrorKind, Sent, arm::Condition};
use serde_json::json;

const GROUP: &str = "/subscriptions/s/resourceGroups/g";
const API: &str = "2025-04-01";

/// Returns successes of which only the status is readable.
fn unreadable(cloud: &Cloud) -> Vec<(&'static str, Answer)> {
    let page = "<html><head><title>Sign in to the network</title></head></html>";
    let elsewhere = cloud.url(VAULT, GROUP);
    vec![
        ("a page", answer(200).text(page).header("content-type", "text/html")),
        (
            "half a document",
            answer(201).text("{\"id\":\"/subscriptions/s/res").header("content-type", "application/json"),
        ),
        ("no gzip", answer(200).text("not gzip at all").header("content-encoding", "gzip")),
        (
            "a foreign status address",
            answer(201).json(json!({})).header("azure-asyncoperation", elsewhere.clone()),
        ),
        ("a foreign result address", answer(202).header("location", elsewhere)),
        ("a malformed status address", answer(202).header("azure-asyncoperation", "https://[::")),
        ("see other", answer(303).header("location", "/elsewhere")),
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
    for (what, answer) in unreadable(&cloud) {
        for method in ["PUT", "DELETE", "POST"] {
            cloud.on(method, ARM, GROUP, [answer.clone()]);
        }
        for error in each_write(&cloud).await {
            assert_eq!(error.sent, Sent::Accepted, "{what}: {error}");
            assert!(error.status.is_some() && !error.method.is_empty(), "{what}: {error}");
        }
    }
}

#[tokio::test]
async fn a_write_that_was_accepted_and_whose_resource_failed_left_something() {
    let cloud = Cloud::start().await;
    let failed =
        json!({"properties": {"provisioningState": "Failed", "error": {"code": "X", "message": "y"}}});
    cloud.on("PUT", ARM, GROUP, [answer(201).json(failed)]);
    let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("it failed");
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Failed, Sent::Accepted));
}

#[tokio::test]
async fn a_redirect_or_a_gateways_word_does_not_say_whether_a_write_was_carried_out() {
    let cloud = Cloud::start().await;
    for status in [301, 302, 307, 308] {
        cloud.on("PUT", ARM, GROUP, [answer(status).header("location", "/elsewhere")]);
        let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("moved");
        assert_eq!(error.sent, Sent::Unknown, "{status}: {error}");
    }
    // The gateway timed out on the first attempt, which may have taken effect nevertheless.
    for status in [500, 502, 504, 408] {
        let denied = json!({"error": {"code": "AuthorizationFailed", "message": "no"}});
        cloud.on("PUT", ARM, GROUP, [answer(status), answer(403).json(denied)]);
        let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("refused");
        assert_eq!((error.status, error.sent), (Some(403), Sent::Unknown), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_refusal_claims_nothing() {
    let cloud = Cloud::start().await;
    for status in [400, 401, 403, 404, 409, 412] {
        cloud.on("PUT", ARM, GROUP, [answer(status).json(json!({"error": {"code": "No", "message": "no"}}))]);
        let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("refused");
        assert_eq!(error.sent, Sent::Answered, "{status}: {error}");
    }
    cloud.on("PUT", ARM, GROUP, [hang_up()]);
    let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("lost");
    assert_eq!(error.sent, Sent::Unknown);
}

#[tokio::test]
async fn a_read_with_an_unreadable_answer_left_nothing() {
    let cloud = Cloud::start().await;
    for (what, answer) in unreadable(&cloud) {
        cloud.on("GET", ARM, GROUP, [answer.clone()]);
        if let Err(error) = cloud.arm().get(GROUP, API).await {
            assert!(error.sent <= Sent::Unknown, "{what}: {error}");
        }
        cloud.on("POST", ARM, GROUP, [answer]);
        if let Err(error) = cloud.arm().ask(GROUP, API, None).await {
            assert_eq!(error.sent, Sent::Answered, "{what}: a question by POST changes nothing: {error}");
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
        answer(401).header("www-authenticate", value)
    };
    cloud.on("POST", VAULT, import, [asks(), answer(200).text("<html>")]);
    for body in ["<html>", "{\"id\":\"x", "{\"id\":\"x\"}", "{\"id\":\"x\",\"cer\":\"AAAA\"}"] {
        cloud.on(
            "POST",
            VAULT,
            import,
            [asks(), answer(200).text(body).header("content-type", "application/json")],
        );
        let error = vault.import("web", b"pfx", "pw").await.expect_err("it cannot be read");
        assert_eq!((error.sent, error.status), (Sent::Accepted, Some(200)), "{body}: {error}");
        // A client caches the token, so there is no second challenge.
        cloud.on("POST", VAULT, import, [answer(200).text(body)]);
        let error = vault.import("web", b"pfx", "pw").await.expect_err("it cannot be read");
        assert_eq!(error.sent, Sent::Accepted, "{body}: {error}");
    }
}
