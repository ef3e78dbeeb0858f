//! Parser of PFX files (PKCS#12, RFC 7292), in the variants that OpenSSL opens: BER and DER, as base64 text, with
//! bytes after it, with an HMAC, a PBMAC1 or no MAC.

mod archive;
mod base64_text;
mod ber;
mod encryption;
mod fault;
mod mac;
mod oid;
mod password;
mod write;

use p12_keystore::{Pkcs12Archive, PrivateKey};
use rcgen::KeyPair;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

pub(super) use write::write;

use super::error::CertificateError;
use super::leaf::Leaf;

/// The largest RSA key that Key Vault accepts, in bits.
const RSA_BITS_MAX: usize = 4096;
/// The object identifier of RSA keys, RFC 8017 §A.1.
const RSA: &str = "1.2.840.113549.1.1.1";
/// The object identifier of elliptic curve keys, RFC 5480 §2.1.1.
const EC: &str = "1.2.840.10045.2.1";

/// An opened file.
pub(super) struct Opened {
    pub leaf: Leaf,
    /// The certificate of the key, in DER.
    pub der: Vec<u8>,
    /// The other certificates of the file, in DER.
    pub others: Vec<Vec<u8>>,
    /// The file and its password, written again because a strict reader of DER refuses the given one.
    pub rewritten: Option<(Vec<u8>, String)>,
}

/// Opens a file and finds the certificate of its key: the one with the same public key, not the first.
pub(super) fn open(bytes: &[u8], password: &str) -> Result<Opened, CertificateError> {
    let binary = base64_text::binary(bytes)?;
    let archive = archive::read(&binary, password)?;
    if archive.keys.is_empty() {
        return Err(CertificateError::NoPrivateKey);
    }
    if archive.certificates.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let certificates = archive.certificates.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
    let mut refused = None;
    for private_key in &archive.keys {
        match public_key(private_key) {
            Ok(key) => {
                let own =
                    certificates.iter().find(|(_, known)| known.public_key().subject_public_key.data == key);
                if let Some((der, certificate)) = own {
                    vault_takes(certificate)?;
                    let leaf = Leaf::read(der, certificate, chain_length(certificate, &certificates));
                    let others: Vec<Vec<u8>> = archive
                        .certificates
                        .iter()
                        .filter(|other| other.as_slice() != *der)
                        .cloned()
                        .collect();
                    let rewrite = || {
                        let chain = others.iter().map(Vec::as_slice);
                        write(&leaf.subject, private_key.clone(), [*der].into_iter().chain(chain))
                    };
                    let is_plain = Pkcs12Archive::from_pkcs12(bytes, password).is_ok();
                    let rewritten = (!is_plain).then(rewrite).transpose();
                    let rewritten = rewritten.map_err(|why| CertificateError::NotPfx { why })?;
                    return Ok(Opened { leaf, der: der.to_vec(), others, rewritten });
                }
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or(CertificateError::KeyMismatch))
}

fn parse(der: &[u8]) -> Result<(&[u8], X509Certificate<'_>), CertificateError> {
    X509Certificate::from_der(der).map(|(_, certificate)| (der, certificate)).map_err(|cause| {
        CertificateError::NotPfx { why: format!("it contains an unreadable certificate: {cause}") }
    })
}

/// Derives the public key, in the format of certificates.
fn public_key(key: &PrivateKey) -> Result<Vec<u8>, CertificateError> {
    let unsupported = |algorithm: &str| CertificateError::UnsupportedKey { algorithm: algorithm.to_owned() };
    let pair = KeyPair::try_from(key.as_der()).map_err(|_| match key.oid().to_string().as_str() {
        RSA => unsupported("RSA with this key size"),
        EC => unsupported("its elliptic curve"),
        oid => unsupported(&format!("its algorithm ({oid})")),
    })?;
    if pair.algorithm() == &rcgen::PKCS_ED25519 {
        return Err(unsupported("Ed25519"));
    }
    Ok(pair.public_key_raw().to_vec())
}

/// Rejects keys that the library supports and Key Vault does not accept.
fn vault_takes(certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() > RSA_BITS_MAX => {
            Err(CertificateError::UnsupportedKey { algorithm: format!("RSA with {} bits", key.key_size()) })
        }
        _ => Ok(()),
    }
}

/// Counts the certificates in the chain of one, itself included.
fn chain_length(leaf: &X509Certificate<'_>, all: &[(&[u8], X509Certificate<'_>)]) -> usize {
    let mut length = 1;
    let mut current = leaf;
    // Each iteration goes up one issuer. The length limit ends a loop of certificates that issue each other.
    while length < all.len() && current.issuer().as_raw() != current.subject().as_raw() {
        let issuer = all.iter().find(|(_, known)| known.subject().as_raw() == current.issuer().as_raw());
        let Some((_, issuer)) = issuer else { break };
        current = issuer;
        length += 1;
    }
    length
}
