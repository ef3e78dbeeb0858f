//! Strategic merge patch: a merge patch that merges keyed lists item by item and supports a few directives.

use serde_json::{Map, Value};

use crate::kubernetes::schema::traverse::{ListKind, field, items, list_keys, list_kind};
use crate::kubernetes::status::StatusError;

/// Returns a value after a strategic merge patch.
///
/// # Errors
/// 400 for an item without its merge key.
pub fn patched(schema: &Value, value: &Value, patch: &Value) -> Result<Value, StatusError> {
    let Value::Object(changes) = patch else { return Ok(patch.clone()) };
    match changes.get("$patch").and_then(Value::as_str) {
        Some("replace") => return Ok(without_directives(changes)),
        Some("delete") => return Ok(Value::Object(Map::new())),
        _ => {}
    }
    let mut map = value.as_object().cloned().unwrap_or_else(Map::new);
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let deleted_items = change.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(list)) = map.get_mut(list) {
                list.retain(|item| !deleted_items.contains(item));
            }
            continue;
        }
        if name == "$retainKeys" {
            let kept = change.as_array().cloned().unwrap_or_default();
            map.retain(|name, _| kept.iter().any(|keep| keep == name));
            continue;
        }
        // The other directives set the order of merged lists; the existing order is already the requested
        // one.
        if name.starts_with('$') {
            continue;
        }
        if change.is_null() {
            map.shift_remove(name);
            continue;
        }
        let field = field(schema, name).cloned().unwrap_or_default();
        let is = map.get(name).cloned().unwrap_or_default();
        let merged = match change {
            Value::Array(change) => merged_list(&field, is.as_array().map_or(&[], Vec::as_slice), change)?,
            change => patched(&field, &is, change)?,
        };
        map.insert(name.clone(), merged);
    }
    Ok(Value::Object(map))
}

fn without_directives(map: &Map<String, Value>) -> Value {
    let kept = map.iter().filter(|(name, _)| !name.starts_with('$'));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn merged_list(schema: &Value, list: &[Value], changes: &[Value]) -> Result<Value, StatusError> {
    let directive = |item: &Value| item.get("$patch").and_then(Value::as_str).map(str::to_owned);
    if changes.iter().any(|item| {
        directive(item).as_deref() == Some("replace") && item.as_object().is_some_and(|map| map.len() == 1)
    }) {
        return Ok(changes.iter().filter(|item| directive(item).is_none()).cloned().collect());
    }
    match list_kind(schema) {
        ListKind::Atomic => Ok(Value::Array(changes.to_vec())),
        ListKind::Set => {
            let mut all = list.to_vec();
            all.extend(changes.iter().filter(|item| !list.contains(item)).cloned());
            Ok(Value::Array(all))
        }
        ListKind::Keyed => {
            // Strategic patches merge by the first key only, apply merges by all keys.
            let key = list_keys(schema).next().unwrap_or("name").to_owned();
            let mut all = list.to_vec();
            for change in changes {
                let Some(wanted) = change.get(&key) else {
                    let why = format!("map: {change} does not contain declared merge key: {key}");
                    return Err(StatusError::bad_request(why));
                };
                let place = all.iter().position(|item| item.get(&key) == Some(wanted));
                match (place, directive(change).as_deref()) {
                    (Some(place), Some("delete")) => drop(all.remove(place)),
                    (None, Some("delete")) => {}
                    (Some(place), _) => all[place] = patched(items(schema), &all[place], change)?,
                    (None, _) => all.push(patched(items(schema), &Value::Null, change)?),
                }
            }
            Ok(Value::Array(all))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keyed_lists_are_merged_and_directives_obeyed() {
        let kind = &crate::kubernetes::definition::built_in()["deployments.apps"];
        let object = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "image": "a:1", "args": ["x"]}, {"name": "b", "image": "b:1"},
        ]}}}});
        let patch = json!({"spec": {"template": {"spec": {
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "a", "image": "a:2"}, {"name": "b", "$patch": "delete"}],
        }}}});
        let done = patched(&kind.schema, &object, &patch).expect("the patch fits");
        assert_eq!(
            done["spec"]["template"]["spec"]["containers"],
            json!([{"name": "a", "image": "a:2", "args": ["x"]}])
        );
    }
}
