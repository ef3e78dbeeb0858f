//! Protobuf bodies: `kubectl create` and `kubectl auth` send some requests only in this format.
//!
//! A body is an envelope: `k8s\0`, and a message with the kind and the bytes of the object. The table of
//! [`messages`] contains the JSON names and types of the fields; no other code here knows the kinds. A field
//! outside the table is refused, not dropped. Contract:
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>.

mod messages;
pub(super) mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::decode::unsupported;
use super::status::StatusError;
use messages::{FieldType, MessageType};
use wire::WireValue;

/// The media type of protobuf bodies.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";

/// Decodes an object from its envelope.
///
/// # Errors
/// 400 for malformed bytes, 415 for kinds and fields that are not supported in this format.
pub fn object(body: &[u8]) -> Result<Value, StatusError> {
    let (version, kind, raw) = read_envelope(body).map_err(StatusError::bad_request)?;
    let Some(shape) = messages::of_kind(&kind) else {
        return Err(unsupported_error(&format!("objects of kind {kind:?}")));
    };
    let mut object = Map::new();
    object.insert("apiVersion".into(), json!(version));
    object.insert("kind".into(), json!(kind));
    object.extend(message(shape, raw).map_err(|error| match error {
        DecodeError::Malformed(why) => StatusError::bad_request(why),
        DecodeError::UnknownField(number, of) => unsupported_error(&format!("field {number} of {of}")),
    })?);
    Ok(Value::Object(object))
}

fn unsupported_error(what: &str) -> StatusError {
    unsupported(&format!(
        "{what} cannot be read from {MEDIA_TYPE} here - accepted media types include: application/json, application/yaml"
    ))
}

/// The reason why a message cannot be decoded.
enum DecodeError {
    /// The bytes are malformed.
    Malformed(String),
    /// The table has no field with that number in that message.
    UnknownField(u64, &'static str),
}

impl From<String> for DecodeError {
    fn from(why: String) -> Self {
        Self::Malformed(why)
    }
}

impl From<&str> for DecodeError {
    fn from(why: &str) -> Self {
        Self::Malformed(why.to_owned())
    }
}

/// Returns the version, the kind and the bytes in an envelope.
fn read_envelope(body: &[u8]) -> Result<(String, String, &[u8]), String> {
    let envelope =
        body.strip_prefix(MAGIC).ok_or("provided data does not appear to be a protobuf message")?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), [].as_slice());
    for (number, part) in wire::parts(envelope)? {
        match (number, part) {
            (1, WireValue::Bytes(bytes)) => {
                for (number, part) in wire::parts(bytes)? {
                    match (number, part) {
                        (1, WireValue::Bytes(text)) => version = utf8(text)?,
                        (2, WireValue::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, WireValue::Bytes(bytes)) => raw = bytes,
            (3, WireValue::Bytes(encoding)) if !encoding.is_empty() => {
                return Err("the content of the envelope is encoded once more, which is not read here".into());
            }
            _ => {}
        }
    }
    Ok((version, kind, raw))
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text is no UTF-8".to_owned())
}

/// Decodes the fields of a message. Fields that JSON omits when empty are omitted.
fn message(shape: &MessageType, bytes: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    let mut object = Map::new();
    for (number, part) in wire::parts(bytes)? {
        let field = shape.field(number).ok_or(DecodeError::UnknownField(number, shape.name))?;
        match &field.form {
            FieldType::Map(values) => {
                let (key, value) = entry(values, &part)?;
                let map = object.entry(field.name).or_insert_with(|| json!({}));
                map[key] = value;
            }
            form if field.repeated => {
                let item = value(form, &part)?;
                let list = object.entry(field.name).or_insert_with(|| json!([]));
                list.as_array_mut().ok_or("a field is both one and many")?.push(item);
            }
            form => {
                let value = value(form, &part)?;
                if let (messages::INLINE, Value::Object(fields)) = (field.name, &value) {
                    object.extend(fields.clone());
                } else if field.kept || !is_empty(&value) {
                    object.insert(field.name.to_owned(), value);
                }
            }
        }
    }
    Ok(object)
}

fn entry(values: &FieldType, part: &WireValue<'_>) -> Result<(String, Value), DecodeError> {
    let (mut key, mut is) = (String::new(), Value::Null);
    for (number, part) in wire::parts(part.bytes()?)? {
        match number {
            1 => key = utf8(part.bytes()?)?,
            _ => is = value(values, &part)?,
        }
    }
    // Protobuf omits an empty string.
    Ok((key, if is.is_null() { json!("") } else { is }))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn value(form: &FieldType, part: &WireValue<'_>) -> Result<Value, DecodeError> {
    Ok(match form {
        FieldType::Text => json!(utf8(part.bytes()?)?),
        FieldType::Bool => json!(part.number()? != 0),
        FieldType::Number => json!(part.number()?),
        FieldType::Bytes => json!(STANDARD.encode(part.bytes()?)),
        FieldType::Time => time(part.bytes()?)?,
        FieldType::Quantity => json!(
            wire::parts(part.bytes()?)?
                .into_iter()
                .find(|(number, _)| *number == 1)
                .map_or(Ok(String::new()), |(_, text)| utf8(text.bytes()?))?
        ),
        FieldType::NumberOrText => number_or_text(part.bytes()?)?,
        FieldType::Message(name) => {
            let shape = messages::shape(name).expect("the table names only messages it has");
            Value::Object(message(shape, part.bytes()?)?)
        }
        FieldType::Map(_) => return Err("a map within a map is not read here".into()),
    })
}

/// Decodes a time from seconds since 1970 and nanoseconds; null if there are no seconds.
fn time(bytes: &[u8]) -> Result<Value, String> {
    let parts = wire::parts(bytes)?;
    let Some((_, seconds)) = parts.iter().find(|(number, _)| *number == 1) else { return Ok(Value::Null) };
    let time = jiff::Timestamp::from_second(seconds.number()?).map_err(|error| error.to_string())?;
    Ok(json!(time.to_string()))
}

/// Decodes an int-or-string: the type, then the integer, then the string.
fn number_or_text(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for (field, part) in wire::parts(bytes)? {
        match field {
            1 => is_text = part.number()? == 1,
            2 => number = part.number()?,
            _ => text = utf8(part.bytes()?)?,
        }
    }
    Ok(if is_text { json!(text) } else { json!(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fixture::{CONFIG_MAPS, Cluster, config_map};
    use crate::request::Request;
    use http::Method;

    /// Encodes a field of bytes.
    fn put(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("tests are short");
        [&[number << 3 | 2, length], bytes].concat()
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let named = [put(1, version.as_bytes()), put(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), put(1, &named), put(2, raw), put(3, b""), put(4, b"")].concat()
    }

    #[test]
    fn a_config_map_is_decoded_without_its_empty_fields() {
        let metadata = [
            put(1, b"web"),
            put(2, b""),
            put(3, b"demo"),
            put(8, b""),
            put(11, &[put(1, b"a"), put(2, b"b")].concat()),
        ]
        .concat();
        let raw = [put(1, &metadata), put(2, &[put(1, b"k"), put(2, b"v")].concat()), put(2, &put(1, b"e"))]
            .concat();
        let read = object(&envelope("v1", "ConfigMap", &raw)).expect("it is read");
        assert_eq!(
            read,
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "web", "namespace": "demo", "labels": {"a": "b"}},
                "data": {"k": "v", "e": ""}})
        );
    }

    #[test]
    fn a_number_that_may_be_missing_is_kept_when_it_is_zero() {
        let spec = [&[1 << 3, 0][..], &put(2, &put(1, &[put(1, b"app"), put(2, b"web")].concat()))].concat();
        let read = object(&envelope("apps/v1", "Deployment", &[put(2, &spec), put(3, b"")].concat()))
            .expect("it is read");
        assert_eq!(read["spec"], json!({"replicas": 0, "selector": {"matchLabels": {"app": "web"}}}));
        assert!(read.get("status").is_none());
    }

    #[test]
    fn a_port_is_a_number_or_a_text() {
        let port = |target: &[u8]| [&[3 << 3, 80][..], &put(4, target)].concat();
        let by_number = port(&[1 << 3, 0, 2 << 3, 81]);
        let by_name = port(&[&[1 << 3, 1, 2 << 3, 0][..], &put(3, b"http")].concat());
        let spec = [put(1, &by_number), put(1, &by_name)].concat();
        let read = object(&envelope("v1", "Service", &put(2, &spec))).expect("it is read");
        assert_eq!(
            read["spec"]["ports"],
            json!([{"port": 80, "targetPort": 81}, {"port": 80, "targetPort": "http"}])
        );
    }

    #[test]
    fn the_fields_of_an_inline_message_are_those_of_its_parent() {
        let volume = [put(1, b"cache"), put(2, &put(2, b""))].concat();
        let template = put(2, &put(1, &volume));
        let read = object(&envelope("batch/v1", "Job", &put(2, &put(6, &template)))).expect("it is read");
        assert_eq!(read["spec"]["template"]["spec"]["volumes"], json!([{"name": "cache", "emptyDir": {}}]));
    }

    #[test]
    fn the_options_of_a_deletion_are_read() {
        let raw = [&[1 << 3, 0][..], &put(2, &put(1, b"1-2")), &put(4, b"Orphan"), &put(5, b"All")].concat();
        let body = envelope("v1", "DeleteOptions", &raw);
        assert_eq!(
            object(&body).expect("they are read"),
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                "preconditions": {"uid": "1-2"}, "propagationPolicy": "Orphan", "dryRun": ["All"]})
        );
        let mut cluster = Cluster::new();
        cluster.post(CONFIG_MAPS, &config_map("a", json!({})));
        let path = format!("{CONFIG_MAPS}/a");
        let mut delete = |raw: &[u8]| {
            let mut request =
                Request::new(Method::DELETE, "c", &path).with_header("content-type", MEDIA_TYPE);
            request.body = envelope("v1", "DeleteOptions", raw).into();
            cluster.send_request(&request).reply.status.as_u16()
        };
        assert_eq!(delete(&raw), 409, "it has another uid");
        assert_eq!(delete(&put(5, b"All")), 200);
        assert_eq!(delete(b""), 200, "the dry run did not delete it");
        assert_eq!(delete(b""), 404);
    }

    #[test]
    fn unknown_kinds_and_truncated_bodies_are_errors() {
        let refused =
            |kind: &str, raw: &[u8]| object(&envelope("v1", kind, raw)).expect_err("it is not read");
        let unknown = refused("ConfigMap", &put(9, b"x"));
        assert_eq!(unknown.code, 415);
        assert!(unknown.message.starts_with("field 9 of ConfigMap cannot be read"), "{}", unknown.message);
        assert_eq!(refused("Widget", b"").code, 415);
        assert_eq!(refused("ConfigMap", &[1 << 3]).code, 400);
        assert!(object(b"{}").is_err());
        let whole = envelope("v1", "Secret", &put(1, &put(1, b"name")));
        for length in 0..whole.len() {
            // A truncated body is either decoded or refused; it never panics.
            let _ = object(&whole[..length]);
        }
        assert!(object(&whole[..12]).is_err());
    }
}
