//! Writer of PFX files that every reader opens: DER, PBES2 with AES-256, and an HMAC with SHA-256.

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};

use crate::certificate::leaf::hex;

/// The length of the random password in bytes, before its hex encoding.
const PASSWORD_BYTES: usize = 16;

/// The key derivation rounds, as OpenSSL writes them. They protect nothing: the password has 128 random bits.
const ROUNDS: u32 = 2_048;

/// Writes a key with its certificates, the leaf first. Returns the file and its random password.
pub(in crate::certificate) fn write<'a>(
    name: &str,
    key: PrivateKey,
    certificates: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, String), String> {
    let certificates: Result<Vec<Certificate>, _> =
        certificates.into_iter().map(Certificate::from_der).collect();
    let chain = PrivateKeyChain::new(vec![1_u8], key, certificates.map_err(|error| error.to_string())?);
    let mut store = KeyStore::new();
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(chain));
    let password = password()?;
    let writer = store.writer(&password).encryption_iterations(ROUNDS).mac_iterations(ROUNDS);
    let bytes = writer.write().map_err(|error| error.to_string())?;
    Ok((bytes, password))
}

fn password() -> Result<String, String> {
    let mut bytes = [0; PASSWORD_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "no random numbers are available")?;
    Ok(hex(&bytes))
}
