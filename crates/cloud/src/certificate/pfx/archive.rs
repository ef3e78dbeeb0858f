//! The layers of a PFX file, down to its keys and certificates (RFC 7292 §4).

use p12_keystore::PrivateKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::ber::{CONTEXT_0, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, Value, implicit_octets, to_der};
use super::encryption::decrypt;
use super::fault::Fault;
use super::mac::MacData;
use super::oid;
use super::password::Password;
use crate::certificate::CertificateError;

const NOT_PKCS12: &str = "it is not a PKCS#12 file";

/// The keys and certificates of a file, in its order.
#[derive(Default)]
pub(super) struct Archive {
    pub keys: Vec<PrivateKey>,
    /// X.509 certificates in DER.
    pub certificates: Vec<Vec<u8>>,
    /// True as soon as something was decrypted.
    was_decrypted: bool,
}

/// Reads a binary file.
///
/// # Errors
/// `WrongPassword` only if the MAC says so, or without a MAC the decrypted data; otherwise the true cause.
pub(super) fn read(bytes: &[u8], password: &str) -> Result<Archive, CertificateError> {
    let not_pkcs12 = |fault: Fault| fault.unrelated_to_password(NOT_PKCS12);
    let der = to_der(bytes).map_err(not_pkcs12)?;
    let (content, mac) = parts(&der).map_err(not_pkcs12)?;
    let mut password = Password::new(password);
    let mut archive = Archive::default();
    let is_verified = match &mac {
        Some(mac) => Some(mac.verify(content, &mut password).map_err(not_pkcs12)?),
        None => None,
    };
    let walked = archive.read_authenticated_safe(content, &mut password);
    match (is_verified, walked) {
        (Some(true) | None, Ok(())) => Ok(archive),
        (Some(false), Ok(())) if archive.was_decrypted => Err(CertificateError::NotPfx {
            why: "its MAC does not match, although the password opens it: the file was changed after its export"
                .to_owned(),
        }),
        (Some(false), _) => Err(CertificateError::WrongPassword),
        (None, Err(Fault::Undecryptable)) => Err(CertificateError::WrongPassword),
        // Without a MAC, a wrong password may show only in the decrypted data.
        (None, Err(Fault::Malformed | Fault::CutOff | Fault::TooLarge)) if archive.was_decrypted => {
            Err(CertificateError::WrongPassword)
        }
        (Some(true), Err(Fault::Undecryptable)) => Err(CertificateError::NotPfx {
            why: "its contents are encrypted with another password than its MAC".to_owned(),
        }),
        (_, Err(fault)) => Err(fault.unrelated_to_password("its contents are not those of a PKCS#12 file")),
    }
}

/// Returns the contents of the authenticated safe and the MAC.
fn parts(der: &[u8]) -> Result<(&[u8], Option<MacData<'_>>), Fault> {
    let mut pfx = Reader::new(der).sequence()?;
    match pfx.expect(INTEGER)? {
        [3] => {}
        _ => return Err(Fault::Malformed),
    }
    let (kind, content) = content_info(pfx.sequence()?)?;
    let content = match kind {
        oid::DATA => Reader::new(content.ok_or(Fault::Malformed)?).expect(OCTET_STRING)?,
        oid::SIGNED_DATA => return Err(Fault::Unsupported("a signature instead of a MAC".to_owned())),
        _ => return Err(Fault::Malformed),
    };
    let mac = if pfx.is_empty() { None } else { Some(MacData::read(pfx.sequence()?)?) };
    Ok((content, mac))
}

/// Returns the type and the value of a `ContentInfo`.
fn content_info<'a>(mut fields: Reader<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), Fault> {
    let kind = fields.expect(OID)?;
    let content = if fields.is_empty() { None } else { Some(fields.expect(CONTEXT_0)?) };
    Ok((kind, content))
}

impl Archive {
    fn read_authenticated_safe(&mut self, content: &[u8], password: &mut Password<'_>) -> Result<(), Fault> {
        let der = to_der(content)?;
        let mut safes = Reader::new(&der).sequence()?;
        while !safes.is_empty() {
            let (kind, content) = content_info(safes.sequence()?)?;
            let content = content.ok_or(Fault::Malformed)?;
            match kind {
                oid::DATA => self.read_safe_contents(Reader::new(content).expect(OCTET_STRING)?, password)?,
                oid::ENCRYPTED_DATA => {
                    let mut data = Reader::new(content).sequence()?;
                    data.expect(INTEGER)?;
                    let mut info = data.sequence()?;
                    info.expect(OID)?;
                    let algorithm = algorithm(&mut info)?;
                    if !info.is_empty() {
                        let decrypted = decrypt(algorithm, &implicit_octets(info.next()?)?, password)?;
                        self.was_decrypted = true;
                        self.read_safe_contents(&decrypted, password)?;
                    }
                }
                oid::ENVELOPED_DATA => {
                    return Err(Fault::Unsupported(
                        "encryption with a public key instead of a password".to_owned(),
                    ));
                }
                _ => return Err(Fault::Malformed),
            }
        }
        Ok(())
    }

    fn read_safe_contents(&mut self, bytes: &[u8], password: &mut Password<'_>) -> Result<(), Fault> {
        let der = to_der(bytes)?;
        self.read_bags(Reader::new(&der).sequence()?, password)
    }

    fn read_bags(&mut self, mut bags: Reader<'_>, password: &mut Password<'_>) -> Result<(), Fault> {
        while !bags.is_empty() {
            let mut bag = bags.sequence()?;
            let kind = bag.expect(OID)?;
            let mut value = Reader::new(bag.expect(CONTEXT_0)?);
            match kind {
                oid::KEY_BAG => self.read_key(value.next()?.whole)?,
                oid::SHROUDED_KEY_BAG => {
                    let mut encrypted = value.sequence()?;
                    let algorithm = algorithm(&mut encrypted)?;
                    let decrypted = decrypt(algorithm, encrypted.expect(OCTET_STRING)?, password)?;
                    self.was_decrypted = true;
                    self.read_key(&to_der(&decrypted)?)?;
                }
                oid::CERTIFICATE_BAG => {
                    let mut certificate = value.sequence()?;
                    if certificate.expect(OID)? == oid::X509_CERTIFICATE {
                        let der = Reader::new(certificate.expect(CONTEXT_0)?).expect(OCTET_STRING)?;
                        // A readable one keeps its bytes, because its signature covers them.
                        let is_readable = X509Certificate::from_der(der).is_ok();
                        self.certificates.push(if is_readable { der.to_vec() } else { to_der(der)? });
                    }
                }
                // The depth is bounded, because the conversion to DER bounds it.
                oid::SAFE_CONTENTS_BAG => self.read_bags(value.sequence()?, password)?,
                // Revocation lists and secrets.
                _ => {}
            }
        }
        Ok(())
    }

    fn read_key(&mut self, pkcs8: &[u8]) -> Result<(), Fault> {
        self.keys.push(PrivateKey::from_der(pkcs8).map_err(|_| Fault::Malformed)?);
        Ok(())
    }
}

fn algorithm<'a>(fields: &mut Reader<'a>) -> Result<Value<'a>, Fault> {
    let algorithm = fields.next()?;
    if algorithm.tag == SEQUENCE { Ok(algorithm) } else { Err(Fault::Malformed) }
}
