//! A small ACME client without a network.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use http::Method;
use serde_json::{Value, json};

use super::super::{CaName, complete, due_work, perform};
use crate::request::{Reply, Request};
use crate::state::DOMAIN;
use crate::test_cloud::TestCloud;

/// The zone of the tests.
pub(super) const ZONE: &str = "demo.example.com";

/// Returns a cloud with a zone whose name servers have it, and without refused nonces.
pub(super) fn cloud() -> TestCloud {
    let mut cloud = TestCloud::new();
    for ca in CaName::ALL {
        cloud.state.acme.get_mut(ca).settings.bad_nonce_percent = 0;
    }
    create_zone(&mut cloud, ZONE);
    cloud
}

pub(super) fn create_zone(cloud: &mut TestCloud, name: &str) {
    let zone = cloud.in_group(&format!("Microsoft.Network/dnsZones/{name}?api-version=2018-05-01"));
    assert_eq!(cloud.put(&zone, &json!({ "location": "global" })).status, 201);
    cloud.advance(61.0);
}

/// Writes a record set into the zone, and waits until all servers have it.
pub(super) fn write(cloud: &mut TestCloud, kind: &str, name: &str, field: &str, records: Value) {
    write_now(cloud, kind, name, field, records);
    cloud.advance(61.0);
}

/// Writes a record set into the zone.
pub(super) fn write_now(cloud: &mut TestCloud, kind: &str, name: &str, field: &str, records: Value) {
    let at =
        cloud.in_group(&format!("Microsoft.Network/dnsZones/{ZONE}/{kind}/{name}?api-version=2018-05-01"));
    let mut body = json!({ "properties": { "TTL": 60 } });
    body["properties"][field] = records;
    assert!(cloud.put(&at, &body).status.is_success());
}

/// Completes the work that is due.
pub(super) fn settle(cloud: &mut TestCloud) {
    let due = due_work(&cloud.state, cloud.now);
    let outcomes = perform(&cloud.state, due).now_or_never().expect("nothing waits for a network");
    complete(&mut cloud.state, outcomes, &cloud.timing);
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the type of a problem without its prefix, and its status.
pub(super) fn problem(reply: &Reply) -> (u16, String) {
    let kind = reply.value()["type"].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), kind.trim_start_matches("urn:ietf:params:acme:error:").to_owned())
}

pub(super) fn header(reply: &Reply, name: &str) -> String {
    reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// A client with its account key.
pub(super) struct AcmeClient {
    pub(super) ca: CaName,
    pub(super) key: EcdsaKeyPair,
    pub(super) account: Option<String>,
}

impl AcmeClient {
    /// Creates a client without an account.
    pub(super) fn new(ca: CaName) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { ca, key, account: None }
    }

    /// Creates a client with an account.
    pub(super) fn registered(cloud: &mut TestCloud) -> Self {
        let mut client = Self::new(CaName::Production);
        let created = client.register(cloud, &json!({ "termsOfServiceAgreed": true }));
        assert_eq!(created.status, 201, "{created:?}");
        client
    }

    pub(super) fn register(&mut self, cloud: &mut TestCloud, payload: &Value) -> Reply {
        let url = self.url(cloud, "newAccount");
        let reply = self.post(cloud, &url, Some(payload));
        if reply.status.is_success() {
            self.account = Some(header(&reply, "location"));
        }
        reply
    }

    fn host(&self) -> String {
        format!("{}.{DOMAIN}", self.ca.host())
    }

    pub(super) fn get(&self, cloud: &mut TestCloud, method: Method, url: &str) -> Reply {
        settle(cloud);
        let target = url::Url::parse(url).unwrap();
        cloud.send(&Request::new(method, &self.host(), target.path()).with_header("user-agent", "test"))
    }

    pub(super) fn directory(&self, cloud: &mut TestCloud) -> Value {
        self.get(cloud, Method::GET, "https://x/directory").value()
    }

    pub(super) fn url(&self, cloud: &mut TestCloud, name: &str) -> String {
        self.directory(cloud)[name].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn nonce(&self, cloud: &mut TestCloud) -> String {
        let url = self.url(cloud, "newNonce");
        header(&self.get(cloud, Method::HEAD, &url), "replay-nonce")
    }

    pub(super) fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }

    /// Returns the protected header of a request.
    pub(super) fn header(&self, cloud: &mut TestCloud, url: &str) -> Value {
        let mut header = json!({ "alg": "ES256", "nonce": self.nonce(cloud), "url": url });
        match &self.account {
            Some(account) => header["kid"] = json!(account),
            None => header["jwk"] = self.jwk(),
        }
        header
    }

    /// Signs a header and a payload.
    pub(super) fn sign(&self, header: &Value, payload: &[u8]) -> Value {
        let (header, payload) = (encode(header.to_string()), encode(payload));
        let signed = format!("{header}.{payload}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        json!({ "protected": header, "payload": payload, "signature": encode(signature) })
    }

    /// Returns the request with a signed body.
    pub(super) fn request(&self, url: &str, body: &Value) -> Request {
        let target = url::Url::parse(url).unwrap();
        let mut request = Request::new(Method::POST, &self.host(), target.path())
            .with_json(body)
            .with_header("user-agent", "test");
        request.headers.insert("content-type", "application/jose+json".parse().unwrap());
        request
    }

    /// Sends a signed request; without a payload it is POST-as-GET.
    pub(super) fn post(&self, cloud: &mut TestCloud, url: &str, payload: Option<&Value>) -> Reply {
        settle(cloud);
        let header = self.header(cloud, url);
        let payload = payload.map(Value::to_string).unwrap_or_default();
        let request = self.request(url, &self.sign(&header, payload.as_bytes()));
        cloud.send(&request)
    }

    pub(super) fn order(&self, cloud: &mut TestCloud, names: &[&str], more: Value) -> Reply {
        let url = self.url(cloud, "newOrder");
        let listed: Vec<Value> = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let mut payload = more;
        payload["identifiers"] = json!(listed);
        self.post(cloud, &url, Some(&payload))
    }

    /// Returns the URL of the dns-01 challenge of an authorization, and the value of its record.
    pub(super) fn challenge(&self, cloud: &mut TestCloud, authorization: &str) -> (String, String) {
        let authorization = self.post(cloud, authorization, None).value();
        let listed = authorization["challenges"].as_array().unwrap();
        let challenge = listed.iter().find(|one| one["type"] == "dns-01").unwrap();
        let jwk = self.jwk();
        let members = json!({ "crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"], "y": jwk["y"] });
        let digest = |text: &str| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let thumbprint = encode(digest(&members.to_string()));
        let token = challenge["token"].as_str().unwrap();
        let value = encode(digest(&format!("{token}.{thumbprint}")));
        (challenge["url"].as_str().unwrap().to_owned(), value)
    }

    /// Proves control over all names of an order, with one record set for the apex and its wildcard.
    pub(super) fn prove(&self, cloud: &mut TestCloud, order: &Reply) {
        let challenges = self.challenges(cloud, order);
        let records: Vec<Value> = challenges.iter().map(|(_, value)| json!({ "value": [value] })).collect();
        if !records.is_empty() {
            write(cloud, "TXT", "_acme-challenge", "TXTRecords", json!(records));
        }
        for (url, _) in challenges {
            assert_eq!(self.post(cloud, &url, Some(&json!({}))).value()["status"], "processing");
        }
        cloud.advance(6.0);
        settle(cloud);
    }

    /// Returns the challenges of the pending authorizations of an order.
    pub(super) fn challenges(&self, cloud: &mut TestCloud, order: &Reply) -> Vec<(String, String)> {
        let mut challenges = Vec::new();
        for url in order.value()["authorizations"].as_array().unwrap() {
            let url = url.as_str().unwrap();
            if self.post(cloud, url, None).value()["status"] == "pending" {
                challenges.push(self.challenge(cloud, url));
            }
        }
        challenges
    }

    pub(super) fn finalize(&self, cloud: &mut TestCloud, order: &Reply, csr: &[u8]) -> Reply {
        let url = order.value()["finalize"].as_str().unwrap().to_owned();
        self.post(cloud, &url, Some(&json!({ "csr": encode(csr) })))
    }

    /// Reads an order again.
    pub(super) fn reread(&self, cloud: &mut TestCloud, order: &Reply) -> Reply {
        self.post(cloud, &header(order, "location"), None)
    }

    /// Issues a certificate; returns the valid order and the chain.
    pub(super) fn issue(&self, cloud: &mut TestCloud, names: &[&str], more: Value) -> (Value, String) {
        let order = self.order(cloud, names, more);
        assert_eq!(order.status, 201, "{order:?}");
        self.prove(cloud, &order);
        let finalized = self.finalize(cloud, &order, &csr(names));
        assert_eq!(finalized.value()["status"], "processing", "{finalized:?}");
        cloud.advance(6.0);
        let order = self.reread(cloud, &order).value();
        assert_eq!(order["status"], "valid", "{order}");
        let chain = self.post(cloud, order["certificate"].as_str().unwrap(), None);
        (order, String::from_utf8(chain.body.to_vec()).unwrap())
    }
}

/// Returns a signing request with a new key.
pub(super) fn csr(names: &[&str]) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(&key).unwrap().der().to_vec()
}
