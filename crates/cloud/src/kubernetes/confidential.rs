//! Values of Secrets, which never appear in printed output.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_core::DynamicObject;
use serde_json::{Map, Value};

use super::differences::LAST_APPLIED;
use crate::error::ApiError;
use crate::secret::Secret;

/// The fields of a Secret that may be printed; every other field may hold a value.
const PLAIN: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];
/// The minimum number of consecutive characters of a value that count as a quote of it.
const QUOTE: usize = 6;

/// Returns whether an object is a Secret.
pub(super) fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

fn is_typed_secret(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == "Secret" && types.api_version == "v1")
}

/// Decodes base64 as the API server does: line breaks and spaces are ignored.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let joined: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    STANDARD.decode(joined).ok()
}

/// The values of a manifest's Secret, separate from the printable object. Empty for every other kind.
#[derive(Clone)]
pub struct Confidential(Secret<Parts>);

#[derive(Clone, PartialEq, Default)]
struct Parts {
    fields: Map<String, Value>,
    last_applied: Option<String>,
}

impl Default for Confidential {
    fn default() -> Self {
        Self(Secret::new(Parts::default()))
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl PartialEq for Confidential {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Confidential {
    /// Moves the values out of an object.
    pub(super) fn take(object: &mut DynamicObject) -> Self {
        if !is_typed_secret(object) {
            return Self::default();
        }
        let mut parts = Parts::default();
        if let Some(fields) = object.data.as_object_mut() {
            let (plain, hidden) =
                std::mem::take(fields).into_iter().partition(|(field, _)| PLAIN.contains(&field.as_str()));
            *fields = plain;
            parts.fields = hidden;
        }
        parts.last_applied =
            object.metadata.annotations.as_mut().and_then(|annotations| annotations.remove(LAST_APPLIED));
        Self(Secret::new(parts))
    }

    /// Returns the object with its values, to send and compare.
    pub(super) fn complete(&self, object: &DynamicObject) -> DynamicObject {
        let parts = self.0.expose();
        let mut whole = object.clone();
        for (field, value) in &parts.fields {
            whole.data[field] = value.clone();
        }
        if let Some(text) = &parts.last_applied {
            let annotations = whole.metadata.annotations.get_or_insert_default();
            annotations.insert(LAST_APPLIED.to_owned(), text.clone());
        }
        whole
    }
}

/// Withholds the texts of an error that quote a value of the sent Secret.
///
/// API servers, admission webhooks and proxies quote the object that they refuse. Codes, status and field
/// names stay.
pub(super) fn redact(mut error: ApiError, sent: &DynamicObject) -> ApiError {
    if !is_typed_secret(sent) {
        return error;
    }
    let name = sent.metadata.name.as_deref().unwrap_or_default();
    let withheld = format!("(withheld: the answer quotes a value of Secret {name})");
    let values = values_of(sent);
    let quotes = |text: &str| values.iter().any(|value| is_quoted(value, text));
    if quotes(&error.message) {
        error.message = withheld.clone();
    }
    for (_, text) in &mut error.details {
        if quotes(text) {
            let field = text.split_once(": ").map(|(field, _)| field).filter(|field| !quotes(field));
            *text = field.map_or_else(|| withheld.clone(), |field| format!("{field}: {withheld}"));
        }
    }
    if error.causes().iter().any(|cause| quotes(cause)) {
        error = error.with_source(withheld);
    }
    error
}

/// Returns every text by which a value of a Secret can be recognized.
fn values_of(secret: &DynamicObject) -> HashSet<String> {
    let mut values = HashSet::new();
    for (field, value) in secret.data.as_object().into_iter().flatten() {
        if !PLAIN.contains(&field.as_str()) {
            collect(value, &mut values);
        }
    }
    let annotations = secret.metadata.annotations.iter().flatten();
    for (_, text) in annotations.filter(|(name, _)| *name == LAST_APPLIED) {
        let applied: Value = serde_json::from_str(text).unwrap_or_default();
        for field in ["data", "stringData"] {
            collect(&applied[field], &mut values);
        }
    }
    values
}

fn collect(value: &Value, values: &mut HashSet<String>) {
    let mut add = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        values.extend(lines.map(str::to_owned));
    };
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| collect(item, values)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, values)),
        Value::String(text) => {
            add(text);
            add(&STANDARD.encode(text));
            if let Some(plain) = decoded(text).and_then(|bytes| String::from_utf8(bytes).ok()) {
                add(&plain);
            }
        }
        other => add(&other.to_string()),
    }
}

/// Returns whether a text contains a value, or a part that is long enough to reveal it.
fn is_quoted(value: &str, text: &str) -> bool {
    let letters: Vec<char> = value.chars().collect();
    if letters.len() < QUOTE {
        let apart = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
        return text.match_indices(value).any(|(at, _)| {
            apart(text[..at].chars().next_back()) && apart(text[at + value.len()..].chars().next())
        });
    }
    letters.windows(QUOTE).any(|part| text.contains(&part.iter().collect::<String>()))
}

/// Removes the quotes of a document with a Secret from a message.
pub(super) fn without_quotes(message: &str) -> String {
    let quote = |letter: char| matches!(letter, '`' | '"' | '\'');
    match message.split_once(quote) {
        Some((before, _)) => format!("{} (the rest is withheld: it quotes a Secret)", before.trim_end()),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ApiErrorKind;

    fn secret(fields: Value) -> DynamicObject {
        let mut whole = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}});
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn an_error_that_quotes_a_secret_value_is_redacted_and_names_the_field() {
        let sent = secret(
            json!({"stringData": {"password": "s3cret-value", "pin": 12345}, "data": {"k": "aHVudGVyMg=="}}),
        );
        for quoted in ["s3cret-value", "s3cret-va...", "12345", "hunter2", "aHVudGVyMg==", "czNjcmV0LXZhbHVl"]
        {
            let text = format!(".stringData: expected string, got &{{Value:{quoted}}}");
            let error = ApiError::new(ApiErrorKind::Invalid, text.clone())
                .with_detail("FieldValueInvalid", text.clone())
                .with_source(text);
            let error = redact(error, &sent);
            let displayed = format!("{error} {:?} {:?}", error.details, error.causes());
            assert!(!displayed.contains(quoted.trim_end_matches('.')), "{displayed}");
            assert!(error.details[0].1.starts_with(".stringData: (withheld"), "{displayed}");
        }
        let other = ApiError::new(ApiErrorKind::Invalid, "type: field is immutable");
        assert_eq!(redact(other, &sent).message, "type: field is immutable");
    }

    #[test]
    fn secret_values_are_removed_and_restored() {
        let whole =
            secret(json!({"type": "Opaque", "stringData": {"a": "s3cret"}, "stringDat": {"b": "s3cret"}}));
        let mut object = whole.clone();
        object.metadata.annotations = Some([(LAST_APPLIED.to_owned(), "s3cret".to_owned())].into());
        let before = object.clone();
        let confidential = Confidential::take(&mut object);
        assert!(!format!("{object:?} {confidential:?}").contains("s3cret"));
        assert_eq!(confidential.complete(&object), before);
        let mut map = secret(json!({"kind": "ConfigMap", "data": {"a": "b"}}));
        assert_eq!(
            (Confidential::take(&mut map), map.data),
            (Confidential::default(), json!({"data": {"a": "b"}}))
        );
    }
}
