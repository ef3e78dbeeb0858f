//! Conversion of keys and certificates: PFX to PEM by the provider, PEM files to Secrets by the driver.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::Pkcs12Archive;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::key_pair;

/// The base64 line length of PEM (RFC 7468).
const PEM_LINE: usize = 64;

/// A block of a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub label: String,
    pub der: Vec<u8>,
}

/// Returns DER as PEM; text that is PEM already stays.
pub(super) fn as_pem(label: &str, der: &[u8]) -> String {
    if der.starts_with(b"-----BEGIN") {
        return String::from_utf8_lossy(der).into_owned();
    }
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(PEM_LINE) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// Parses the blocks of a PEM file, and skips all other text.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let body: String =
            lines.by_ref().take_while(|line| *line != end).filter(|line| !line.contains(':')).collect();
        if let Ok(der) = STANDARD.decode(body) {
            blocks.push(Block { label: label.to_owned(), der });
        }
    }
    blocks
}

/// Converts a PFX without password to PEM: the key as PKCS#8, then all certificates, leaf first.
///
/// # Errors
/// The reason why it cannot be read.
pub(super) fn pem_of_pfx(pfx: &[u8]) -> Result<String, String> {
    let archive = Pkcs12Archive::from_pkcs12(pfx, "").map_err(|error| format!("pkcs12: {error}"))?;
    let key = archive.keys.first().ok_or("pkcs12: expected exactly one key bag")?;
    let certificates: Vec<Vec<u8>> = archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect();
    let mut text = as_pem("PRIVATE KEY", key.key.as_der());
    for certificate in leaf_first(certificates, key.key.as_der()) {
        text += &as_pem("CERTIFICATE", &certificate);
    }
    Ok(text)
}

/// Orders certificates from the leaf of the key up to the root; certificates outside the chain come last.
fn leaf_first(mut certificates: Vec<Vec<u8>>, key: &[u8]) -> Vec<Vec<u8>> {
    let names = |der: &[u8]| {
        X509Certificate::from_der(der)
            .ok()
            .map(|(_, parsed)| (parsed.subject().as_raw().to_vec(), parsed.issuer().as_raw().to_vec()))
    };
    let key = PrivateKeyDer::try_from(key).ok().and_then(|key| any_supported_type(&key).ok());
    let is_leaf = |der: &Vec<u8>| {
        let chain = vec![CertificateDer::from(der.clone())];
        key.as_ref().is_some_and(|key| key_pair::pair(chain, Arc::clone(key)).is_ok())
    };
    let mut ordered: Vec<Vec<u8>> = Vec::new();
    let mut next = certificates.iter().position(is_leaf).or_else(|| (!certificates.is_empty()).then_some(0));
    while let Some(place) = next {
        let certificate = certificates.remove(place);
        let issuer = names(&certificate).map(|(_, issuer)| issuer);
        ordered.push(certificate);
        next = certificates.iter().position(|other| names(other).map(|(subject, _)| subject) == issuer);
    }
    ordered.extend(certificates);
    ordered
}

/// Extracts `tls.crt`: every CERTIFICATE block of a file.
///
/// # Errors
/// The file contains no PEM and is not a PFX.
pub(super) fn certificate_part(file: &str) -> Result<String, String> {
    let blocks = blocks(&decoded(file)?);
    Ok(blocks.iter().filter(|b| b.label == "CERTIFICATE").map(|b| as_pem(&b.label, &b.der)).collect())
}

/// Extracts `tls.key`: the last key of a file, RSA as PKCS#1, EC as SEC 1; unknown bytes become an empty
/// block.
///
/// # Errors
/// The file contains no key and is not a PFX.
pub(super) fn key_part(file: &str) -> Result<String, String> {
    let mut found = blocks(&decoded(file)?);
    found.retain(|block| block.label != "CERTIFICATE");
    if found.is_empty() {
        // For a file without a key, the driver finally tries to parse it as a PFX.
        found = blocks(&pem_of_pfx(file.as_bytes())?);
        found.retain(|block| block.label != "CERTIFICATE");
    }
    let key = found.pop().ok_or("no private key found")?;
    Ok(recode(&key.der))
}

fn decoded(file: &str) -> Result<String, String> {
    if blocks(file).is_empty() {
        let bytes = STANDARD.decode(file.trim()).unwrap_or_else(|_| file.as_bytes().to_vec());
        return pem_of_pfx(&bytes);
    }
    Ok(file.to_owned())
}

fn recode(der: &[u8]) -> String {
    match PrivateKeyDer::try_from(der) {
        Ok(PrivateKeyDer::Pkcs1(key)) => as_pem("RSA PRIVATE KEY", key.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Sec1(key)) => as_pem("EC PRIVATE KEY", key.secret_sec1_der()),
        Ok(PrivateKeyDer::Pkcs8(key)) => sec1_of_pkcs8(key.secret_pkcs8_der())
            .map(|sec1| as_pem("EC PRIVATE KEY", &sec1))
            .or_else(|| pkcs1_of_pkcs8(key.secret_pkcs8_der()).map(|pkcs1| as_pem("RSA PRIVATE KEY", pkcs1)))
            .unwrap_or_else(|| as_pem("PRIVATE KEY", &[])),
        _ => as_pem("PRIVATE KEY", &[]),
    }
}

fn sec1_of_pkcs8(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let curves =
        [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1_SIGNING];
    let pair = curves.into_iter().find_map(|curve| EcdsaKeyPair::from_pkcs8(curve, pkcs8).ok())?;
    let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().ok()?;
    Some(der.as_ref().to_vec())
}

/// Extracts the PKCS#1 RSA key from the octet string of PKCS#8: SEQUENCE { INTEGER, SEQUENCE algorithm, OCTET
/// STRING }.
fn pkcs1_of_pkcs8(pkcs8: &[u8]) -> Option<&[u8]> {
    const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let (_, content, _) = element(pkcs8, 0x30)?;
    let (_, _, rest) = element(content, 0x02)?;
    let (_, algorithm, rest) = element(rest, 0x30)?;
    let (_, oid, _) = element(algorithm, 0x06)?;
    let (_, key, _) = element(rest, 0x04)?;
    (oid == RSA_ENCRYPTION).then_some(key)
}

/// Splits one DER element of that tag off; returns its tag, its content and the rest.
fn element(der: &[u8], tag: u8) -> Option<(u8, &[u8], &[u8])> {
    let (&is, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count > 4 || rest.len() < count {
            return None;
        }
        let length = rest[..count].iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        (length, &rest[count..])
    };
    (is == tag && rest.len() >= length).then(|| (is, &rest[..length], &rest[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture;

    #[test]
    fn a_pfx_becomes_the_key_and_the_chain_leaf_first() {
        let stored = fixture::certificate("demo.test", 1);
        let pem = pem_of_pfx(&stored.pfx).expect("it has no password");
        let labels: Vec<String> = blocks(&pem).into_iter().map(|block| block.label).collect();
        assert_eq!(labels, ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]);
        assert_eq!(blocks(&pem)[1].der, stored.leaf, "the leaf comes first");
    }

    #[test]
    fn the_parts_of_a_secret_make_a_working_pair() {
        for rsa in [false, true] {
            let stored = fixture::certificate_of("demo.test", 1, rsa);
            let pem = pem_of_pfx(&stored.pfx).expect("it has no password");
            let (key, certificate) =
                (key_part(&pem).expect("a key"), certificate_part(&pem).expect("certificates"));
            let label = if rsa { "RSA PRIVATE KEY" } else { "EC PRIVATE KEY" };
            assert_eq!(blocks(&key)[0].label, label);
            assert_eq!(blocks(&certificate).len(), 2);
            assert_eq!(key_pair::load(certificate.as_bytes(), key.as_bytes()).err(), None);
        }
    }

    #[test]
    fn a_file_without_a_key_is_an_error() {
        let stored = fixture::certificate("demo.test", 1);
        let file = as_pem("CERTIFICATE", &stored.leaf);
        assert!(key_part(&file).is_err());
        assert_eq!(certificate_part(&file).as_deref(), Ok(file.as_str()));
    }

    #[test]
    fn a_key_of_another_certificate_is_an_error() {
        let (one, other) = (fixture::certificate("a.test", 1), fixture::certificate("a.test", 2));
        let (one, other) = (pem_of_pfx(&one.pfx).expect("sound"), pem_of_pfx(&other.pfx).expect("sound"));
        let loaded = key_pair::load(
            certificate_part(&one).expect("certificates").as_bytes(),
            key_part(&other).expect("a key").as_bytes(),
        );
        assert_eq!(loaded.err(), Some("tls: private key does not match public key"));
    }
}
