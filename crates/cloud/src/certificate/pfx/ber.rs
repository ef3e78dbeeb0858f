//! Conversion of BER to DER (X.690), and a reader of DER.
//!
//! BouncyCastle, NSS and EJBCA write PFX files with indefinite lengths and constructed octet strings. Parsers of
//! DER refuse both. The contents of primitive values stay byte for byte, so signatures and MACs stay valid.

use super::fault::Fault;

/// The maximum depth of nested values; a PFX file has about 10.
const DEPTH_MAX: usize = 64;
/// The maximum size of the input in bytes; a PFX file with a long chain has about 10 KiB.
const BYTES_MAX: usize = 1024 * 1024;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// The context-specific tag 0, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;
const CONTEXT_0_PRIMITIVE: u8 = 0x80;
const OCTET_STRING_CONSTRUCTED: u8 = 0x24;
const CONSTRUCTED: u8 = 0x20;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// Converts the first value of the input to DER. Bytes after it are ignored, as OpenSSL does.
///
/// # Errors
/// `Malformed`, `CutOff`, or `TooLarge` if a bound is exceeded.
pub(super) fn to_der(input: &[u8]) -> Result<Vec<u8>, Fault> {
    if input.len() > BYTES_MAX {
        return Err(Fault::TooLarge);
    }
    let mut der = Vec::with_capacity(input.len());
    convert(input, 0, &mut der)?;
    Ok(der)
}

/// The identifier and the length of a value.
struct Header<'a> {
    identifier: &'a [u8],
    /// `None` is the indefinite length.
    length: Option<usize>,
    contents: &'a [u8],
}

fn header(input: &[u8]) -> Result<Header<'_>, Fault> {
    let first = *input.first().ok_or(Fault::CutOff)?;
    let identifier = match first & 0x1f {
        0x1f => 2 + input.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count(),
        _ => 1,
    };
    let (identifier, rest) = input.split_at_checked(identifier).ok_or(Fault::CutOff)?;
    let (short, rest) = rest.split_first().ok_or(Fault::CutOff)?;
    let (length, contents) = match short {
        0x80 if first & CONSTRUCTED == 0 => return Err(Fault::Malformed),
        0x80 => (None, rest),
        0xff => return Err(Fault::Malformed),
        short if short & 0x80 == 0 => (Some(usize::from(*short)), rest),
        long => {
            let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f)).ok_or(Fault::CutOff)?;
            let length = octets.iter().try_fold(0_usize, |length, octet| {
                length.checked_mul(256).and_then(|length| length.checked_add(usize::from(*octet)))
            });
            (Some(length.ok_or(Fault::Malformed)?), rest)
        }
    };
    Ok(Header { identifier, length, contents })
}

/// Appends the first value as DER and returns the input after it.
fn convert<'a>(input: &'a [u8], depth: usize, der: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    if depth > DEPTH_MAX {
        return Err(Fault::TooLarge);
    }
    let Header { identifier, length, contents } = header(input)?;
    if identifier[0] & CONSTRUCTED == 0 {
        let (value, rest) = contents.split_at_checked(length.unwrap_or(0)).ok_or(Fault::CutOff)?;
        write(identifier, value, der);
        return Ok(rest);
    }
    let mut inner = Vec::new();
    let rest = match length {
        Some(length) => {
            let (mut values, rest) = contents.split_at_checked(length).ok_or(Fault::CutOff)?;
            while !values.is_empty() {
                values = convert(values, depth + 1, &mut inner)?;
            }
            rest
        }
        None => {
            let mut values = contents;
            loop {
                match values.strip_prefix(&END_OF_CONTENTS) {
                    Some(rest) => break rest,
                    None => values = convert(values, depth + 1, &mut inner)?,
                }
            }
        }
    };
    match identifier {
        [OCTET_STRING_CONSTRUCTED] => write(&[OCTET_STRING], &join(&inner)?, der),
        _ => write(identifier, &inner, der),
    }
    Ok(rest)
}

/// Appends a value with the shortest form of its length.
fn write(identifier: &[u8], contents: &[u8], der: &mut Vec<u8>) {
    der.extend_from_slice(identifier);
    let octets = contents.len().to_be_bytes();
    let leading = octets.iter().take_while(|octet| **octet == 0).count();
    match contents.len() {
        short @ 0..0x80 => der.push(short as u8),
        _ => {
            der.push(0x80 | (octets.len() - leading) as u8);
            der.extend_from_slice(&octets[leading..]);
        }
    }
    der.extend_from_slice(contents);
}

/// Concatenates the contents of octet strings.
fn join(octet_strings: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut joined = Vec::with_capacity(octet_strings.len());
    let mut reader = Reader::new(octet_strings);
    while !reader.is_empty() {
        joined.extend_from_slice(reader.expect(OCTET_STRING)?);
    }
    Ok(joined)
}

/// A value in DER.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub tag: u8,
    pub contents: &'a [u8],
    /// The contents with tag and length.
    pub whole: &'a [u8],
}

/// Reads a series of values.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(der: &'a [u8]) -> Reader<'a> {
        Reader { rest: der }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the next value of any kind.
    pub(super) fn next(&mut self) -> Result<Value<'a>, Fault> {
        let Header { identifier, length, contents } = header(self.rest)?;
        let length = length.ok_or(Fault::Malformed)?;
        let (contents, rest) = contents.split_at_checked(length).ok_or(Fault::Malformed)?;
        let whole = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Ok(Value { tag: identifier[0], contents, whole })
    }

    /// Returns the contents of the next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Fault> {
        let value = self.next()?;
        if value.tag == tag { Ok(value.contents) } else { Err(Fault::Malformed) }
    }

    /// Returns a reader of the next value, which must be a sequence.
    pub(super) fn sequence(&mut self) -> Result<Reader<'a>, Fault> {
        self.expect(SEQUENCE).map(Reader::new)
    }

    /// Returns the next value as a number that fits into 63 bits.
    pub(super) fn number(&mut self) -> Result<u64, Fault> {
        let octets = self.expect(INTEGER)?;
        if octets.is_empty() || octets[0] & 0x80 != 0 {
            return Err(Fault::Malformed);
        }
        Ok(octets
            .iter()
            .fold(0_u64, |number, octet| number.saturating_mul(256).saturating_add((*octet).into())))
    }
}

/// Returns the contents of an octet string with the implicit tag 0. Its constructed form keeps its parts in the
/// conversion, because the tag does not say that they are octet strings.
pub(super) fn implicit_octets(value: Value<'_>) -> Result<Vec<u8>, Fault> {
    match value.tag {
        CONTEXT_0_PRIMITIVE => Ok(value.contents.to_vec()),
        CONTEXT_0 => join(value.contents),
        _ => Err(Fault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tree of values; an octet string may be written in parts.
    #[derive(Debug, Clone)]
    enum Tree {
        Primitive(u8, Vec<u8>),
        Constructed(u8, Vec<Tree>),
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let primitive = (
            prop::sample::select(vec![0x02, 0x04, 0x06, 0x0c, 0x80, 0x81]),
            prop::collection::vec(any::<u8>(), 0..300),
        )
            .prop_map(|(tag, contents)| Tree::Primitive(tag, contents));
        primitive.prop_recursive(6, 40, 6, |inner| {
            (prop::sample::select(vec![0x30, 0x31, 0xa0, 0xa3]), prop::collection::vec(inner, 0..6))
                .prop_map(|(tag, values)| Tree::Constructed(tag, values))
        })
    }

    fn der(tree: &Tree) -> Vec<u8> {
        let mut written = Vec::new();
        match tree {
            Tree::Primitive(tag, contents) => write(&[*tag], contents, &mut written),
            Tree::Constructed(tag, values) => {
                write(&[*tag], &values.iter().flat_map(der).collect::<Vec<u8>>(), &mut written);
            }
        }
        written
    }

    fn indefinite(contents: &[u8], tag: u8) -> Vec<u8> {
        [&[tag, 0x80], contents, &END_OF_CONTENTS].concat()
    }

    fn ber(tree: &Tree) -> Vec<u8> {
        match tree {
            Tree::Primitive(OCTET_STRING, contents) => {
                let parts =
                    contents.chunks(100).flat_map(|part| der(&Tree::Primitive(OCTET_STRING, part.to_vec())));
                indefinite(&parts.collect::<Vec<u8>>(), OCTET_STRING_CONSTRUCTED)
            }
            Tree::Primitive(..) => der(tree),
            Tree::Constructed(tag, values) => {
                indefinite(&values.iter().flat_map(ber).collect::<Vec<u8>>(), *tag)
            }
        }
    }

    proptest! {
        #[test]
        fn der_is_unchanged(tree in tree()) {
            prop_assert_eq!(to_der(&der(&tree)), Ok(der(&tree)));
        }

        #[test]
        fn ber_becomes_der_whatever_follows_it(tree in tree(), after in prop::collection::vec(any::<u8>(), 0..4)) {
            let input = [ber(&tree), after].concat();
            prop_assert_eq!(to_der(&input), Ok(der(&tree)));
        }

        #[test]
        fn no_input_panics(input in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(der) = to_der(&input) {
                prop_assert_eq!(to_der(&der), Ok(der.clone()));
            }
        }
    }

    #[test]
    fn long_forms_of_a_length_become_the_shortest() {
        assert_eq!(to_der(&[0x30, 0x84, 0, 0, 0, 3, 0x02, 0x81, 1, 7]).unwrap_err(), Fault::CutOff);
        assert_eq!(to_der(&[0x30, 0x84, 0, 0, 0, 4, 0x02, 0x81, 1, 7]), Ok(vec![0x30, 3, 0x02, 1, 7]));
    }

    #[test]
    fn depth_and_size_have_bounds() {
        let nested = |depth: usize| [[0x30, 0x80].repeat(depth), END_OF_CONTENTS.repeat(depth)].concat();
        assert!(to_der(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(to_der(&nested(100_000)), Err(Fault::TooLarge));
        assert_eq!(to_der(&vec![0; BYTES_MAX + 1]), Err(Fault::TooLarge));
    }
}
