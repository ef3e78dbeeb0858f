use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use p12_keystore::Pkcs12Archive;
use serde_json::{Value, json};

use super::VaultsOf;
use super::material::tests::fixture;
use crate::aks::Vaults as _;
use crate::entra;
use crate::request::{Delivery, Reply};
use crate::test_cloud::{TestCloud, code};

const IMPORT: &str = "/certificates/gateway-tls-cert/import?api-version=7.4";
const NEWEST: &str = "/certificates/gateway-tls-cert/?api-version=2025-07-01";

fn ready() -> TestCloud {
    let mut bench = TestCloud::new();
    bench.make_vault("kv-demo");
    bench.make_officer("kv-demo");
    bench
}

fn import(bench: &mut TestCloud, name: &str, password: &str) -> Reply {
    let body = json!({"value": fixture(name), "pwd": password});
    bench.vault("kv-demo", Method::POST, IMPORT, Some(&body))
}

fn get(bench: &mut TestCloud, target: &str) -> Reply {
    bench.vault("kv-demo", Method::GET, target, None)
}

#[test]
fn a_request_without_a_token_is_challenged_before_its_body_is_read() {
    let mut bench = ready();
    let reply = bench.vault_with("kv-demo", Method::POST, IMPORT, None, None);
    assert_eq!(reply.status, 401);
    let challenge = reply.headers["www-authenticate"].to_str().unwrap();
    let tenant = &bench.world.directory.tenant;
    let expected = format!(
        r#"Bearer authorization="https://login.landfall.localhost:20000/{tenant}", resource="https://vault.landfall.localhost""#
    );
    assert_eq!(challenge, expected);
    let elsewhere = entra::token_for(
        &bench.world,
        &bench.world.directory.owner().object_id.clone(),
        &bench.world.arm_audience(),
        bench.now,
    );
    let reply = bench.vault_with("kv-demo", Method::GET, NEWEST, None, Some(&elsewhere));
    assert_eq!(reply.status, 401);
    assert!(reply.value()["error"]["message"].as_str().unwrap().starts_with("AKV10022"));
    let reply = bench.vault_with("kv-demo", Method::GET, NEWEST, None, Some("a.b.c"));
    assert!(reply.value()["error"]["message"].as_str().unwrap().starts_with("AKV10032"));
}

#[test]
fn a_name_without_a_finished_vault_does_not_answer() {
    let mut bench = TestCloud::new();
    let body = bench.vault_body();
    bench.arm(Method::PUT, &TestCloud::vault_path("kv-demo"), Some(&body));
    assert_eq!(get(&mut bench, NEWEST).delivery, Delivery::Cut);
    bench.pass(15.0);
    assert_eq!(get(&mut bench, NEWEST).delivery, Delivery::Whole);
}

#[test]
fn a_grant_counts_only_after_a_while_and_a_refusal_hides_whether_the_object_exists() {
    let mut bench = TestCloud::new();
    bench.make_vault("kv-demo");
    let refused = get(&mut bench, NEWEST);
    assert_eq!(refused.status, 403);
    let body = refused.value();
    assert_eq!(body["error"]["innererror"]["code"], "ForbiddenByRbac");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("\r\nAction: 'Microsoft.KeyVault/vaults/certificates/read'\r\n"), "{message}");
    assert!(message.contains("/vaults/kv-demo/certificates/gateway-tls-cert'\r\n"), "{message}");
    assert!(message.contains("Vault: kv-demo;location=eastus"), "{message}");
    bench.make_officer("kv-demo");
    assert_eq!(code(&get(&mut bench, NEWEST)), "CertificateNotFound");
}

#[test]
fn a_vault_with_access_policies_says_so() {
    let mut bench = TestCloud::new();
    let mut body = bench.vault_body();
    body["properties"]["enableRbacAuthorization"] = json!(false);
    bench.arm(Method::PUT, &TestCloud::vault_path("kv-demo"), Some(&body));
    bench.pass(15.0);
    let refused = import(&mut bench, "ec.pfx", "correct-horse");
    assert_eq!(refused.value()["error"]["innererror"]["code"], "AccessDenied");
    let owner = bench.world.directory.owner().object_id.clone();
    body["properties"]["accessPolicies"] =
        json!([{"tenantId": "t", "objectId": owner, "permissions": {"certificates": ["Import", "get"]}}]);
    bench.arm(Method::PUT, &TestCloud::vault_path("kv-demo"), Some(&body));
    assert_eq!(import(&mut bench, "ec.pfx", "correct-horse").status, 200);
    let secret = get(&mut bench, "/secrets/gateway-tls-cert?api-version=7.4");
    assert_eq!(secret.status, 403);
}

#[test]
fn an_import_makes_certificate_key_and_secret_of_one_version() {
    let mut bench = ready();
    let made = import(&mut bench, "chain.pfx", "correct-horse").value();
    let version = made["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(version.len(), 32);
    let at = |collection: &str| {
        format!("https://kv-demo.vault.landfall.localhost:20000/{collection}/gateway-tls-cert/{version}")
    };
    assert_eq!(made["id"], json!(at("certificates")));
    assert_eq!(made["kid"], json!(at("keys")));
    assert_eq!(made["sid"], json!(at("secrets")));
    assert_eq!(made["x5t"].as_str().unwrap().len(), 27);
    assert_eq!(made["attributes"]["recoveryLevel"], "Recoverable+Purgeable");
    assert_eq!(get(&mut bench, NEWEST).value(), made);
    let named = format!("/certificates/gateway-tls-cert/{version}?api-version=7.4");
    assert_eq!(get(&mut bench, &named).value(), made);
}

#[test]
fn the_same_bytes_make_a_new_version_every_time() {
    let mut bench = ready();
    let first = import(&mut bench, "ec.pfx", "correct-horse").value();
    let second = import(&mut bench, "ec.pfx", "correct-horse").value();
    assert_ne!(first["id"], second["id"]);
    assert_eq!(first["x5t"], second["x5t"]);
    assert_eq!(get(&mut bench, NEWEST).value()["id"], second["id"]);
    let page =
        get(&mut bench, "/certificates/gateway-tls-cert/versions?api-version=7.4&maxresults=1").value();
    assert_eq!(page["value"].as_array().unwrap().len(), 1);
    let next = page["nextLink"].as_str().unwrap().split_once(":20000").unwrap().1.to_owned();
    let last = get(&mut bench, &next).value();
    assert_eq!(last["value"][0]["id"], second["id"]);
    assert!(last["nextLink"].is_null());
    let all = get(&mut bench, "/certificates?api-version=7.4").value();
    assert_eq!(all["value"].as_array().unwrap().len(), 1);
}

#[test]
fn the_secret_is_the_imported_pfx_without_its_password() {
    let mut bench = ready();
    import(&mut bench, "chain.pfx", "correct-horse");
    let owner = bench.world.directory.owner().object_id.clone();
    let scope = "/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-demo";
    assert_eq!(get(&mut bench, "/secrets/gateway-tls-cert/?api-version=7.4").status, 403);
    bench.grant(scope, "4633458b-17de-408a-b874-0445c86b69e6", &owner);
    bench.pass(61.0);
    let secret = get(&mut bench, "/secrets/gateway-tls-cert/?api-version=7.4").value();
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
fn what_cannot_be_read_is_refused_in_the_services_words() {
    let mut bench = ready();
    let refused = import(&mut bench, "rsa-default.pfx", "wrong");
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "BadParameter"));
    let message = refused.value()["error"]["message"].clone();
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("The specified PKCS#12 X.509 certificate content can not be read.")
    );
    let body = json!({"value": fixture("chain.pem"), "policy": {"secret_props": {"contentType": "application/x-pkcs12"}}});
    assert_eq!(bench.vault("kv-demo", Method::POST, IMPORT, Some(&body)).status, 400);
    assert_eq!(bench.vault("kv-demo", Method::POST, IMPORT, Some(&json!({"pwd": ""}))).status, 400);
    assert_eq!(bench.vault("kv-demo", Method::POST, IMPORT, None).status, 400);
    let unversioned = bench.vault("kv-demo", Method::GET, "/certificates/x", None);
    assert_eq!(unversioned.status, 400);
    let unknown = bench.vault("kv-demo", Method::GET, "/certificates/x?api-version=6.0", None);
    assert_eq!(unknown.status, 400);
}

#[test]
fn an_expired_certificate_is_refused() {
    let mut bench = ready();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["old.example.com".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    let body = json!({"value": format!("{}{}", key.serialize_pem(), certificate.pem())});
    let refused = bench.vault("kv-demo", Method::POST, IMPORT, Some(&body));
    assert_eq!(code(&refused), "BadParameter");
    assert!(refused.value()["error"]["message"].as_str().unwrap().contains("has expired"));
}

#[test]
fn a_deleted_certificate_holds_its_name_until_it_is_recovered_or_purged() {
    let mut bench = ready();
    let deleted = "/deletedcertificates/gateway-tls-cert?api-version=7.4";
    let recover = "/deletedcertificates/gateway-tls-cert/recover?api-version=7.4";
    import(&mut bench, "ec.pfx", "correct-horse");
    let gone = bench.vault("kv-demo", Method::DELETE, "/certificates/gateway-tls-cert?api-version=7.4", None);
    assert_eq!(gone.status, 200);
    assert!(gone.value()["recoveryId"].is_string());
    let inner = |reply: &Reply| reply.value()["error"]["innererror"]["code"].clone();
    assert_eq!(inner(&import(&mut bench, "ec.pfx", "correct-horse")), "ObjectIsBeingDeleted");
    assert_eq!(get(&mut bench, deleted).status, 404);
    bench.pass(6.0);
    assert_eq!(get(&mut bench, deleted).status, 200);
    let conflict = import(&mut bench, "ec.pfx", "correct-horse");
    assert_eq!((conflict.status.as_u16(), inner(&conflict)), (409, json!("ObjectIsDeletedButRecoverable")));
    assert_eq!(bench.vault("kv-demo", Method::POST, recover, None).status, 200);
    assert_eq!(inner(&import(&mut bench, "ec.pfx", "correct-horse")), "ObjectIsBeingRecovered");
    assert_eq!(code(&get(&mut bench, NEWEST)), "CertificateNotFound");
    bench.pass(6.0);
    assert_eq!(get(&mut bench, NEWEST).status, 200);
    assert_eq!(import(&mut bench, "ec.pfx", "correct-horse").status, 200);
    bench.vault("kv-demo", Method::DELETE, "/certificates/gateway-tls-cert?api-version=7.4", None);
    bench.pass(6.0);
    assert_eq!(bench.vault("kv-demo", Method::DELETE, deleted, None).status, 204);
    assert_eq!(get(&mut bench, deleted).status, 404);
    assert_eq!(import(&mut bench, "ec.pfx", "correct-horse").status, 200);
}

#[test]
fn attributes_and_tags_of_a_version_change_in_place() {
    let mut bench = ready();
    let made = import(&mut bench, "ec.pfx", "correct-horse").value();
    let body = json!({"attributes": {"enabled": false}, "tags": {"a": "b"}});
    let target = "/certificates/gateway-tls-cert/?api-version=7.4";
    let changed = bench.vault("kv-demo", Method::PATCH, target, Some(&body)).value();
    assert_eq!(changed["id"], made["id"]);
    assert_eq!((&changed["attributes"]["enabled"], &changed["tags"]), (&json!(false), &json!({"a": "b"})));
}

#[test]
fn a_node_reads_with_its_identity_and_is_refused_like_anybody_else() {
    let mut bench = ready();
    let made = import(&mut bench, "chain.pfx", "correct-horse").value();
    let (object, client) = (bench.world.uuid("o"), bench.world.uuid("c"));
    bench.world.directory.add_managed_identity(object.clone(), client.clone(), "addon", "/x", bench.now);
    let read = |bench: &TestCloud, kind: &str, at| {
        VaultsOf(&bench.world).read(at, "kv-demo", &client, kind, "gateway-tls-cert", None)
    };
    let refused = read(&bench, "secret", bench.now).unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (403, "Forbidden"));
    let body: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(body["error"]["innererror"]["code"], "ForbiddenByRbac");
    let scope = "/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-demo";
    bench.grant(scope, "4633458b-17de-408a-b874-0445c86b69e6", &object);
    bench.grant(scope, "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba", &object);
    assert_eq!(read(&bench, "secret", bench.now).unwrap_err().status, 403);
    let due = VaultsOf(&bench.world).grant_due(bench.now).unwrap();
    let secret = read(&bench, "secret", due).unwrap();
    assert!(made["sid"].as_str().unwrap().ends_with(&secret.version));
    assert_eq!(secret.content_type, "application/x-pkcs12");
    let cert = read(&bench, "cert", due).unwrap();
    assert_eq!(STANDARD.encode(&cert.value), made["cer"].as_str().unwrap());
    assert!(!read(&bench, "key", due).unwrap().value.is_empty());
    let elsewhere = VaultsOf(&bench.world).read(due, "kv-none", &client, "secret", "x", None).unwrap_err();
    assert_eq!(elsewhere.status, 0);
    let unknown = VaultsOf(&bench.world).read(due, "kv-demo", "nobody", "secret", "x", None).unwrap_err();
    assert_eq!(unknown.status, 400);
}

#[test]
fn a_firewall_lets_in_whom_its_rules_name() {
    let mut bench = ready();
    import(&mut bench, "ec.pfx", "correct-horse");
    let mut close = |rules: Value| {
        let body = json!({"properties": {"networkAcls": rules}});
        let closed = bench.arm(Method::PATCH, &TestCloud::vault_path("kv-demo"), Some(&body));
        assert_eq!(closed.status, 200, "{closed:?}");
        get(&mut bench, NEWEST)
    };
    let refused = close(json!({"defaultAction": "Deny", "bypass": "AzureServices"}));
    assert_eq!(refused.status, 403);
    assert_eq!(refused.value()["error"]["innererror"]["code"], "ForbiddenByFirewall");
    let here = json!([{"value": "127.0.0.1/32"}]);
    assert_eq!(close(json!({"defaultAction": "Deny", "ipRules": here})).status, 200);
    assert_eq!(close(json!({"defaultAction": "Allow"})).status, 200);
}

#[test]
fn a_certificate_that_signs_itself_is_pending_until_it_is_made() {
    let mut bench = ready();
    let policy = json!({
        "issuer": {"name": "Self"}, "key_props": {"kty": "EC", "crv": "P-256"},
        "x509_props": {"subject": "CN=demo.example.com", "sans": {"dns_names": ["*.demo.example.com"]}},
    });
    let (path, body) = ("/certificates/made/create?api-version=7.4", json!({"policy": policy}));
    let begun = bench.vault("kv-demo", Method::POST, path, Some(&body));
    assert_eq!((begun.status.as_u16(), &begun.value()["status"]), (202, &json!("inProgress")));
    let twice = bench.vault("kv-demo", Method::POST, path, Some(&body));
    assert_eq!((twice.status.as_u16(), code(&twice).as_str()), (409, "Conflict"));
    assert_eq!(get(&mut bench, "/certificates/made/?api-version=7.4").status, 404);
    bench.pass(10.0);
    let ended = get(&mut bench, "/certificates/made/pending?api-version=7.4").value();
    assert_eq!(ended["status"], "completed");
    let made = get(&mut bench, "/certificates/made/?api-version=7.4").value();
    assert_eq!(made["policy"]["issuer"]["name"], "Self");
    assert_eq!(made["policy"]["x509_props"]["sans"]["dns_names"][0], "*.demo.example.com");
    let again = bench.vault("kv-demo", Method::POST, path, Some(&body));
    assert_eq!(again.status, 202, "a new version of the same name");
    let unknown = json!({"policy": {"issuer": {"name": "Unknown"}, "x509_props": {"subject": "CN=x"}}});
    let refused =
        bench.vault("kv-demo", Method::POST, "/certificates/x/create?api-version=7.4", Some(&unknown));
    assert_eq!(refused.status, 501);
}
