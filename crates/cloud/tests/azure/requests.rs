//! Single requests to Resource Manager: headers, retries, errors, lists.

use crate::cloud::{ARM, CORRELATION, Cloud, LOGIN, answer, hang_up};
use landfall_cloud::{
    ApiErrorKind, Sent,
    arm::{Begun, Condition},
    retry::TRIES_MAX,
};
use serde_json::json;
use std::time::{Duration, Instant};

const GROUP: &str = "/subscriptions/s/resourcegroups/g";
const API: &str = "2024-11-01";

fn busy_server() -> crate::cloud::Answer {
    answer(503).json(json!({"error": {"code": "ServiceUnavailable", "message": "later"}}))
}

#[tokio::test]
async fn every_request_is_marked_counted_and_has_an_id_of_its_own() {
    let cloud = Cloud::start().await;
    cloud.on("GET", ARM, GROUP, [answer(500), answer(200).json(json!({"name": "g"}))]);
    let arm = cloud.arm();
    arm.get(GROUP, API).await.expect("there").expect("there");
    arm.get(GROUP, API).await.expect("there").expect("there");
    let asked = cloud.asked_of(ARM);
    let ids: Vec<_> = asked.iter().map(|asked| asked.header("x-ms-client-request-id").to_owned()).collect();
    // Both attempts of one request have the same id; the next request has another.
    assert_eq!(ids.len(), 3);
    assert!(ids[0] == ids[1] && ids[1] != ids[2] && !ids[0].is_empty(), "{ids:?}");
    for asked in &asked {
        assert_eq!(asked.header("x-ms-correlation-request-id"), CORRELATION);
        assert_eq!(asked.header("x-ms-return-client-request-id"), "true");
        assert!(asked.header("user-agent").contains("landfall/"));
        assert_eq!(asked.query, "api-version=2024-11-01");
    }
    assert_eq!(cloud.meter.requests(), cloud.asked().len() as u64);
    assert_eq!(cloud.asked_of(LOGIN).len(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_none_and_deleting_it_is_done() {
    let cloud = Cloud::start().await;
    let missing = json!({"error": {"code": "ResourceGroupNotFound", "message": "Resource group 'g' could not be found."}});
    cloud.on("GET", ARM, GROUP, [answer(404).json(missing.clone())]);
    cloud.on("DELETE", ARM, GROUP, [answer(404).json(missing), answer(204)]);
    let arm = cloud.arm();
    assert_eq!(arm.get(GROUP, API).await.expect("an answer"), None);
    assert_eq!(arm.delete(GROUP, API).await.expect("an answer"), Begun::Done(None));
    assert_eq!(arm.delete(GROUP, API).await.expect("an answer"), Begun::Done(None));
}

#[tokio::test]
async fn a_service_that_asks_to_wait_is_not_asked_earlier() {
    for (name, value, least) in [("retry-after-ms", "60", 60), ("retry-after", "1", 1_000)] {
        let cloud = Cloud::start().await;
        let throttled = json!({"error": {"code": "TooManyRequests", "message": "slower"}});
        cloud.on(
            "PUT",
            ARM,
            GROUP,
            [answer(429).header(name, value).json(throttled), answer(200).json(json!({}))],
        );
        let begun = Instant::now();
        cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect("the second try");
        assert!(begun.elapsed() >= Duration::from_millis(least), "{name}");
        assert_eq!(cloud.asked_of(ARM).len(), 2);
    }
}

#[tokio::test]
async fn repeats_have_an_end() {
    let cloud = Cloud::start().await;
    cloud.on("GET", ARM, GROUP, [busy_server()]);
    let error = cloud.arm().get(GROUP, API).await.expect_err("never there");
    assert_eq!(
        (error.kind, error.status, error.sent),
        (ApiErrorKind::Unavailable, Some(503), Sent::Answered)
    );
    assert_eq!(cloud.asked_of(ARM).len(), TRIES_MAX as usize);
}

#[tokio::test]
async fn a_post_that_may_have_been_carried_out_is_not_repeated() {
    let cloud = Cloud::start().await;
    let path = "/subscriptions/s/providers/P/abort";
    cloud.on("POST", ARM, path, [hang_up(), answer(200)]);
    let error = cloud.arm().post(path, API, None).await.expect_err("the line broke");
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, Sent::Unknown));
    assert_eq!(cloud.asked_of(ARM).len(), 1);
    cloud.on("POST", ARM, path, [answer(500), answer(200)]);
    let error = cloud.arm().post(path, API, None).await.expect_err("it may be half done");
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    cloud.on("POST", ARM, path, [busy_server(), answer(200).json(json!({"kubeconfigs": []}))]);
    let begun = cloud.arm().post(path, API, None).await.expect("the second try");
    assert_eq!(begun, Begun::Done(Some(json!({"kubeconfigs": []}))));
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_put_again() {
    let cloud = Cloud::start().await;
    cloud.on("PUT", ARM, GROUP, [hang_up(), answer(200).json(json!({"name": "g"}))]);
    let begun = cloud.arm().put(GROUP, API, &json!({"location": "eastus"}), Condition::None).await;
    assert_eq!(begun.expect("the second try"), Begun::Done(Some(json!({"name": "g"}))));
    let puts = cloud.asked_of(ARM);
    assert_eq!(puts.iter().map(|put| put.body.as_str()).collect::<Vec<_>>(), [r#"{"location":"eastus"}"#; 2]);
}

#[tokio::test]
async fn conditions_become_headers() {
    let cloud = Cloud::start().await;
    let failed = json!({"code": "PreconditionFailed", "message": "The etag does not match."});
    cloud.on("PUT", ARM, GROUP, [answer(200).json(json!({})), answer(412).json(failed)]);
    let arm = cloud.arm();
    arm.put(GROUP, API, &json!({}), Condition::IfNoneMatch).await.expect("made");
    let error =
        arm.put(GROUP, API, &json!({}), Condition::IfMatch("abc".to_owned())).await.expect_err("changed");
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Precondition, Some("PreconditionFailed")));
    let puts = cloud.asked_of(ARM);
    assert_eq!((puts[0].header("if-none-match"), puts[1].header("if-match")), ("*", "abc"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let cloud = Cloud::start().await;
    let expired =
        json!({"error": {"code": "ExpiredAuthenticationToken", "message": "The access token expiry …"}});
    let refused = answer(401).json(expired).header("www-authenticate", "Bearer error=\"invalid_token\"");
    cloud.on(
        "GET",
        ARM,
        GROUP,
        [answer(200).json(json!({})), refused.clone(), answer(200).json(json!({})), refused],
    );
    let arm = cloud.arm();
    arm.get(GROUP, API).await.expect("the first token is good");
    arm.get(GROUP, API).await.expect("a fresh token is good");
    let tokens: Vec<_> =
        cloud.asked_of(ARM).iter().map(|asked| asked.header("authorization").to_owned()).collect();
    assert!(tokens[0] == tokens[1] && tokens[1] != tokens[2], "{tokens:?}");
    assert_eq!(cloud.asked_of(LOGIN).len(), 2);
    let error = arm.get(GROUP, API).await.expect_err("the fresh one was refused too");
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (ApiErrorKind::Unauthorized, Some("ExpiredAuthenticationToken"))
    );
    assert_eq!(cloud.asked_of(ARM).len(), 5);
}

#[tokio::test]
async fn errors_are_read_in_whatever_shape_they_come() {
    let cloud = Cloud::start().await;
    let aks = json!({"code": "EtagMismatch", "details": null, "subcode": "",
        "message": "Operation is not allowed: Another operation is in progress"});
    cloud.on("PUT", ARM, GROUP, [answer(409).json(aks).header("x-ms-request-id", "r1")]);
    let error = cloud.arm().put(GROUP, API, &json!({}), Condition::None).await.expect_err("busy");
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Busy, Some("EtagMismatch")));
    assert_eq!((error.method, error.url.as_str(), error.request_id.as_deref()), ("PUT", GROUP, Some("r1")));
    assert_eq!(cloud.asked_of(ARM).len(), 1);
    cloud.on("GET", ARM, GROUP, [answer(502).text("<html><title>502 Bad Gateway</title></html>")]);
    let error = cloud.arm().get(GROUP, API).await.expect_err("no backend");
    assert_eq!((error.kind, error.message.as_str()), (ApiErrorKind::Unavailable, "502 Bad Gateway"));
    cloud.on("GET", ARM, GROUP, [answer(200).text("<html>sign in to the hotel</html>")]);
    assert_eq!(cloud.arm().get(GROUP, API).await.expect_err("no JSON").kind, ApiErrorKind::Protocol);
    cloud.on("GET", ARM, GROUP, [answer(302).header("location", "https://elsewhere.example/")]);
    assert_eq!(cloud.arm().get(GROUP, API).await.expect_err("a redirect").kind, ApiErrorKind::Protocol);
}

#[tokio::test]
async fn lists_are_read_to_their_end_and_never_from_elsewhere() {
    let cloud = Cloud::start().await;
    let path = "/subscriptions/s/providers/P/roleAssignments";
    let page =
        |items: &[u32], next: Option<String>| answer(200).json(json!({"value": items, "nextLink": next}));
    let next = cloud.url(ARM, &format!("{path}/page2?api-version=1&$skipToken=a%2Bb"));
    cloud.on("GET", ARM, path, [page(&[1, 2], Some(next))]);
    cloud.on("GET", ARM, &format!("{path}/page2"), [page(&[3], None)]);
    let arm = cloud.arm();
    let filter = [("$filter", "principalId eq 'a+b'")];
    assert_eq!(arm.list(path, "1", &filter).await.expect("two pages"), [json!(1), json!(2), json!(3)]);
    let asked = cloud.asked_of(ARM);
    assert_eq!(asked[0].query, "api-version=1&%24filter=principalId%20eq%20%27a%2Bb%27");
    assert_eq!(asked[1].query, "api-version=1&$skipToken=a%2Bb");

    let foreign = Cloud::start().await;
    cloud.on("GET", ARM, path, [page(&[1], Some(foreign.url(ARM, path)))]);
    assert_eq!(arm.list(path, "1", &[]).await.expect_err("elsewhere").kind, ApiErrorKind::Protocol);
    assert!(foreign.asked().is_empty());
}

#[tokio::test]
async fn an_untrusted_server_is_told_by_its_cause() {
    let (cloud, other) = (Cloud::start().await, Cloud::start().await);
    let mut endpoints = cloud.endpoints();
    endpoints.roots = landfall_cloud::Roots::Only(vec![other.root.clone()]);
    let arm =
        landfall_cloud::Arm::new(&endpoints, &cloud.credential(), &cloud.meter, CORRELATION).expect("valid");
    let error = arm.get(GROUP, API).await.expect_err("nobody vouches for it");
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, Sent::Never));
    assert_eq!(error.code.as_deref(), Some("UntrustedCertificate"));
    assert_eq!(error.message, format!("{ARM} presents an untrusted certificate"));
    // One request for the token, which trusts the right authority, and one without a retry.
    assert_eq!(cloud.meter.requests(), 2);
    assert!(
        error.causes().iter().any(|cause| cause.contains("invalid peer certificate")),
        "{:?}",
        error.causes()
    );
}

#[tokio::test]
async fn a_refusal_after_a_lost_try_of_the_same_write_does_not_say_that_nothing_was_done() {
    let cloud = Cloud::start().await;
    let taken = json!({"error": {"code": "PreconditionFailed", "message": "it is there"}});
    cloud.on("PUT", ARM, GROUP, [hang_up(), answer(412).json(taken.clone()), answer(412).json(taken)]);
    let arm = cloud.arm();
    let body = json!({});
    let put = || arm.put(GROUP, API, &body, Condition::IfNoneMatch);
    let refused = put().await.expect_err("its own first try may have made it");
    assert_eq!((refused.kind, refused.status), (ApiErrorKind::Precondition, Some(412)));
    assert_eq!((refused.sent, refused.code.as_deref()), (Sent::Unknown, Some("PreconditionFailed")));
    assert_eq!(put().await.expect_err("somebody else has").sent, Sent::Answered);
}
