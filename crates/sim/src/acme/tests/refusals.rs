//! Refusals of requests, each with its problem document.

use aws_lc_rs::hmac;
use http::Method;
use serde_json::{Value, json};

use super::super::CaName;
use super::client::{AcmeClient, ZONE, cloud, csr, encode, header, problem, settle};
use crate::request::Reply;
use crate::test_cloud::TestCloud;

/// Sends a request whose header a function changes.
fn with_header(cloud: &mut TestCloud, client: &AcmeClient, change: impl FnOnce(&mut Value)) -> Reply {
    let url = client.url(cloud, "newOrder");
    let mut header = client.header(cloud, &url);
    change(&mut header);
    let payload = json!({ "identifiers": [{ "type": "dns", "value": ZONE }] }).to_string();
    let body = client.sign(&header, payload.as_bytes());
    cloud.send(&client.request(&url, &body))
}

#[test]
fn the_header_of_a_request_is_checked() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let other_key = AcmeClient::new(CaName::Production);
    let other_account = format!("{}0", client.account.clone().unwrap());
    type Change = Box<dyn FnOnce(&mut Value)>;
    let cases: Vec<(&str, u16, &str, Change)> = vec![
        ("nothing wrong", 201, "", Box::new(|_| {})),
        (
            "no nonce",
            400,
            "badNonce",
            Box::new(|header| drop(header.as_object_mut().unwrap().remove("nonce"))),
        ),
        ("unknown nonce", 400, "badNonce", Box::new(|header| header["nonce"] = json!("AAAA"))),
        ("no url", 400, "malformed", Box::new(|header| drop(header.as_object_mut().unwrap().remove("url")))),
        ("another url", 400, "malformed", Box::new(|header| header["url"] = json!("https://x/y"))),
        ("symmetric", 400, "badSignatureAlgorithm", Box::new(|header| header["alg"] = json!("HS256"))),
        ("no algorithm", 400, "badSignatureAlgorithm", Box::new(|header| header["alg"] = json!("none"))),
        ("algorithm of another key", 400, "malformed", Box::new(|header| header["alg"] = json!("RS256"))),
        ("key and account", 400, "malformed", Box::new(move |header| header["jwk"] = other_key.jwk())),
        ("neither", 400, "malformed", Box::new(|header| drop(header.as_object_mut().unwrap().remove("kid")))),
        (
            "unknown account",
            400,
            "accountDoesNotExist",
            Box::new(move |header| header["kid"] = json!(other_account)),
        ),
        (
            "foreign account",
            400,
            "malformed",
            Box::new(|header| header["kid"] = json!("https://x/account/1")),
        ),
    ];
    for (what, status, kind, change) in cases {
        let reply = with_header(&mut cloud, &client, change);
        assert_eq!(problem(&reply), (status, kind.to_owned()), "{what}: {reply:?}");
        assert!(!header(&reply, "replay-nonce").is_empty(), "{what}: the next nonce");
        if status != 201 {
            assert_eq!(header(&reply, "content-type"), "application/problem+json");
        }
    }
}

#[test]
fn a_nonce_is_valid_once_and_a_share_is_refused() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let nonce = client.nonce(&mut cloud);
    let again = nonce.clone();
    assert_eq!(with_header(&mut cloud, &client, move |header| header["nonce"] = json!(nonce)).status, 201);
    let reply = with_header(&mut cloud, &client, move |header| header["nonce"] = json!(again));
    assert_eq!(problem(&reply).1, "badNonce");
    cloud.state.acme.get_mut(CaName::Production).settings.bad_nonce_percent = 30;
    let refused = (0..200).filter(|_| with_header(&mut cloud, &client, |_| {}).status == 400).count();
    assert!((30..90).contains(&refused), "{refused} of 200");
}

#[test]
fn the_form_of_a_request_is_checked() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let url = client.url(&mut cloud, "newOrder");
    let signed = |cloud: &mut TestCloud| {
        let header = client.header(cloud, &url);
        client.sign(&header, b"{}")
    };
    let body = signed(&mut cloud);
    let mut request = client.request(&url, &body);
    request.headers.insert("content-type", "application/json".parse().unwrap());
    assert_eq!(problem(&cloud.send(&request)), (415, "malformed".to_owned()));
    let mut request = client.request(&url, &body);
    request.headers.remove("user-agent");
    assert_eq!(problem(&cloud.send(&request)), (400, "malformed".to_owned()));
    let request = client.request(&url, &body).with_header("replay-nonce", "AAAA");
    assert_eq!(problem(&cloud.send(&request)).1, "malformed");
    let broken: [fn(&mut Value); 5] = [
        |body| body["header"] = json!({ "alg": "ES256" }),
        |body| body["signatures"] = json!([]),
        |body| body["signature"] = json!(""),
        |body| body["signature"] = json!(encode([7; 64])),
        |body| body["payload"] = json!(encode("{\"identifiers\":[]}")),
    ];
    for change in broken {
        let mut body = signed(&mut cloud);
        change(&mut body);
        let reply = cloud.send(&client.request(&url, &body));
        assert_eq!(problem(&reply), (400, "malformed".to_owned()), "{body}");
    }
    let header = client.header(&mut cloud, &url);
    let reply = cloud.send(&client.request(&url, &client.sign(&header, b"[1]")));
    assert_eq!(problem(&reply).1, "malformed");
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    let url = super::client::header(&order, "location");
    assert_eq!(problem(&client.post(&mut cloud, &url, Some(&json!({})))).1, "malformed", "not POST-as-GET");
    assert_eq!(problem(&client.get(&mut cloud, Method::GET, &url)).0, 405, "not even a GET");
}

#[test]
fn only_a_new_account_has_its_key_in_the_request() {
    let mut cloud = cloud();
    let mut client = AcmeClient::new(CaName::Production);
    let reply = client.order(&mut cloud, &[ZONE], json!({}));
    assert_eq!(problem(&reply), (400, "malformed".to_owned()));
    assert_eq!(problem(&client.register(&mut cloud, &json!({}))).1, "malformed", "terms");
    for (contact, kind) in [("tel:1", "unsupportedContact"), ("mailto:a", "invalidContact")] {
        let payload = json!({ "termsOfServiceAgreed": true, "contact": [contact] });
        assert_eq!(problem(&client.register(&mut cloud, &payload)).1, kind);
    }
    client.register(&mut cloud, &json!({ "termsOfServiceAgreed": true }));
    let reply = client.register(&mut cloud, &json!({ "termsOfServiceAgreed": true }));
    assert_eq!(problem(&reply), (400, "malformed".to_owned()), "by its account");
}

#[test]
fn an_order_is_checked() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let refused = |cloud: &mut TestCloud, more: Value| problem(&client.order(cloud, &[ZONE], more));
    assert_eq!(refused(&mut cloud, json!({ "profile": "none" })), (400, "invalidProfile".to_owned()));
    assert_eq!(refused(&mut cloud, json!({ "notAfter": "2027-01-01T00:00:00Z" })).1, "malformed");
    assert_eq!(problem(&client.order(&mut cloud, &[], json!({}))).1, "malformed");
    assert_eq!(problem(&client.order(&mut cloud, &["localhost"], json!({}))).1, "rejectedIdentifier");
    let many: Vec<String> = (0..26).map(|n| format!("n{n}.{ZONE}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(client.order(&mut cloud, &many, json!({})).status, 201);
    let reply = client.order(&mut cloud, &many, json!({ "profile": "tlsserver" }));
    assert_eq!(problem(&reply).1, "malformed");
    let ip = json!({ "identifiers": [{ "type": "ip", "value": "10.0.0.1" }] });
    let url = client.url(&mut cloud, "newOrder");
    assert_eq!(problem(&client.post(&mut cloud, &url, Some(&ip))).1, "unsupportedIdentifier");
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    let other = AcmeClient::registered(&mut cloud);
    assert_eq!(other.reread(&mut cloud, &order).status, 404);
    let authorization = order.value()["authorizations"][0].as_str().unwrap().to_owned();
    assert_eq!(problem(&other.post(&mut cloud, &authorization, None)), (403, "unauthorized".to_owned()));
}

#[test]
fn a_signing_request_is_checked() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let order = client.order(&mut cloud, &[ZONE], json!({}));
    let early = client.finalize(&mut cloud, &order, &csr(&[ZONE]));
    assert_eq!(problem(&early), (403, "orderNotReady".to_owned()));
    client.prove(&mut cloud, &order);
    let mut finalize = |csr: &[u8]| problem(&client.finalize(&mut cloud, &order, csr));
    assert_eq!(finalize(&csr(&["other.example.com"])), (403, "unauthorized".to_owned()));
    assert_eq!(finalize(&csr(&[ZONE, "other.example.com"])), (403, "unauthorized".to_owned()));
    assert_eq!(finalize(b"nonsense"), (400, "badCSR".to_owned()));
    assert_eq!(finalize(b""), (400, "malformed".to_owned()));
    let mut forged = csr(&[ZONE]);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(finalize(&forged), (400, "badCSR".to_owned()));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let params = rcgen::CertificateParams::new(vec![ZONE.to_owned()]).unwrap();
    assert_eq!(finalize(params.serialize_request(&key).unwrap().der()), (400, "badCSR".to_owned()));
    let account_key = client.key.to_pkcs8v1().unwrap();
    let account_key = rcgen::KeyPair::try_from(account_key.as_ref()).unwrap();
    let mut params = rcgen::CertificateParams::new(vec![ZONE.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    assert_eq!(finalize(params.serialize_request(&account_key).unwrap().der()), (400, "badCSR".to_owned()));
    let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let accepted = client.finalize(&mut cloud, &order, params.serialize_request(&rsa).unwrap().der());
    assert_eq!(accepted.status, 200);
    cloud.advance(6.0);
    settle(&mut cloud);
    assert_eq!(client.reread(&mut cloud, &order).value()["status"], "valid", "an RSA key");
}

#[test]
fn an_external_account_is_bound_once() {
    let mut cloud = cloud();
    let settings = &mut cloud.state.acme.get_mut(CaName::Production).settings;
    settings.binding_required = true;
    settings.bindings.insert("kid-1".to_owned(), encode([7; 32]));
    let bind = |client: &AcmeClient, cloud: &mut TestCloud, kid: &str, key: [u8; 32]| {
        let header = json!({ "alg": "HS256", "kid": kid, "url": client.url(cloud, "newAccount") });
        let (header, payload) = (encode(header.to_string()), encode(client.jwk().to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signature = encode(hmac::sign(&key, format!("{header}.{payload}").as_bytes()));
        json!({ "protected": header, "payload": payload, "signature": signature })
    };
    let mut client = AcmeClient::new(CaName::Production);
    assert_eq!(client.directory(&mut cloud)["meta"]["externalAccountRequired"], true);
    let mut payload = json!({ "termsOfServiceAgreed": true });
    assert_eq!(problem(&client.register(&mut cloud, &payload)), (403, "externalAccountRequired".to_owned()));
    for (kid, key) in [("kid-2", [7; 32]), ("kid-1", [8; 32])] {
        payload["externalAccountBinding"] = bind(&client, &mut cloud, kid, key);
        assert_eq!(
            problem(&client.register(&mut cloud, &payload)),
            (403, "unauthorized".to_owned()),
            "{kid}"
        );
    }
    payload["externalAccountBinding"] = bind(&client, &mut cloud, "kid-1", [7; 32]);
    assert_eq!(client.register(&mut cloud, &payload).status, 201);
    let mut second = AcmeClient::new(CaName::Production);
    payload["externalAccountBinding"] = bind(&second, &mut cloud, "kid-1", [7; 32]);
    assert_eq!(problem(&second.register(&mut cloud, &payload)), (403, "unauthorized".to_owned()));
}

#[test]
fn limits_refuse_with_the_time_and_refill() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    let profiles = ["classic", "tlsserver", "shortlived"];
    for nth in 0..5 {
        let (order, _) = client.issue(&mut cloud, &[ZONE], json!({ "profile": profiles[nth % 3] }));
        assert_eq!(order["status"], "valid");
    }
    let refused = client.order(&mut cloud, &[ZONE], json!({}));
    assert_eq!(problem(&refused), (429, "rateLimited".to_owned()));
    let detail = refused.value()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("exact set of identifiers in the last 168h0m0s, retry after 20"), "{detail}");
    let seconds: f64 = header(&refused, "retry-after").parse().unwrap();
    assert!((30.0..34.0).contains(&(seconds / 3600.0)), "one per 33.6 h: {seconds}");
    assert!(header(&refused, "link").contains("rate-limits"));
    let other = format!("www.{ZONE}");
    assert_eq!(client.order(&mut cloud, &[&other], json!({})).status, 201, "another set");
    cloud.advance(seconds - 1.0);
    assert_eq!(client.order(&mut cloud, &[ZONE], json!({})).status, 429);
    cloud.advance(1.0);
    assert_eq!(client.order(&mut cloud, &[ZONE], json!({})).status, 201);
    for _ in 0..9 {
        AcmeClient::registered(&mut cloud);
    }
    let mut last = AcmeClient::new(CaName::Production);
    for status in [201, 429] {
        last = AcmeClient::new(CaName::Production);
        let reply = last.register(&mut cloud, &json!({ "termsOfServiceAgreed": true }));
        assert_eq!(reply.status.as_u16(), status, "{reply:?}");
    }
    assert!(last.account.is_none());
}

#[test]
fn paused_names_are_refused_without_a_time() {
    let mut cloud = cloud();
    let client = AcmeClient::registered(&mut cloud);
    cloud.state.acme.get_mut(CaName::Production).paused.insert(ZONE.to_owned());
    let refused = client.order(&mut cloud, &[&format!("*.{ZONE}")], json!({}));
    assert_eq!((problem(&refused).1.as_str(), header(&refused, "retry-after").as_str()), ("rateLimited", ""));
    assert!(refused.value()["detail"].as_str().unwrap().contains("Please visit"));
}
