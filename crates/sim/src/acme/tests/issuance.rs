//! Issuance from the account to the certificate.

use http::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{RootCertStore, client::WebPkiServerVerifier};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::extensions::ParsedExtension;

use super::super::CaName;
use super::client::{AcmeClient, ZONE, cloud, csr, header, problem, settle};
use crate::clock::SimTime;

/// Verifies a chain for a name, as a TLS client does.
fn verifies(chain: &str, root: &str, name: &str, at: SimTime) -> Result<(), rustls::Error> {
    use rustls::client::danger::ServerCertVerifier as _;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(at.0).unwrap()));
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).map(|_| ())
}

#[test]
fn apex_and_wildcard_get_a_certificate_that_leads_to_the_root() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let wildcard = format!("*.{ZONE}");
    let order = client.order(&mut cloud, &[ZONE, &wildcard], json!({}));
    assert_eq!((order.status.as_u16(), &order.value()["status"]), (201, &json!("pending")));
    assert_eq!(order.value()["identifiers"][0]["value"], wildcard, "names are sorted");
    client.prove(&mut cloud, &order);
    assert_eq!(client.reread(&mut cloud, &order).value()["status"], "ready");
    let request = csr(&[ZONE, &wildcard]);
    let finalized = client.finalize(&mut cloud, &order, &request);
    assert_eq!(
        (&finalized.value()["status"], header(&finalized, "retry-after").as_str()),
        (&json!("processing"), "3")
    );
    let again = client.finalize(&mut cloud, &order, &request);
    assert_eq!(problem(&again), (403, "orderNotReady".to_owned()));
    cloud.advance(6.0);
    let valid = client.reread(&mut cloud, &order).value();
    let chain = client.post(&mut cloud, valid["certificate"].as_str().unwrap(), None);
    assert_eq!(header(&chain, "content-type"), "application/pem-certificate-chain");
    let chain = String::from_utf8(chain.body.to_vec()).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "no root");
    let root = client.get(&mut cloud, Method::GET, "https://x/root.pem");
    let root = String::from_utf8(root.body.to_vec()).unwrap();
    for name in [ZONE, &format!("x.{ZONE}")] {
        verifies(&chain, &root, name, cloud.now).unwrap();
    }
    verifies(&chain, &root, "other.example.com", cloud.now).unwrap_err();
    verifies(&chain, &root, ZONE, cloud.now.plus_ms(90 * 86_400_000)).unwrap_err();
    let staging = AcmeClient::new(CaName::Staging).get(&mut cloud, Method::GET, "https://x/root.pem");
    let staging = String::from_utf8(staging.body.to_vec()).unwrap();
    verifies(&chain, &staging, ZONE, cloud.now).unwrap_err();
}

#[test]
fn each_profile_has_its_lifetime_and_its_fields() {
    for (profile, hours, legacy) in
        [("classic", 90 * 24, true), ("tlsserver", 45 * 24, false), ("shortlived", 160, false)]
    {
        let mut cloud = cloud();
        let client = AcmeClient::registered(&mut cloud);
        let (order, chain) = client.issue(&mut cloud, &[ZONE], json!({ "profile": profile }));
        assert_eq!(order["profile"], profile);
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
        let validity = leaf.validity();
        assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), hours * 3600 - 1);
        assert_eq!(leaf.subject().iter_common_name().count(), usize::from(legacy), "{profile}");
        let extensions: Vec<_> =
            leaf.iter_extensions().map(|extension| extension.parsed_extension().clone()).collect();
        let has = |is: fn(&ParsedExtension<'_>) -> bool| extensions.iter().any(is);
        assert_eq!(has(|one| matches!(one, ParsedExtension::SubjectKeyIdentifier(_))), legacy);
        assert!(has(|one| matches!(one, ParsedExtension::AuthorityKeyIdentifier(_))));
        assert!(has(|one| matches!(one, ParsedExtension::BasicConstraints(limits) if !limits.ca)));
    }
}

#[test]
fn a_pending_order_is_returned_again_and_valid_authorizations_are_reused() {
    let mut cloud = cloud();
    cloud.state.acme.get_mut(CaName::Production).settings.reuse_percent = 100;
    let client = AcmeClient::registered(&mut cloud);
    let first = client.order(&mut cloud, &[ZONE], json!({}));
    let second = client.order(&mut cloud, &[ZONE], json!({}));
    assert_eq!(header(&first, "location"), header(&second, "location"));
    let other = client.order(&mut cloud, &[ZONE], json!({ "profile": "tlsserver" }));
    assert_ne!(header(&first, "location"), header(&other, "location"));
    client.issue(&mut cloud, &[ZONE], json!({}));
    let reused = client.order(&mut cloud, &[ZONE], json!({ "profile": "shortlived" }));
    assert_eq!(reused.value()["status"], "ready");
    cloud.state.acme.get_mut(CaName::Production).settings.reuse_percent = 0;
    let wildcard = format!("*.{ZONE}");
    assert_eq!(client.order(&mut cloud, &[&wildcard], json!({})).value()["status"], "pending");
    cloud.advance(31.0 * 86_400.0);
    let expired = client.reread(&mut cloud, &first);
    assert_eq!(expired.value()["status"], "valid", "an order with a certificate stays");
    assert_eq!(problem(&client.reread(&mut cloud, &other)), (404, "malformed".to_owned()));
}

#[test]
fn an_account_is_found_by_its_key_updated_and_deactivated() {
    let mut cloud = cloud();
    let mut client = AcmeClient::new(CaName::Production);
    let only = json!({ "onlyReturnExisting": true });
    assert_eq!(problem(&client.register(&mut cloud, &only)), (400, "accountDoesNotExist".to_owned()));
    let agreed = json!({ "termsOfServiceAgreed": true, "contact": ["mailto:a@example.com"] });
    assert_eq!(client.register(&mut cloud, &agreed).status, 201);
    let account = client.account.take().unwrap();
    assert_eq!(client.register(&mut cloud, &only).status, 200);
    assert_eq!(client.account.as_ref(), Some(&account));
    let updated = client.post(&mut cloud, &account, Some(&json!({ "contact": [] })));
    assert_eq!(updated.value()["contact"], json!([]));
    client.post(&mut cloud, &account, Some(&json!({ "status": "deactivated" })));
    let refused = client.order(&mut cloud, &[ZONE], json!({}));
    assert_eq!(problem(&refused), (403, "unauthorized".to_owned()));
    client.account = None;
    assert_eq!(problem(&client.register(&mut cloud, &agreed)), (403, "unauthorized".to_owned()));
}

#[test]
fn an_account_key_can_be_changed() {
    let mut cloud = cloud();
    let mut client = AcmeClient::registered(&mut cloud);
    let next = AcmeClient::new(CaName::Production);
    let url = client.url(&mut cloud, "keyChange");
    let payload = json!({ "account": client.account, "oldKey": client.jwk() });
    let header = json!({ "alg": "ES256", "jwk": next.jwk(), "url": url });
    let inner = next.sign(&header, payload.to_string().as_bytes());
    assert_eq!(client.post(&mut cloud, &url, Some(&inner)).status, 200);
    assert_eq!(client.order(&mut cloud, &[ZONE], json!({})).status, 400, "the old key signs no more");
    client.key = next.key;
    assert_eq!(client.order(&mut cloud, &[ZONE], json!({})).status, 201);
}

#[test]
fn the_state_of_a_ca_survives_serialization() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    client.prove(&mut cloud, &order);
    client.finalize(&mut cloud, &order, &csr(&[ZONE]));
    let text = serde_json::to_string(&cloud.state).unwrap();
    cloud.state = serde_json::from_str(&text).unwrap();
    cloud.advance(6.0);
    settle(&mut cloud);
    assert_eq!(client.reread(&mut cloud, &order).value()["status"], "valid");
}
