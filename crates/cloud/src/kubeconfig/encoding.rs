//! Encodings of a kubeconfig: UTF-8 or UTF-16, written back in the encoding in which it was read.
//!
//! kubectl reads a file that begins with a UTF-16 byte order mark, as Windows PowerShell 5 writes it. The
//! mark stays in the text as its first character, so that a rewrite yields the same bytes.

use super::KubeconfigError;

/// The byte order mark, as a character of the text.
pub(super) const MARK: char = '\u{feff}';

/// The encoding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Encoding {
    #[default]
    Utf8,
    Utf16LittleEndian,
    Utf16BigEndian,
}

impl Encoding {
    /// Decodes the bytes of a file.
    pub fn read(bytes: &[u8]) -> Result<(String, Encoding), KubeconfigError> {
        let unreadable = |why: &str| KubeconfigError::Unreadable { line: None, why: why.to_owned() };
        let encoding = match bytes {
            [0xff, 0xfe, ..] => Self::Utf16LittleEndian,
            [0xfe, 0xff, ..] => Self::Utf16BigEndian,
            _ => Self::Utf8,
        };
        let text = match encoding {
            Self::Utf8 => match str::from_utf8(bytes) {
                Ok(text) if text.contains('\0') => {
                    return Err(unreadable(
                        "it holds zero bytes; save it as UTF-8, or as UTF-16 with a byte order mark",
                    ));
                }
                Ok(text) => text.to_owned(),
                Err(_) => return Err(unreadable("it is neither UTF-8 nor UTF-16 with a byte order mark")),
            },
            Self::Utf16LittleEndian | Self::Utf16BigEndian => {
                let (pairs, rest) = bytes.as_chunks::<2>();
                let units = pairs.iter().map(|pair| encoding.unit(*pair));
                let text = String::from_utf16(&units.collect::<Vec<u16>>());
                match text {
                    Ok(text) if rest.is_empty() => text,
                    _ => return Err(unreadable("it begins like UTF-16 and is not valid UTF-16")),
                }
            }
        };
        Ok((text, encoding))
    }

    /// Encodes a text.
    pub fn write(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16LittleEndian => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16BigEndian => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }

    fn unit(self, pair: [u8; 2]) -> u16 {
        if self == Self::Utf16BigEndian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    }
}

/// Decodes UTF-8, or UTF-16 with a byte order mark, and drops the mark.
///
/// # Errors
/// The reason, as a clause.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, String> {
    match Encoding::read(bytes) {
        Ok((text, _)) => Ok(split_mark(&text).1.to_owned()),
        Err(KubeconfigError::Unreadable { why, .. }) => Err(why),
        Err(error) => Err(error.to_string()),
    }
}

/// Splits the byte order mark from a text.
pub(super) fn split_mark(text: &str) -> (&str, &str) {
    text.split_at(if text.starts_with(MARK) { MARK.len_utf8() } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_encoding() {
        let utf16 = |bytes: fn(u16) -> [u8; 2]| {
            "\u{feff}a: \"ä𝄞\"\r\n".encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
        };
        for bytes in [
            b"a: 1\n".to_vec(),
            "\u{feff}a: 1\n".as_bytes().to_vec(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
            Vec::new(),
        ] {
            let (text, encoding) = Encoding::read(&bytes).unwrap();
            assert_eq!(encoding.write(&text), bytes);
            assert!(text.is_empty() || split_mark(&text).1.starts_with("a: "), "{text:?}");
        }
    }

    #[test]
    fn an_unsupported_encoding_is_named() {
        for bytes in [&[0xff, 0xfe, 0x00][..], &[0xff, 0xfe, 0x00, 0xd8], b"a\0:\0", &[0xe4]] {
            let error = Encoding::read(bytes).unwrap_err().to_string();
            assert!(error.contains("UTF-16"), "{error}");
        }
    }
}
