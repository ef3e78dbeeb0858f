//! The MAC of a PFX file: an HMAC with the key derivation of PKCS#12 (RFC 7292), or PBMAC1 (RFC 9579).

use std::num::NonZeroU32;

use ::hmac::{Hmac, KeyInit, Mac as _};
use aws_lc_rs::{hmac, pbkdf2};
use pkcs12::kdf::Pkcs12KeyType;
use sha1::Sha1;
use sha1::digest::{
    Digest, FixedOutputReset,
    block_api::{BlockSizeUser, EagerHash},
};
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};

use super::ber::{OCTET_STRING, OID, Reader};
use super::fault::Fault;
use super::oid;
use super::password::Password;

/// The maximum length of a PBMAC1 key in bytes: the longest digest.
const KEY_BYTES_MAX: u64 = 64;

/// A parsed `MacData`.
pub(super) struct MacData<'a> {
    algorithm: &'a [u8],
    parameters: Option<&'a [u8]>,
    digest: &'a [u8],
    salt: &'a [u8],
    iterations: u64,
}

impl<'a> MacData<'a> {
    /// Parses the contents of the sequence.
    pub(super) fn read(mut fields: Reader<'a>) -> Result<MacData<'a>, Fault> {
        let mut digest_info = fields.sequence()?;
        let mut algorithm = digest_info.sequence()?;
        let oid = algorithm.expect(OID)?;
        let parameters = if algorithm.is_empty() { None } else { Some(algorithm.next()?.whole) };
        Ok(MacData {
            algorithm: oid,
            parameters,
            digest: digest_info.expect(OCTET_STRING)?,
            salt: fields.expect(OCTET_STRING)?,
            iterations: if fields.is_empty() { 1 } else { fields.number()? },
        })
    }

    /// Returns whether the password and the content belong to this MAC.
    ///
    /// # Errors
    /// `Unsupported` for an unknown algorithm, `Iterations` beyond the budget, `Malformed`.
    pub(super) fn verify(&self, content: &[u8], password: &mut Password<'_>) -> Result<bool, Fault> {
        match self.algorithm {
            oid::SHA1 => self.verify_as::<Sha1>(content, password),
            oid::SHA224 => self.verify_as::<Sha224>(content, password),
            oid::SHA256 => self.verify_as::<Sha256>(content, password),
            oid::SHA384 => self.verify_as::<Sha384>(content, password),
            oid::SHA512 => self.verify_as::<Sha512>(content, password),
            oid::SHA512_224 => self.verify_as::<Sha512_224>(content, password),
            oid::SHA512_256 => self.verify_as::<Sha512_256>(content, password),
            oid::PBMAC1 => self.verify_pbmac1(content, password),
            other => Err(Fault::Unsupported(format!("its MAC algorithm ({})", oid::dotted(other)))),
        }
    }

    fn verify_as<D>(&self, content: &[u8], password: &mut Password<'_>) -> Result<bool, Fault>
    where
        D: Digest + FixedOutputReset + BlockSizeUser + EagerHash,
    {
        let verify_with = |password: &mut Password<'_>| {
            let length = <D as Digest>::output_size();
            let key = password.derive::<D>(self.salt, Pkcs12KeyType::Mac, self.iterations, length)?;
            let mut mac = Hmac::<D>::new_from_slice(&key).map_err(|_| Fault::Malformed)?;
            mac.update(content);
            Ok(mac.verify_slice(self.digest).is_ok())
        };
        if verify_with(password)? {
            return Ok(true);
        }
        if !password.utf8.is_empty() {
            return Ok(false);
        }
        // Windows writes a file without a password with no terminator either; OpenSSL tries both as well.
        let terminated = std::mem::take(&mut password.utf16);
        let is_valid = verify_with(password)?;
        if !is_valid {
            password.utf16 = terminated;
        }
        Ok(is_valid)
    }

    fn verify_pbmac1(&self, content: &[u8], password: &mut Password<'_>) -> Result<bool, Fault> {
        let unsupported = |what: &str, oid: &[u8]| {
            Err(Fault::Unsupported(format!("PBMAC1 (RFC 9579) with {what} {}", oid::dotted(oid))))
        };
        let mut parameters = Reader::new(self.parameters.ok_or(Fault::Malformed)?).sequence()?;
        let (mut derivation, mut scheme) = (parameters.sequence()?, parameters.sequence()?);
        let (kdf, scheme) = (derivation.expect(OID)?, scheme.expect(OID)?);
        if kdf != oid::PBKDF2 {
            return unsupported("the key derivation", kdf);
        }
        let mut derivation = derivation.sequence()?;
        let salt = derivation.expect(OCTET_STRING)?;
        let iterations = derivation.number()?;
        // RFC 9579 §5 requires the length.
        let length = derivation.number()?;
        let prf = if derivation.is_empty() { oid::HMAC_SHA1 } else { derivation.sequence()?.expect(OID)? };
        let prf = match prf {
            oid::HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
            oid::HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
            oid::HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
            oid::HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
            other => return unsupported("the pseudorandom function", other),
        };
        let algorithm = match scheme {
            oid::HMAC_SHA1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            oid::HMAC_SHA224 => hmac::HMAC_SHA224,
            oid::HMAC_SHA256 => hmac::HMAC_SHA256,
            oid::HMAC_SHA384 => hmac::HMAC_SHA384,
            oid::HMAC_SHA512 => hmac::HMAC_SHA512,
            other => return unsupported("the MAC scheme", other),
        };
        if length == 0 || length > KEY_BYTES_MAX {
            return Err(Fault::Malformed);
        }
        password.spend(iterations)?;
        let rounds = u32::try_from(iterations).ok().and_then(NonZeroU32::new).ok_or(Fault::Malformed)?;
        let mut key = vec![0; length as usize];
        pbkdf2::derive(prf, rounds, salt, password.utf8.as_bytes(), &mut key);
        Ok(hmac::verify(&hmac::Key::new(algorithm, &key), content, self.digest).is_ok())
    }
}
