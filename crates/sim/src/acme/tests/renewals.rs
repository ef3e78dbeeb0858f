//! Renewal information, `replaces` and revocation.

use http::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::extensions::ParsedExtension;

use super::super::CaName;
use super::super::settings::RenewalInformation;
use super::client::{AcmeClient, ZONE, cloud, encode, header, problem};
use crate::request::Reply;
use crate::test_cloud::TestCloud;

/// Returns the identifier of a certificate (RFC 9773 §4.1).
fn identifier(chain: &str) -> String {
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let key = leaf.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(authority) => {
            Some(authority.key_identifier.clone()?.0.to_vec())
        }
        _ => None,
    });
    format!("{}.{}", encode(key.unwrap()), encode(leaf.raw_serial()))
}

fn window(cloud: &mut TestCloud, client: &AcmeClient, id: &str) -> Reply {
    let url = client.url(cloud, "renewalInfo");
    client.get(cloud, Method::GET, &format!("{url}/{id}"))
}

fn days(reply: &Reply, cloud: &TestCloud, end: &str) -> f64 {
    let at: jiff::Timestamp = reply.value()["suggestedWindow"][end].as_str().unwrap().parse().unwrap();
    (at.as_millisecond() - cloud.now.0) as f64 / 86_400_000.0
}

#[test]
fn the_window_is_after_two_thirds_of_the_lifetime_or_now() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let (_, chain) = client.issue(&mut cloud, &[ZONE], json!({}));
    let id = identifier(&chain);
    let usual = window(&mut cloud, &client, &id);
    assert_eq!(header(&usual, "retry-after"), "21600");
    assert!((58.0..60.0).contains(&days(&usual, &cloud, "start")), "{usual:?}");
    assert!((60.0..62.0).contains(&days(&usual, &cloud, "end")));
    let (_, short) = client.issue(&mut cloud, &[ZONE], json!({ "profile": "shortlived" }));
    let short = window(&mut cloud, &client, &identifier(&short));
    assert!((3.0..3.4).contains(&days(&short, &cloud, "start")), "{short:?}");
    let unknown = [("AAAA.AAAA", 404), ("x", 400), (&format!("{}.AAAA", id.split('.').next().unwrap()), 404)];
    for (id, status) in unknown {
        assert_eq!(problem(&window(&mut cloud, &client, id)), (status, "malformed".to_owned()));
    }
    cloud.state.acme.get_mut(CaName::Production).settings.renewal = RenewalInformation::Incident;
    let incident = window(&mut cloud, &client, &id);
    assert!(days(&incident, &cloud, "end") < 0.0 && incident.value()["explanationURL"].is_string());
    cloud.state.acme.get_mut(CaName::Production).settings.renewal = RenewalInformation::None;
    assert_eq!(client.directory(&mut cloud)["renewalInfo"], Value::Null);
}

#[test]
fn an_order_replaces_a_certificate_once() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let (_, chain) = client.issue(&mut cloud, &[ZONE], json!({}));
    let id = identifier(&chain);
    let foreign = AcmeClient::registered(&mut cloud);
    let of = |id: &str| json!({ "replaces": id });
    assert_eq!(problem(&foreign.order(&mut cloud, &[ZONE], of(&id))), (403, "unauthorized".to_owned()));
    assert_eq!(problem(&client.order(&mut cloud, &["x.example.org"], of(&id))).1, "malformed");
    let unknown = client.order(&mut cloud, &[ZONE], of("AAAA.AAAA"));
    assert_eq!(problem(&unknown), (404, "malformed".to_owned()));
    assert!(unknown.value()["detail"].as_str().unwrap().contains("did not match a known issuer"));
    cloud.advance(60.0 * 86_400.0);
    let (order, _) = client.issue(&mut cloud, &[ZONE], of(&id));
    assert_eq!(order["replaces"], id);
    assert_eq!(problem(&client.order(&mut cloud, &[ZONE], of(&id))), (409, "alreadyReplaced".to_owned()));
    let mut next = id;
    for _ in 0..3 {
        let (_, chain) = client.issue(&mut cloud, &[ZONE], json!({}));
        next = identifier(&chain);
    }
    cloud.state.acme.get_mut(CaName::Production).settings.shows_replaces = false;
    let hidden = client.order(&mut cloud, &[ZONE], of(&next));
    assert_eq!((hidden.status.as_u16(), &hidden.value()["replaces"]), (201, &Value::Null));
}

#[test]
fn a_replacement_inside_its_window_is_exempt_from_limits() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let (_, first) = client.issue(&mut cloud, &[ZONE], json!({}));
    cloud.advance(60.0 * 86_400.0);
    for _ in 0..5 {
        client.issue(&mut cloud, &[ZONE], json!({}));
    }
    assert_eq!(client.order(&mut cloud, &[ZONE], json!({})).status, 429);
    let (order, _) = client.issue(&mut cloud, &[ZONE], json!({ "replaces": identifier(&first) }));
    assert_eq!(order["status"], "valid");
}

#[test]
fn a_revoked_certificate_is_to_be_renewed_now() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let (_, chain) = client.issue(&mut cloud, &[ZONE], json!({}));
    let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let url = client.url(&mut cloud, "revokeCert");
    let foreign = AcmeClient::registered(&mut cloud);
    let payload = json!({ "certificate": encode(&der) });
    assert_eq!(problem(&foreign.post(&mut cloud, &url, Some(&payload))), (403, "unauthorized".to_owned()));
    let reason = json!({ "certificate": encode(&der), "reason": 9 });
    assert_eq!(problem(&client.post(&mut cloud, &url, Some(&reason))).1, "badRevocationReason");
    assert_eq!(client.post(&mut cloud, &url, Some(&payload)).status, 200);
    assert_eq!(problem(&client.post(&mut cloud, &url, Some(&payload))).1, "alreadyRevoked");
    let now = window(&mut cloud, &client, &identifier(&chain));
    assert!(days(&now, &cloud, "end") < 0.0);
}
