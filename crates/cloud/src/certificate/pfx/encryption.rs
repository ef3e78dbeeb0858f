//! Decryption of the contents: PBES2 (RFC 8018), and the older schemes of PKCS#12 (RFC 7292 appendix C).

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use des::{TdesEde2, TdesEde3};
use pkcs5::EncryptionScheme;
use pkcs5::pbes2::{Kdf, Parameters};
use pkcs12::kdf::Pkcs12KeyType;
use rc2::Rc2;
use sha1::Sha1;

use super::ber::{OCTET_STRING, OID, Reader, Value};
use super::fault::Fault;
use super::oid;
use super::password::Password;

/// The maximum memory of scrypt in bytes.
const SCRYPT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The maximum parallelization of scrypt.
const SCRYPT_PARALLELIZATION_MAX: u16 = 16;
/// The block size of the older schemes in bytes.
const BLOCK_BYTES: usize = 8;

/// Decrypts data under an `AlgorithmIdentifier`.
///
/// # Errors
/// `Undecryptable` if the password is wrong, or one of the other faults.
pub(super) fn decrypt(
    algorithm: Value<'_>,
    data: &[u8],
    password: &mut Password<'_>,
) -> Result<Vec<u8>, Fault> {
    let mut fields = Reader::new(algorithm.contents);
    match fields.expect(OID)? {
        oid::PBES2 => decrypt_pbes2(algorithm, data, password),
        oid::SHA1_3DES => decrypt_pbes1(fields, 24, data, password, |key| TdesEde3::new_from_slice(key).ok()),
        oid::SHA1_2DES => decrypt_pbes1(fields, 16, data, password, |key| TdesEde2::new_from_slice(key).ok()),
        oid::SHA1_RC2_128 => decrypt_pbes1(fields, 16, data, password, |key| Rc2::new_from_slice(key).ok()),
        oid::SHA1_RC2_40 => decrypt_pbes1(fields, 5, data, password, |key| Rc2::new_from_slice(key).ok()),
        other => Err(unsupported(&oid::dotted(other))),
    }
}

fn unsupported(oid: &str) -> Fault {
    Fault::Unsupported(format!("its encryption ({oid})"))
}

fn decrypt_pbes2(algorithm: Value<'_>, data: &[u8], password: &mut Password<'_>) -> Result<Vec<u8>, Fault> {
    let scheme = EncryptionScheme::try_from(algorithm.whole).map_err(|error| match error.kind() {
        pkcs5::der::ErrorKind::OidUnknown { oid } => unsupported(&oid.to_string()),
        _ => Fault::Malformed,
    })?;
    if let EncryptionScheme::Pbes2(parameters) = &scheme {
        check_cost(parameters, password)?;
    }
    scheme.decrypt(password.utf8.as_bytes(), data).map_err(|error| match error {
        pkcs5::Error::UnsupportedAlgorithm { oid } => unsupported(&oid.to_string()),
        pkcs5::Error::AlgorithmParametersInvalid { .. } => Fault::Malformed,
        _ => Fault::Undecryptable,
    })
}

fn check_cost(parameters: &Parameters, password: &mut Password<'_>) -> Result<(), Fault> {
    match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) => password.spend(pbkdf2.iteration_count.into()),
        Kdf::Scrypt(scrypt) => {
            let bytes = scrypt.cost_parameter.saturating_mul(128).saturating_mul(scrypt.block_size.into());
            if bytes > SCRYPT_BYTES_MAX || scrypt.parallelization > SCRYPT_PARALLELIZATION_MAX {
                return Err(Fault::Unsupported("the cost of its key derivation scrypt".to_owned()));
            }
            // In units of an iteration of PBKDF2, approximately.
            password.spend(bytes / 1024 * u64::from(scrypt.parallelization))
        }
        _ => Err(Fault::Unsupported("its key derivation".to_owned())),
    }
}

fn decrypt_pbes1<C: BlockCipherDecrypt>(
    mut algorithm: Reader<'_>,
    key_length: usize,
    data: &[u8],
    password: &mut Password<'_>,
    cipher: impl Fn(&[u8]) -> Option<C>,
) -> Result<Vec<u8>, Fault> {
    let mut parameters = algorithm.sequence()?;
    let (salt, iterations) = (parameters.expect(OCTET_STRING)?, parameters.number()?);
    let key = password.derive::<Sha1>(salt, Pkcs12KeyType::EncryptionKey, iterations, key_length)?;
    let iv = password.derive::<Sha1>(salt, Pkcs12KeyType::Iv, iterations, BLOCK_BYTES)?;
    let cipher = cipher(&key).ok_or(Fault::Malformed)?;
    let decryptor = cbc::Decryptor::inner_iv_slice_init(cipher, &iv).map_err(|_| Fault::Malformed)?;
    decryptor.decrypt_padded_vec::<Pkcs7>(data).map_err(|_| Fault::Undecryptable)
}
