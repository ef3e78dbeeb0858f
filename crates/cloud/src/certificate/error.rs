//! What is wrong with a certificate, and what to do about it.

use jiff::Timestamp;

/// Why a certificate cannot be used. The message fits after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The password does not open the file.
    #[error("open the PFX file: the password is wrong")]
    WrongPassword,
    /// The file is PEM.
    #[error("read the PFX file: it is PEM text")]
    Pem,
    /// The file is something else.
    #[error("read the PFX file: {why}")]
    NotPfx {
        /// What does not fit.
        why: String,
    },
    /// There are only certificates in the file.
    #[error("read the PFX file: there is no private key in it")]
    NoPrivateKey,
    /// There are only keys in the file.
    #[error("read the PFX file: there is no certificate in it")]
    NoCertificate,
    /// No certificate in the file is that of the key.
    #[error("read the PFX file: none of its certificates belongs to its private key")]
    KeyMismatch,
    /// The certificate was good once.
    #[error("use the certificate: it expired at {not_after}")]
    Expired {
        /// The last moment it was good.
        not_after: Timestamp,
    },
    /// The certificate will be good.
    #[error("use the certificate: it is valid from {not_before} only")]
    NotYetValid {
        /// The first moment it is good.
        not_before: Timestamp,
    },
    /// The certificate is for other hosts.
    #[error("use the certificate for {}: it is for {}", .missing.join(", "), list(.names))]
    DoesNotCover {
        /// The hosts it lacks.
        missing: Vec<String>,
        /// The hosts it has.
        names: Vec<String>,
    },
    /// Key Vault does not take such a key.
    #[error("use the private key: {algorithm} is not supported")]
    UnsupportedKey {
        /// What it is.
        algorithm: String,
    },
    /// A certificate could not be made.
    #[error("make a self-signed certificate: {why}")]
    Generate {
        /// What stood in the way.
        why: String,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no host at all".to_owned() } else { names.join(", ") }
}

impl CertificateError {
    /// Returns the message, a lowercase fragment that fits after "failed to".
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::WrongPassword => "check the password; `openssl pkcs12 -info -noout -in FILE` asks for it and tries it",
            Self::Pem => {
                "make a PFX file of it: `openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -out FILE.pfx`"
            }
            Self::NotPfx { .. } => "give a PKCS#12 file (.pfx or .p12) with the private key, the certificate and its chain",
            Self::NoPrivateKey => "export it again together with its private key",
            Self::NoCertificate => "export it again together with its certificate",
            Self::KeyMismatch => "export the key and the certificate that was issued for it together",
            Self::Expired { .. } => "renew the certificate, or leave it out to have a self-signed one made",
            Self::NotYetValid { .. } => "check the clock of this machine, or wait until the certificate is valid",
            Self::DoesNotCover { missing, .. } => {
                return format!("give a certificate whose subject alternative names have {}", missing.join(" and "));
            }
            Self::UnsupportedKey { .. } => {
                "use RSA of 2048, 3072 or 4096 bits, or an elliptic curve key of P-256, P-384 or P-521"
            }
            Self::Generate { .. } => "give a domain such as demo.example.com and a number of days such as 365",
        }
        .to_owned()
    }
}
