//! Parser of PFX files (PKCS#12, RFC 7292).

use p12_keystore::error::Error as P12Error;
use p12_keystore::{CertificateBag, Pkcs12Archive, PrivateKey};
use rcgen::KeyPair;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::error::CertificateError;
use super::leaf::Leaf;

/// The largest RSA key that Key Vault accepts, in bits.
const RSA_BITS_MAX: usize = 4096;
/// The object identifier of RSA keys, RFC 8017 §A.1.
const RSA: &str = "1.2.840.113549.1.1.1";
/// The object identifier of elliptic curve keys, RFC 5480 §2.1.1.
const EC: &str = "1.2.840.10045.2.1";

/// The parts of an opened file that are not secret.
pub(super) struct Opened {
    pub leaf: Leaf,
    pub der: Vec<u8>,
}

/// Opens a file and finds the certificate of its key: the one with the same public key, not the first.
pub(super) fn open(bytes: &[u8], password: &str) -> Result<Opened, CertificateError> {
    if is_pem(bytes) {
        return Err(CertificateError::Pem);
    }
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|cause| why(bytes, &cause))?;
    if archive.keys.is_empty() {
        return Err(CertificateError::NoPrivateKey);
    }
    if archive.certs.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let certificates = archive.certs.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut refused = None;
    for bag in &archive.keys {
        match public_key(&bag.key) {
            Ok(key) => {
                let own =
                    certificates.iter().find(|(_, known)| known.public_key().subject_public_key.data == key);
                if let Some((der, certificate)) = own {
                    vault_takes(certificate)?;
                    let leaf = Leaf::read(der, certificate, chain_length(certificate, &certificates));
                    return Ok(Opened { leaf, der: der.to_vec() });
                }
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or(CertificateError::KeyMismatch))
}

/// Recognises PEM, also after the text that OpenSSL prints before it.
fn is_pem(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.contains("-----BEGIN "))
}

fn parse(bag: &CertificateBag) -> Result<(&[u8], X509Certificate<'_>), CertificateError> {
    let der = bag.cert.as_der();
    X509Certificate::from_der(der).map(|(_, certificate)| (der, certificate)).map_err(|cause| {
        CertificateError::NotPfx { why: format!("it contains an unreadable certificate: {cause}") }
    })
}

/// Converts the library's error to one of the usual mistakes.
fn why(bytes: &[u8], cause: &P12Error) -> CertificateError {
    match cause {
        P12Error::MacError(_) => CertificateError::WrongPassword,
        // Without a MAC, a wrong password shows only in the decrypted data.
        P12Error::UnpadError | P12Error::Pkcs5Error(_) | P12Error::InvalidPrivateKey => {
            CertificateError::WrongPassword
        }
        P12Error::DerError(_) | P12Error::InvalidData if looks_like_pfx(bytes) => {
            CertificateError::WrongPassword
        }
        P12Error::DerError(_) => CertificateError::NotPfx { why: "it is not a PKCS#12 file".to_owned() },
        other => CertificateError::NotPfx { why: other.to_string().to_lowercase() },
    }
}

/// Returns whether the outermost layer is a complete PFX of version 3.
fn looks_like_pfx(bytes: &[u8]) -> bool {
    use x509_parser::der_parser::der::parse_der;
    let Ok((_, outer)) = parse_der(bytes) else { return false };
    outer.as_sequence().is_ok_and(|fields| fields.first().is_some_and(|version| version.as_u32() == Ok(3)))
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
