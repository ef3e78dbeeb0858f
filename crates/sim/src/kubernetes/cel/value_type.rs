//! The types of expressions, inferred from a schema.

use std::fmt;
use std::rc::Rc;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::expression::{RESERVED, unescaped};

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub enum Type<'s> {
    /// A value of any type, checked when the expression is evaluated.
    Dyn,
    /// The type parameter of a function.
    Any,
    /// The type of `null`.
    Null,
    /// A boolean.
    Bool,
    /// A signed integer.
    Int,
    /// An unsigned integer.
    Uint,
    /// A floating-point number.
    Double,
    /// A string.
    Text,
    /// Bytes.
    Bytes,
    /// A duration.
    Duration,
    /// A point in time.
    Time,
    /// A quantity.
    Quantity,
    /// An IP address.
    Ip,
    /// An address range.
    Network,
    /// A type as a value.
    Kind,
    /// A list.
    List(Rc<Type<'s>>),
    /// A map.
    Map(Rc<Type<'s>>, Rc<Type<'s>>),
    /// A structure with the fields of a schema; true for one with the metadata of an object.
    Object(&'s Value, bool),
    /// An optional value.
    Optional(Rc<Type<'s>>),
}

/// The variables of an expression.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'s> {
    /// The schema of `self` and `oldSelf`.
    pub schema: &'s Value,
    /// True for the schema of a whole object.
    pub is_root: bool,
    /// True if `oldSelf` is an optional value.
    pub optional_old: bool,
}

impl<'s> Type<'s> {
    /// Returns the type of a schema; `None` for values that rules cannot read.
    pub(super) fn of(schema: &'s Value, is_root: bool) -> Option<Self> {
        if schema["x-kubernetes-int-or-string"] == json!(true) {
            return Some(Self::Dyn);
        }
        Some(match (schema["type"].as_str()?, schema["format"].as_str()) {
            ("string", Some("byte")) => Self::Bytes,
            ("string", Some("date" | "date-time")) => Self::Time,
            ("string", Some("duration")) => Self::Duration,
            ("string", _) => Self::Text,
            ("integer", _) => Self::Int,
            ("number", _) => Self::Double,
            ("boolean", _) => Self::Bool,
            ("array", _) => Self::List(Rc::new(Self::of(&schema["items"], false)?)),
            ("object", _) if schema["additionalProperties"].is_object() => {
                Self::Map(Rc::new(Self::Text), Rc::new(Self::of(&schema["additionalProperties"], false)?))
            }
            ("object", _) => {
                Self::Object(schema, is_root || schema["x-kubernetes-embedded-resource"] == json!(true))
            }
            _ => return None,
        })
    }

    /// Returns the type of a structure's field.
    pub(super) fn field(schema: &'s Value, has_metadata: bool, name: &str) -> Option<Self> {
        static METADATA: LazyLock<Value> = LazyLock::new(
            || json!({"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}}),
        );
        match name {
            "apiVersion" | "kind" if has_metadata => return Some(Self::Text),
            "metadata" if has_metadata => return Some(Self::Object(&METADATA, false)),
            _ if RESERVED.contains(&name) => return None,
            _ => {}
        }
        let fields = schema.get("properties")?;
        Self::of(fields.get(name).or_else(|| fields.get(unescaped(name)))?, false)
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Returns whether a value of this type can be one of another.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn | Self::Any | Self::Null, _) | (_, Self::Dyn | Self::Any | Self::Null) => true,
            (Self::List(left), Self::List(right)) | (Self::Optional(left), Self::Optional(right)) => {
                left.fits(right)
            }
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                key.fits(other_key) && value.fits(other_value)
            }
            (Self::Map(..), Self::Object(..)) | (Self::Object(..), Self::Map(..)) => true,
            (left, right) => left == right,
        }
    }

    /// Returns the type that stands for the type parameter, if this type fits a pattern with it.
    pub(super) fn bound(&self, pattern: &Self) -> Option<Self> {
        match (self, pattern) {
            (own, Self::Any) => Some(own.clone()),
            (Self::List(own), Self::List(pattern)) | (Self::Optional(own), Self::Optional(pattern)) => {
                own.bound(pattern)
            }
            _ => None,
        }
    }

    pub(super) fn with_bound(&self, bound: &Self) -> Self {
        match self {
            Self::Any => bound.clone(),
            Self::List(items) => Self::List(Rc::new(items.with_bound(bound))),
            Self::Optional(value) => Self::Optional(Rc::new(value.with_bound(bound))),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn | Self::Any => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Duration => "google.protobuf.Duration",
            Self::Time => "google.protobuf.Timestamp",
            Self::Quantity => "kubernetes.Quantity",
            Self::Ip => "net.IP",
            Self::Network => "net.CIDR",
            Self::Kind => "type",
            Self::Object(..) => "object",
            Self::List(items) => return write!(f, "list({items})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
            Self::Optional(value) => return write!(f, "optional_type({value})"),
        })
    }
}
