//! The data of records: from the JSON of Azure DNS to bytes.
//!
//! Source: RFC 1035 §3.3 and the RFC of each type, named at its line.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::wire::name_bytes;

/// The record types that Azure DNS has, by number.
const KINDS: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("DS", 43),
    ("TLSA", 52),
    ("CAA", 257),
];

/// Returns the number of a type.
pub(crate) fn number(kind: &str) -> Option<u16> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, number)| *number)
}

/// Returns the bytes of a record, which Azure DNS has accepted; `None` for a value that has no form on the wire.
pub(crate) fn encode(kind: &str, record: &Value) -> Option<Vec<u8>> {
    let name = |field: &str| record[field].as_str().map(name_bytes);
    let byte = |value: &Value| value.as_u64().and_then(|number| u8::try_from(number).ok());
    let short = |field: &str| record[field].as_u64().and_then(|number| u16::try_from(number).ok());
    let long = |field: &str| record[field].as_u64().and_then(|number| u32::try_from(number).ok());
    let mut data = Vec::new();
    match kind {
        "A" => data.extend(record["ipv4Address"].as_str()?.parse::<Ipv4Addr>().ok()?.octets()),
        // RFC 3596
        "AAAA" => data.extend(record["ipv6Address"].as_str()?.parse::<Ipv6Addr>().ok()?.octets()),
        "NS" => data = name("nsdname")?,
        "CNAME" => data = name("cname")?,
        "PTR" => data = name("ptrdname")?,
        "SOA" => {
            data = name("host")?;
            data.extend(name("email")?);
            for field in ["serialNumber", "refreshTime", "retryTime", "expireTime", "minimumTTL"] {
                data.extend(long(field)?.to_be_bytes());
            }
        }
        "MX" => {
            data.extend(short("preference")?.to_be_bytes());
            data.extend(name("exchange")?);
        }
        "TXT" => {
            for text in record["value"].as_array()? {
                data.extend(string(text.as_str()?)?);
            }
        }
        // RFC 2782
        "SRV" => {
            for field in ["priority", "weight", "port"] {
                data.extend(short(field)?.to_be_bytes());
            }
            data.extend(name("target")?);
        }
        // RFC 3403
        "NAPTR" => {
            for field in ["order", "preference"] {
                data.extend(short(field)?.to_be_bytes());
            }
            for field in ["flags", "services", "regexp"] {
                data.extend(string(record[field].as_str()?)?);
            }
            data.extend(name("replacement")?);
        }
        // RFC 4034 §5
        "DS" => {
            data.extend(short("keyTag")?.to_be_bytes());
            data.extend([byte(&record["algorithm"])?, byte(&record["digest"]["algorithmType"])?]);
            data.extend(hex(record["digest"]["value"].as_str()?)?);
        }
        // RFC 6698
        "TLSA" => {
            for field in ["usage", "selector", "matchingType"] {
                data.push(byte(&record[field])?);
            }
            data.extend(hex(record["certAssociationData"].as_str()?)?);
        }
        // RFC 8659 §4.1
        "CAA" => {
            data.push(byte(&record["flags"])?);
            data.extend(string(record["tag"].as_str()?)?);
            data.extend(record["value"].as_str()?.bytes());
        }
        _ => return None,
    }
    Some(data)
}

/// Returns a character string with its length.
fn string(text: &str) -> Option<Vec<u8>> {
    let mut data = vec![u8::try_from(text.len()).ok()?];
    data.extend(text.bytes());
    Some(data)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Returns the text of a TXT record: its strings without their boundaries.
pub(crate) fn text_of(mut data: &[u8]) -> String {
    let mut text = Vec::new();
    while let [length, rest @ ..] = data {
        let length = usize::from(*length).min(rest.len());
        text.extend_from_slice(&rest[..length]);
        data = &rest[length..];
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A record that authorises certificate authorities (RFC 8659 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caa {
    /// True if an authority that does not know the tag must not issue.
    pub(crate) critical: bool,
    /// The tag in lower case.
    pub(crate) tag: String,
    pub(crate) value: String,
}

/// Returns the data of a CAA record.
pub(crate) fn caa_of(data: &[u8]) -> Option<Caa> {
    let [flags, length, rest @ ..] = data else { return None };
    let (tag, value) = rest.split_at_checked(usize::from(*length))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Caa { critical: flags & 128 != 0, tag: text(tag).to_ascii_lowercase(), value: text(value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_type_has_its_bytes() {
        let bytes = |kind, record| encode(kind, &record).unwrap();
        assert_eq!(bytes("A", json!({"ipv4Address": "127.0.0.11"})), [127, 0, 0, 11]);
        assert_eq!(bytes("AAAA", json!({"ipv6Address": "::1"}))[15], 1);
        assert_eq!(bytes("NS", json!({"nsdname": "a.b."})), b"\x01a\x01b\0");
        assert_eq!(bytes("MX", json!({"preference": 10, "exchange": "m"})), b"\0\x0a\x01m\0");
        assert_eq!(bytes("TXT", json!({"value": ["ab", "c"]})), b"\x02ab\x01c");
        let srv = json!({"priority": 1, "weight": 2, "port": 443, "target": "t"});
        assert_eq!(bytes("SRV", srv), b"\0\x01\0\x02\x01\xbb\x01t\0");
        let naptr = json!({"order": 1, "preference": 2, "flags": "u", "services": "x", "regexp": "", "replacement": "."});
        assert_eq!(bytes("NAPTR", naptr), b"\0\x01\0\x02\x01u\x01x\0\0");
        let ds = json!({"keyTag": 258, "algorithm": 8, "digest": {"algorithmType": 2, "value": "0aFF"}});
        assert_eq!(bytes("DS", ds), [1, 2, 8, 2, 10, 255]);
        let tlsa = json!({"usage": 3, "selector": 1, "matchingType": 1, "certAssociationData": "00"});
        assert_eq!(bytes("TLSA", tlsa), [3, 1, 1, 0]);
        let caa = bytes("CAA", json!({"flags": 128, "tag": "Issue", "value": "letsencrypt.org"}));
        let read = Caa { critical: true, tag: "issue".to_owned(), value: "letsencrypt.org".to_owned() };
        assert_eq!(caa_of(&caa), Some(read));
        let soa = json!({
            "host": "n.", "email": "e", "serialNumber": 1, "refreshTime": 2, "retryTime": 3, "expireTime": 4,
            "minimumTTL": 5,
        });
        assert_eq!(bytes("SOA", soa).len(), 3 + 3 + 20);
        assert_eq!(text_of(b"\x02ab\x01c"), "abc");
        assert!(KINDS.iter().all(|(name, number_of)| number(name) == Some(*number_of)));
    }

    #[test]
    fn a_value_without_a_form_on_the_wire_is_left_out() {
        assert_eq!(
            encode(
                "TLSA",
                &json!({"usage": 3, "selector": 1, "matchingType": 1, "certAssociationData": "0"})
            ),
            None
        );
        assert_eq!(encode("A", &json!({"ipv4Address": "x"})), None);
        assert_eq!(encode("SOA", &json!({"host": "n", "email": "e", "serialNumber": u64::MAX})), None);
        assert_eq!(caa_of(&[0, 9, b'x']), None);
    }
}
