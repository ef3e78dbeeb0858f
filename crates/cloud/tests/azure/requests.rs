//! Single requests to Resource Manager: headers, retries, errors, lists.

use crate::cloud::{ARM, CORRELATION, Cloud, LOGIN, close_connection, reply};
use landfall_cloud::{
    ApiErrorKind, SendStatus,
    arm::{Condition, WriteResult},
    retry::TRIES_MAX,
};
use serde_json::json;
use std::time::{Duration, Instant};

const GROUP: &str = "/subscriptions/s/resourcegroups/g";
const API: &str = "2024-11-01";

fn busy_server() -> crate::cloud::Reply {
    reply(503).json(json!({"error": {"code": "ServiceUnavailable", "message": "later"}}))
}

#[tokio::test]
async fn every_request_is_counted_and_has_correlation_and_request_ids() {
    let cloud = Cloud::start().await;
    cloud.on("GET", ARM, GROUP, [reply(500), reply(200).json(json!({"name": "g"}))]);
    let arm = cloud.arm();
    arm.get(GROUP, API).await.expect("there").expect("there");
    arm.get(GROUP, API).await.expect("there").expect("there");
    let received = cloud.requests_to(ARM);
    let ids: Vec<_> =
        received.iter().map(|received| received.header("x-ms-client-request-id").to_owned()).collect();
    // Both attempts of one request have the same id; the next request has another.
    assert_eq!(ids.len(), 3);
    assert!(ids[0] == ids[1] && ids[1] != ids[2] && !ids[0].is_empty(), "{ids:?}");
    for received in &received {
        assert_eq!(received.header("x-ms-correlation-request-id"), CORRELATION);
        assert_eq!(received.header("x-ms-return-client-request-id"), "true");
        assert!(received.header("user-agent").contains("landfall/"));
        assert_eq!(received.query, "api-version=2024-11-01");
    }
    assert_eq!(cloud.request_counter.requests(), cloud.requests().len() as u64);
    assert_eq!(cloud.requests_to(LOGIN).len(), 1);
}

#[tokio::test]
async fn a_missing_resource_is_none_and_its_deletion_succeeds() {
    let cloud = Cloud::start().await;
    let missing = json!({"error": {"code": "ResourceGroupNotFound", "message": "Resource group 'g' could not be found."}});
    cloud.on("GET", ARM, GROUP, [reply(404).json(missing.clone())]);
    cloud.on("DELETE", ARM, GROUP, [reply(404).json(missing), reply(204)]);
    let arm = cloud.arm();
    assert_eq!(arm.get(GROUP, API).await.expect("an answer"), None);
    assert_eq!(arm.delete(GROUP, API).await.expect("an answer"), WriteResult::Done(None));
    assert_eq!(arm.delete(GROUP, API).await.expect("an answer"), WriteResult::Done(None));
}

#[tokio::test]
async fn retry_after_is_respected() {
    for (name, value, least) in [("retry-after-ms", "60", 60), ("retry-after", "1", 1_000)] {
        let cloud = Cloud::start().await;
        let throttled = json!({"error": {"code": "TooManyRequests", "message": "slower"}});
        cloud.on(
            "PUT",
            ARM,
            GROUP,
            [reply(429).header(name, value).json(throttled), reply(200).json(json!({}))],
        );
        let result = Instant::now();
        cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect("the second try");
        assert!(result.elapsed() >= Duration::from_millis(least), "{name}");
        assert_eq!(cloud.requests_to(ARM).len(), 2);
    }
}

#[tokio::test]
async fn retries_are_limited() {
    let cloud = Cloud::start().await;
    cloud.on("GET", ARM, GROUP, [busy_server()]);
    let error = cloud.arm().get(GROUP, API).await.expect_err("never there");
    assert_eq!(
        (error.kind, error.status, error.sent),
        (ApiErrorKind::Unavailable, Some(503), SendStatus::Answered)
    );
    assert_eq!(cloud.requests_to(ARM).len(), TRIES_MAX as usize);
}

#[tokio::test]
async fn a_post_with_a_possible_effect_is_not_retried() {
    let cloud = Cloud::start().await;
    let path = "/subscriptions/s/providers/P/abort";
    cloud.on("POST", ARM, path, [close_connection(), reply(200)]);
    let error = cloud.arm().post(path, API, None).await.expect_err("the line broke");
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, SendStatus::Unknown));
    assert_eq!(cloud.requests_to(ARM).len(), 1);
    cloud.on("POST", ARM, path, [reply(500), reply(200)]);
    let error = cloud.arm().post(path, API, None).await.expect_err("it may be half done");
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    cloud.on("POST", ARM, path, [busy_server(), reply(200).json(json!({"kubeconfigs": []}))]);
    let result = cloud.arm().post(path, API, None).await.expect("the second try");
    assert_eq!(result, WriteResult::Done(Some(json!({"kubeconfigs": []}))));
}

#[tokio::test]
async fn a_put_with_a_lost_response_is_retried() {
    let cloud = Cloud::start().await;
    cloud.on("PUT", ARM, GROUP, [close_connection(), reply(200).json(json!({"name": "g"}))]);
    let result = cloud.arm().put(GROUP, API, &json!({"location": "eastus"}), Condition::None).await;
    assert_eq!(result.expect("the second try"), WriteResult::Done(Some(json!({"name": "g"}))));
    let puts = cloud.requests_to(ARM);
    assert_eq!(puts.iter().map(|put| put.body.as_str()).collect::<Vec<_>>(), [r#"{"location":"eastus"}"#; 2]);
}

#[tokio::test]
async fn conditions_become_headers() {
    let cloud = Cloud::start().await;
    let failed = json!({"code": "PreconditionFailed", "message": "The etag does not match."});
    cloud.on("PUT", ARM, GROUP, [reply(200).json(json!({})), reply(412).json(failed)]);
    let arm = cloud.arm();
    arm.put(GROUP, API, &json!({}), Condition::IfNoneMatch).await.expect("made");
    let error =
        arm.put(GROUP, API, &json!({}), Condition::IfMatch("abc".to_owned())).await.expect_err("changed");
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Precondition, Some("PreconditionFailed")));
    let puts = cloud.requests_to(ARM);
    assert_eq!((puts[0].header("if-none-match"), puts[1].header("if-match")), ("*", "abc"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let cloud = Cloud::start().await;
    let expired =
        json!({"error": {"code": "ExpiredAuthenticationToken", "message": "The access token expiry …"}});
    let refused = reply(401).json(expired).header("www-authenticate", "Bearer error=\"invalid_token\"");
    cloud.on(
        "GET",
        ARM,
        GROUP,
        [reply(200).json(json!({})), refused.clone(), reply(200).json(json!({})), refused],
    );
    let arm = cloud.arm();
    arm.get(GROUP, API).await.expect("the first token is good");
    arm.get(GROUP, API).await.expect("a fresh token is good");
    let tokens: Vec<_> =
        cloud.requests_to(ARM).iter().map(|received| received.header("authorization").to_owned()).collect();
    assert!(tokens[0] == tokens[1] && tokens[1] != tokens[2], "{tokens:?}");
    assert_eq!(cloud.requests_to(LOGIN).len(), 2);
    let error = arm.get(GROUP, API).await.expect_err("the fresh one was refused too");
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (ApiErrorKind::Unauthorized, Some("ExpiredAuthenticationToken"))
    );
    assert_eq!(cloud.requests_to(ARM).len(), 5);
}

#[tokio::test]
async fn errors_are_parsed_in_every_shape() {
    let cloud = Cloud::start().await;
    let aks = json!({"code": "EtagMismatch", "details": null, "subcode": "",
        "message": "Operation is not allowed: Another operation is in progress"});
    cloud.on("PUT", ARM, GROUP, [reply(409).json(aks).header("x-ms-request-id", "r1")]);
    let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("busy");
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Busy, Some("EtagMismatch")));
    assert_eq!((error.method, error.url.as_str(), error.request_id.as_deref()), ("PUT", GROUP, Some("r1")));
    assert_eq!(cloud.requests_to(ARM).len(), 1);
    cloud.on("GET", ARM, GROUP, [reply(502).text("<html><title>502 Bad Gateway</title></html>")]);
    let error = cloud.arm().get(GROUP, API).await.expect_err("no backend");
    assert_eq!((error.kind, error.message.as_str()), (ApiErrorKind::Unavailable, "502 Bad Gateway"));
    cloud.on("GET", ARM, GROUP, [reply(200).text("<html>sign in to the hotel</html>")]);
    assert_eq!(cloud.arm().get(GROUP, API).await.expect_err("no JSON").kind, ApiErrorKind::Protocol);
    cloud.on("GET", ARM, GROUP, [reply(302).header("location", "https://elsewhere.example/")]);
    assert_eq!(cloud.arm().get(GROUP, API).await.expect_err("a redirect").kind, ApiErrorKind::Protocol);
}

#[tokio::test]
async fn lists_are_read_completely_and_never_from_a_foreign_server() {
    let cloud = Cloud::start().await;
    let path = "/subscriptions/s/providers/P/roleAssignments";
    let page =
        |items: &[u32], next: Option<String>| reply(200).json(json!({"value": items, "nextLink": next}));
    let next = cloud.url(ARM, &format!("{path}/page2?api-version=1&$skipToken=a%2Bb"));
    cloud.on("GET", ARM, path, [page(&[1, 2], Some(next))]);
    cloud.on("GET", ARM, &format!("{path}/page2"), [page(&[3], None)]);
    let arm = cloud.arm();
    let filter = [("$filter", "principalId eq 'a+b'")];
    assert_eq!(arm.list(path, "1", &filter).await.expect("two pages"), [json!(1), json!(2), json!(3)]);
    let received = cloud.requests_to(ARM);
    assert_eq!(received[0].query, "api-version=1&%24filter=principalId%20eq%20%27a%2Bb%27");
    assert_eq!(received[1].query, "api-version=1&$skipToken=a%2Bb");

    let foreign = Cloud::start().await;
    cloud.on("GET", ARM, path, [page(&[1], Some(foreign.url(ARM, path)))]);
    assert_eq!(arm.list(path, "1", &[]).await.expect_err("elsewhere").kind, ApiErrorKind::Protocol);
    assert!(foreign.requests().is_empty());
}

#[tokio::test]
async fn an_untrusted_server_is_reported_with_its_cause() {
    let (cloud, other) = (Cloud::start().await, Cloud::start().await);
    let mut endpoints = cloud.endpoints();
    endpoints.roots = landfall_cloud::Roots::Only(vec![other.root.clone()]);
    let arm =
        landfall_cloud::ArmClient::new(&endpoints, &cloud.credential(), &cloud.request_counter, CORRELATION)
            .expect("valid");
    let error = arm.get(GROUP, API).await.expect_err("nobody vouches for it");
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, SendStatus::Never));
    assert_eq!(error.code.as_deref(), Some("UntrustedCertificate"));
    assert_eq!(error.message, format!("{ARM} presents an untrusted certificate"));
    // One request for the token, which trusts the right authority, and one without a retry.
    assert_eq!(cloud.request_counter.requests(), 2);
    assert!(
        error.causes().iter().any(|cause| cause.contains("invalid peer certificate")),
        "{:?}",
        error.causes()
    );
}

#[tokio::test]
async fn a_refusal_after_a_lost_attempt_of_the_same_write_has_an_unknown_effect() {
    let cloud = Cloud::start().await;
    let taken = json!({"error": {"code": "PreconditionFailed", "message": "it is there"}});
    cloud.on("PUT", ARM, GROUP, [close_connection(), reply(412).json(taken.clone()), reply(412).json(taken)]);
    let arm = cloud.arm();
    let body = json!({});
    let put = || arm.put(GROUP, API, &body, Condition::IfNoneMatch);
    let refused = put().await.expect_err("its own first try may have made it");
    assert_eq!((refused.kind, refused.status), (ApiErrorKind::Precondition, Some(412)));
    assert_eq!((refused.sent, refused.code.as_deref()), (SendStatus::Unknown, Some("PreconditionFailed")));
    assert_eq!(put().await.expect_err("somebody else has").sent, SendStatus::Answered);
}
