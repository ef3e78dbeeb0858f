use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::request::Request;
use crate::test_cloud::{TestCloud, code};

const AUDIENCE: &str = "api://AzureADTokenExchange";

/// Returns the path of the identity, or of something below it.
fn at(cloud: &TestCloud, rest: &str) -> String {
    cloud.in_group(&format!(
        "Microsoft.ManagedIdentity/userAssignedIdentities/id-demo{rest}?api-version=2024-11-30"
    ))
}

fn credential(cloud: &TestCloud, name: &str) -> String {
    at(cloud, &format!("/federatedIdentityCredentials/{name}"))
}

fn body(issuer: &str, subject: &str) -> Value {
    json!({ "properties": { "issuer": issuer, "subject": subject, "audiences": [AUDIENCE] } })
}

/// Returns a cloud with the identity, and the body of the identity.
fn with_identity() -> (TestCloud, Value) {
    let mut cloud = TestCloud::new();
    let created = cloud.put(&at(&cloud, ""), &json!({ "location": "eastus" }));
    assert_eq!(created.status, 201);
    (cloud, created.value())
}

/// Sends a token request of the identity with an assertion.
fn exchange(cloud: &mut TestCloud, client: &str, assertion: &str) -> Value {
    let scope = format!("{}/.default", cloud.state.arm_audience());
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", client)
        .append_pair("grant_type", "client_credentials")
        .append_pair("scope", &scope)
        .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        .append_pair("client_assertion", assertion)
        .finish();
    let path = format!("/{}/oauth2/v2.0/token", cloud.state.directory.tenant);
    let request =
        Request { body: form.into(), ..Request::new(Method::POST, "login.landfall.localhost", &path) };
    cloud.send(&request).value()
}

#[test]
fn an_identity_is_a_principal_until_it_is_deleted() {
    let (mut cloud, identity) = with_identity();
    let properties = &identity["properties"];
    assert!(properties.get("provisioningState").is_none(), "{identity}");
    let object = properties["principalId"].as_str().unwrap().to_owned();
    assert_eq!(cloud.state.directory.by_object_id(&object).unwrap().name, "id-demo");
    let again = cloud.put(&at(&cloud, ""), &json!({ "location": "eastus", "tags": { "a": "b" } }));
    assert_eq!((again.status.as_u16(), &again.value()["properties"]), (200, properties));

    let role =
        cloud.path("/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7");
    let scope = identity["id"].as_str().unwrap();
    let assignment = format!(
        "{scope}/providers/Microsoft.Authorization/roleAssignments/0f3a8c80-27f3-4b59-8b67-0f5b2a0f0a55?api-version=2022-04-01"
    );
    let wanted = json!({ "properties": { "roleDefinitionId": role, "principalId": object } });
    assert_eq!(code(&cloud.put(&assignment, &wanted)), "PrincipalNotFound");
    cloud.advance(durations::PRINCIPAL_REPLICATION);
    assert_eq!(cloud.put(&assignment, &wanted).status, 201);

    assert_eq!(cloud.delete(&at(&cloud, "")).status, 200);
    assert!(cloud.state.directory.by_object_id(&object).is_none());
    assert_eq!(cloud.delete(&at(&cloud, "")).status, 204);
}

#[test]
fn credentials_are_checked_and_written_one_after_another() {
    let (mut cloud, _) = with_identity();
    let issuer = "https://issuer.example/";
    let first = credential(&cloud, "first");
    for (name, wanted, expected) in [
        ("ab", body(issuer, "s"), "BadRequest"),
        ("first", json!({ "properties": { "issuer": issuer, "subject": "s" } }), "BadRequest"),
        (
            "first",
            json!({ "properties": { "issuer": issuer, "subject": "s", "audiences": ["a", "b"] } }),
            "BadRequest",
        ),
        ("first", body("http://issuer.example/", "s"), "BadRequest"),
    ] {
        assert_eq!(code(&cloud.put(&credential(&cloud, name), &wanted)), expected, "{wanted}");
    }
    assert_eq!(cloud.put(&first, &body(issuer, "s")).status, 201);
    let busy = cloud.put(&credential(&cloud, "second"), &body(issuer, "t"));
    assert_eq!(
        (busy.status.as_u16(), code(&busy).as_str()),
        (409, "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity")
    );
    cloud.advance(1.0);
    let same = cloud.put(&credential(&cloud, "second"), &body(issuer, "s"));
    assert_eq!((same.status.as_u16(), code(&same).as_str()), (400, "BadRequest"));
    for number in 1..20 {
        let at = credential(&cloud, &format!("more-{number}"));
        assert_eq!(cloud.put(&at, &body(issuer, &format!("s{number}"))).status, 201);
        cloud.advance(1.0);
    }
    assert_eq!(code(&cloud.put(&credential(&cloud, "more-20"), &body(issuer, "s20"))), "BadRequest");
    let listed = cloud.get(&at(&cloud, "/federatedIdentityCredentials")).value();
    assert_eq!(listed["value"].as_array().map(Vec::len), Some(20));
    let page = cloud.get(&format!("{}&$top=7", at(&cloud, "/federatedIdentityCredentials"))).value();
    assert_eq!(page["value"].as_array().map(Vec::len), Some(7));
    assert!(page["nextLink"].is_string());
    assert_eq!(cloud.delete(&first).status, 200);
    assert_eq!(cloud.delete(&first).status, 204);
    let orphan = first.replace("id-demo", "other");
    assert_eq!(code(&cloud.put(&orphan, &body(issuer, "s"))), "ParentResourceNotFound");
}

/// Creates a cluster whose issuer is enabled, and returns its id and its UID.
fn with_cluster(cloud: &mut TestCloud) -> Value {
    let at = cloud.in_group("Microsoft.ContainerService/managedClusters/aks-demo?api-version=2026-06-01");
    let pool = json!({ "name": "pool", "mode": "System", "vmSize": "Standard_D4s_v5", "count": 2 });
    let body = json!({
        "location": "eastus", "identity": { "type": "SystemAssigned" },
        "properties": { "dnsPrefix": "demo", "nodeResourceGroup": "rg-nodes", "agentPoolProfiles": [pool] },
    });
    assert_eq!(cloud.put(&at, &body).status, 201);
    cloud.advance(600.0);
    cloud.get(&at).value()
}

/// Requests a token of the service account `default`, as an administrator of the cluster.
fn service_account_token(cloud: &mut TestCloud, cluster: &Value, audience: &str) -> String {
    let credential =
        format!("{}/listClusterAdminCredential?api-version=2026-06-01", cluster["id"].as_str().unwrap());
    let listed = cloud.request(Method::POST, &credential);
    let listed = cloud.send(&listed).value();
    let kubeconfig = listed["kubeconfigs"][0]["value"].as_str().unwrap();
    let kubeconfig = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, kubeconfig).unwrap();
    let kubeconfig = String::from_utf8(kubeconfig).unwrap();
    let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap().to_owned();
    let uid = cluster["properties"]["resourceUID"].as_str().unwrap();
    let path = format!("/kubernetes/{uid}/api/v1/namespaces/default/serviceaccounts/default/token");
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": { "audiences": [audience], "expirationSeconds": 3600 },
    });
    let request = Request::new(Method::POST, "127.0.0.1", &path)
        .with_json(&body)
        .with_header("authorization", &format!("Bearer {token}"));
    let answer = cloud.send(&request);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.value()["status"]["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_service_account_signs_in_as_the_identity_that_trusts_it() {
    let (mut cloud, identity) = with_identity();
    let client = identity["properties"]["clientId"].as_str().unwrap().to_owned();
    let cluster = with_cluster(&mut cloud);
    let issuer = cluster["properties"]["oidcIssuerProfile"]["issuerURL"].as_str().unwrap().to_owned();
    let token = service_account_token(&mut cloud, &cluster, AUDIENCE);
    let subject = "system:serviceaccount:default:default";
    let code_of = |answer: &Value| answer["error_codes"][0].as_u64();
    assert_eq!(code_of(&exchange(&mut cloud, &client, &token)), Some(70021), "there is no credential");

    let at = credential(&cloud, "from-aks");
    assert_eq!(cloud.put(&at, &body(&issuer, &subject.to_uppercase())).status, 201);
    cloud.advance(durations::FEDERATED_CREDENTIAL_EFFECT);
    assert_eq!(code_of(&exchange(&mut cloud, &client, &token)), Some(70021), "the subject differs in case");
    assert_eq!(cloud.put(&at, &body(&issuer, subject)).status, 200);
    let early = exchange(&mut cloud, &client, &token);
    assert_eq!(code_of(&early), Some(70021), "the credential is on its way");
    assert!(
        early["error_description"].as_str().unwrap().contains(&format!("Assertion Subject: '{subject}'"))
    );
    cloud.advance(durations::FEDERATED_CREDENTIAL_EFFECT);
    let granted = exchange(&mut cloud, &client, &token);
    let access_token = granted["access_token"].as_str().unwrap_or_else(|| panic!("{granted}"));
    let claims = crate::kubernetes::service_accounts::claims_of(access_token).unwrap();
    assert_eq!(claims["oid"], identity["properties"]["principalId"]);

    let forged = format!("{}.AAAA", token.rsplit_once('.').unwrap().0);
    assert_eq!(code_of(&exchange(&mut cloud, &client, &forged)), Some(700_027));
    let other = service_account_token(&mut cloud, &cluster, "api://other");
    assert_eq!(code_of(&exchange(&mut cloud, &client, &other)), Some(70021), "the audience differs");
    cloud.advance(3600.0);
    assert_eq!(code_of(&exchange(&mut cloud, &client, &token)), Some(700_024));
}

#[test]
fn the_issuer_of_a_cluster_serves_the_key_that_signs_its_tokens() {
    let mut cloud = TestCloud::new();
    let cluster = with_cluster(&mut cloud);
    let token = service_account_token(&mut cloud, &cluster, AUDIENCE);
    let issuer = cluster["properties"]["oidcIssuerProfile"]["issuerURL"].as_str().unwrap();
    let get = |cloud: &mut TestCloud, url: &str| {
        let url = url::Url::parse(url).unwrap();
        let request = Request::new(Method::GET, url.host_str().unwrap(), url.path());
        cloud.send(&request).value()
    };
    let discovery = get(&mut cloud, &format!("{issuer}.well-known/openid-configuration"));
    assert_eq!(discovery["issuer"], issuer);
    let keys = get(&mut cloud, discovery["jwks_uri"].as_str().unwrap());
    let key = &keys["keys"][0];
    let decode =
        |text: &str| base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap();
    let header: Value = serde_json::from_slice(&decode(token.split('.').next().unwrap())).unwrap();
    assert_eq!(header["kid"], key["kid"]);
    let part = |name: &str| decode(key[name].as_str().unwrap());
    let (modulus, exponent) = (part("n"), part("e"));
    let public = aws_lc_rs::rsa::PublicKeyComponents { n: &modulus, e: &exponent };
    let (signed, signature) = token.rsplit_once('.').unwrap();
    public
        .verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature))
        .expect("the published key verifies the token");
}
