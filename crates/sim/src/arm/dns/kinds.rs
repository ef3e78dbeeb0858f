//! The types of record sets: the field of their records, and the rules for a record (DNS REST API, "Record sets").

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

use crate::arm::dns::field;
use crate::arm::versions;

/// The api-versions that know the record types of DNSSEC and NAPTR.
const PREVIEW: &[&str] = &["2023-07-01-preview"];
/// The maximum length of one string of a TXT record.
const TXT_STRING_MAX: usize = 255;
/// The maximum length of all strings of a TXT record together.
const TXT_RECORD_MAX: usize = 4096;

/// A type of record sets.
pub(super) struct RecordKind {
    /// The name in a URL, such as `CNAME`.
    pub(super) name: &'static str,
    /// The resource type.
    pub(super) resource_type: &'static str,
    /// The path of the sets of this type.
    pub(super) list: &'static str,
    /// The path of one set.
    pub(super) one: &'static str,
    /// The supported api-versions.
    pub(super) versions: &'static [&'static str],
    /// The property with the records: a list, or one object if its name is in the singular.
    pub(super) field: &'static str,
    /// Returns a valid record with the service's spelling of its properties, or what is wrong with it.
    pub(super) parse: fn(&Value) -> Result<Value, String>,
}

macro_rules! kind {
    ($name:literal, $field:literal, $versions:expr, $parse:expr) => {
        RecordKind {
            name: $name,
            resource_type: concat!("Microsoft.Network/dnszones/", $name),
            list: concat!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}/",
                $name
            ),
            one: concat!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}/",
                $name,
                "/{record}"
            ),
            versions: $versions,
            field: $field,
            parse: $parse,
        }
    };
}

/// Every type.
pub(super) const KINDS: &[RecordKind] = &[
    kind!("A", "ARecords", versions::DNS, |record| {
        let text = text(record, "ipv4Address")?;
        let address: Ipv4Addr = text.parse().map_err(|_| format!("'{text}' is not a valid IPv4 address."))?;
        Ok(json!({ "ipv4Address": address.to_string() }))
    }),
    kind!("AAAA", "AAAARecords", versions::DNS, |record| {
        let text = text(record, "ipv6Address")?;
        let address: Ipv6Addr = text.parse().map_err(|_| format!("'{text}' is not a valid IPv6 address."))?;
        Ok(json!({ "ipv6Address": address.to_string() }))
    }),
    kind!("CAA", "caaRecords", versions::DNS, |record| {
        let (tag, value) = (text(record, "tag")?, text(record, "value")?);
        Ok(json!({ "flags": number(record, "flags", 255)?, "tag": tag, "value": value }))
    }),
    kind!("CNAME", "CNAMERecord", versions::DNS, |record| Ok(json!({ "cname": domain(record, "cname")? }))),
    kind!("DS", "DSRecords", PREVIEW, |record| {
        let digest = field(record, "digest");
        let digest = json!({
            "algorithmType": number(digest, "algorithmType", 255)?, "value": text(digest, "value")?,
        });
        let (key_tag, algorithm) = (number(record, "keyTag", 65_535)?, number(record, "algorithm", 255)?);
        Ok(json!({ "keyTag": key_tag, "algorithm": algorithm, "digest": digest }))
    }),
    kind!("MX", "MXRecords", versions::DNS, |record| {
        Ok(
            json!({ "preference": number(record, "preference", 65_535)?, "exchange": domain(record, "exchange")? }),
        )
    }),
    kind!("NAPTR", "NAPTRRecords", PREVIEW, |record| {
        let texts = ["flags", "services", "regexp", "replacement"]
            .map(|name| (name.to_owned(), json!(field(record, name).as_str().unwrap_or_default())));
        let mut parsed: Map<String, Value> = texts.into_iter().collect();
        for name in ["order", "preference"] {
            parsed.insert(name.to_owned(), number(record, name, 65_535)?);
        }
        Ok(Value::Object(parsed))
    }),
    kind!("NS", "NSRecords", versions::DNS, |record| Ok(json!({ "nsdname": domain(record, "nsdname")? }))),
    kind!("PTR", "PTRRecords", versions::DNS, |record| Ok(
        json!({ "ptrdname": domain(record, "ptrdname")? })
    )),
    kind!("SOA", "SOARecord", versions::DNS, |record| {
        let email = text(record, "email")?;
        let mut parsed = json!({ "host": field(record, "host"), "email": email });
        for name in ["serialNumber", "refreshTime", "retryTime", "expireTime", "minimumTTL"] {
            parsed[name] = number(record, name, i64::MAX as u64)?;
        }
        Ok(parsed)
    }),
    kind!("SRV", "SRVRecords", versions::DNS, |record| {
        let mut parsed = json!({ "target": domain(record, "target")? });
        for name in ["priority", "weight", "port"] {
            parsed[name] = number(record, name, 65_535)?;
        }
        Ok(parsed)
    }),
    kind!("TLSA", "TLSARecords", PREVIEW, |record| {
        let mut parsed = json!({ "certAssociationData": text(record, "certAssociationData")? });
        for name in ["usage", "selector", "matchingType"] {
            parsed[name] = number(record, name, 255)?;
        }
        Ok(parsed)
    }),
    kind!("TXT", "TXTRecords", versions::DNS, txt),
];

impl RecordKind {
    /// Returns the type of a route or a stored set.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    /// Returns whether a set of this type has one record as an object.
    pub(super) fn is_single(&self) -> bool {
        !self.field.ends_with('s')
    }
}

fn text(record: &Value, name: &str) -> Result<String, String> {
    let text = field(record, name).as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| format!("The property '{name}' of a record is required."))
}

fn number(record: &Value, name: &str, max: u64) -> Result<Value, String> {
    let number = field(record, name).as_u64().filter(|number| *number <= max);
    number
        .map(|number| json!(number))
        .ok_or_else(|| format!("The property '{name}' of a record must be a number between 0 and {max}."))
}

fn domain(record: &Value, name: &str) -> Result<String, String> {
    let text = text(record, name)?;
    match is_domain(text.strip_suffix('.').unwrap_or(&text)) {
        true => Ok(text),
        false => Err(format!("The domain name '{text}' is invalid.")),
    }
}

/// Returns whether a name has only labels of 1 to 63 letters, digits, hyphens and underscores.
pub(super) fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn txt(record: &Value) -> Result<Value, String> {
    let strings: Option<Vec<&str>> =
        field(record, "value").as_array().map(|all| all.iter().filter_map(Value::as_str).collect());
    let strings = strings.filter(|strings| !strings.is_empty());
    let strings = strings.ok_or("The property 'value' of a TXT record must be a list of strings.")?;
    if let Some(long) = strings.iter().find(|text| text.len() > TXT_STRING_MAX) {
        return Err(format!(
            "A string of a TXT record must have at most {TXT_STRING_MAX} characters, but one has {}.",
            long.len()
        ));
    }
    let all: usize = strings.iter().map(|text| text.len()).sum();
    if all > TXT_RECORD_MAX {
        return Err(format!(
            "A TXT record must have at most {TXT_RECORD_MAX} characters, but one has {all}."
        ));
    }
    Ok(json!({ "value": strings }))
}
