//! The words schemas are written in: one function for each kind of node, one method for each constraint.

use serde_json::{Map, Value, json};

/// A text.
pub fn string() -> Value {
    json!({"type": "string"})
}

/// A whole number of 32 or 64 bits.
pub fn integer() -> Value {
    json!({"type": "integer"})
}

/// A truth value.
pub fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// An RFC 3339 time; written as null where there is none.
pub fn time() -> Value {
    json!({"type": "string", "format": "date-time", "nullable": true})
}

/// A number or a text, such as a port's number or name, or a percentage.
pub fn int_or_string() -> Value {
    json!({"x-kubernetes-int-or-string": true})
}

/// An amount such as `250m` or `1Gi`.
pub fn quantity() -> Value {
    json!({"x-kubernetes-int-or-string": true, "format": "quantity"})
}

/// A port number, 1 to 65535.
pub fn port() -> Value {
    integer().range(1, 65_535)
}

/// A structure with these fields, each owned by itself.
pub fn object(fields: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties})
}

/// A map of names to values of one schema, each owned by itself.
pub fn map(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": values})
}

/// A list owned as a whole.
pub fn list(items: Value) -> Value {
    json!({"type": "array", "items": items, "x-kubernetes-list-type": "atomic"})
}

/// A list of scalars, each owned by itself.
pub fn set(items: Value) -> Value {
    json!({"type": "array", "items": items, "x-kubernetes-list-type": "set"})
}

/// A list whose items are told apart by these fields and owned one by one.
pub fn keyed(items: Value, keys: &[&str]) -> Value {
    json!({"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys})
}

/// Anything at all, kept as it came.
pub fn anything() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// What one more constraint makes of a schema.
pub trait Constrain: Sized {
    /// Sets a keyword of the schema.
    #[must_use]
    fn with(self, keyword: &str, value: Value) -> Self;

    /// These fields must be there.
    #[must_use]
    fn required(self, fields: &[&str]) -> Self {
        self.with("required", json!(fields))
    }

    /// What is filled in when it is missing.
    #[must_use]
    fn default(self, value: Value) -> Self {
        self.with("default", value)
    }

    /// Only these values.
    #[must_use]
    fn one_of(self, values: &[&str]) -> Self {
        self.with("enum", json!(values))
    }

    /// A number from the first to the second.
    #[must_use]
    fn range(self, least: i64, most: i64) -> Self {
        self.with("minimum", json!(least)).with("maximum", json!(most))
    }

    /// A number from this one on.
    #[must_use]
    fn least(self, least: i64) -> Self {
        self.with("minimum", json!(least))
    }

    /// A text of that many characters.
    #[must_use]
    fn length(self, least: u64, most: u64) -> Self {
        self.with("minLength", json!(least)).with("maxLength", json!(most))
    }

    /// A list of that many items.
    #[must_use]
    fn count(self, least: u64, most: u64) -> Self {
        let schema = if least > 0 { self.with("minItems", json!(least)) } else { self };
        schema.with("maxItems", json!(most))
    }

    /// A text of that form.
    #[must_use]
    fn pattern(self, pattern: &str) -> Self {
        self.with("pattern", json!(pattern))
    }

    /// A structure or map owned as a whole.
    #[must_use]
    fn atomic_map(self) -> Self {
        self.with("x-kubernetes-map-type", json!("atomic"))
    }

    /// The same structure with more fields.
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

/// The conditions of a status, told apart by their type.
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

/// A choice of objects by their labels.
pub fn label_selector() -> Value {
    let expression = object(&[
        ("key", string()),
        ("operator", string().one_of(&["In", "NotIn", "Exists", "DoesNotExist"])),
        ("values", list(string())),
    ])
    .required(&["key", "operator"]);
    object(&[("matchLabels", map(string())), ("matchExpressions", list(expression))]).atomic_map()
}
