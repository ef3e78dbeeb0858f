//! Responses of a hostile or faulty cloud that refer to another server: it gets no request, with or without a
//! token.

use crate::cloud::{ARM, Cloud, LOGIN, TENANT, answer};
use landfall_cloud::{ApiErrorKind, arm::Condition};
use serde_json::json;

const GROUP: &str = "/subscriptions/s/resourceGroups/g";
const API: &str = "2025-04-01";

/// Returns URLs that resemble our own.
fn lures(cloud: &Cloud, stranger: &Cloud) -> Vec<String> {
    let (ours, theirs) = (cloud.port, stranger.port);
    vec![
        format!("https://{ARM}:{theirs}{GROUP}"),
        format!("https://{ARM}:{ours}@{ARM}:{theirs}{GROUP}"),
        format!("https://{ARM}:{ours}.localhost:{theirs}{GROUP}"),
        format!("//{ARM}:{theirs}{GROUP}"),
        format!("\\\\{ARM}:{theirs}{GROUP}"),
        format!("/\\{ARM}:{theirs}{GROUP}"),
        format!("http://{ARM}:{theirs}{GROUP}"),
        // Our own server over plain HTTP is another origin too.
        format!("http://{ARM}:{ours}{GROUP}"),
        format!("https://{LOGIN}:{ours}{GROUP}"),
    ]
}

#[tokio::test]
async fn no_address_of_an_answer_leads_to_another_origin() {
    let (cloud, stranger) = (Cloud::start().await, Cloud::start().await);
    let arm = cloud.arm();
    for lure in lures(&cloud, &stranger) {
        for header in ["location", "azure-asyncoperation"] {
            let accepted = || [answer(202).header(header, lure.clone())];
            cloud.on("PUT", ARM, GROUP, accepted());
            cloud.on("DELETE", ARM, GROUP, accepted());
            cloud.on("POST", ARM, GROUP, accepted());
            let put = arm.put(GROUP, API, &json!({}), Condition::None).await.err();
            let deleted = arm.delete(GROUP, API).await.err();
            let posted = arm.post(GROUP, API, None).await.err();
            for error in [put, deleted, posted] {
                assert_eq!(error.map(|error| error.kind), Some(ApiErrorKind::Protocol), "{header}: {lure}");
            }
        }
        let link = json!({"value": [], "nextLink": lure});
        cloud.on("GET", ARM, "/subscriptions", [answer(200).json(link)]);
        let listed = arm.list("/subscriptions", API, &[]).await.err();
        assert_eq!(listed.map(|error| error.kind), Some(ApiErrorKind::Protocol), "nextLink: {lure}");
    }
    assert!(stranger.asked().is_empty(), "{:?}", stranger.asked());
    assert!(cloud.asked_of(LOGIN).iter().all(|asked| asked.path.ends_with("/token")));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_token_nor_with_a_secret() {
    let (cloud, stranger) = (Cloud::start().await, Cloud::start().await);
    for status in [301, 302, 303, 307, 308] {
        let there = || [answer(status).header("location", stranger.url(ARM, GROUP))];
        cloud.on("GET", ARM, GROUP, there());
        cloud.on("PUT", ARM, GROUP, there());
        let arm = cloud.arm();
        assert!(arm.get(GROUP, API).await.is_err(), "GET {status}");
        assert!(arm.put(GROUP, API, &json!({}), Condition::None).await.is_err(), "PUT {status}");
    }
    let token = format!("/{TENANT}/oauth2/v2.0/token");
    for status in [302, 307, 308] {
        cloud.on("POST", LOGIN, &token, [answer(status).header("location", stranger.url(LOGIN, &token))]);
        let error = cloud.arm().get(GROUP, API).await.expect_err("no token is to be had");
        assert_eq!(error.kind, ApiErrorKind::SignIn, "{error}");
    }
    assert!(stranger.asked().is_empty(), "{:?}", stranger.asked());
}
