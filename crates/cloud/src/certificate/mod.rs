//! Certificates: content and validation of PFX files.
//!
//! [`Material`] is a private key with its certificate, as the file that Key Vault imports, byte for byte as
//! given. It is opened once, here. A wrong password, an expired certificate or one for another domain is
//! therefore found before the first request. The vault responds to all of these only that the content "can
//! not be read".

mod error;
mod leaf;
mod pfx;
mod remote;
mod self_signed;

use std::fmt;

use jiff::Timestamp;

pub use error::CertificateError;
pub use leaf::Leaf;

use crate::secret::Secret;

/// A private key and its certificate, as a PFX file that was opened successfully.
pub struct Material {
    pfx: Secret<Vec<u8>>,
    password: Secret<String>,
    leaf: Leaf,
    der: Vec<u8>,
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

    fn assemble(bytes: Vec<u8>, password: String, opened: pfx::Opened) -> Material {
        let pfx::Opened { leaf, der } = opened;
        Material { pfx: Secret::new(bytes), password: Secret::new(password), leaf, der }
    }

    /// Returns the fields of the certificate.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// Returns the certificate itself, in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.der
    }

    /// Returns the file: the user's byte for byte, or the generated one.
    pub fn pfx(&self) -> &Secret<Vec<u8>> {
        &self.pfx
    }

    /// Returns the password that opens the file.
    pub fn password(&self) -> &Secret<String> {
        &self.password
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
/// `NotYetValid`, `Expired`, or `DoesNotCover` with every missing host.
pub fn check_for(material: &Material, hosts: &[String], now: Timestamp) -> Result<(), CertificateError> {
    let leaf = material.leaf();
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
