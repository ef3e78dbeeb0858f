//! The verbs get, list and watch.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use serde_json::{Value, json};

use super::ApiCall;
use crate::kubernetes::decode;
use crate::kubernetes::query::ListOptions;
use crate::kubernetes::response_format::list_metadata;
use crate::kubernetes::selector::Selection;
use crate::kubernetes::status::StatusError;
use crate::kubernetes::store::{Store, key, names};
use crate::kubernetes::watch::Watch;
use crate::request::Reply;

/// Returns one object.
///
/// # Errors
/// 404 if it does not exist.
pub fn get(store: &Store, call: &ApiCall<'_>) -> Result<Reply, StatusError> {
    let object = call.live(store)?;
    Ok(call.reply(200, &object, &[]))
}

/// Returns a selection of objects, whole or paged.
///
/// # Errors
/// 400 for invalid selectors and tokens, 410 for old resource versions, 504 for future ones.
pub fn list(store: &Store, call: &ApiCall<'_>, options: &ListOptions) -> Result<Reply, StatusError> {
    let definition = &call.resource_path.definition;
    let selection = Selection::parse(&options.labels, &options.fields, definition)?;
    let (revision, start) = starting_point(store, options)?;
    let snapshot = store.as_of(&definition.resource(), revision);
    let within = |object: &Value| {
        let (namespace, name) = names(object);
        call.resource_path.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && start.as_ref().is_none_or(|start| key(&namespace, &name) > *start)
            && selection.matches(object)
    };
    let chosen: Vec<&Value> =
        snapshot.values().map(|object| &**object).filter(|object| within(object)).collect();
    let limit = if options.limit == 0 { usize::MAX } else { options.limit };
    let (shown, left) = chosen.split_at(limit.min(chosen.len()));
    let next = (!left.is_empty()).then(|| {
        let (namespace, name) = shown.last().map(|object| names(object)).unwrap_or_default();
        token(revision, &key(&namespace, &name))
    });
    // The number of remaining items is known only without selectors.
    let remaining = (!left.is_empty() && selection.is_everything()).then_some(left.len());
    let about = list_metadata(revision, next, remaining);
    Ok(call.form.many(definition, about, shown, call.now))
}

/// Starts a watch, of one object if the URL names one.
///
/// # Errors
/// 400 for invalid selectors.
pub fn watch(store: &Store, call: &ApiCall<'_>, options: &ListOptions) -> Result<Watch, StatusError> {
    let definition = &call.resource_path.definition;
    let mut fields = options.fields.clone();
    if let Some(name) = &call.resource_path.name {
        fields = format!("metadata.name={name}");
    }
    let selection = Selection::parse(&options.labels, &fields, definition)?;
    let namespace = call.resource_path.namespace.clone();
    Ok(Watch::begin(store, definition.clone(), namespace, selection, call.form, options, call.now))
}

/// Returns the resource version of a list, and the key after which it continues.
fn starting_point(store: &Store, options: &ListOptions) -> Result<(u64, Option<String>), StatusError> {
    let current = store.revision();
    if !options.next.is_empty() {
        if options.revision.is_some_and(|revision| revision > 0) {
            return Err(StatusError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let (revision, start) = read_token(&options.next).ok_or_else(|| {
            StatusError::bad_request(format!(
                "invalid continue token: continue key is not valid: {}",
                token_error(&options.next)
            ))
        })?;
        if revision < store.oldest_revision() {
            return Err(StatusError::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
            ));
        }
        return Ok((revision.min(current), Some(start)));
    }
    match options.revision {
        Some(wanted) if wanted > current => Err(too_large(wanted, current)),
        Some(wanted) if options.matching == "Exact" && wanted < store.oldest_revision() => Err(
            StatusError::expired(format!("The resourceVersion for the provided list is too old: {wanted}")),
        ),
        Some(wanted) if options.matching == "Exact" => Ok((wanted, None)),
        _ => Ok((current, None)),
    }
}

fn too_large(wanted: u64, current: u64) -> StatusError {
    let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    let mut status_error = StatusError::new(504, "Timeout", message).with_details(json!({"causes": [cause]}));
    status_error.retry_after = Some(1);
    status_error
}

fn token(revision: u64, start: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

/// Describes an invalid token as the decoders of Go do.
fn token_error(token: &str) -> String {
    match URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')) {
        Err(DecodeError::InvalidByte(offset, _)) => format!("illegal base64 data at input byte {offset}"),
        Err(_) => format!("illegal base64 data at input byte {}", token.len() / 4 * 4),
        Ok(bytes) => decode::syntax_error(&bytes).unwrap_or_else(|| "incorrect encoding".to_owned()),
    }
}

fn read_token(token: &str) -> Option<(u64, String)> {
    let value: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?).ok()?;
    Some((value["rv"].as_u64()?, value["start"].as_str()?.to_owned()))
}
