//! The bytes of DNS messages: names with compression, numbers and records.
//!
//! Source: RFC 1035 §4.1.

use super::record::{INTERNET, Record, kind};

/// The maximum length of a name in bytes (RFC 1035 §2.3.4).
const NAME_MAX: usize = 255;
/// The maximum number of compression pointers in one name.
const POINTERS_MAX: usize = 32;

/// Encodes a name without compression; labels that are too long or empty end it.
pub(crate) fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in labels(name) {
        let Ok(length @ 1..=63) = u8::try_from(label.len()) else { break };
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// Decodes the uncompressed name at the start of a record's data.
pub(crate) fn name_in(data: &[u8]) -> Option<String> {
    Reader { bytes: data, at: 0 }.name()
}

fn labels(name: &str) -> impl Iterator<Item = &str> {
    name.trim_end_matches('.').split('.').filter(|label| !label.is_empty())
}

/// Writes a message.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    /// The names so far, in lower case, with their positions.
    names: Vec<(String, u16)>,
}

impl Writer {
    pub(super) fn number(&mut self, number: u16) {
        self.bytes.extend(number.to_be_bytes());
    }

    /// Writes a name; a suffix that was written before becomes a pointer.
    pub(super) fn name(&mut self, name: &str) {
        let mut rest = name.trim_end_matches('.');
        while !rest.is_empty() {
            let suffix = rest.to_ascii_lowercase();
            if let Some((_, at)) = self.names.iter().find(|(known, _)| *known == suffix) {
                return self.number(0xc000 | at);
            }
            if let Ok(at @ 0..0x4000) = u16::try_from(self.bytes.len()) {
                self.names.push((suffix, at));
            }
            let (label, after) = rest.split_once('.').unwrap_or((rest, ""));
            let Ok(length @ 1..=63) = u8::try_from(label.len()) else { break };
            self.bytes.push(length);
            self.bytes.extend_from_slice(label.as_bytes());
            rest = after;
        }
        self.bytes.push(0);
    }

    pub(super) fn record(&mut self, record: &Record) {
        self.name(&record.name);
        self.number(record.kind);
        self.number(INTERNET);
        self.bytes.extend(record.ttl.to_be_bytes());
        self.number(u16::try_from(record.data.len()).unwrap_or(u16::MAX));
        self.bytes.extend_from_slice(&record.data);
    }
}

/// Reads a message.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Reads a name of printable ASCII. Pointers only lead backwards, so that no name is endless.
    pub(super) fn name(&mut self) -> Option<String> {
        let (mut name, mut at, mut pointers) = (String::new(), self.at, 0);
        loop {
            let length = usize::from(*self.bytes.get(at)?);
            match length {
                0 => {
                    if pointers == 0 {
                        self.at = at + 1;
                    }
                    return Some(name);
                }
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + length)?;
                    if label.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'.') {
                        return None;
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(str::from_utf8(label).ok()?);
                    at += 1 + length;
                }
                0xc0.. => {
                    let target = (length & 0x3f) << 8 | usize::from(*self.bytes.get(at + 1)?);
                    if pointers == 0 {
                        self.at = at + 2;
                    }
                    pointers += 1;
                    if target >= at || pointers > POINTERS_MAX {
                        return None;
                    }
                    at = target;
                }
                _ => return None,
            }
            if name.len() > NAME_MAX {
                return None;
            }
        }
    }

    /// Reads a record and its class.
    pub(super) fn record(&mut self) -> Option<(Record, u16)> {
        let name = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        let ttl = u32::from_be_bytes(*self.take(4)?.first_chunk()?);
        let length = usize::from(self.number()?);
        let begin = self.at;
        let raw = self.take(length)?;
        let data = match kind {
            kind::NS | kind::CNAME => {
                name_bytes(&Self { bytes: self.bytes.get(..begin + length)?, at: begin }.name()?)
            }
            _ => raw.to_vec(),
        };
        Some((Record { name, kind, ttl, data }, class))
    }
}
