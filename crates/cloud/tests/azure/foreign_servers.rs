//! Responses of a hostile or faulty cloud that refer to another server: it gets no request, with or without a
//! token.

use crate::cloud::{ARM, Cloud, LOGIN, TENANT, VAULT, reply};
use landfall_cloud::{ApiErrorKind, arm::Condition};
use serde_json::json;

const GROUP: &str = "/subscriptions/s/resourceGroups/g";
const API: &str = "2025-04-01";

/// Returns URLs that resemble our own.
fn foreign_urls(cloud: &Cloud, foreign_server: &Cloud) -> Vec<String> {
    let (own_port, foreign_port) = (cloud.port, foreign_server.port);
    vec![
        format!("https://{ARM}:{foreign_port}{GROUP}"),
        format!("https://{ARM}:{own_port}@{ARM}:{foreign_port}{GROUP}"),
        format!("https://{ARM}:{own_port}.localhost:{foreign_port}{GROUP}"),
        format!("//{ARM}:{foreign_port}{GROUP}"),
        format!("\\\\{ARM}:{foreign_port}{GROUP}"),
        format!("/\\{ARM}:{foreign_port}{GROUP}"),
        format!("http://{ARM}:{foreign_port}{GROUP}"),
        // Our own server over plain HTTP is another origin too.
        format!("http://{ARM}:{own_port}{GROUP}"),
        format!("https://{LOGIN}:{own_port}{GROUP}"),
    ]
}

#[tokio::test]
async fn no_url_in_a_response_leads_to_another_origin() {
    let (cloud, foreign_server) = (Cloud::start().await, Cloud::start().await);
    let arm = cloud.arm();
    for foreign_url in foreign_urls(&cloud, &foreign_server) {
        for header in ["location", "azure-asyncoperation"] {
            let accepted = || [reply(202).header(header, foreign_url.clone())];
            cloud.on("PUT", ARM, GROUP, accepted());
            cloud.on("DELETE", ARM, GROUP, accepted());
            cloud.on("POST", ARM, GROUP, accepted());
            let put = arm.put(GROUP, API, &json!({}), Condition::None).await.err();
            let deleted = arm.delete(GROUP, API).await.err();
            let posted = arm.post(GROUP, API, None).await.err();
            for error in [put, deleted, posted] {
                assert_eq!(
                    error.map(|error| error.kind),
                    Some(ApiErrorKind::Protocol),
                    "{header}: {foreign_url}"
                );
            }
        }
        let link = json!({"value": [], "nextLink": foreign_url});
        cloud.on("GET", ARM, "/subscriptions", [reply(200).json(link)]);
        let listed = arm.list("/subscriptions", API, &[]).await.err();
        assert_eq!(listed.map(|error| error.kind), Some(ApiErrorKind::Protocol), "nextLink: {foreign_url}");
    }
    assert!(foreign_server.requests().is_empty(), "{:?}", foreign_server.requests());
    assert!(cloud.requests_to(LOGIN).iter().all(|received| received.path.ends_with("/token")));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_token_or_a_secret() {
    let (cloud, foreign_server) = (Cloud::start().await, Cloud::start().await);
    for status in [301, 302, 303, 307, 308] {
        let there = || [reply(status).header("location", foreign_server.url(ARM, GROUP))];
        cloud.on("GET", ARM, GROUP, there());
        cloud.on("PUT", ARM, GROUP, there());
        let arm = cloud.arm();
        assert!(arm.get(GROUP, API).await.is_err(), "GET {status}");
        assert!(arm.put(GROUP, API, &json!({}), Condition::None).await.is_err(), "PUT {status}");
    }
    let token = format!("/{TENANT}/oauth2/v2.0/token");
    for status in [302, 307, 308] {
        cloud.on(
            "POST",
            LOGIN,
            &token,
            [reply(status).header("location", foreign_server.url(LOGIN, &token))],
        );
        let error = cloud.arm().get(GROUP, API).await.expect_err("no token is to be had");
        assert_eq!(error.kind, ApiErrorKind::SignIn, "{error}");
    }
    assert!(foreign_server.requests().is_empty(), "{:?}", foreign_server.requests());
}

#[tokio::test]
async fn a_proxy_that_answers_in_place_of_a_service_is_named_as_the_cause() {
    let cloud = Cloud::start().await;
    let token = format!("/{TENANT}/oauth2/v2.0/token");
    let portal = "https://portal.hotel.example/in?ticket=hunter2";
    let page =
        || reply(200).text("<!DOCTYPE html><title>Welcome</title>").header("content-type", "text/html");
    for answer in [reply(302).header("location", portal), page(), reply(403).text("<html>blocked</html>")] {
        cloud.on("POST", LOGIN, &token, [answer.clone()]);
        let error = cloud.arm().get(GROUP, API).await.expect_err("no token is to be had");
        assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::SignIn, Some("NotFromService")));
        assert!(error.message.starts_with(&format!("the answer of {LOGIN} is ")), "{error}");
        assert!(error.message.ends_with("a captive portal answered in its place"), "{error}");
        let all = format!("{error} {:?}", error.causes());
        assert!(!all.contains("EOF") && !all.contains("hunter2") && !all.contains("expected value"), "{all}");
    }
    let cloud = Cloud::start().await;
    let vault = cloud.vaults().at(&cloud.url(VAULT, "/")).expect("a vault of this cloud");
    for status in [200, 302, 403, 404] {
        let answer = || [reply(status).text("<html>").header("location", portal)];
        cloud.on("GET", ARM, GROUP, answer());
        let error = cloud.arm().get(GROUP, API).await.expect_err("a page is neither there nor gone");
        assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Protocol, Some("NotFromService")));
        cloud.on("GET", VAULT, "/certificates/web/", answer());
        let error = vault.certificate("web").await.expect_err("a page is neither there nor gone");
        assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Protocol, Some("NotFromService")));
        assert!(error.message.contains(VAULT), "{error}");
    }
}
