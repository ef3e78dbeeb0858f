//! The seal of a line: its number, and a checksum over it and everything before it.
//!
//! A sealed line ends in `,"seq":12,"sum":"0123456789abcdef"}`. The checksum is the first 64 bits of the
//! SHA-256 of the previous checksum and the line's bytes up to `,"sum"`. So a changed, moved, duplicated or
//! missing line breaks the chain. It detects accidents and edits; it is not a signature, because anyone can
//! compute it.

use super::damage_kind::Damage;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::{fmt, io, str};

/// The text before the checksum.
const MARK: &[u8] = b",\"sum\":\"";
/// The text after it: the ends of string, object and line.
const END: &[u8] = b"\"}\n";
const DIGITS: usize = 16;

/// A checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum(u64);

impl Sum {
    /// Returns the checksum of everything before the first sealed line.
    fn of_plain(bytes: &[u8]) -> Self {
        Self::of(&[bytes])
    }

    fn after(self, line: &[u8]) -> Self {
        Self::of(&[self.to_string().as_bytes(), line])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        parts.iter().for_each(|part| hasher.update(part));
        let digest = hasher.finalize();
        Self(digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Parses the 16 lower-case hexadecimal digits of a checksum.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let sound = text.len() == DIGITS && text.bytes().all(hex);
        sound.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The end of the chain: the number and the checksum of its last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) seq: u64,
    pub(super) sum: Sum,
}

impl Chain {
    /// Returns the start of a chain after that many unsealed lines.
    pub(super) fn after_plain(bytes: &[u8], lines: u64) -> Self {
        Self { seq: lines, sum: Sum::of_plain(bytes) }
    }

    /// Seals a line: returns its bytes, and the chain after it.
    pub(super) fn seal(self, mut line: Map<String, Value>) -> io::Result<(Vec<u8>, Self)> {
        let seq = self.seq + 1;
        line.insert("seq".into(), seq.into());
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.pop();
        let sum = self.sum.after(&bytes);
        bytes.extend_from_slice(MARK);
        bytes.extend_from_slice(sum.to_string().as_bytes());
        bytes.extend_from_slice(END);
        Ok((bytes, Self { seq, sum }))
    }

    /// Checks the seal of the next line. `seq` is the line's own number.
    pub(super) fn check(self, bytes: &[u8], seq: Option<u64>) -> Result<Self, Damage> {
        let line = self.seq + 1;
        let (Some((body, sum)), Some(seq)) = (split(bytes), seq) else {
            return Err(Damage::Unsealed { line });
        };
        if seq != line {
            return Err(Damage::Moved { line, was: seq });
        }
        match self.sum.after(body) == sum {
            true => Ok(Self { seq, sum }),
            false => Err(Damage::Altered { line }),
        }
    }

    /// Returns the chain after a line that is accepted unchecked.
    pub(super) fn resume(self, bytes: &[u8]) -> Self {
        let seq = self.seq + 1;
        Self { seq, sum: split(bytes).map_or_else(|| self.sum.after(bytes), |(_, sum)| sum) }
    }
}

/// Splits a sealed line into its sealed part and its checksum.
fn split(bytes: &[u8]) -> Option<(&[u8], Sum)> {
    let rest = bytes.strip_suffix(END)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    Some((rest.strip_suffix(MARK)?, Sum::parse(str::from_utf8(digits).ok()?)?))
}
