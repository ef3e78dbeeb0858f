//! Certificate material: one private key and its certificates, read from PFX or PEM, and written in the
//! format of the vault's secret.
//!
//! Key and certificates are stored as the DER from the file, so the vault returns exactly what was imported.

use aws_lc_rs::{digest, rsa, signature};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, Pkcs12Archive, PrivateKey, PrivateKeyChain};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;

/// The key derivation rounds of the PFX in a secret. It has no password, so the rounds protect nothing.
const SECRET_PFX_ROUNDS: u32 = 2_000;

/// The content type of a PFX secret.
pub(crate) const PKCS12: &str = "application/x-pkcs12";
/// The content type of a PEM secret.
pub(crate) const PEM: &str = "application/x-pem-file";

/// DER bytes; base64 in the state file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Der(pub(crate) Vec<u8>);

impl Serialize for Der {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Der).map_err(serde::de::Error::custom)
    }
}

/// A private key with its certificates, the leaf first unless the caller requested the order of the file.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Material {
    /// The private key as PKCS#8.
    pub(super) key: Der,
    pub(super) certificates: Vec<Der>,
    leaf: usize,
    /// `application/x-pkcs12` or `application/x-pem-file`.
    pub(crate) content_type: String,
    /// The `value` of the secret: a PFX without password in base64, or the imported PEM text.
    pub(crate) secret: String,
}

/// An import that cannot become a certificate. The messages are the service's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Not a PFX, or a wrong password: the service does not distinguish them.
    #[error(
        "The specified PKCS#12 X.509 certificate content can not be read. Please check if certificate is in valid PKCS#12 format."
    )]
    Pfx,
    /// PEM that is not a PKCS#8 key plus certificates.
    #[error(
        "The specified PEM X.509 certificate content is in an unexpected format. Please check if certificate is in valid PEM format."
    )]
    Pem,
    /// No private key.
    #[error(
        "Private key is not specified in the specified X.509 {0} certificate content. Please specify private key in the X.509 certificate content."
    )]
    NoKey(&'static str),
    /// No certificate belongs to the key.
    #[error("The specified X.509 certificate content does not contain a certificate for the private key.")]
    NoLeaf,
    /// Neither base64 nor PEM.
    #[error("The value of the certificate is not a valid base64 string.")]
    NotBase64,
}

impl Material {
    /// Parses the `value` of an import: PEM text, or base64 of a PFX or of PEM text.
    ///
    /// # Errors
    /// [`Unreadable`] with the service's message.
    pub(crate) fn read(value: &str, password: &str, keep_order: bool) -> Result<Material, Unreadable> {
        if value.contains("-----BEGIN ") {
            return Self::from_pem(value, keep_order);
        }
        let compact: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let bytes = STANDARD.decode(compact).map_err(|_| Unreadable::NotBase64)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if text.contains("-----BEGIN ") => Self::from_pem(text, keep_order),
            _ => Self::from_pfx(&bytes, password, keep_order),
        }
    }

    /// Stores a key (PKCS#8) and its certificate, both DER, as a PFX.
    ///
    /// # Errors
    /// [`Unreadable`] if they do not belong together.
    pub(crate) fn from_parts(key: Vec<u8>, certificate: Vec<u8>) -> Result<Material, Unreadable> {
        let mut material = Self::assemble(Der(key), vec![Der(certificate)], PKCS12, false)?;
        material.secret = material.passwordless_pfx()?;
        Ok(material)
    }

    fn from_pfx(bytes: &[u8], password: &str, keep_order: bool) -> Result<Material, Unreadable> {
        let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|_| Unreadable::Pfx)?;
        let [key] = archive.keys.as_slice() else {
            return Err(if archive.keys.is_empty() { Unreadable::NoKey("PKCS#12") } else { Unreadable::Pfx });
        };
        let key = Der(key.key.as_der().to_vec());
        let certificates = archive.certs.iter().map(|bag| Der(bag.cert.as_der().to_vec())).collect();
        let mut material = Self::assemble(key, certificates, PKCS12, keep_order)?;
        material.secret = material.passwordless_pfx()?;
        Ok(material)
    }

    fn from_pem(text: &str, keep_order: bool) -> Result<Material, Unreadable> {
        let mut keys = Vec::new();
        let mut certificates = Vec::new();
        for block in Pem::iter_from_buffer(text.as_bytes()) {
            let block = block.map_err(|_| Unreadable::Pem)?;
            match block.label.as_str() {
                "PRIVATE KEY" => keys.push(Der(block.contents)),
                "CERTIFICATE" => certificates.push(Der(block.contents)),
                _ => return Err(Unreadable::Pem),
            }
        }
        if keys.len() > 1 {
            return Err(Unreadable::Pem);
        }
        let key = keys.pop().ok_or(Unreadable::NoKey("PEM"))?;
        let mut material = Self::assemble(key, certificates, PEM, keep_order)?;
        text.clone_into(&mut material.secret);
        Ok(material)
    }

    pub(super) fn assemble(
        key: Der,
        mut certificates: Vec<Der>,
        content_type: &str,
        keep_order: bool,
    ) -> Result<Material, Unreadable> {
        let public =
            public_half(&key.0).ok_or(if content_type == PEM { Unreadable::Pem } else { Unreadable::Pfx })?;
        let mut leaf =
            certificates.iter().position(|der| certifies(&der.0, &public)).ok_or(Unreadable::NoLeaf)?;
        if !keep_order {
            let first = certificates.remove(leaf);
            certificates.insert(0, first);
            leaf = 0;
        }
        Ok(Material { key, certificates, leaf, content_type: content_type.to_owned(), secret: String::new() })
    }

    /// Reverses the order of the certificates.
    pub(super) fn reverse(&mut self) {
        self.certificates.reverse();
        self.leaf = self.certificates.len() - 1 - self.leaf;
    }

    pub(super) fn passwordless_pfx(&self) -> Result<String, Unreadable> {
        let certificates =
            self.certificates.iter().map(|der| Certificate::from_der(&der.0)).collect::<Result<Vec<_>, _>>();
        let key = PrivateKey::from_der(&self.key.0).map_err(|_| Unreadable::Pfx)?;
        let chain = PrivateKeyChain::new(vec![1_u8], key, certificates.map_err(|_| Unreadable::Pfx)?);
        let mut store = KeyStore::new();
        store.add_entry("", KeyStoreEntry::PrivateKeyChain(chain));
        let writer = store.writer("").encryption_iterations(SECRET_PFX_ROUNDS as _);
        let bytes = writer.mac_iterations(SECRET_PFX_ROUNDS as _).write().map_err(|_| Unreadable::Pfx)?;
        Ok(STANDARD.encode(bytes))
    }

    /// Returns the leaf certificate as DER.
    pub(crate) fn leaf(&self) -> &[u8] {
        &self.certificates[self.leaf].0
    }

    /// Returns all certificates as DER, in the vault's order.
    #[cfg(test)]
    pub(crate) fn certificates(&self) -> Vec<&[u8]> {
        self.certificates.iter().map(|der| der.0.as_slice()).collect()
    }

    /// Returns the key as PKCS#8 DER.
    #[cfg(test)]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key.0
    }

    /// Returns the SHA-1 of the leaf in base64url without padding, the `x5t` of RFC 7517.
    pub(crate) fn x5t(&self) -> String {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.leaf());
        URL_SAFE_NO_PAD.encode(digest)
    }
}

/// Returns the subject public key bits of a PKCS#8 key; supports RSA (2048 bits and more) and the NIST
/// curves.
fn public_half(pkcs8: &[u8]) -> Option<Vec<u8>> {
    use signature::KeyPair as _;
    if let Ok(pair) = rsa::KeyPair::from_pkcs8(pkcs8) {
        return Some(pair.public_key().as_ref().to_vec());
    }
    let curves = [
        &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
    ];
    curves.iter().find_map(|curve| {
        let pair = signature::EcdsaKeyPair::from_pkcs8(curve, pkcs8).ok()?;
        Some(pair.public_key().as_ref().to_vec())
    })
}

fn certifies(certificate: &[u8], public: &[u8]) -> bool {
    parse_x509_certificate(certificate)
        .is_ok_and(|(_, parsed)| parsed.public_key().subject_public_key.data.as_ref() == public)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a file of `tests/fixtures` in base64, as in an import.
    pub(crate) fn fixture(name: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        STANDARD.encode(std::fs::read(path).unwrap())
    }

    #[test]
    fn every_pfx_that_openssl_writes_is_read() {
        for name in ["rsa-default.pfx", "rsa-legacy.pfx", "ec.pfx", "chain.pfx"] {
            let material = Material::read(&fixture(name), "correct-horse", false).unwrap();
            assert_eq!(material.content_type, PKCS12, "{name}");
        }
        assert!(Material::read(&fixture("empty-password.pfx"), "", false).is_ok());
    }

    #[test]
    fn the_secret_holds_the_key_and_the_chain_that_went_in() {
        let given = STANDARD.decode(fixture("chain.pfx")).unwrap();
        let given = Pkcs12Archive::from_pkcs12(&given, "correct-horse").unwrap();
        let material = Material::read(&fixture("chain.pfx"), "correct-horse", false).unwrap();
        let out = Pkcs12Archive::from_pkcs12(&STANDARD.decode(&material.secret).unwrap(), "").unwrap();
        assert_eq!(out.keys[0].key.as_der(), given.keys[0].key.as_der());
        let mut chain: Vec<_> = out.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect();
        assert_eq!(chain, material.certificates());
        let mut before: Vec<_> = given.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect();
        chain.sort();
        before.sort();
        assert_eq!(chain, before);
    }

    #[test]
    fn the_thumbprint_is_the_one_openssl_prints() {
        let material = Material::read(&fixture("chain.pfx"), "correct-horse", false).unwrap();
        let hex: String = URL_SAFE_NO_PAD
            .decode(material.x5t())
            .unwrap()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        assert_eq!(hex, include_str!("../../tests/fixtures/chain.sha1").trim());
    }

    #[test]
    fn a_wrong_password_reads_like_a_broken_file() {
        let wrong = Material::read(&fixture("rsa-default.pfx"), "wrong", false).err();
        assert_eq!(wrong, Some(Unreadable::Pfx));
        assert_eq!(Material::read(&STANDARD.encode(b"no pfx"), "", false).err(), Some(Unreadable::Pfx));
        assert_eq!(Material::read("%%%", "", false).err(), Some(Unreadable::NotBase64));
    }

    #[test]
    fn a_pfx_without_a_key_is_refused() {
        let refused = Material::read(&fixture("no-key.pfx"), "", false).err();
        assert_eq!(refused, Some(Unreadable::NoKey("PKCS#12")));
    }

    #[test]
    fn pem_is_kept_as_it_came_whether_plain_or_in_base64() {
        let text = include_str!("../../tests/fixtures/chain.pem");
        let plain = Material::read(text, "", false).unwrap();
        let wrapped = Material::read(&fixture("chain.pem"), "", false).unwrap();
        assert_eq!((plain.secret.as_str(), plain.content_type.as_str()), (text, PEM));
        assert_eq!(wrapped.secret, text);
        assert_eq!(plain.certificates().len(), 3);
        assert_eq!(
            plain.leaf(),
            Material::read(&fixture("chain.pfx"), "correct-horse", false).unwrap().leaf()
        );
        assert!(!plain.key().is_empty());
    }

    #[test]
    fn a_pem_key_that_is_not_pkcs8_is_refused() {
        let refused = Material::read(&fixture("sec1.pem"), "", false).err();
        assert_eq!(refused, Some(Unreadable::Pem));
    }

    #[test]
    fn the_leaf_comes_first_unless_the_order_is_to_be_kept() {
        let text = include_str!("../../tests/fixtures/chain.pem");
        let at = text.find("-----BEGIN CERT").unwrap();
        let (key, certificates) = text.split_at(at);
        let blocks: Vec<_> = certificates.split_inclusive("-----END CERTIFICATE-----\n").collect();
        let turned = format!("{key}{}{}{}", blocks[1], blocks[0], blocks[2]);
        let sorted = Material::read(&turned, "", false).unwrap();
        let kept = Material::read(&turned, "", true).unwrap();
        assert_eq!(sorted.certificates()[0], sorted.leaf());
        assert_eq!(kept.certificates()[1], kept.leaf());
        assert_eq!(sorted.x5t(), kept.x5t());
    }
}
