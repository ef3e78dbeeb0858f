//! The values of expressions. Objects and lists of a resource stay JSON; their schema gives the types of fields.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::expression::unescaped;
use crate::kubernetes::schema::traverse::{self, ListKind, list_kind};

/// A value.
#[derive(Debug, Clone)]
pub enum CelValue<'v> {
    /// The null value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// A string.
    Text(Cow<'v, str>),
    /// Bytes.
    Bytes(Rc<Vec<u8>>),
    /// A list that the expression computed.
    List(Rc<Vec<CelValue<'v>>>),
    /// A map that the expression computed.
    Map(Rc<Vec<(CelValue<'v>, CelValue<'v>)>>),
    /// A list or an object of the resource, with its schema.
    Json(&'v Value, &'v Value),
    /// A duration.
    Duration(SignedDuration),
    /// A point in time.
    Time(Timestamp),
    /// A quantity, in billionths.
    Quantity(i128),
    /// An IP address.
    Ip(IpAddr),
    /// An address range.
    Network(IpNet),
    /// An optional value.
    Optional(Option<Rc<CelValue<'v>>>),
    /// A type, by its name.
    Type(&'static str),
}

impl<'v> CelValue<'v> {
    /// Returns a value of the resource in the type of its schema.
    pub fn of(schema: &'v Value, value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(is) => Self::Bool(*is),
            Value::Number(number) => match number.as_i64() {
                Some(whole) if schema["type"] != "number" => Self::Int(whole),
                _ => Self::Double(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::of_text(schema, text),
            Value::Array(_) | Value::Object(_) => Self::Json(schema, value),
        }
    }

    fn of_text(schema: &Value, text: &'v str) -> Self {
        match schema["format"].as_str() {
            Some("date-time") => text.parse().map_or(Self::text(text), Self::Time),
            Some("date") => format!("{text}T00:00:00Z").parse().map_or(Self::text(text), Self::Time),
            Some("duration") => parse_duration(text).map_or(Self::text(text), Self::Duration),
            Some("byte") => {
                STANDARD.decode(text).map_or(Self::text(text), |bytes| Self::Bytes(Rc::new(bytes)))
            }
            _ => Self::text(text),
        }
    }

    pub(super) fn text(text: &'v str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(super) fn owned(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }

    pub(super) fn list(items: Vec<CelValue<'v>>) -> Self {
        Self::List(Rc::new(items))
    }

    /// Returns the items of a list or the keys of a map; `None` for other values.
    pub(super) fn items(&self) -> Option<Vec<CelValue<'v>>> {
        match self {
            Self::List(items) => Some(items.to_vec()),
            Self::Map(entries) => Some(entries.iter().map(|(key, _)| key.clone()).collect()),
            Self::Json(schema, Value::Array(list)) => {
                Some(list.iter().map(|item| Self::of(traverse::items(schema), item)).collect())
            }
            Self::Json(_, Value::Object(map)) => Some(map.keys().map(|key| Self::text(key)).collect()),
            _ => None,
        }
    }

    /// Returns whether the value is a map or an object.
    pub(super) fn is_map(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Json(_, Value::Object(_)))
    }

    /// Returns the value of a field or key. A null field of a structure counts as absent.
    pub(super) fn field(&self, name: &str) -> Option<CelValue<'v>> {
        match self {
            Self::Map(_) => self.entry(&Self::owned(name.to_owned())),
            Self::Json(schema, Value::Object(map)) => {
                let unescaped = unescaped(name);
                let name = if traverse::names_field(schema, name) || map.contains_key(name) {
                    name
                } else {
                    &unescaped
                };
                let value = map.get(name)?;
                let is_field = traverse::names_field(schema, name);
                (!is_field || !value.is_null())
                    .then(|| Self::of(traverse::field(schema, name).unwrap_or(&traverse::UNDESCRIBED), value))
            }
            _ => None,
        }
    }

    /// Returns the value of a key.
    pub(super) fn entry(&self, key: &CelValue<'v>) -> Option<CelValue<'v>> {
        match self {
            Self::Map(entries) => entries.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone()),
            Self::Json(_, Value::Object(_)) => match key {
                Self::Text(key) => self.field(key),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) | Self::Json(_, Value::Array(_)) => "list",
            Self::Map(_) | Self::Json(..) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Time(_) => "google.protobuf.Timestamp",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Ip(_) => "net.IP",
            Self::Network(_) => "net.CIDR",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
        }
    }

    /// Compares two values of one type, or two numbers; `None` for others.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Bytes(left), Self::Bytes(right)) => Some(left.cmp(right)),
            (Self::Duration(left), Self::Duration(right)) => Some(left.cmp(right)),
            (Self::Time(left), Self::Time(right)) => Some(left.cmp(right)),
            (Self::Quantity(left), Self::Quantity(right)) => Some(left.cmp(right)),
            _ => match (self.whole(), other.whole()) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => self.number()?.partial_cmp(&other.number()?),
            },
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(i128::from(*number)),
            Self::Uint(number) => Some(i128::from(*number)),
            _ => None,
        }
    }

    /// Returns a number of any type.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Uint(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }
}

/// Two lists of the resource whose items have keys are equal in any order.
impl PartialEq for CelValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Ip(left), Self::Ip(right)) => left == right,
            (Self::Network(left), Self::Network(right)) => left == right,
            (Self::Optional(left), Self::Optional(right)) => left == right,
            (Self::Type(left), Self::Type(right)) => left == right,
            (Self::Json(_, left), Self::Json(_, right)) if left == right => true,
            _ if self.is_map() || other.is_map() => match (self.items(), other.items()) {
                (Some(left), Some(right)) if self.is_map() && other.is_map() => {
                    left.len() == right.len()
                        && left
                            .iter()
                            .all(|key| self.entry(key).is_some_and(|value| other.entry(key) == Some(value)))
                }
                _ => false,
            },
            _ => match (self.items(), other.items()) {
                (Some(left), Some(right)) => {
                    let in_any_order =
                        matches!(self, Self::Json(schema, _) if list_kind(schema) != ListKind::Atomic);
                    left.len() == right.len()
                        && if in_any_order {
                            left.iter().all(|item| right.contains(item))
                        } else {
                            left == right
                        }
                }
                (None, None) => self.compare(other) == Some(Ordering::Equal),
                _ => false,
            },
        }
    }
}

/// Parses a duration of Go, such as `1h30m` or `-1.5s`.
pub(super) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) if text.starts_with('-') => (-1, rest),
        Some(rest) => (1, rest),
        None => (1, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanos = 0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |length| end + length);
        let factor = match &rest[end..unit_end] {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" | "μs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        nanos += number * factor;
        rest = &rest[unit_end..];
    }
    (!text.is_empty() && nanos < 9.2e18).then(|| SignedDuration::from_nanos(sign * nanos as i64))
}

/// Returns a value as text in an error.
pub(super) fn display(value: &CelValue<'_>) -> String {
    match value {
        CelValue::Null => "null".to_owned(),
        CelValue::Bool(is) => is.to_string(),
        CelValue::Int(number) => number.to_string(),
        CelValue::Uint(number) => number.to_string(),
        CelValue::Double(number) => number.to_string(),
        CelValue::Text(text) => text.to_string(),
        CelValue::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        CelValue::Duration(span) => format!("{}s", span.as_secs_f64()),
        CelValue::Time(time) => time.to_string(),
        CelValue::Ip(ip) => ip.to_string(),
        CelValue::Network(network) => network.to_string(),
        CelValue::Type(name) => (*name).to_owned(),
        CelValue::Json(_, value) => value.to_string(),
        CelValue::Quantity(_) | CelValue::Optional(_) => value.type_name().to_owned(),
        CelValue::List(items) => {
            let items: Vec<String> = items.iter().map(display).collect();
            format!("[{}]", items.join(", "))
        }
        CelValue::Map(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}: {}", display(key), display(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}
