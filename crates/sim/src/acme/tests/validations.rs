//! Validations: what the name servers have when they are due.

use serde_json::{Value, json};

use super::super::CaName;
use super::client::{AcmeClient, ZONE, cloud, create_zone, csr, header, problem, settle, write, write_now};
use crate::request::Reply;
use crate::test_cloud::TestCloud;

/// Answers the challenge of an order for one name; returns the challenge and the order afterwards.
fn attempt(cloud: &mut TestCloud, client: &AcmeClient, order: &Reply) -> (Value, Value) {
    let (url, _) = client.challenges(cloud, order).remove(0);
    client.post(cloud, &url, Some(&json!({})));
    cloud.advance(6.0);
    let challenge = client.post(cloud, &url, None).value();
    (challenge, client.reread(cloud, order).value())
}

fn detail(challenge: &Value) -> &str {
    challenge["error"]["detail"].as_str().unwrap_or_default()
}

#[test]
fn a_record_that_is_missing_wrong_or_too_young_fails_the_order_for_good() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    let (challenge, order) = attempt(&mut cloud, &client, &order);
    assert_eq!((&challenge["status"], &order["status"]), (&json!("invalid"), &json!("invalid")));
    assert!(detail(&challenge).starts_with("DNS problem: NXDOMAIN looking up TXT"), "{challenge}");
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    write(&mut cloud, "TXT", "_acme-challenge", "TXTRecords", json!([{"value": ["a"]}, {"value": ["b"]}]));
    let (challenge, _) = attempt(&mut cloud, &client, &order);
    assert_eq!(challenge["error"]["type"], "urn:ietf:params:acme:error:unauthorized");
    assert!(detail(&challenge).contains("Incorrect TXT record \"a\" (and 1 more) found at _acme-challenge."));
    let authorization = order.value()["authorizations"][0].as_str().unwrap().to_owned();
    let again = format!("{}/dns-01", authorization.replace("/authorization/", "/challenge/"));
    let second = client.post(&mut cloud, &again, Some(&json!({})));
    assert_eq!(problem(&second), (400, "malformed".to_owned()), "one attempt");
    // The new value is written, but not all servers have it yet.
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    let (url, value) = client.challenges(&mut cloud, &order).remove(0);
    write_now(&mut cloud, "TXT", "_acme-challenge", "TXTRecords", json!([{ "value": [value] }]));
    client.post(&mut cloud, &url, Some(&json!({})));
    cloud.advance(3600.0);
    let challenge = client.post(&mut cloud, &url, None).value();
    assert_eq!(challenge["status"], "invalid", "the look-up was at its own time: {challenge}");
}

#[test]
fn an_order_can_stay_pending_after_a_failure() {
    let mut cloud = cloud();
    cloud.state.acme.get_mut(CaName::Production).settings.failed_order_stays_pending = true;
    let client = AcmeClient::registered(&mut cloud);
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    let (challenge, order) = attempt(&mut cloud, &client, &order);
    assert_eq!((&challenge["status"], &order["status"]), (&json!("invalid"), &json!("pending")));
}

#[test]
fn failures_are_limited_per_name() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    for _ in 0..5 {
        let order = client.order(&mut cloud, &[ZONE], json!({}));
        attempt(&mut cloud, &client, &order);
    }
    let refused = client.order(&mut cloud, &[ZONE], json!({}));
    assert_eq!(problem(&refused), (429, "rateLimited".to_owned()));
    assert!(refused.value()["detail"].as_str().unwrap().contains(&format!("(5) for \"{ZONE}\"")));
    cloud.advance(header(&refused, "retry-after").parse().unwrap());
    assert_eq!(client.order(&mut cloud, &[ZONE], json!({})).status, 201);
}

#[test]
fn an_alias_leads_to_another_zone_and_a_delegation_must_exist() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    create_zone(&mut cloud, "challenges.example.net");
    let target = json!({ "cname": "x.challenges.example.net." });
    write(&mut cloud, "CNAME", "_acme-challenge", "CNAMERecord", target);
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    let (url, value) = client.challenges(&mut cloud, &order).remove(0);
    let at = cloud.in_group("Microsoft.Network/dnsZones/challenges.example.net/TXT/x?api-version=2018-05-01");
    let body = json!({ "properties": { "TTL": 60, "TXTRecords": [{ "value": [value] }] } });
    assert_eq!(cloud.put(&at, &body).status, 201);
    cloud.advance(61.0);
    client.post(&mut cloud, &url, Some(&json!({})));
    cloud.advance(6.0);
    assert_eq!(client.post(&mut cloud, &url, None).value()["status"], "valid");
    // A zone below another one is found only through the upper one.
    let below = format!("below.{ZONE}");
    create_zone(&mut cloud, &below);
    let order = client.order(&mut cloud, &[&below], json!({}));
    let (challenge, _) = attempt(&mut cloud, &client, &order);
    assert!(detail(&challenge).contains("NXDOMAIN"), "{challenge}");
    let zone = cloud.in_group(&format!("Microsoft.Network/dnsZones/{below}?api-version=2018-05-01"));
    let servers = cloud.get(&zone).value()["properties"]["nameServers"].clone();
    let servers: Vec<Value> =
        servers.as_array().unwrap().iter().map(|server| json!({ "nsdname": server })).collect();
    write(&mut cloud, "NS", "below", "NSRecords", json!(servers));
    let order = client.order(&mut cloud, &[&below], json!({}));
    let (url, value) = client.challenges(&mut cloud, &order).remove(0);
    let at = zone.replace("?", "/TXT/_acme-challenge?");
    cloud.put(&at, &json!({ "properties": { "TTL": 60, "TXTRecords": [{ "value": [value] }] } }));
    cloud.advance(61.0);
    client.post(&mut cloud, &url, Some(&json!({})));
    cloud.advance(6.0);
    assert_eq!(client.post(&mut cloud, &url, None).value()["status"], "valid");
}

#[test]
fn a_name_without_a_zone_does_not_exist() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let order = client.order(&mut cloud, &["elsewhere.example.org"], json!({}));
    let (challenge, _) = attempt(&mut cloud, &client, &order);
    assert_eq!(challenge["error"]["type"], "urn:ietf:params:acme:error:dns");
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    let authorization = order.value()["authorizations"][0].as_str().unwrap().to_owned();
    let http = format!("{}/http-01", authorization.replace("/authorization/", "/challenge/"));
    client.post(&mut cloud, &http, Some(&json!({})));
    cloud.advance(6.0);
    let challenge = client.post(&mut cloud, &http, None).value();
    assert_eq!(challenge["error"]["type"], "urn:ietf:params:acme:error:connection");
}

#[test]
fn caa_records_refuse_a_validation_and_an_issuance() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let caa = |tag: &str, value: &str| json!([{ "flags": 0, "tag": tag, "value": value }]);
    write(&mut cloud, "CAA", "@", "caaRecords", caa("issue", "other.example"));
    let name = format!("www.{ZONE}");
    let order = client.order(&mut cloud, &[&name], json!({}));
    let (url, value) = client.challenges(&mut cloud, &order).remove(0);
    write(&mut cloud, "TXT", "_acme-challenge.www", "TXTRecords", json!([{ "value": [value] }]));
    client.post(&mut cloud, &url, Some(&json!({})));
    cloud.advance(6.0);
    let challenge = client.post(&mut cloud, &url, None).value();
    assert_eq!(challenge["error"]["type"], "urn:ietf:params:acme:error:caa");
    assert_eq!(challenge["error"]["status"], 403);
    assert_eq!(detail(&challenge), format!("CAA record for {ZONE} prevents issuance"));
    // Allowed for this account by this method; then changed before the issuance.
    let account = client.account.clone().unwrap();
    let allowed = format!("letsencrypt.org; accounturi={account}; validationmethods=dns-01");
    write(&mut cloud, "CAA", "@", "caaRecords", caa("issue", &allowed));
    let wildcard = format!("*.{ZONE}");
    let order = client.order(&mut cloud, &[ZONE, &wildcard], json!({}));
    client.prove(&mut cloud, &order);
    assert_eq!(client.reread(&mut cloud, &order).value()["status"], "ready");
    write(&mut cloud, "CAA", "@", "caaRecords", caa("issuewild", ";"));
    client.finalize(&mut cloud, &order, &csr(&[ZONE, &wildcard]));
    cloud.advance(6.0);
    settle(&mut cloud);
    let order = client.reread(&mut cloud, &order).value();
    assert_eq!(order["status"], "invalid");
    assert_eq!(order["error"]["type"], "urn:ietf:params:acme:error:caa");
}
