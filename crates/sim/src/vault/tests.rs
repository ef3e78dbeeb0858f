use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use p12_keystore::Pkcs12Archive;
use serde_json::{Value, json};

use super::material::tests::fixture;
use super::node_reader::NodeVaultReader;
use crate::aks::VaultReader as _;
use crate::entra;
use crate::request::{Delivery, Reply};
use crate::test_cloud::{TestCloud, code};

const IMPORT: &str = "/certificates/gateway-tls-cert/import?api-version=7.4";
const NEWEST: &str = "/certificates/gateway-tls-cert/?api-version=2025-07-01";

pub(super) fn ready() -> TestCloud {
    let mut cloud = TestCloud::new();
    cloud.make_vault("kv-demo");
    cloud.make_officer("kv-demo");
    cloud
}

fn import(cloud: &mut TestCloud, name: &str, password: &str) -> Reply {
    let body = json!({"value": fixture(name), "pwd": password});
    cloud.vault("kv-demo", Method::POST, IMPORT, Some(&body))
}

pub(super) fn get(cloud: &mut TestCloud, target: &str) -> Reply {
    cloud.vault("kv-demo", Method::GET, target, None)
}

#[test]
fn a_request_without_a_token_is_challenged_before_its_body_is_read() {
    let mut cloud = ready();
    let reply = cloud.vault_with("kv-demo", Method::POST, IMPORT, None, None);
    assert_eq!(reply.status, 401);
    let challenge = reply.headers["www-authenticate"].to_str().unwrap();
    let tenant = &cloud.state.directory.tenant;
    let expected = format!(
        r#"Bearer authorization="https://login.landfall.localhost:20000/{tenant}", resource="https://vault.landfall.localhost""#
    );
    assert_eq!(challenge, expected);
    let other = entra::token_for(
        &cloud.state,
        &cloud.state.directory.owner().object_id.clone(),
        &cloud.state.arm_audience(),
        cloud.now,
    );
    let reply = cloud.vault_with("kv-demo", Method::GET, NEWEST, None, Some(&other));
    assert_eq!(reply.status, 401);
    assert!(reply.value()["error"]["message"].as_str().unwrap().starts_with("AKV10022"));
    let reply = cloud.vault_with("kv-demo", Method::GET, NEWEST, None, Some("a.b.c"));
    assert!(reply.value()["error"]["message"].as_str().unwrap().starts_with("AKV10032"));
}

#[test]
fn a_name_without_a_finished_vault_does_not_answer() {
    let mut cloud = TestCloud::new();
    let body = cloud.vault_body();
    cloud.arm(Method::PUT, &TestCloud::vault_path("kv-demo"), Some(&body));
    assert_eq!(get(&mut cloud, NEWEST).delivery, Delivery::Cut);
    cloud.advance(15.0);
    assert_eq!(get(&mut cloud, NEWEST).delivery, Delivery::Whole);
}

#[test]
fn a_grant_counts_only_after_a_while_and_a_refusal_hides_whether_the_object_exists() {
    let mut cloud = TestCloud::new();
    cloud.make_vault("kv-demo");
    let refused = get(&mut cloud, NEWEST);
    assert_eq!(refused.status, 403);
    let body = refused.value();
    assert_eq!(body["error"]["innererror"]["code"], "ForbiddenByRbac");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("\r\nAction: 'Microsoft.KeyVault/vaults/certificates/read'\r\n"), "{message}");
    assert!(message.contains("/vaults/kv-demo/certificates/gateway-tls-cert'\r\n"), "{message}");
    assert!(message.contains("Vault: kv-demo;location=eastus"), "{message}");
    cloud.make_officer("kv-demo");
    assert_eq!(code(&get(&mut cloud, NEWEST)), "CertificateNotFound");
}

#[test]
fn a_vault_with_access_policies_reports_them() {
    let mut cloud = TestCloud::new();
    let mut body = cloud.vault_body();
    body["properties"]["enableRbacAuthorization"] = json!(false);
    cloud.arm(Method::PUT, &TestCloud::vault_path("kv-demo"), Some(&body));
    cloud.advance(15.0);
    let refused = import(&mut cloud, "ec.pfx", "correct-horse");
    assert_eq!(refused.value()["error"]["innererror"]["code"], "AccessDenied");
    let owner = cloud.state.directory.owner().object_id.clone();
    body["properties"]["accessPolicies"] =
        json!([{"tenantId": "t", "objectId": owner, "permissions": {"certificates": ["Import", "get"]}}]);
    cloud.arm(Method::PUT, &TestCloud::vault_path("kv-demo"), Some(&body));
    assert_eq!(import(&mut cloud, "ec.pfx", "correct-horse").status, 200);
    let secret = get(&mut cloud, "/secrets/gateway-tls-cert?api-version=7.4");
    assert_eq!(secret.status, 403);
}

#[test]
fn an_import_makes_certificate_key_and_secret_of_one_version() {
    let mut cloud = ready();
    let created = import(&mut cloud, "chain.pfx", "correct-horse").value();
    let version = created["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(version.len(), 32);
    let at = |collection: &str| {
        format!("https://kv-demo.vault.landfall.localhost:20000/{collection}/gateway-tls-cert/{version}")
    };
    assert_eq!(created["id"], json!(at("certificates")));
    assert_eq!(created["kid"], json!(at("keys")));
    assert_eq!(created["sid"], json!(at("secrets")));
    assert_eq!(created["x5t"].as_str().unwrap().len(), 27);
    assert_eq!(created["attributes"]["recoveryLevel"], "Recoverable+Purgeable");
    assert_eq!(get(&mut cloud, NEWEST).value(), created);
    let named = format!("/certificates/gateway-tls-cert/{version}?api-version=7.4");
    assert_eq!(get(&mut cloud, &named).value(), created);
}

#[test]
fn the_same_bytes_make_a_new_version_every_time() {
    let mut cloud = ready();
    let first = import(&mut cloud, "ec.pfx", "correct-horse").value();
    let second = import(&mut cloud, "ec.pfx", "correct-horse").value();
    assert_ne!(first["id"], second["id"]);
    assert_eq!(first["x5t"], second["x5t"]);
    assert_eq!(get(&mut cloud, NEWEST).value()["id"], second["id"]);
    let page =
        get(&mut cloud, "/certificates/gateway-tls-cert/versions?api-version=7.4&maxresults=1").value();
    assert_eq!(page["value"].as_array().unwrap().len(), 1);
    let next = page["nextLink"].as_str().unwrap().split_once(":20000").unwrap().1.to_owned();
    let last = get(&mut cloud, &next).value();
    assert_eq!(last["value"][0]["id"], second["id"]);
    assert!(last["nextLink"].is_null());
    let all = get(&mut cloud, "/certificates?api-version=7.4").value();
    assert_eq!(all["value"].as_array().unwrap().len(), 1);
}

#[test]
fn the_secret_is_the_imported_pfx_without_its_password() {
    let mut cloud = ready();
    import(&mut cloud, "chain.pfx", "correct-horse");
    let owner = cloud.state.directory.owner().object_id.clone();
    let scope = "/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-demo";
    assert_eq!(get(&mut cloud, "/secrets/gateway-tls-cert/?api-version=7.4").status, 403);
    cloud.grant(scope, "4633458b-17de-408a-b874-0445c86b69e6", &owner);
    cloud.advance(61.0);
    let secret = get(&mut cloud, "/secrets/gateway-tls-cert/?api-version=7.4").value();
    assert_eq!(secret["contentType"], "application/x-pkcs12");
    assert_eq!(secret["managed"], true);
    let out =
        Pkcs12Archive::from_pkcs12(&STANDARD.decode(secret["value"].as_str().unwrap()).unwrap(), "").unwrap();
    let given =
        Pkcs12Archive::from_pkcs12(&STANDARD.decode(fixture("chain.pfx")).unwrap(), "correct-horse").unwrap();
    assert_eq!(out.keys[0].key.as_der(), given.keys[0].key.as_der());
    assert_eq!((out.certs.len(), given.certs.len()), (3, 3));
}

#[test]
fn malformed_imports_are_refused_with_the_services_messages() {
    let mut cloud = ready();
    let refused = import(&mut cloud, "rsa-default.pfx", "wrong");
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "BadParameter"));
    let message = refused.value()["error"]["message"].clone();
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("The specified PKCS#12 X.509 certificate content can not be read.")
    );
    let body = json!({"value": fixture("chain.pem"), "policy": {"secret_props": {"contentType": "application/x-pkcs12"}}});
    assert_eq!(cloud.vault("kv-demo", Method::POST, IMPORT, Some(&body)).status, 400);
    assert_eq!(cloud.vault("kv-demo", Method::POST, IMPORT, Some(&json!({"pwd": ""}))).status, 400);
    assert_eq!(cloud.vault("kv-demo", Method::POST, IMPORT, None).status, 400);
    let unversioned = cloud.vault("kv-demo", Method::GET, "/certificates/x", None);
    assert_eq!(unversioned.status, 400);
    let unknown = cloud.vault("kv-demo", Method::GET, "/certificates/x?api-version=6.0", None);
    assert_eq!(unknown.status, 400);
}

#[test]
fn an_expired_certificate_is_refused() {
    let mut cloud = ready();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["old.example.com".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    let body = json!({"value": format!("{}{}", key.serialize_pem(), certificate.pem())});
    let refused = cloud.vault("kv-demo", Method::POST, IMPORT, Some(&body));
    assert_eq!(code(&refused), "BadParameter");
    assert!(refused.value()["error"]["message"].as_str().unwrap().contains("has expired"));
}

#[test]
fn a_deleted_certificate_holds_its_name_until_it_is_recovered_or_purged() {
    let mut cloud = ready();
    let deleted = "/deletedcertificates/gateway-tls-cert?api-version=7.4";
    let recover = "/deletedcertificates/gateway-tls-cert/recover?api-version=7.4";
    import(&mut cloud, "ec.pfx", "correct-horse");
    let deletion =
        cloud.vault("kv-demo", Method::DELETE, "/certificates/gateway-tls-cert?api-version=7.4", None);
    assert_eq!(deletion.status, 200);
    assert!(deletion.value()["recoveryId"].is_string());
    let inner = |reply: &Reply| reply.value()["error"]["innererror"]["code"].clone();
    assert_eq!(inner(&import(&mut cloud, "ec.pfx", "correct-horse")), "ObjectIsBeingDeleted");
    assert_eq!(get(&mut cloud, deleted).status, 404);
    cloud.advance(6.0);
    assert_eq!(get(&mut cloud, deleted).status, 200);
    let conflict = import(&mut cloud, "ec.pfx", "correct-horse");
    assert_eq!((conflict.status.as_u16(), inner(&conflict)), (409, json!("ObjectIsDeletedButRecoverable")));
    assert_eq!(cloud.vault("kv-demo", Method::POST, recover, None).status, 200);
    assert_eq!(inner(&import(&mut cloud, "ec.pfx", "correct-horse")), "ObjectIsBeingRecovered");
    assert_eq!(code(&get(&mut cloud, NEWEST)), "CertificateNotFound");
    cloud.advance(6.0);
    assert_eq!(get(&mut cloud, NEWEST).status, 200);
    assert_eq!(import(&mut cloud, "ec.pfx", "correct-horse").status, 200);
    cloud.vault("kv-demo", Method::DELETE, "/certificates/gateway-tls-cert?api-version=7.4", None);
    cloud.advance(6.0);
    assert_eq!(cloud.vault("kv-demo", Method::DELETE, deleted, None).status, 204);
    assert_eq!(get(&mut cloud, deleted).status, 404);
    assert_eq!(import(&mut cloud, "ec.pfx", "correct-horse").status, 200);
}

#[test]
fn attributes_and_tags_of_a_version_change_in_place() {
    let mut cloud = ready();
    let created = import(&mut cloud, "ec.pfx", "correct-horse").value();
    let body = json!({"attributes": {"enabled": false}, "tags": {"a": "b"}});
    let target = "/certificates/gateway-tls-cert/?api-version=7.4";
    let changed = cloud.vault("kv-demo", Method::PATCH, target, Some(&body)).value();
    assert_eq!(changed["id"], created["id"]);
    assert_eq!((&changed["attributes"]["enabled"], &changed["tags"]), (&json!(false), &json!({"a": "b"})));
}

#[test]
fn a_node_reads_with_its_identity_and_needs_a_role() {
    let mut cloud = ready();
    let created = import(&mut cloud, "chain.pfx", "correct-horse").value();
    let (object, client) = (cloud.state.uuid("o"), cloud.state.uuid("c"));
    cloud.state.directory.add_managed_identity(object.clone(), client.clone(), "addon", "/x", cloud.now);
    let read = |cloud: &TestCloud, kind: &str, at| {
        NodeVaultReader(&cloud.state).read(at, "kv-demo", &client, kind, "gateway-tls-cert", None)
    };
    let refused = read(&cloud, "secret", cloud.now).unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (403, "Forbidden"));
    let body: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(body["error"]["innererror"]["code"], "ForbiddenByRbac");
    let scope = "/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-demo";
    cloud.grant(scope, "4633458b-17de-408a-b874-0445c86b69e6", &object);
    cloud.grant(scope, "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba", &object);
    assert_eq!(read(&cloud, "secret", cloud.now).unwrap_err().status, 403);
    let due = NodeVaultReader(&cloud.state).grant_due(cloud.now).unwrap();
    let secret = read(&cloud, "secret", due).unwrap();
    assert!(created["sid"].as_str().unwrap().ends_with(&secret.version));
    assert_eq!(secret.content_type, "application/x-pkcs12");
    let cert = read(&cloud, "cert", due).unwrap();
    assert_eq!(STANDARD.encode(&cert.value), created["cer"].as_str().unwrap());
    assert!(!read(&cloud, "key", due).unwrap().value.is_empty());
    let other = NodeVaultReader(&cloud.state).read(due, "kv-none", &client, "secret", "x", None).unwrap_err();
    assert_eq!(other.status, 0);
    let unknown =
        NodeVaultReader(&cloud.state).read(due, "kv-demo", "nobody", "secret", "x", None).unwrap_err();
    assert_eq!(unknown.status, 400);
}

#[test]
fn a_firewall_admits_only_its_rules() {
    let mut cloud = ready();
    import(&mut cloud, "ec.pfx", "correct-horse");
    let mut close = |rules: Value| {
        let body = json!({"properties": {"networkAcls": rules}});
        let closed = cloud.arm(Method::PATCH, &TestCloud::vault_path("kv-demo"), Some(&body));
        assert_eq!(closed.status, 200, "{closed:?}");
        get(&mut cloud, NEWEST)
    };
    let refused = close(json!({"defaultAction": "Deny", "bypass": "AzureServices"}));
    assert_eq!(refused.status, 403);
    assert_eq!(refused.value()["error"]["innererror"]["code"], "ForbiddenByFirewall");
    let here = json!([{"value": "127.0.0.1/32"}]);
    assert_eq!(close(json!({"defaultAction": "Deny", "ipRules": here})).status, 200);
    assert_eq!(close(json!({"defaultAction": "Allow"})).status, 200);
}

#[test]
fn a_self_signed_certificate_is_pending_until_it_is_created() {
    let mut cloud = ready();
    let policy = json!({
        "issuer": {"name": "Self"}, "key_props": {"kty": "EC", "crv": "P-256"},
        "x509_props": {"subject": "CN=demo.example.com", "sans": {"dns_names": ["*.demo.example.com"]}},
    });
    let (path, body) = ("/certificates/made/create?api-version=7.4", json!({"policy": policy}));
    let pending = cloud.vault("kv-demo", Method::POST, path, Some(&body));
    assert_eq!((pending.status.as_u16(), &pending.value()["status"]), (202, &json!("inProgress")));
    let twice = cloud.vault("kv-demo", Method::POST, path, Some(&body));
    assert_eq!((twice.status.as_u16(), code(&twice).as_str()), (409, "Forbidden"));
    assert_eq!(get(&mut cloud, "/certificates/made/?api-version=7.4").status, 404);
    cloud.advance(10.0);
    let ended = get(&mut cloud, "/certificates/made/pending?api-version=7.4").value();
    assert_eq!(ended["status"], "completed");
    let created = get(&mut cloud, "/certificates/made/?api-version=7.4").value();
    assert_eq!(created["policy"]["issuer"]["name"], "Self");
    assert_eq!(created["policy"]["x509_props"]["sans"]["dns_names"][0], "*.demo.example.com");
    let again = cloud.vault("kv-demo", Method::POST, path, Some(&body));
    assert_eq!(again.status, 202, "a new version of the same name");
    let public = json!({"policy": {"issuer": {"name": "DigiCert"}, "x509_props": {"subject": "CN=x"}}});
    let refused =
        cloud.vault("kv-demo", Method::POST, "/certificates/x/create?api-version=7.4", Some(&public));
    assert_eq!(refused.status, 501);
    let message = refused.value()["error"]["message"].to_string();
    assert!(message.contains("is not available in the simulated cloud; see docs/az.md"), "{message}");
}
