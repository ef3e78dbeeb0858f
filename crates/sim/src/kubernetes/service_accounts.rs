//! Tokens of service accounts: the subresource `token`, the keys that sign them, and the documents of the issuer.
//!
//! Source: authentication.k8s.io/v1 TokenRequest, "Service account token issuer discovery", OpenID Connect Discovery
//! 1.0, RFC 7517.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, KeyPair as _, RsaKeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

use super::authorization::User;
use super::decode;
use super::status::{FieldError, StatusError, json_reply};
use super::store::Store;
use super::verbs::ApiCall;
use crate::clock::SimTime;
use crate::request::Reply;

/// The issuer of a cluster without an issuer of its own.
const IN_CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
/// The default and the minimum lifetime in seconds.
const LIFETIME: (i64, i64) = (3600, 600);
/// The maximum lifetime in seconds.
const LIFETIME_MAX: i64 = 1 << 32;

/// The issuer of a cluster's tokens. Its key is generated when it is needed first.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct TokenIssuer {
    url: String,
    /// PKCS#8 in base64; empty before the first use.
    key: String,
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenIssuer({})", self.url())
    }
}

impl TokenIssuer {
    /// Sets the URL of the issuer; an empty one changes nothing.
    pub fn set_url(&mut self, url: &str) {
        if !url.is_empty() {
            url.clone_into(&mut self.url);
        }
    }

    /// Returns the URL of the issuer.
    pub fn url(&self) -> &str {
        if self.url.is_empty() { IN_CLUSTER } else { &self.url }
    }

    /// Returns the key pair; generates it at the first call.
    fn key_pair(&mut self) -> Option<RsaKeyPair> {
        if self.key.is_empty() {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            self.key = STANDARD.encode(der.as_ref());
        }
        self.stored_key()
    }

    fn stored_key(&self) -> Option<RsaKeyPair> {
        RsaKeyPair::from_pkcs8(&STANDARD.decode(&self.key).ok()?).ok()
    }

    /// Returns the id of the key: the beginning of its digest.
    fn key_id(pair: &RsaKeyPair) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pair.public_key().as_ref());
        URL_SAFE_NO_PAD.encode(&digest.as_ref()[..24])
    }

    /// Signs claims as a compact token (RFC 7515, RS256).
    fn sign(&mut self, claims: &Value) -> Option<String> {
        let pair = self.key_pair()?;
        let header = json!({ "alg": "RS256", "kid": Self::key_id(&pair) }).to_string();
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = SystemRandom::new();
        pair.sign(&signature::RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Returns whether this issuer signed a compact token.
    pub fn has_signed(&self, token: &str) -> bool {
        let verify = || {
            let (signed, signature) = token.rsplit_once('.')?;
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            let pair = self.stored_key()?;
            let key =
                UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
            key.verify(signed.as_bytes(), &signature).ok()
        };
        verify().is_some()
    }

    /// Returns the discovery document.
    pub fn discovery(&self) -> Value {
        json!({
            "issuer": self.url(),
            "jwks_uri": format!("{}/openid/v1/jwks", self.url().trim_end_matches('/')),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    /// Returns the key set.
    pub fn keys(&mut self) -> Value {
        let Some(pair) = self.key_pair() else { return json!({ "keys": [] }) };
        let Ok((_, key)) = RSAPublicKey::from_der(pair.public_key().as_ref()) else {
            return json!({ "keys": [] });
        };
        let number = |bytes: &[u8]| {
            let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
            URL_SAFE_NO_PAD.encode(&bytes[start..])
        };
        json!({ "keys": [{
            "use": "sig", "kty": "RSA", "kid": Self::key_id(&pair), "alg": "RS256",
            "n": number(key.modulus), "e": number(key.exponent),
        }] })
    }

    /// Creates a token of a service account, as the API server issues it.
    pub fn token(
        &mut self,
        account: &Value,
        audiences: &[String],
        now: SimTime,
        seconds: i64,
    ) -> Option<String> {
        let metadata = &account["metadata"];
        let (namespace, name) = (&metadata["namespace"], &metadata["name"]);
        let (issued, url) = (now.unix_seconds(), self.url().to_owned());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subject = format!("system:serviceaccount:{}:{}", text(namespace), text(name));
        let claims = json!({
            "aud": audiences,
            "exp": issued + seconds,
            "iat": issued,
            "iss": url,
            "jti": uuid::Uuid::new_v4().to_string(),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": { "name": name, "uid": metadata["uid"] },
            },
            "nbf": issued,
            "sub": subject,
        });
        self.sign(&claims)
    }
}

/// Returns the claims of a compact token, without any check.
pub fn claims_of(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// Returns the user of a service account's token that is for this API server.
pub fn user(store: &Store, token: &str, now: SimTime) -> Option<User> {
    let claims = claims_of(token)?;
    let issuer = &store.token_issuer;
    let is_for_us = claims["aud"].as_array().is_some_and(|list| list.iter().any(|one| *one == issuer.url()));
    let is_valid = claims["exp"].as_i64().is_some_and(|exp| now.unix_seconds() < exp);
    if !is_for_us || !is_valid || !issuer.has_signed(token) {
        return None;
    }
    let namespace = claims["kubernetes.io"]["namespace"].as_str()?;
    let name = claims["kubernetes.io"]["serviceaccount"]["name"].as_str()?;
    let account = store.get("serviceaccounts", namespace, name)?;
    if account["metadata"]["uid"] != claims["kubernetes.io"]["serviceaccount"]["uid"] {
        return None;
    }
    let groups =
        ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
    Some(User {
        name: claims["sub"].as_str()?.to_owned(),
        groups: groups.map(str::to_owned).to_vec(),
        azure: None,
    })
}

/// Answers a TokenRequest.
///
/// # Errors
/// 404 without the account, 405 for other methods than POST, 422 for an invalid lifetime.
pub(super) fn serve(store: &mut Store, call: &ApiCall<'_>) -> Result<Reply, StatusError> {
    let account = call.live(store)?;
    if call.request.method != http::Method::POST {
        return Err(StatusError::method_not_allowed());
    }
    let mut object = decode::object(call.request)?;
    let seconds = object["spec"]["expirationSeconds"].as_i64().unwrap_or(LIFETIME.0);
    let why = match seconds {
        seconds if seconds < LIFETIME.1 => "may not specify a duration less than 10 minutes",
        seconds if seconds > LIFETIME_MAX => "may not specify a duration larger than 2^32 seconds",
        _ => "",
    };
    let name = call.resource_path.name();
    if !why.is_empty() {
        let error = FieldError::invalid("spec.expirationSeconds", &json!(seconds), why);
        return Err(StatusError::invalid("TokenRequest", "authentication.k8s.io", name, &[error]));
    }
    let given = object["spec"]["audiences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut audiences: Vec<String> = given.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.push(store.token_issuer.url().to_owned());
    }
    let token = store.token_issuer.token(&account, &audiences, call.now, seconds);
    let token = token.ok_or_else(|| StatusError::new(500, "InternalError", "no key to sign the token"))?;
    let expires = call.now.plus_ms(seconds * 1000).timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    object["kind"] = json!("TokenRequest");
    object["apiVersion"] = json!("authentication.k8s.io/v1");
    object["metadata"] = json!({
        "name": name, "namespace": call.resource_path.namespace(), "creationTimestamp": call.now.rfc3339(),
    });
    object["spec"]["audiences"] = json!(audiences);
    object["spec"]["expirationSeconds"] = json!(seconds);
    object["status"] = json!({ "token": token, "expirationTimestamp": expires });
    Ok(json_reply(201, &object))
}
