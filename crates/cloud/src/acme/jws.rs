//! The signed request of a registration (RFC 8555 §6.2, §7.3.4): `instant-acme` cannot sign one for a key that is
//! already stored and bound to an external account.

use super::{AccountKey, ExternalAccount, error};
use crate::ApiError;
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::Url;

/// A key that signs requests.
pub(super) struct Signer(EcdsaKeyPair);

impl Signer {
    pub(super) fn new(key: &AccountKey) -> Result<Self, ApiError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.pkcs8())
            .map(Self)
            .map_err(|_| error::invalid("the account key in the vault is no P-256 key"))
    }

    /// Returns the public key, with its members in the order of RFC 7638.
    fn jwk(&self) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        json!({ "crv": "P-256", "kty": "EC", "x": encoded(x), "y": encoded(y) })
    }

    /// Signs a registration.
    pub(super) fn registration(
        &self,
        mut payload: Value,
        external: Option<&ExternalAccount>,
        nonce: &str,
        url: &Url,
    ) -> Result<Vec<u8>, ApiError> {
        if let Some(external) = external {
            let protected = json!({ "alg": "HS256", "kid": external.kid, "url": url.as_str() });
            let key = hmac::Key::new(hmac::HMAC_SHA256, external.key.expose());
            payload["externalAccountBinding"] =
                joined(&protected, &self.jwk(), |input| hmac::sign(&key, input).as_ref().to_vec());
        }
        let protected = json!({ "alg": "ES256", "jwk": self.jwk(), "nonce": nonce, "url": url.as_str() });
        let rng = SystemRandom::new();
        let mut signature = None;
        let signed = joined(&protected, &payload, |input| {
            let made = self.0.sign(&rng, input).ok();
            let bytes = made.as_ref().map(|made| made.as_ref().to_vec()).unwrap_or_default();
            signature = made.map(|_| ());
            bytes
        });
        signature.ok_or_else(|| error::invalid("sign the registration"))?;
        Ok(signed.to_string().into_bytes())
    }
}

/// Returns the flattened JSON serialization (RFC 7515 §7.2.2).
fn joined(protected: &Value, payload: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Value {
    let protected = encoded(protected.to_string().as_bytes());
    let payload = encoded(payload.to_string().as_bytes());
    let signature = sign(format!("{protected}.{payload}").as_bytes());
    json!({ "protected": protected, "payload": payload, "signature": encoded(&signature) })
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
