//! Account keys: JSON Web Keys (RFC 7517, RFC 7518 §6) and their thumbprints (RFC 7638).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encoding::{decode, encode};
use super::problem::Problem;

/// A public account key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub(super) enum Jwk {
    #[serde(rename = "EC")]
    Elliptic { crv: String, x: String, y: String },
    #[serde(rename = "RSA")]
    Rsa { e: String, n: String },
}

/// A curve: its name, the signature algorithm that belongs to it, and the length of a coordinate.
struct Curve {
    name: &'static str,
    algorithm: &'static str,
    coordinate: usize,
    verification: &'static EcdsaVerificationAlgorithm,
}

const CURVES: [Curve; 2] = [
    Curve { name: "P-256", algorithm: "ES256", coordinate: 32, verification: &ECDSA_P256_SHA256_FIXED },
    Curve { name: "P-384", algorithm: "ES384", coordinate: 48, verification: &ECDSA_P384_SHA384_FIXED },
];

/// The signature algorithms of requests.
pub(super) const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "ES384"];

impl Jwk {
    /// Reads a key.
    ///
    /// # Errors
    /// `malformed` or `badPublicKey`.
    pub(super) fn read(value: &Value) -> Result<Self, Problem> {
        let malformed = || Problem::malformed("Parse error reading JWS");
        let key: Self = serde_json::from_value(value.clone()).map_err(|_| malformed())?;
        match &key {
            Self::Elliptic { crv, x, y } => {
                let curve = CURVES.iter().find(|curve| curve.name == crv);
                let curve = curve.ok_or_else(|| bad_key(format!("ECDSA curve {crv} not allowed")))?;
                let fits = |text: &String| decode(text).is_some_and(|bytes| bytes.len() == curve.coordinate);
                if !fits(x) || !fits(y) {
                    return Err(malformed());
                }
            }
            Self::Rsa { n, .. } => {
                let bits = decode(n).ok_or_else(malformed)?.len() * 8;
                if ![2048, 3072, 4096].contains(&bits) {
                    return Err(bad_key(format!("key size not supported: {bits}")));
                }
            }
        }
        Ok(key)
    }

    /// Returns the one signature algorithm of the key.
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RS256",
            Self::Elliptic { crv, .. } => self::curve(crv).map_or("", |curve| curve.algorithm),
        }
    }

    /// Returns the key as JSON.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Elliptic { crv, x, y } => json!({ "crv": crv, "kty": "EC", "x": x, "y": y }),
            Self::Rsa { e, n } => json!({ "e": e, "kty": "RSA", "n": n }),
        }
    }

    /// Returns the thumbprint: the digest of the required members in lexicographic order.
    pub(super) fn thumbprint(&self) -> String {
        encode(digest(&SHA256, self.value().to_string().as_bytes()).as_ref())
    }

    /// Returns the public key in the form of a certificate's key bits, or the RSA modulus.
    pub(super) fn public_bits(&self) -> Vec<u8> {
        match self {
            Self::Rsa { n, .. } => decode(n).unwrap_or_default(),
            Self::Elliptic { x, y, .. } => {
                let mut point = vec![4];
                point.extend(decode(x).unwrap_or_default());
                point.extend(decode(y).unwrap_or_default());
                point
            }
        }
    }

    /// Returns whether a signature of this key is valid.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Elliptic { crv, .. } => self::curve(crv).is_some_and(|curve| {
                let key = UnparsedPublicKey::new(curve.verification, self.public_bits());
                key.verify(message, signature).is_ok()
            }),
            Self::Rsa { e, n } => {
                let (Some(e), Some(n)) = (decode(e), decode(n)) else { return false };
                let key = PublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
        }
    }
}

fn curve(name: &str) -> Option<&'static Curve> {
    CURVES.iter().find(|curve| curve.name == name)
}

fn bad_key(detail: String) -> Problem {
    Problem::new(400, "badPublicKey", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        // The example of RFC 7638 §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key =
            Jwk::read(&json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" }));
        assert_eq!(key.unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn weak_and_unknown_keys_are_refused() {
        let read = |value| Jwk::read(&value).unwrap_err().kind;
        assert_eq!(read(json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" })), "badPublicKey");
        assert_eq!(read(json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" })), "badPublicKey");
        assert_eq!(read(json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" })), "malformed");
        assert_eq!(read(json!({ "kty": "oct", "k": "AA" })), "malformed");
    }
}
