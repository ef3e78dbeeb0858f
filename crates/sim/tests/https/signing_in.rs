//! The sign-in authority.

use landfall_sim::{Sim, Speed};
use reqwest::Method;

use crate::client::{Answer, Client, credentials, http, options, token};

#[tokio::test]
async fn a_service_principal_gets_tokens_for_both_forms_of_a_scope() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::open(folder.path(), options(Speed::Instant)).await.unwrap();
    let (connection, http) = (sim.connection(), http(sim.connection()));
    for scope in [
        "https://management.landfall.localhost/.default",
        "https://management.landfall.localhost//.default",
        "https://vault.landfall.localhost/.default",
    ] {
        let answer = token(&http, connection, &credentials(connection, scope)).await;
        assert_eq!((answer.status, answer.body["expires_in"].as_i64()), (200, Some(3600)), "{scope}");
        assert_eq!(answer.body["token_type"], "Bearer");
    }
    let metadata =
        format!("{}/{}/v2.0/.well-known/openid-configuration", connection.login, connection.tenant);
    let metadata = Answer::read(http.get(metadata).send().await.unwrap()).await;
    assert_eq!(
        metadata.body["token_endpoint"],
        format!("{}/{}/oauth2/v2.0/token", connection.login, connection.tenant)
    );
}

#[tokio::test]
async fn the_authority_refuses_with_entras_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::open(folder.path(), options(Speed::Instant)).await.unwrap();
    let (connection, http) = (sim.connection(), http(sim.connection()));
    let arm = "https://management.landfall.localhost/.default";
    let with = |at: usize, value: &'static str| {
        let mut form = credentials(connection, arm);
        form[at].1 = value;
        form
    };
    for (form, status, error, number) in [
        (with(2, "wrong"), 401, "invalid_client", 7_000_215),
        (with(1, "11111111-2222-3333-4444-555555555555"), 400, "unauthorized_client", 700_016),
        (with(3, "https://storage.example/.default"), 400, "invalid_resource", 500_011),
        (
            with(3, "https://management.landfall.localhost/user_impersonation"),
            400,
            "invalid_scope",
            1_002_012,
        ),
        (with(0, "magic"), 400, "unsupported_grant_type", 70003),
        (with(3, ""), 400, "invalid_request", 900_144),
    ] {
        let answer = token(&http, connection, &form).await;
        assert_eq!((answer.status, answer.body["error"].as_str()), (status, Some(error)));
        assert_eq!(answer.body["error_codes"][0], number);
        assert!(answer.body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{number}: ")));
    }
    let other = format!(
        "{}/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration",
        connection.login
    );
    let other = Answer::read(http.get(other).send().await.unwrap()).await;
    assert_eq!((other.status, other.body["error_codes"][0].as_i64()), (400, Some(90002)));
}

#[tokio::test]
async fn a_token_that_ran_out_is_refused_and_a_new_one_works() {
    let mut client = Client::open(options(Speed::Times(1.0))).await;
    assert_eq!(client.get("/subscriptions?api-version=2022-12-01").await.body["count"]["value"], 1);
    client.advance(3_600.0).await;
    let answer = client.get("/subscriptions?api-version=2022-12-01").await;
    assert_eq!((answer.status, answer.code()), (401, "ExpiredAuthenticationToken"));
    assert!(
        answer.header("www-authenticate").contains("authorization_uri=\"https://login.landfall.localhost")
    );
    let connection = client.sim.connection();
    let fresh = token(
        &client.http,
        connection,
        &credentials(connection, "https://management.landfall.localhost/.default"),
    )
    .await;
    client.token = fresh.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/subscriptions?api-version=2022-12-01").await.status, 200);
    assert_eq!(client.send(Method::POST, "/subscriptions?api-version=2022-12-01", None).await.status, 405);
}

#[tokio::test]
async fn a_user_signs_in_with_a_password_and_continues_with_a_refresh_token() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::open(folder.path(), options(Speed::Instant)).await.unwrap();
    let (connection, http) = (sim.connection(), http(sim.connection()));
    let realm = format!("{}/common/userrealm/{}?api-version=1.0", connection.login, connection.user_name);
    let realm = Answer::read(http.get(realm).send().await.unwrap()).await;
    assert_eq!(realm.body["account_type"], "Managed");
    let scope = "https://management.landfall.localhost//.default offline_access openid profile";
    let form = |password| {
        let cli = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
        vec![
            ("grant_type", "password"),
            ("client_id", cli),
            ("username", connection.user_name.as_str()),
            ("password", password),
            ("scope", scope),
            ("client_info", "1"),
        ]
    };
    let wrong = token(&http, connection, &form("guess")).await;
    assert_eq!((wrong.status, wrong.body["error_codes"][0].as_i64()), (400, Some(50126)));
    let first = token(&http, connection, &form(&connection.user_password)).await;
    assert_eq!(first.status, 200);
    assert!(first.body["id_token"].is_string() && first.body["client_info"].is_string());
    let refresh = first.body["refresh_token"].as_str().unwrap();
    let form = |refresh| {
        let cli = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
        vec![
            ("grant_type", "refresh_token"),
            ("client_id", cli),
            ("refresh_token", refresh),
            ("scope", scope),
        ]
    };
    let access = first.body["access_token"].as_str().unwrap();
    assert_eq!(
        token(&http, connection, &form(access)).await.body["error"],
        "invalid_grant",
        "an access token refreshes nothing"
    );
    let second = token(&http, connection, &form(refresh)).await;
    let list = format!("{}/subscriptions?api-version=2022-12-01", connection.arm);
    for (token, status) in [(second.body["access_token"].as_str().unwrap(), 200), (refresh, 401)] {
        assert_eq!(http.get(&list).bearer_auth(token).send().await.unwrap().status(), status);
    }
}
