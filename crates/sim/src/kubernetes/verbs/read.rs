//! The verbs get, list and watch.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Call;
use crate::kubernetes::form::list_metadata;
use crate::kubernetes::query::ListOptions;
use crate::kubernetes::selector::Selection;
use crate::kubernetes::status::{Refusal, json_reply};
use crate::kubernetes::store::{Store, key, names};
use crate::kubernetes::watch::Watch;
use crate::request::Reply;

/// Returns one object.
///
/// # Errors
/// 404 if it does not exist.
pub fn get(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let object = call.live(store)?;
    Ok(call.answer(200, &object, &[]))
}

/// Returns a selection of objects, whole or paged.
///
/// # Errors
/// 400 for invalid selectors and tokens, 410 for old resource versions, 504 for future ones.
pub fn list(store: &Store, call: &Call<'_>, options: &ListOptions) -> Result<Reply, Refusal> {
    let definition = &call.place.definition;
    let selection = Selection::parse(&options.labels, &options.fields, &definition.kind)?;
    let (revision, start) = starting_point(store, options)?;
    let snapshot = store.as_of(&definition.resource(), revision);
    let within = |object: &Value| {
        let (namespace, name) = names(object);
        call.place.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && start.as_ref().is_none_or(|start| key(&namespace, &name) > *start)
            && selection.chooses(object)
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
    Ok(json_reply(200, &call.form.many(definition, about, shown, call.now)))
}

/// Starts a watch, of one object if the URL names one.
///
/// # Errors
/// 400 for invalid selectors.
pub fn watch(store: &Store, call: &Call<'_>, options: &ListOptions) -> Result<Watch, Refusal> {
    let definition = &call.place.definition;
    let mut fields = options.fields.clone();
    if let Some(name) = &call.place.name {
        fields = format!("metadata.name={name}");
    }
    let selection = Selection::parse(&options.labels, &fields, &definition.kind)?;
    let namespace = call.place.namespace.clone();
    Ok(Watch::begin(store, definition.clone(), namespace, selection, call.form, options, call.now))
}

/// Returns the resource version of a list, and the key after which it continues.
fn starting_point(store: &Store, options: &ListOptions) -> Result<(u64, Option<String>), Refusal> {
    let current = store.revision();
    if !options.next.is_empty() {
        if options.revision.is_some_and(|revision| revision > 0) {
            return Err(Refusal::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let (revision, start) = read_token(&options.next).ok_or_else(|| {
            Refusal::bad_request("continue key is not valid: it was not given out by this server")
        })?;
        if revision < store.floor() {
            return Err(Refusal::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
            ));
        }
        return Ok((revision.min(current), Some(start)));
    }
    match options.revision {
        Some(wanted) if wanted > current => Err(too_large(wanted, current)),
        Some(wanted) if options.matching == "Exact" && wanted < store.floor() => {
            Err(Refusal::expired(format!("The resourceVersion for the provided list is too old: {wanted}")))
        }
        Some(wanted) if options.matching == "Exact" => Ok((wanted, None)),
        _ => Ok((current, None)),
    }
}

fn too_large(wanted: u64, current: u64) -> Refusal {
    let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    let mut refusal = Refusal::new(504, "Timeout", message).with_details(json!({"causes": [cause]}));
    refusal.retry_after = Some(1);
    refusal
}

fn token(revision: u64, start: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

fn read_token(token: &str) -> Option<(u64, String)> {
    let value: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?).ok()?;
    Some((value["rv"].as_u64()?, value["start"].as_str()?.to_owned()))
}
