//! Parser of certificates from other places: the vault, or a Secret in a cluster.

use super::{CertificateError, Leaf};
use x509_parser::{certificate::X509Certificate, pem::Pem, prelude::FromDer};

impl Leaf {
    /// Parses a certificate in DER, with a chain length of 1.
    ///
    /// # Errors
    /// [`CertificateError::NoCertificate`] if the bytes are no X.509 certificate.
    pub fn from_der(der: &[u8]) -> Result<Leaf, CertificateError> {
        Self::first_of(der, 1)
    }

    /// Parses the first certificate of a PEM text; the chain length is the number of its certificates.
    ///
    /// # Errors
    /// [`CertificateError::NoCertificate`] if it contains none.
    pub fn from_pem(pem: &[u8]) -> Result<Leaf, CertificateError> {
        let blocks = Pem::iter_from_buffer(pem).filter_map(Result::ok);
        let certificates: Vec<Pem> = blocks.filter(|block| block.label == "CERTIFICATE").collect();
        let first = certificates.first().ok_or(CertificateError::NoCertificate)?;
        Self::first_of(&first.contents, certificates.len())
    }

    fn first_of(der: &[u8], chain_length: usize) -> Result<Leaf, CertificateError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::NoCertificate)?;
        Ok(Self::read(der, &certificate, chain_length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::Material;

    #[test]
    fn a_certificate_survives_a_der_round_trip() {
        let made = Material::self_signed("example.com", 30).unwrap();
        let read = Leaf::from_der(made.certificate()).unwrap();
        assert_eq!(&read, made.leaf());
        assert!(Leaf::from_pem(b"no certificate").is_err());
    }
}
