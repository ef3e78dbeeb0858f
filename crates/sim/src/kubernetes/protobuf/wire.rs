//! The protobuf wire format: a sequence of numbered fields.
//!
//! Contract: <https://protobuf.dev/programming-guides/encoding/>.

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireValue<'b> {
    /// An integer.
    Number(i64),
    /// A string, bytes, or a message.
    Bytes(&'b [u8]),
}

impl<'b> WireValue<'b> {
    /// Returns the bytes.
    ///
    /// # Errors
    /// The field is an integer.
    pub fn bytes(&self) -> Result<&'b [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err("proto: wrong wireType: a number where bytes should be".into()),
        }
    }

    /// Returns the integer.
    ///
    /// # Errors
    /// The field is bytes.
    pub fn number(&self) -> Result<i64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Bytes(_) => Err("proto: wrong wireType: bytes where a number should be".into()),
        }
    }
}

/// Returns the fields of a message with their numbers, in order.
///
/// # Errors
/// The bytes are truncated, or use a wire type that Kubernetes does not use.
pub fn parts(mut bytes: &[u8]) -> Result<Vec<(u64, WireValue<'_>)>, String> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let part = match tag & 7 {
            // Negative integers are encoded as unsigned ones with the same bits.
            0 => WireValue::Number(varint(&mut bytes)?.cast_signed()),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).unwrap_or(usize::MAX);
                let (head, rest) = bytes.split_at_checked(length).ok_or("unexpected EOF")?;
                bytes = rest;
                WireValue::Bytes(head)
            }
            other => return Err(format!("proto: illegal wireType {other}")),
        };
        parts.push((tag >> 3, part));
    }
    Ok(parts)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or("unexpected EOF")?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("proto: integer overflow".into())
}

/// Writes a field with bytes: a string or a message.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a boolean field that is true.
pub fn put_flag(out: &mut Vec<u8>, field: u32) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, 1);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_are_distinguished() {
        assert_eq!(
            parts(&[0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i']),
            Ok(vec![(1, WireValue::Number(150)), (2, WireValue::Bytes(b"hi"))])
        );
        let negative = [&[0x08][..], &[0xff; 9], &[0x01]].concat();
        assert_eq!(parts(&negative), Ok(vec![(1, WireValue::Number(-1))]));
    }

    #[test]
    fn written_fields_are_read_again() {
        let mut out = Vec::new();
        put_bytes(&mut out, 31, &[b'x'; 300]);
        put_flag(&mut out, 20);
        assert_eq!(parts(&out), Ok(vec![(31, WireValue::Bytes(&[b'x'; 300])), (20, WireValue::Number(1))]));
    }

    #[test]
    fn truncated_bytes_are_an_error() {
        for broken in
            [&[0x08][..], &[0x12, 0x05, b'h'], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x0d, 0, 0, 0, 0]]
        {
            assert!(parts(broken).is_err(), "{broken:?}");
        }
    }
}
