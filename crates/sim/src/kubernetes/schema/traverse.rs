//! Traversal of an object with its schema: the schema of each field or item, and the granularity of
//! ownership.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::field::{field as field_of, in_map};
use crate::kubernetes::fields::{field_edge, key_edge, value_edge};

/// The schema of a value without a schema: everything is allowed, maps are owned per key and lists as a
/// whole.
pub static UNDESCRIBED: LazyLock<Value> =
    LazyLock::new(|| json!({"x-kubernetes-preserve-unknown-fields": true}));

/// The value of a missing key field in the key of its item. It is not the default of the field.
const KEY_DEFAULT: &str = "x-key-default";

/// Gives the key fields of all lists in a schema the zero value of their type as a key. Only built-in kinds have
/// such keys.
pub fn with_key_defaults(mut schema: Value) -> Value {
    let keys: Vec<String> = list_keys(&schema).map(str::to_owned).collect();
    for key in keys {
        if let Some(field) = schema.pointer_mut(&format!("/items/properties/{key}")) {
            let zero = if field["type"] == "integer" { json!(0) } else { json!("") };
            field[KEY_DEFAULT] = zero;
        }
    }
    match schema {
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, with_key_defaults(value))).collect(),
        other => other,
    }
}

/// The ownership granularity of a list's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// One owner for the whole list.
    Atomic,
    /// Each item has its own owner, identified by value.
    Set,
    /// Each item has its own owner, identified by keys.
    Keyed,
}

/// Returns whether unknown fields are kept.
pub fn keeps_unknown(schema: &Value) -> bool {
    field_of(schema, "x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
}

/// Returns the schema of a field; `None` if the schema does not allow the field.
pub fn field<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    if let Some(named) = field_of(schema, "properties").and_then(|properties| field_of(properties, name)) {
        return Some(named);
    }
    match field_of(schema, "additionalProperties") {
        Some(Value::Bool(true)) => Some(&UNDESCRIBED),
        Some(values @ Value::Object(_)) => Some(values),
        _ => keeps_unknown(schema).then_some(&*UNDESCRIBED),
    }
}

/// Returns whether the schema declares that field explicitly.
pub fn names_field(schema: &Value, name: &str) -> bool {
    field_of(schema, "properties").is_some_and(|properties| field_of(properties, name).is_some())
}

/// Returns the schema of a list's items.
pub fn items(schema: &Value) -> &Value {
    field_of(schema, "items").unwrap_or(&UNDESCRIBED)
}

/// Returns the ownership granularity of a list's items; the default is atomic.
pub fn list_kind(schema: &Value) -> ListKind {
    match field_of(schema, "x-kubernetes-list-type").and_then(Value::as_str) {
        Some("map") => ListKind::Keyed,
        Some("set") => ListKind::Set,
        _ => ListKind::Atomic,
    }
}

/// Returns the key fields of a keyed list.
pub fn list_keys(schema: &Value) -> impl Iterator<Item = &str> {
    field_of(schema, "x-kubernetes-list-map-keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Returns whether each field of a structure or map has its own owner.
pub fn is_granular_map(schema: &Value) -> bool {
    field_of(schema, "x-kubernetes-map-type").and_then(Value::as_str) != Some("atomic")
}

/// Returns the edge of a list item: its value in a set, its keys in a keyed list.
///
/// # Errors
/// The name of a key that the item lacks and that has no default.
pub fn item_edge(schema: &Value, item: &Value) -> Result<String, String> {
    match list_kind(schema) {
        ListKind::Keyed => key_edge(item, list_keys(schema), |key| {
            let field = field(items(schema), key)?;
            field.get("default").or_else(|| field.get(KEY_DEFAULT)).cloned()
        }),
        _ => Ok(value_edge(item)),
    }
}

/// A value, classified by the ownership granularity of its schema.
pub enum NodeKind<'v> {
    /// A structure or map with an owner per field.
    Map(&'v Map<String, Value>),
    /// A list with an owner per item.
    List(&'v Vec<Value>),
    /// A value with one owner.
    Whole,
}

/// Classifies a value by the ownership granularity of its schema.
pub fn classify<'v>(schema: &Value, value: &'v Value) -> NodeKind<'v> {
    match value {
        Value::Object(map) if is_granular_map(schema) => NodeKind::Map(map),
        Value::Array(list) if list_kind(schema) != ListKind::Atomic => NodeKind::List(list),
        _ => NodeKind::Whole,
    }
}

/// Returns the schema and the value behind an edge of a map or list.
pub fn descend<'a>(schema: &'a Value, value: &'a Value, edge: &str) -> Option<(&'a Value, &'a Value)> {
    match classify(schema, value) {
        NodeKind::Map(map) => {
            let name = edge.strip_prefix("f:")?;
            Some((field(schema, name)?, in_map(map, name)?))
        }
        NodeKind::List(list) => {
            let item = list.iter().find(|item| item_edge(schema, item).is_ok_and(|own| own == edge))?;
            Some((items(schema), item))
        }
        NodeKind::Whole => None,
    }
}

/// Returns the separately owned parts of a value: their edges, schemas and values.
pub fn parts<'a>(schema: &'a Value, value: &'a Value) -> Vec<(String, &'a Value, &'a Value)> {
    match classify(schema, value) {
        NodeKind::Map(map) => map
            .iter()
            .map(|(name, value)| (field_edge(name), field(schema, name).unwrap_or(&UNDESCRIBED), value))
            .collect(),
        NodeKind::List(list) => list
            .iter()
            .filter_map(|item| Some((item_edge(schema, item).ok()?, items(schema), item)))
            .collect(),
        NodeKind::Whole => Vec::new(),
    }
}
