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
