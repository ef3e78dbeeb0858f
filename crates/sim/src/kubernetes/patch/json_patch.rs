//! JSON patch, RFC 6902.

use serde_json::{Value, json};

use crate::kubernetes::status::StatusError;

/// The maximum number of operations.
const OPERATIONS_MAX: usize = 10_000;
/// The maximum size of all copies, in bytes of JSON. As many bytes limit the body of a request.
const COPIES_MAX: usize = 3 * 1024 * 1024;

/// The maximum depth of an object between two operations: a value is dropped level by level on the stack.
const DEPTH_MAX: usize = 1_000;

/// Returns an object after a list of operations.
///
/// # Errors
/// 400 for an invalid list, 413 for one that is too long, 422 for an operation that cannot be applied.
pub fn patched(object: &Value, body: &[u8]) -> Result<Value, StatusError> {
    let operations: Vec<Value> = serde_json::from_slice(body)
        .map_err(|error| StatusError::bad_request(format!("error decoding patch: {error}")))?;
    if operations.len() > OPERATIONS_MAX {
        let is = operations.len();
        let why = format!(
            "Request entity is too large: The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {is}"
        );
        return Err(StatusError::new(413, "RequestEntityTooLarge", why));
    }
    let mut object = object.clone();
    let mut copied = 0;
    for operation in &operations {
        // The answer does not say which operation failed, or why.
        apply(&mut object, operation, &mut copied).map_err(|_| {
            StatusError::new(422, "Invalid", "the server rejected our request due to an error in our request")
                .with_details(json!({}))
        })?;
    }
    Ok(object)
}

/// Applies an operation. `copied` is the size of all copies so far.
fn apply(object: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), String> {
    let text = |field: &str| {
        operation[field].as_str().map(str::to_owned).ok_or_else(|| format!("an operation lacks its {field}"))
    };
    let value = || operation.get("value").cloned().ok_or_else(|| "an operation lacks its value".to_owned());
    let path = text("path")?;
    match operation["op"].as_str() {
        Some("add") => add(object, &path, value()?),
        Some("remove") => remove(object, &path).map(drop),
        Some("replace") => {
            let missing = || format!("replace operation does not apply: doc is missing key: {path}");
            *object.pointer_mut(&path).ok_or_else(missing)? = value()?;
            Ok(())
        }
        Some("move") => {
            let moved = remove(object, &text("from")?)?;
            add(object, &path, moved)
        }
        Some("copy") => {
            let from = text("from")?;
            let copy = object.pointer(&from).ok_or_else(|| format!("nothing to copy at {from}"))?;
            *copied += copy.to_string().len();
            if *copied > COPIES_MAX {
                return Err(format!("the copies have {copied} bytes, the limit is {COPIES_MAX}"));
            }
            let copy = copy.clone();
            add(object, &path, copy)
        }
        Some("test") => {
            let is = object.pointer(&path).unwrap_or(&Value::Null);
            if *is == value()? { Ok(()) } else { Err(format!("testing value {path} failed: test failed")) }
        }
        other => Err(format!("unexpected kind of operation {other:?}")),
    }
}

/// Returns the depth of a value; 1 for a text.
pub fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => None,
    };
    1 + inner.unwrap_or(0)
}

fn split(path: &str) -> Result<(&str, String), String> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| format!("no such path {path:?}"))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.matches('/').count() + depth(&value) > DEPTH_MAX {
        return Err(format!("{path} is nested more than {DEPTH_MAX} levels deep"));
    }
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let (parent, last) = split(path)?;
    let missing = || format!("add operation does not apply: doc is missing path: {path}");
    match object.pointer_mut(parent).ok_or_else(missing)? {
        Value::Object(map) => drop(map.insert(last, value)),
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => {
            let index: usize = last.parse().map_err(|_| missing())?;
            if index > list.len() {
                return Err(missing());
            }
            list.insert(index, value);
        }
        _ => return Err(missing()),
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, last) = split(path)?;
    let missing = || format!("remove operation does not apply: doc is missing path: {path}");
    match object.pointer_mut(parent).ok_or_else(missing)? {
        Value::Object(map) => map.shift_remove(&last).ok_or_else(missing),
        Value::Array(list) => {
            let index: usize = last.parse().map_err(|_| missing())?;
            if index < list.len() { Ok(list.remove(index)) } else { Err(missing()) }
        }
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(object: Value, operations: Value) -> Result<Value, String> {
        let mut object = object;
        for operation in operations.as_array().into_iter().flatten() {
            apply(&mut object, operation, &mut 0)?;
        }
        Ok(object)
    }

    #[test]
    fn copies_that_double_the_object_are_stopped() {
        let double = json!({"op": "copy", "from": "/a", "path": "/a/-"});
        let body = Value::from(vec![double; 40]).to_string();
        let refused = patched(&json!({"a": ["x"]}), body.as_bytes()).unwrap_err();
        assert_eq!(refused.code, 422);
        assert_eq!(refused.message, "the server rejected our request due to an error in our request");
        let many = Value::from(vec![json!({"op": "test", "path": "", "value": {}}); 10_001]).to_string();
        let refused = patched(&json!({}), many.as_bytes()).unwrap_err();
        assert_eq!(refused.code, 413);
        assert!(
            refused.message.ends_with("operations in a JSON patch is 10000, got 10001"),
            "{}",
            refused.message
        );
    }

    #[test]
    fn copies_that_nest_the_object_into_itself_are_stopped() {
        let nest = json!({"op": "copy", "from": "/a", "path": "/a/x"});
        let body = Value::from(vec![nest; 1_005]).to_string();
        assert_eq!(patched(&json!({"a": {}}), body.as_bytes()).unwrap_err().code, 422);
    }

    #[test]
    fn each_operation_conforms_to_the_rfc() {
        let done = run(
            json!({"a": [1, 2], "b/c": 1}),
            json!([
                {"op": "test", "path": "/b~1c", "value": 1},
                {"op": "add", "path": "/a/-", "value": 3},
                {"op": "add", "path": "/a/0", "value": 0},
                {"op": "remove", "path": "/a/1"},
                {"op": "replace", "path": "/b~1c", "value": 5},
                {"op": "move", "from": "/b~1c", "path": "/d"},
                {"op": "copy", "from": "/d", "path": "/e"},
            ]),
        );
        assert_eq!(done, Ok(json!({"a": [0, 2, 3], "d": 5, "e": 5})));
    }

    #[test]
    fn inapplicable_operations_are_errors() {
        assert!(run(json!({}), json!([{"op": "remove", "path": "/a"}])).is_err());
        assert!(run(json!({}), json!([{"op": "replace", "path": "/a", "value": 1}])).is_err());
        assert!(run(json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 2}])).is_err());
        assert!(run(json!({}), json!([{"op": "add", "path": "/a/b", "value": 1}])).is_err());
    }
}
