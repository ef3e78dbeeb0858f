//! Errors of certificates, and their remedies.

use jiff::Timestamp;

/// The reason why a certificate is unusable. The message fits after "failed to".
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
        /// The reason.
        why: String,
    },
    /// The file uses a scheme that is not supported.
    #[error("read the PFX file: {what} is not supported")]
    UnsupportedPfx {
        /// The scheme.
        what: String,
    },
    /// The file's key derivations would take minutes.
    #[error("read the PFX file: its key derivation has {iterations} iterations, which takes too long")]
    TooManyIterations {
        /// The number in the file.
        iterations: u64,
    },
    /// The file contains only certificates.
    #[error("read the PFX file: there is no private key in it")]
    NoPrivateKey,
    /// The file contains only keys.
    #[error("read the PFX file: there is no certificate in it")]
    NoCertificate,
    /// No certificate in the file belongs to the key.
    #[error("read the PFX file: none of its certificates belongs to its private key")]
    KeyMismatch,
    /// The certificate has expired.
    #[error("use the certificate: it expired at {not_after}")]
    Expired {
        /// The end of its validity.
        not_after: Timestamp,
    },
    /// The certificate is not valid yet.
    #[error("use the certificate: it is not valid before {not_before}")]
    NotYetValid {
        /// The start of its validity.
        not_before: Timestamp,
    },
    /// The certificate does not cover the hosts.
    #[error("use the certificate for {}: it covers {}", .missing.join(", "), list(.names))]
    DoesNotCover {
        /// The missing hosts.
        missing: Vec<String>,
        /// The covered names.
        names: Vec<String>,
    },
    /// The certificate has more names than servers and clients accept.
    #[error("use the certificate: it has {count} names, and at most {NAMES_MAX} are supported")]
    TooManyNames {
        /// The number of its names.
        count: usize,
    },
    /// Key Vault does not accept this kind of key.
    #[error("use the private key: {algorithm} is not supported")]
    UnsupportedKey {
        /// The key's algorithm.
        algorithm: String,
    },
    /// The generation of a certificate failed.
    #[error("create a self-signed certificate: {why}")]
    Generate {
        /// The reason.
        why: String,
    },
}

/// The maximum number of names of a certificate. Public authorities issue at most that many, and TLS libraries
/// refuse handshake messages of 64 or 100 KB.
pub(super) const NAMES_MAX: usize = 1_000;
/// The maximum number of names in a message.
const LISTED: usize = 10;

fn list(names: &[String]) -> String {
    match names.len() {
        0 => "no host".to_owned(),
        count if count > LISTED => format!("{} and {} more", names[..LISTED].join(", "), count - LISTED),
        _ => names.join(", "),
    }
}

impl CertificateError {
    /// Returns the message, a lowercase fragment that fits after "failed to".
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// Returns the remedy.
    pub fn hint(&self) -> String {
        match self {
            Self::WrongPassword => "check the password with `openssl pkcs12 -info -noout -in FILE`",
            Self::Pem => {
                "convert it to PFX: `openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -out FILE.pfx`"
            }
            Self::NotPfx { .. } => {
                "use a PKCS#12 file (.pfx or .p12) with the private key, the certificate and its chain"
            }
            Self::UnsupportedPfx { .. } => {
                "export it again with a password, AES-256 and an HMAC, the defaults of `openssl pkcs12 -export`"
            }
            Self::TooManyIterations { .. } => {
                "export it again with fewer iterations: `openssl pkcs12 -export -iter 100000 …`"
            }
            Self::NoPrivateKey => "export it again, with its private key",
            Self::NoCertificate => "export it again, with its certificate",
            Self::KeyMismatch => "export the key together with the certificate that was issued for it",
            Self::Expired { .. } => {
                "renew the certificate, or omit it, and landfall creates a self-signed one"
            }
            Self::NotYetValid { .. } => "check this machine's clock, or wait until the certificate is valid",
            Self::DoesNotCover { missing, .. } => {
                return format!(
                    "use a certificate whose subject alternative names include {}",
                    missing.join(" and ")
                );
            }
            Self::TooManyNames { .. } => "use a wildcard certificate, or one with fewer names",
            Self::UnsupportedKey { .. } => {
                "use RSA of 2048, 3072 or 4096 bits, or an elliptic curve key of P-256, P-384 or P-521"
            }
            Self::Generate { .. } => "use a domain such as demo.example.com and a number of days such as 365",
        }
        .to_owned()
    }
}
