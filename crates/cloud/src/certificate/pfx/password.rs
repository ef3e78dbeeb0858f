//! The password and the keys that are derived from it.

use pkcs12::kdf::{Pkcs12KeyType, derive_key};
use sha1::digest::{Digest, FixedOutputReset, block_api::BlockSizeUser};

use super::fault::Fault;

/// The maximum number of iterations of all key derivations of a file together. OpenSSL uses 2,048 for each of
/// three; this number takes a few seconds.
const ITERATIONS_MAX: u64 = 3_000_000;

/// The password in the forms of RFC 7292 and RFC 8018, with the budget for key derivations.
pub(super) struct Password<'a> {
    /// UTF-8, for PBES2 and PBMAC1.
    pub utf8: &'a str,
    /// UTF-16 with its terminator, for the key derivation of PKCS#12. OpenSSL also encodes a character beyond the
    /// basic plane as a surrogate pair.
    pub utf16: Vec<u8>,
    iterations_left: u64,
}

impl<'a> Password<'a> {
    pub(super) fn new(password: &'a str) -> Password<'a> {
        let units = password.encode_utf16().chain([0]);
        let utf16 = units.flat_map(u16::to_be_bytes).collect();
        Password { utf8: password, utf16, iterations_left: ITERATIONS_MAX }
    }

    /// Deducts iterations from the budget.
    ///
    /// # Errors
    /// `Iterations` if the budget is exceeded.
    pub(super) fn spend(&mut self, iterations: u64) -> Result<(), Fault> {
        self.iterations_left =
            self.iterations_left.checked_sub(iterations).ok_or(Fault::Iterations(iterations))?;
        Ok(())
    }

    /// Derives a key as RFC 7292 appendix B.
    ///
    /// # Errors
    /// `Iterations` if the budget is exceeded.
    pub(super) fn derive<D>(
        &mut self,
        salt: &[u8],
        usage: Pkcs12KeyType,
        iterations: u64,
        length: usize,
    ) -> Result<Vec<u8>, Fault>
    where
        D: Digest + FixedOutputReset + BlockSizeUser,
    {
        self.spend(iterations)?;
        let rounds = i32::try_from(iterations).map_err(|_| Fault::Iterations(iterations))?;
        Ok(derive_key::<D>(&self.utf16, salt, usage, rounds, length))
    }
}
