//! The faults of CAs and name servers.

use http::Method;
use serde_json::json;

use super::super::CaName;
use super::client::{AcmeClient, ZONE, cloud, csr, header, problem, settle, write_now};
use crate::fault::{Armed, Fault};
use crate::request::Delivery;
use crate::test_cloud::TestCloud;

fn arm(cloud: &mut TestCloud, text: &str) {
    cloud.state.faults.armed.push(Armed::read(text).expect("the text names a fault"));
}

fn order(cloud: &mut TestCloud, client: &AcmeClient) -> (u16, String) {
    problem(&client.order(cloud, &[ZONE], json!({})))
}

#[test]
fn an_order_is_refused_once() {
    for (fault, status, kind, retry_after) in [
        ("acme-bad-nonce@/new-order", 400, "badNonce", ""),
        ("acme-unavailable@/new-order", 503, "", "30"),
        ("acme-rate-limited", 429, "rateLimited", "600"),
        ("acme-terms-changed", 403, "userActionRequired", ""),
        ("server-error@/new-order", 500, "serverInternal", ""),
        ("throttled@/new-order", 429, "rateLimited", "5"),
    ] {
        let mut cloud = cloud();
        let client = AcmeClient::registered(&mut cloud);
        arm(&mut cloud, fault);
        let reply = client.order(&mut cloud, &[ZONE], json!({}));
        assert_eq!(problem(&reply), (status, kind.to_owned()), "{fault}");
        assert_eq!(header(&reply, "retry-after"), retry_after, "{fault}");
        cloud.advance(5.0);
        assert_eq!(order(&mut cloud, &client).0, 201, "{fault}");
    }
}

#[test]
fn a_lost_answer_of_an_order_leaves_the_order() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    arm(&mut cloud, "reset-after@POST /new-order");
    let lost = client.order(&mut cloud, &[ZONE], json!({}));
    assert_eq!(lost.delivery, Delivery::Cut);
    let again = client.order(&mut cloud, &[ZONE], json!({}));
    assert_eq!(header(&again, "location"), header(&lost, "location"));
}

#[test]
fn a_ca_forgets_or_pauses() {
    let mut cloud = cloud();
    let mut client = AcmeClient::registered(&mut cloud);
    arm(&mut cloud, "acme-account-gone");
    assert_eq!(order(&mut cloud, &client), (400, "accountDoesNotExist".to_owned()));
    client.account = None;
    assert_eq!(client.register(&mut cloud, &json!({ "termsOfServiceAgreed": true })).status, 201);
    let pending = client.order(&mut cloud, &[ZONE], json!({}));
    arm(&mut cloud, "acme-order-gone");
    assert_eq!(client.reread(&mut cloud, &pending).status, 404);
    arm(&mut cloud, "acme-paused");
    assert_eq!(order(&mut cloud, &client), (429, "rateLimited".to_owned()));
    arm(&mut cloud, "acme-binding-required");
    let mut other = AcmeClient::new(CaName::Production);
    let refused = other.register(&mut cloud, &json!({ "termsOfServiceAgreed": true }));
    assert_eq!(problem(&refused).1, "externalAccountRequired");
}

#[test]
fn a_validation_fails_at_a_secondary_place() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let pending = client.order(&mut cloud, &[ZONE], json!({}));
    arm(&mut cloud, "acme-secondary-fails");
    arm(&mut cloud, "acme-order-stays-pending");
    client.prove(&mut cloud, &pending);
    let authorization = pending.value()["authorizations"][0].as_str().unwrap().to_owned();
    let authorization = client.post(&mut cloud, &authorization, None).value();
    let challenges = authorization["challenges"].as_array().unwrap();
    let detail = challenges.iter().find_map(|one| one["error"]["detail"].as_str()).unwrap();
    assert!(detail.starts_with("During secondary validation: "), "{detail}");
}

#[test]
fn an_issuance_is_slow_or_forbidden() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let pending = client.order(&mut cloud, &[ZONE], json!({}));
    client.prove(&mut cloud, &pending);
    arm(&mut cloud, "acme-slow-issuance");
    arm(&mut cloud, "acme-caa");
    client.finalize(&mut cloud, &pending, &csr(&[ZONE]));
    cloud.advance(6.0);
    let status = client.reread(&mut cloud, &pending).value()["error"]["type"].clone();
    assert_eq!(status, "urn:ietf:params:acme:error:caa", "one fault per request");
    let mut cloud = self::cloud();
    let client = AcmeClient::registered(&mut cloud);
    let pending = client.order(&mut cloud, &[ZONE], json!({}));
    client.prove(&mut cloud, &pending);
    arm(&mut cloud, "acme-slow-issuance");
    client.finalize(&mut cloud, &pending, &csr(&[ZONE]));
    cloud.advance(119.0);
    assert_eq!(client.reread(&mut cloud, &pending).value()["status"], "processing");
    cloud.advance(1.0);
    assert_eq!(client.reread(&mut cloud, &pending).value()["status"], "valid");
}

#[test]
fn renewal_faults_change_the_window_and_the_replacement() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    client.issue(&mut cloud, &[ZONE], json!({}));
    let url = client.url(&mut cloud, "renewalInfo");
    arm(&mut cloud, "acme-window-invalid");
    let invalid = client.get(&mut cloud, Method::GET, &format!("{url}/x.y")).value();
    assert_eq!(invalid["suggestedWindow"]["start"], invalid["suggestedWindow"]["end"]);
    arm(&mut cloud, "acme-replaces-refused");
    assert_eq!(order(&mut cloud, &client).0, 201, "an order without it passes");
    let refused = client.order(&mut cloud, &[ZONE], json!({ "replaces": "AAAA.AAAA" }));
    assert_eq!(problem(&refused), (409, "alreadyReplaced".to_owned()));
    for fault in [Fault::AcmeIncident, Fault::AcmeReplacesHidden, Fault::AcmeProfileRandom] {
        assert!(fault.heals() && fault.concerns_orders());
    }
}

#[test]
fn a_name_server_fails_or_is_late() {
    for (fault, seconds) in [("dns-server-down", 120.0), ("dns-server-late", 300.0)] {
        let mut cloud = cloud();
        let client = AcmeClient::registered(&mut cloud);
        let pending = client.order(&mut cloud, &[ZONE], json!({}));
        let (challenge, value) = client.challenges(&mut cloud, &pending).remove(0);
        arm(&mut cloud, fault);
        write_now(&mut cloud, "TXT", "_acme-challenge", "TXTRecords", json!([{ "value": [value] }]));
        assert!(cloud.state.faults.armed.is_empty(), "{fault}");
        cloud.advance(61.0);
        let with_record = |cloud: &TestCloud| {
            let (_, servers) = &crate::arm::dns::publication::delegations(&cloud.state)[0];
            let ask = |server: &&String| {
                let query = crate::dns_server::message::Message::query(
                    1,
                    &format!("_acme-challenge.{ZONE}"),
                    crate::dns_server::record::kind::TXT,
                    cloud.now.0,
                );
                let response =
                    crate::dns_server::respond(&cloud.state, server, &query.encode(), cloud.now).unwrap();
                !response.message.answers.is_empty()
            };
            servers.iter().filter(ask).count()
        };
        assert_eq!(with_record(&cloud), 3, "{fault}");
        cloud.advance(seconds);
        assert_eq!(with_record(&cloud), 4, "{fault}");
        client.post(&mut cloud, &challenge, Some(&json!({})));
        cloud.advance(6.0);
        settle(&mut cloud);
        assert_eq!(client.reread(&mut cloud, &pending).value()["status"], "ready");
    }
}
