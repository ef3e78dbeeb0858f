//! Certificates with their keys, as a TLS server loads them.
//!
//! To load an RSA key is expensive, because its parts are checked. The controllers and the gateways load the same one
//! again and again, so the last ones are remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

/// The number of remembered pairs; a fleet's clouds in one process have about one each.
const KNOWN_MAX: usize = 64;

/// The reason why a certificate and a key are unusable, in the words of Go's crypto/tls.
pub(crate) type Unusable = &'static str;
type Loaded = Result<Arc<CertifiedKey>, Unusable>;

/// Loads a certificate chain and its key, both in PEM.
///
/// # Errors
/// Nothing in PEM, an unreadable certificate or key, or a key of another certificate.
pub(crate) fn load(chain: &[u8], key: &[u8]) -> Loaded {
    static KNOWN: KnownPairs = KnownPairs(Mutex::new(VecDeque::new()));
    KNOWN.load(chain, key)
}

/// The pairs that were loaded last, by the digest of their text.
struct KnownPairs(Mutex<VecDeque<([u8; 32], Loaded)>>);

impl KnownPairs {
    fn load(&self, chain: &[u8], key: &[u8]) -> Loaded {
        let known = || self.0.lock().expect("nothing panics while it is held");
        let digest = digest(chain, key);
        if let Some((_, loaded)) = known().iter().find(|(known, _)| *known == digest) {
            return loaded.clone();
        }
        let loaded = load_new(chain, key);
        let mut known = known();
        known.truncate(KNOWN_MAX - 1);
        known.push_front((digest, loaded.clone()));
        loaded
    }
}

fn digest(chain: &[u8], key: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&chain.len().to_be_bytes());
    context.update(chain);
    context.update(key);
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

fn load_new(chain: &[u8], key: &[u8]) -> Loaded {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain).flatten().collect();
    if chain.is_empty() {
        return Err("tls: failed to find any PEM data in certificate input");
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| "tls: failed to find any PEM data in key input")?;
    let key = any_supported_type(&key).map_err(|_| "tls: failed to parse private key")?;
    pair(chain, key)
}

/// Combines a certificate chain with its key.
///
/// # Errors
/// An unreadable certificate, or a key of another certificate.
pub(crate) fn pair(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Loaded {
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(pair)),
        Err(rustls::Error::InconsistentKeys(_)) => Err("tls: private key does not match public key"),
        Err(_) => Err("x509: malformed certificate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_loaded_once_and_a_wrong_key_is_refused() {
        let pair = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (one, other) = (pair("one.test"), pair("other.test"));
        let (chain, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let known = KnownPairs(Mutex::default());
        let loaded = known.load(chain.as_bytes(), key.as_bytes()).unwrap();
        assert!(Arc::ptr_eq(&loaded, &known.load(chain.as_bytes(), key.as_bytes()).unwrap()));
        let foreign = other.signing_key.serialize_pem();
        for (chain, key, expected) in [
            (chain.as_str(), foreign.as_str(), "tls: private key does not match public key"),
            ("", key.as_str(), "tls: failed to find any PEM data in certificate input"),
            (chain.as_str(), "", "tls: failed to find any PEM data in key input"),
        ] {
            assert_eq!(known.load(chain.as_bytes(), key.as_bytes()).err(), Some(expected));
        }
        for number in 0..KNOWN_MAX {
            assert!(known.load(format!("no certificate {number}").as_bytes(), b"").is_err());
        }
        assert!(
            !Arc::ptr_eq(&loaded, &known.load(chain.as_bytes(), key.as_bytes()).unwrap()),
            "it was the oldest"
        );
    }
}
