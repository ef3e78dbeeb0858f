//! Tests of issuers and policies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;

use super::tests::{get, ready};
use crate::test_cloud::code;

#[test]
fn a_certificate_of_another_authority_waits_for_its_merge() {
    let mut cloud = ready();
    let policy =
        json!({"issuer": {"name": "Unknown"}, "key_props": {"kty": "EC"}, "x509_props": {"subject": "CN=x"}});
    let at = |rest: &str| format!("/certificates/x/{rest}?api-version=7.4");
    let created = cloud.vault("kv-demo", Method::POST, &at("create"), Some(&json!({"policy": policy})));
    assert_eq!(created.status, 202);
    cloud.advance(3600.0);
    let pending = get(&mut cloud, &at("pending")).value();
    assert_eq!((&pending["status"], &pending["issuer"]["name"]), (&json!("inProgress"), &json!("Unknown")));
    let other = rcgen::KeyPair::generate().unwrap();
    let foreign = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&other).unwrap();
    let x5c = json!({"x5c": [STANDARD.encode(foreign.der())]});
    let refused = cloud.vault("kv-demo", Method::POST, &at("pending/merge"), Some(&x5c));
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "BadParameter"));
    assert!(refused.value()["error"]["message"].to_string().contains("does not match the public part"));
    let empty = cloud.vault("kv-demo", Method::POST, &at("pending/merge"), Some(&json!({"x5c": []})));
    assert!(empty.value()["error"]["message"].to_string().contains("at least one valid item"));
    let request_id = pending["request_id"].as_str().unwrap();
    let location = created.headers["location"].to_str().unwrap();
    assert!(location.ends_with(&format!("pending?api-version=7.4&request_id={request_id}")), "{location}");
    let of = |id: &str| format!("/certificates/x/pending?api-version=7.4&request_id={id}");
    assert_eq!(get(&mut cloud, &of(request_id)).status, 200);
    assert_eq!(code(&get(&mut cloud, &of("another"))), "PendingCertificateNotFound");
    for action in ["create", "import"] {
        let blocked = cloud.vault("kv-demo", Method::POST, &at(action), Some(&json!({"policy": policy})));
        assert_eq!((blocked.status.as_u16(), code(&blocked).as_str()), (409, "Forbidden"), "{action}");
    }
    let csr = STANDARD.decode(pending["csr"].as_str().unwrap()).unwrap();
    let request = rcgen::CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(rcgen::DnType::CommonName, "An authority");
    let issuer = rcgen::Issuer::from_params(&authority, &other);
    let signed = request.signed_by(&issuer).unwrap();
    let x5c = json!({"x5c": [STANDARD.encode(signed.der())]});
    assert_eq!(cloud.vault("kv-demo", Method::POST, &at("pending/merge"), Some(&x5c)).status, 201);
    let merged = get(&mut cloud, "/certificates/x/?api-version=7.4").value();
    assert_eq!(merged["cer"], x5c["x5c"][0]);
    assert_eq!(
        merged["pending"]["id"].as_str().map(|id| id.ends_with("/certificates/x/pending")),
        Some(true)
    );
    assert_eq!(get(&mut cloud, &at("pending")).value()["status"], "completed");
    let again = cloud.vault("kv-demo", Method::POST, &at("pending/merge"), Some(&x5c));
    assert_eq!(code(&again), "PendingCertificateNotFound");
}

#[test]
fn a_merged_chain_is_reversed_unless_its_order_is_kept() {
    for keep in [false, true] {
        let mut cloud = ready();
        let policy = json!({"issuer": {"name": "Unknown"}, "key_props": {"kty": "EC"}, "x509_props": {"subject": "CN=x"}});
        let body = json!({"policy": policy, "preserveCertOrder": keep});
        cloud.vault("kv-demo", Method::POST, "/certificates/x/create?api-version=7.4", Some(&body));
        let pending = get(&mut cloud, "/certificates/x/pending?api-version=7.4").value();
        let csr = STANDARD.decode(pending["csr"].as_str().unwrap()).unwrap();
        let request = rcgen::CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let root = authority.self_signed(&key).unwrap();
        let leaf = request.signed_by(&rcgen::Issuer::new(authority, key)).unwrap();
        let x5c = json!({"x5c": [STANDARD.encode(leaf.der()), STANDARD.encode(root.der())]});
        let merge = "/certificates/x/pending/merge?api-version=7.4";
        let merged = cloud.vault("kv-demo", Method::POST, merge, Some(&x5c));
        assert_eq!((merged.status.as_u16(), &merged.value()["cer"]), (201, &x5c["x5c"][0]), "keep {keep}");
        let vault = cloud.state.vaults.reachable("kv-demo", cloud.now).unwrap();
        let first = vault.certificates.live["x"].newest().material.certificates()[0].to_vec();
        assert_eq!(first == leaf.der().to_vec(), keep);
    }
}

#[test]
fn an_operation_of_the_vault_itself_takes_no_merge() {
    let mut cloud = ready();
    let body = json!({"policy": {"issuer": {"name": "Self"}, "key_props": {"kty": "EC"}, "x509_props": {"subject": "CN=x"}}});
    cloud.vault("kv-demo", Method::POST, "/certificates/x/create?api-version=7.4", Some(&body));
    let at = "/certificates/x/pending/merge?api-version=7.4";
    let refused = cloud.vault("kv-demo", Method::POST, at, Some(&json!({"x5c": ["AAAA"]})));
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "Forbidden"));
}

#[test]
fn a_policy_is_updated_for_the_next_version() {
    let mut cloud = ready();
    let body = json!({"policy": {"issuer": {"name": "Self"}, "key_props": {"kty": "EC"}, "x509_props": {"subject": "CN=x"}}});
    cloud.vault("kv-demo", Method::POST, "/certificates/x/create?api-version=7.4", Some(&body));
    cloud.advance(20.0);
    let at = "/certificates/x/policy?api-version=7.4";
    let before = get(&mut cloud, at).value();
    let change = json!({"x509_props": {"validity_months": 6}, "id": "another"});
    let after = cloud.vault("kv-demo", Method::PATCH, at, Some(&change)).value();
    assert_eq!(after["x509_props"]["validity_months"], 6);
    assert_eq!((&after["x509_props"]["subject"], &after["id"]), (&json!("CN=x"), &before["id"]));
    assert_eq!(get(&mut cloud, at).value(), after);
    let issuers = cloud.vault("kv-demo", Method::GET, "/certificates/issuers?api-version=7.4", None);
    assert!(
        issuers.value()["error"]["message"].to_string().contains("is not available in the simulated cloud")
    );
}
