//! Conversion of an object of a built-in kind to its Go type: scalars whose text does not fit fail it.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use serde_json::Value;

use super::quantity;
use super::traverse::{field, items};

/// The decoder of Go accepts trailing bits.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);
/// The integer fields of 64 bits; all others have 32.
const LONG: [&str; 10] = [
    "activeDeadlineSeconds",
    "deletionGracePeriodSeconds",
    "expirationSeconds",
    "fsGroup",
    "generation",
    "observedGeneration",
    "runAsGroup",
    "runAsUser",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
];

/// The first value that cannot be converted.
pub struct Failure {
    /// True if the value has the JSON type of its field, but not its format.
    pub is_format: bool,
    /// The reason.
    pub why: String,
}

/// Returns why an object cannot be converted to its Go type; `None` if it can.
pub fn failure(schema: &Value, value: &Value) -> Option<Failure> {
    walk(schema, value, "")
}

fn walk(schema: &Value, value: &Value, name: &str) -> Option<Failure> {
    let format = |why: String| Some(Failure { is_format: true, why });
    match value {
        Value::Object(map) => map.iter().find_map(|(name, value)| walk(field(schema, name)?, value, name)),
        Value::Array(list) => list.iter().find_map(|item| walk(items(schema), item, name)),
        Value::Number(number) if schema["type"] == "integer" && !number.is_i64() && !number.is_u64() => {
            let bits = if LONG.contains(&name) { 64 } else { 32 };
            let is_whole = number.as_f64().is_some_and(|number| number.fract() == 0.0);
            let why = format!("cannot convert float64 to int{bits}");
            (!is_whole).then_some(Failure { is_format: false, why })
        }
        Value::String(text) if schema["format"] == "byte" => {
            let offset = illegal_base64(text)?;
            format(format!("error decoding from json: illegal base64 data at input byte {offset}"))
        }
        Value::String(text) if schema["format"] == "quantity" && !quantity::is_quantity(text) => {
            format(quantity::RULE.to_owned())
        }
        _ => None,
    }
}

/// Returns the offset at which a text is not base64. Line breaks are ignored.
fn illegal_base64(text: &str) -> Option<usize> {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match DECODER.decode(&text) {
        Ok(_) => None,
        Err(DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol(offset, _)) => Some(offset),
        Err(_) => Some(text.len() / 4 * 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::definition::built_in;
    use serde_json::json;

    #[test]
    fn base64_quantities_and_integers_must_fit_their_types() {
        let why = |resource: &str, object: Value| {
            failure(&built_in()[resource].schema, &object).map(|failure| failure.why)
        };
        assert_eq!(why("secrets", json!({"data": {"a": "YQ=="}})), None);
        let refused = why("secrets", json!({"data": {"a": "YWJj!"}}));
        assert_eq!(refused.unwrap(), "error decoding from json: illegal base64 data at input byte 4");
        let ports = |port: Value| json!({"spec": {"ports": [{"port": port}]}});
        assert_eq!(why("services", ports(json!(80))), None);
        assert_eq!(why("services", ports(json!(80.5))).unwrap(), "cannot convert float64 to int32");
        let quota = |cpu: &str| json!({"spec": {"hard": {"cpu": cpu}}});
        assert_eq!(why("resourcequotas", quota("1e3")), None);
        assert_eq!(why("resourcequotas", quota("1x")).unwrap(), quantity::RULE);
    }
}
