//! PFX files as text: base64, possibly wrapped, quoted, armoured, or in UTF-16.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::ber::{INTEGER, Reader, SEQUENCE, to_der};
use crate::certificate::CertificateError;

/// Accepts base64 with and without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the binary file. Secrets of a vault, CI variables and `certutil -encode` contain it as base64.
///
/// # Errors
/// `Pem` for a key or a certificate in PEM, `NotPfx` for another text.
pub(super) fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CertificateError> {
    // A binary file starts with the tag of a sequence; base64 of it starts with M.
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(Cow::Borrowed(bytes));
    }
    let Some(text) = text(bytes) else { return Ok(Cow::Borrowed(bytes)) };
    let armoured = text.split_once("-----BEGIN ").and_then(|(_, block)| block.split_once("-----"));
    if let Some((_, block)) = armoured {
        let body = block.split_once("-----END ").map_or(block, |(body, _)| body);
        // The label does not decide: certutil writes "CERTIFICATE" around every file.
        return decode(body).filter(|der| is_pfx(der)).map(Cow::Owned).ok_or(CertificateError::Pem);
    }
    let not_pfx = |why: &str| CertificateError::NotPfx { why: why.to_owned() };
    if text.trim().is_empty() {
        return Err(not_pfx("it is empty"));
    }
    decode(text.trim().trim_matches(['"', '\'']))
        .map(Cow::Owned)
        .ok_or_else(|| not_pfx("it is text, but not base64 of a PKCS#12 file"))
}

/// Decodes UTF-8, and UTF-16 with a byte order mark, which PowerShell writes.
fn text(bytes: &[u8]) -> Option<String> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].as_chunks().0.iter().map(|pair| unit(*pair));
        char::decode_utf16(units).collect::<Result<String, _>>().ok()
    };
    match bytes {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ => str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}').to_owned()),
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    BASE64.decode(compact).ok().filter(|bytes| !bytes.is_empty())
}

/// Returns whether the outermost layer is a PFX of version 3.
fn is_pfx(bytes: &[u8]) -> bool {
    to_der(bytes).is_ok_and(|der| {
        let version = Reader::new(&der).sequence().and_then(|mut fields| fields.expect(INTEGER));
        version == Ok(&[3])
    })
}
