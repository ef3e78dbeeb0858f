//! The reasons why a part of a PFX file is unusable.

use crate::certificate::CertificateError;

/// The reason, before it is known whether the password is the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are not what the format requires.
    Malformed,
    /// The file ends within a value.
    CutOff,
    /// The file exceeds the bounds of size or depth.
    TooLarge,
    /// The decrypted data has no valid padding.
    Undecryptable,
    /// A scheme is unknown, or not supported.
    Unsupported(String),
    /// The key derivations take too long.
    Iterations(u64),
}

impl Fault {
    /// Converts to an error of a file whose password is not the cause; `malformed` is the reason if the bytes are
    /// invalid.
    pub(super) fn unrelated_to_password(self, malformed: &str) -> CertificateError {
        let not_pfx = |why: &str| CertificateError::NotPfx { why: why.to_owned() };
        match self {
            Self::Malformed | Self::Undecryptable => not_pfx(malformed),
            Self::CutOff => not_pfx("it ends in the middle: the file is incomplete, or not a PKCS#12 file"),
            Self::TooLarge => not_pfx("it is larger or more deeply nested than a PKCS#12 file"),
            Self::Unsupported(what) => CertificateError::UnsupportedPfx { what },
            Self::Iterations(iterations) => CertificateError::TooManyIterations { iterations },
        }
    }
}
