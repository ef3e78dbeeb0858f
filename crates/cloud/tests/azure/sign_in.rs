//! Sign-in at the token endpoint.

use crate::cloud::{ARM, CORRELATION, Cloud, LOGIN, TENANT, reply};
use landfall_cloud::{
    ApiErrorKind, ArmClient, Credential, PrincipalKind, SendStatus, SignIn, SignInFacts, retry::TRIES_MAX,
};
use serde_json::json;

const TOKEN: &str = "/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token";

#[tokio::test]
async fn a_service_principal_requests_exactly_the_configured_audience() {
    let cloud = Cloud::start().await;
    let identity = cloud.arm().identity().await.expect("signed in");
    assert_eq!((identity.object_id.as_str(), identity.tenant.as_str()), ("me", TENANT));
    assert_eq!(
        (identity.kind, identity.via.as_str()),
        (PrincipalKind::ServicePrincipal, "service principal")
    );
    let received = cloud.requests_to(LOGIN);
    assert_eq!((received.len(), received[0].path.as_str()), (1, TOKEN));
    for field in ["client_id=app", "client_secret=s3cret", "grant_type=client_credentials"] {
        assert!(received[0].body.contains(field), "{field}");
    }
    assert!(
        received[0].body.contains("scope=https%3A%2F%2Fmanagement.test.localhost%2F.default"),
        "{}",
        received[0].body
    );
}

#[tokio::test]
async fn a_wrong_secret_is_reported_with_the_entra_code_and_ends_the_search() {
    let cloud = Cloud::start().await;
    let refused = json!({"error": "invalid_client", "error_codes": [7000215],
        "error_description": "AADSTS7000215: Invalid client secret provided. Trace ID: 1"});
    cloud.on("POST", LOGIN, TOKEN, [reply(401).json(refused)]);
    let error = cloud.arm().get("/subscriptions/s", "1").await.expect_err("no token");
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::SignIn, Some("AADSTS7000215")));
    assert_eq!(
        (error.sent, error.message.as_str()),
        (SendStatus::Never, "AADSTS7000215: Invalid client secret provided.")
    );
    assert_eq!(cloud.requests_to(LOGIN).len(), 1);
    assert!(cloud.requests_to(ARM).is_empty());
    assert!(!format!("{error:?} {error} {:?}", error.causes()).contains("s3cret"));
}

#[tokio::test]
async fn transient_token_endpoint_errors_are_retried_with_a_limit() {
    let cloud = Cloud::start().await;
    let token =
        reply(200).json(json!({"token_type": "Bearer", "expires_in": 3600, "access_token": "opaque"}));
    cloud.on("POST", LOGIN, TOKEN, [reply(503), reply(502).text("<html></html>"), token]);
    cloud.on("GET", ARM, "/subscriptions", [reply(200).json(json!({"value": []}))]);
    assert!(cloud.arm().subscriptions().await.expect("the third try").is_empty());
    assert_eq!(cloud.requests_to(LOGIN).len(), 3);
    cloud.on("POST", LOGIN, TOKEN, [reply(503).text("<html><title>down</title></html>")]);
    let error = cloud.arm().subscriptions().await.expect_err("it stays down");
    assert_eq!(error.sent, SendStatus::Never);
    assert_eq!(cloud.requests_to(LOGIN).len(), 3 + TRIES_MAX as usize);
}

#[tokio::test]
async fn auto_uses_the_configured_service_principal() {
    let cloud = Cloud::start().await;
    let facts = SignInFacts {
        tenant: Some(TENANT.to_owned()),
        client_id: Some("app".to_owned()),
        client_secret: Some("s3cret".to_owned().into()),
        ..SignInFacts::default()
    };
    let credential =
        Credential::new(&SignIn::Auto, &facts, &cloud.endpoints(), &cloud.request_counter).expect("valid");
    let arm =
        ArmClient::new(&cloud.endpoints(), &credential, &cloud.request_counter, CORRELATION).expect("valid");
    assert_eq!(arm.identity().await.expect("signed in").via, "service principal");
    assert!(credential.failures().await.is_empty());
}

#[tokio::test]
async fn a_federated_token_replaces_a_secret() {
    let cloud = Cloud::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "header.assertion.signature").expect("written");
    let sign_in =
        SignIn::WorkloadIdentity { tenant: TENANT.to_owned(), client_id: "app".to_owned(), token_file };
    let credential =
        Credential::new(&sign_in, &SignInFacts::default(), &cloud.endpoints(), &cloud.request_counter)
            .expect("valid");
    let identity = credential.identity(&cloud.endpoints().arm_scope()).await.expect("signed in");
    assert_eq!(identity.via, "workload identity");
    assert!(cloud.requests_to(LOGIN)[0].body.contains("client_assertion=header.assertion.signature"));
}

#[tokio::test]
async fn subscriptions_have_their_tenant() {
    let cloud = Cloud::start().await;
    let one = json!({"subscriptionId": "s", "displayName": "Demo", "tenantId": TENANT, "state": "Enabled"});
    cloud.on("GET", ARM, "/subscriptions", [reply(200).json(json!({"value": [one]}))]);
    let found = cloud.arm().subscriptions().await.expect("one");
    assert_eq!(
        (found[0].id.as_str(), found[0].name.as_str(), found[0].tenant.as_str()),
        ("s", "Demo", TENANT)
    );
    let wrong = json!({"error": {"code": "InvalidAuthenticationTokenTenant", "message": "The access token is from the wrong issuer."}});
    cloud.on("GET", ARM, "/subscriptions/other", [reply(401).json(wrong)]);
    let error = cloud.arm().subscription("other").await.expect_err("another tenant's");
    assert_eq!(error.kind, ApiErrorKind::SignIn);
}
