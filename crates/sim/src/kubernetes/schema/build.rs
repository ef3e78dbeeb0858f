//! Builders for schemas: one function per type, one method per constraint.

use serde_json::{Map, Value, json};

/// A string.
pub fn string() -> Value {
    json!({"type": "string"})
}

/// An integer of 32 or 64 bits.
pub fn integer() -> Value {
    json!({"type": "integer"})
}

/// A boolean.
pub fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// An RFC 3339 time; null if there is none.
pub fn time() -> Value {
    json!({"type": "string", "format": "date-time", "nullable": true})
}

/// An int-or-string, such as a port's number or name, or a percentage.
pub fn int_or_string() -> Value {
    json!({"x-kubernetes-int-or-string": true})
}

/// A quantity such as `250m` or `1Gi`.
pub fn quantity() -> Value {
    json!({"x-kubernetes-int-or-string": true, "format": "quantity"})
}

/// A port number, 1 to 65535.
pub fn port() -> Value {
    integer().range(1, 65_535)
}

/// A structure with these fields; each field has its own owner.
pub fn object(fields: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties})
}

/// A map with values of one schema; each entry has its own owner.
pub fn map(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": values})
}

/// An atomic list: one owner for the whole list.
pub fn list(items: Value) -> Value {
    json!({"type": "array", "items": items, "x-kubernetes-list-type": "atomic"})
}

/// A set of scalars; each item has its own owner.
pub fn set(items: Value) -> Value {
    json!({"type": "array", "items": items, "x-kubernetes-list-type": "set"})
}

/// A list with these fields as keys; each item has its own owner.
pub fn keyed(items: Value, keys: &[&str]) -> Value {
    json!({"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys})
}

/// Any value, stored unchanged.
pub fn anything() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Additional constraints of a schema.
pub trait Constrain: Sized {
    /// Sets a keyword of the schema.
    #[must_use]
    fn with(self, keyword: &str, value: Value) -> Self;

    /// Requires these fields.
    #[must_use]
    fn required(self, fields: &[&str]) -> Self {
        self.with("required", json!(fields))
    }

    /// Sets the default value.
    #[must_use]
    fn default(self, value: Value) -> Self {
        self.with("default", value)
    }

    /// Restricts the value to these.
    #[must_use]
    fn one_of(self, values: &[&str]) -> Self {
        self.with("enum", json!(values))
    }

    /// Restricts a number to a range, both ends inclusive.
    #[must_use]
    fn range(self, least: i64, most: i64) -> Self {
        self.with("minimum", json!(least)).with("maximum", json!(most))
    }

    /// Sets the minimum of a number.
    #[must_use]
    fn least(self, least: i64) -> Self {
        self.with("minimum", json!(least))
    }

    /// Restricts the length of a string.
    #[must_use]
    fn length(self, least: u64, most: u64) -> Self {
        self.with("minLength", json!(least)).with("maxLength", json!(most))
    }

    /// Restricts the number of items of a list.
    #[must_use]
    fn count(self, least: u64, most: u64) -> Self {
        let schema = if least > 0 { self.with("minItems", json!(least)) } else { self };
        schema.with("maxItems", json!(most))
    }

    /// Restricts a string to a regular expression.
    #[must_use]
    fn pattern(self, pattern: &str) -> Self {
        self.with("pattern", json!(pattern))
    }

    /// Gives a structure or map one owner as a whole.
    #[must_use]
    fn atomic_map(self) -> Self {
        self.with("x-kubernetes-map-type", json!("atomic"))
    }

    /// Adds fields to a structure.
    #[must_use]
    fn and(self, fields: &[(&str, Value)]) -> Self;
}

impl Constrain for Value {
    fn with(mut self, keyword: &str, value: Value) -> Self {
        self[keyword] = value;
        self
    }

    fn and(mut self, fields: &[(&str, Value)]) -> Self {
        for (name, schema) in fields {
            self["properties"][*name] = schema.clone();
        }
        self
    }
}

/// The conditions of a status, with their type as key.
pub fn conditions() -> Value {
    let condition = object(&[
        ("type", string().length(1, 316)),
        ("status", string().one_of(&["True", "False", "Unknown"])),
        ("reason", string()),
        ("message", string().with("maxLength", json!(32_768))),
        ("observedGeneration", integer().least(0)),
        ("lastTransitionTime", time()),
        ("lastUpdateTime", time()),
        ("lastProbeTime", time()),
        ("lastHeartbeatTime", time()),
    ])
    .required(&["type", "status"]);
    keyed(condition, &["type"])
}

/// A label selector.
pub fn label_selector() -> Value {
    let expression = object(&[
        ("key", string()),
        ("operator", string().one_of(&["In", "NotIn", "Exists", "DoesNotExist"])),
        ("values", list(string())),
    ])
    .required(&["key", "operator"]);
    object(&[("matchLabels", map(string())), ("matchExpressions", list(expression))]).atomic_map()
}
