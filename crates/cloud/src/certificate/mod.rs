//! Certificates: content and validation of PFX files.
//!
//! [`Material`] is a private key with its certificate, as the file that Key Vault imports: byte for byte as
//! given, or written again if the given one is not plain DER. It is opened once, here. A wrong password, an expired certificate or one for another domain is
//! therefore found before the first request. The vault responds to all of these only that the content "can
//! not be read".

mod chain;
mod error;
mod leaf;
mod parse;
mod pfx;
mod self_signed;

use std::fmt;

use jiff::Timestamp;

pub use chain::{ChainFault, chain_digest, chain_faults};
pub use error::CertificateError;
pub use leaf::Leaf;

use crate::{acme::LocalKey, secret::Secret};

/// A private key and its certificate, as a PFX file that was opened successfully.
pub struct Material {
    pfx: Secret<Vec<u8>>,
    password: Secret<String>,
    leaf: Leaf,
    der: Vec<u8>,
    /// The other certificates of the file, in DER.
    others: Vec<Vec<u8>>,
}

impl Material {
    /// Opens a PFX file.
    ///
    /// # Errors
    /// Returns which of the usual mistakes it is. Dates and names are checked by [`check_for`], not here.
    pub fn from_pfx(bytes: &[u8], password: &str) -> Result<Material, CertificateError> {
        let opened = pfx::open(bytes, password)?;
        Ok(Self::assemble(bytes.to_vec(), password.to_owned(), opened))
    }

    /// Creates a key and a self-signed certificate for `domain` and `*.domain`, valid for this number of days
    /// from now. Each call creates a different one.
    ///
    /// ```
    /// # let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    /// let material = landfall_cloud::certificate::Material::self_signed("demo.example.com", 365)?;
    /// assert!(material.covers("shop.demo.example.com") && !material.covers("example.com"));
    /// # Ok::<(), landfall_cloud::certificate::CertificateError>(())
    /// ```
    ///
    /// # Errors
    /// `Generate` if the domain is no DNS name, or the number of days is 0 or beyond the calendar.
    pub fn self_signed(domain: &str, valid_days: u32) -> Result<Material, CertificateError> {
        let (bytes, password) = self_signed::make(domain, valid_days)?;
        let opened = pfx::open(&bytes, &password)?;
        Ok(Self::assemble(bytes, password, opened))
    }

    /// Writes a key of this machine with the chain that an authority issued for it, the leaf first.
    ///
    /// # Errors
    /// `Generate` if the chain is unreadable, or does not belong to the key.
    pub fn of_key(key: &LocalKey, chain: &[Vec<u8>]) -> Result<Material, CertificateError> {
        let (bytes, password) = self_signed::with_chain(&key.key, chain)?;
        let opened = pfx::open(&bytes, &password)?;
        Ok(Self::assemble(bytes, password, opened))
    }

    fn assemble(bytes: Vec<u8>, password: String, opened: pfx::Opened) -> Material {
        let pfx::Opened { leaf, der, others, rewritten } = opened;
        let (bytes, password) = rewritten.unwrap_or((bytes, password));
        Material { pfx: Secret::new(bytes), password: Secret::new(password), leaf, der, others }
    }

    /// Returns the fields of the certificate.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// Returns the certificate itself, in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.der
    }

    /// Returns the file: the user's byte for byte, if it is plain DER, or the generated one. A file as text, in
    /// BER, with a PBMAC1 or with bytes after it is written again, with another password.
    pub fn pfx(&self) -> &Secret<Vec<u8>> {
        &self.pfx
    }

    /// Returns the password that opens the file.
    pub fn password(&self) -> &Secret<String> {
        &self.password
    }

    /// Returns the digest of the certificates above the leaf; see [`chain_digest`].
    pub fn chain_digest(&self) -> String {
        chain_digest(self.others.iter().map(Vec::as_slice).collect())
    }

    /// Returns the faults of the certificate's chain within the file.
    pub fn chain_faults(&self, now: Timestamp) -> Vec<ChainFault> {
        let others: Vec<&[u8]> = self.others.iter().map(Vec::as_slice).collect();
        chain_faults(&self.der, &others, now)
    }

    /// Returns whether the certificate covers a host; see [`Leaf::covers`].
    pub fn covers(&self, host: &str) -> bool {
        self.leaf.covers(host)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

/// Checks that a certificate is valid for these hosts at that time. A host may itself be a wildcard,
/// `*.example.com`.
///
/// # Errors
/// `TooManyNames`, `NotYetValid`, `Expired`, or `DoesNotCover` with every missing host.
pub fn check_for(material: &Material, hosts: &[String], now: Timestamp) -> Result<(), CertificateError> {
    check_leaf(material.leaf(), hosts, now)
}

fn check_leaf(leaf: &Leaf, hosts: &[String], now: Timestamp) -> Result<(), CertificateError> {
    if leaf.names.len() > error::NAMES_MAX {
        return Err(CertificateError::TooManyNames { count: leaf.names.len() });
    }
    if now < leaf.not_before {
        return Err(CertificateError::NotYetValid { not_before: leaf.not_before });
    }
    if now > leaf.not_after {
        return Err(CertificateError::Expired { not_after: leaf.not_after });
    }
    let missing: Vec<String> = hosts.iter().filter(|host| !leaf.covers(host)).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(CertificateError::DoesNotCover { missing, names: leaf.names.clone() })
}
