//! Server-side apply: merges an applied configuration into the object; the manager owns the fields in it.
//!
//! Contract: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::clock::SimTime;
use crate::kubernetes::definition::Definition;
use crate::kubernetes::fields::{FieldSet, display_path};
use crate::kubernetes::ownership::{Owner, Owners, claimed, compare};
use crate::kubernetes::schema::traverse::{NodeKind, classify, field, item_edge, items};
use crate::kubernetes::schema::{convert, type_check};
use crate::kubernetes::status::StatusError;
use crate::kubernetes::store::names;

/// Returns the object after an apply, with its updated owners.
///
/// # Errors
/// 500 for a configuration that does not match its kind, 409 for fields that others own with other values.
pub fn applied(
    definition: &Definition,
    live: Option<&Value>,
    config: &Value,
    owner: &Owner,
    force: bool,
    at: SimTime,
) -> Result<Value, StatusError> {
    check_type(definition, config)?;
    let config = in_scope(definition, config, owner);
    let nothing = Value::Object(Map::new());
    let before = live.unwrap_or(&nothing);
    let mut owners = live.map(Owners::of).unwrap_or_default();
    let last = owners.fields_of(owner).cloned();
    owners.set(owner, claimed(definition, &config), at);

    let mut object = merged(&definition.schema, before, &config);
    if let Some(last) = last {
        drop_disowned_fields(&definition.schema, &mut object, &last, &owners.all_fields(), true);
    }
    let difference = compare(definition, before, &object);
    let (written, changed) = difference.written_and_changed();
    let conflicts: Vec<(String, Vec<String>)> = owners
        .others(owner)
        .map(|entry| (entry, entry.fields.intersection(&written).paths()))
        .filter(|(_, paths)| !paths.is_empty())
        .map(|(entry, paths)| (entry.owner.display(), paths.iter().map(|path| display_path(path)).collect()))
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    check_conversion(definition, &object)?;
    owners.remove_from_others(owner, &changed);
    owners.write_into(&mut object);
    Ok(object)
}

/// Checks that a merged object of a built-in kind fits its Go type.
fn check_conversion(definition: &Definition, object: &Value) -> Result<(), StatusError> {
    let failure = if definition.custom { None } else { convert::failure(&definition.schema, object) };
    let Some(failure) = failure else { return Ok(()) };
    let (namespace, name) = names(object);
    let kind = format!("{}/{}, Kind={}", definition.group, definition.version, definition.kind);
    Err(StatusError::new(
        500,
        "",
        format!(
            "failed to convert new object ({namespace}/{name}; {kind}) to proper version: unable to convert \
             unstructured object to {kind}: {}",
            failure.why
        ),
    ))
}

fn check_type(definition: &Definition, config: &Value) -> Result<(), StatusError> {
    let type_errors = type_check::type_errors(&definition.schema, config);
    let (namespace, name) = names(config);
    let what = match type_errors.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    // Unlike all other errors, this one has no reason.
    Err(StatusError::new(
        500,
        "",
        format!(
            "failed to create typed patch object ({namespace}/{name}; {}/{}, Kind={}): {what}",
            definition.group, definition.version, definition.kind
        ),
    ))
}

/// Limits a configuration to the fields that its URL can change.
fn in_scope(definition: &Definition, config: &Value, owner: &Owner) -> Value {
    let mut config = config.clone();
    if let Some(map) = config.as_object_mut() {
        if owner.subresource == "status" {
            map.retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
            if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.retain(|field, _| field == "name" || field == "namespace");
            }
        } else if definition.has_status {
            map.shift_remove("status");
        }
    }
    config
}

fn merged(schema: &Value, live: &Value, config: &Value) -> Value {
    match (classify(schema, live), classify(schema, config)) {
        (NodeKind::Map(old), NodeKind::Map(new)) => {
            let mut map = old.clone();
            for (name, value) in new {
                let value = match (old.get(name), field(schema, name)) {
                    (Some(old), Some(field)) => merged(field, old, value),
                    _ => value.clone(),
                };
                map.insert(name.clone(), value);
            }
            Value::Object(map)
        }
        (NodeKind::List(old), NodeKind::List(new)) => Value::Array(merged_list(schema, old, new)),
        _ => config.clone(),
    }
}

/// Merges two keyed lists or sets. The items of the configuration come in its order. An item that only the
/// object has stays before its former successor.
fn merged_list(schema: &Value, old: &[Value], new: &[Value]) -> Vec<Value> {
    let edge = |item: &Value| item_edge(schema, item).unwrap_or_default();
    let old_by_edge: BTreeMap<String, &Value> = old.iter().map(|item| (edge(item), item)).collect();
    let wanted: BTreeSet<String> = new.iter().map(edge).collect();
    let mut done = BTreeSet::new();
    let mut list = Vec::new();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    while old.peek().is_some() || new.peek().is_some() {
        if let Some(kept) = old.next_if(|item| !wanted.contains(&edge(item)) || done.contains(&edge(item))) {
            if !done.contains(&edge(kept)) {
                list.push(kept.clone());
            }
            continue;
        }
        let Some(item) = new.next() else { break };
        let place = edge(item);
        list.push(match old_by_edge.get(&place) {
            Some(old) => merged(items(schema), old, item),
            None => item.clone(),
        });
        done.insert(place);
    }
    list
}

/// Removes the fields that the manager owned before and that have no owner now, with everything below them.
fn drop_disowned_fields(schema: &Value, value: &mut Value, last: &FieldSet, kept: &FieldSet, is_root: bool) {
    for (edge, before) in last.children() {
        let stays = kept.child(edge);
        // Metadata as a whole is never owned.
        if stays.is_none() && !(is_root && edge == "f:metadata") {
            remove(schema, value, edge);
            continue;
        }
        let nothing = FieldSet::default();
        if let Some((schema, part)) = part_mut(schema, value, edge) {
            drop_disowned_fields(schema, part, before, stays.unwrap_or(&nothing), false);
        }
    }
}

fn remove(schema: &Value, value: &mut Value, edge: &str) {
    match value {
        Value::Object(map) => {
            if let Some(name) = edge.strip_prefix("f:") {
                map.shift_remove(name);
            }
        }
        Value::Array(list) => list.retain(|item| item_edge(schema, item).is_ok_and(|own| own != edge)),
        _ => {}
    }
}

fn part_mut<'a>(schema: &'a Value, value: &'a mut Value, edge: &str) -> Option<(&'a Value, &'a mut Value)> {
    match value {
        Value::Object(map) => {
            let name = edge.strip_prefix("f:")?;
            Some((field(schema, name)?, map.get_mut(name)?))
        }
        Value::Array(list) => {
            let item = list.iter_mut().find(|item| item_edge(schema, item).is_ok_and(|own| own == edge))?;
            Some((items(schema), item))
        }
        _ => None,
    }
}

fn conflict(conflicts: &[(String, Vec<String>)]) -> StatusError {
    let count: usize = conflicts.iter().map(|(_, paths)| paths.len()).sum();
    let mut sorted = conflicts.to_vec();
    sorted.sort();
    let text = match sorted.as_slice() {
        [(manager, paths)] if paths.len() == 1 => {
            format!("1 conflict: conflict with {manager}: {}", paths[0])
        }
        many => {
            let blocks = many.iter().map(|(manager, paths)| {
                let lines: Vec<String> = paths.iter().map(|path| format!("- {path}")).collect();
                format!("conflicts with {manager}:\n{}", lines.join("\n"))
            });
            format!("{count} conflicts: {}", blocks.collect::<Vec<_>>().join("\n"))
        }
    };
    let causes: Vec<Value> = sorted
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| {
                json!({
                    "reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path,
                })
            })
        })
        .collect();
    StatusError::new(409, "Conflict", format!("Apply failed with {text}"))
        .with_details(json!({"causes": causes}))
}
