//! The condition of a policy rule: `allOf`, `anyOf`, `not`, and one operator on a field or a value.

use serde_json::Value;

use super::expression::{Scope, evaluate, evaluate_value};

/// Returns whether a condition holds for the resource of the scope. Texts compare case-insensitively.
///
/// # Errors
/// The part of the condition that this cloud does not support.
pub(super) fn holds(condition: &Value, scope: &Scope<'_>) -> Result<bool, String> {
    let list = |name: &str| condition[name].as_array().map(|all| all.iter().map(|one| holds(one, scope)));
    if let Some(mut all) = list("allOf") {
        return all.try_fold(true, |so_far, one| Ok(so_far & one?));
    }
    if let Some(mut any) = list("anyOf") {
        return any.try_fold(false, |so_far, one| Ok(so_far | one?));
    }
    if condition["not"].is_object() {
        return Ok(!holds(&condition["not"], scope)?);
    }
    let operand = match (condition["field"].as_str(), condition.get("value")) {
        (Some(field), _) => {
            let field = evaluate(field, scope)?;
            scope.subject.value(field.as_str().unwrap_or_default())
        }
        (None, Some(value)) => evaluate_value(value, scope)?,
        (None, None) => return Err("a condition needs 'field' or 'value'".to_owned()),
    };
    let is_operator = |(name, _): &(&String, &Value)| !matches!(name.as_str(), "field" | "value");
    let operator = condition.as_object().into_iter().flatten().find(is_operator);
    let (name, target) = operator.ok_or_else(|| "a condition needs an operator".to_owned())?;
    let target = evaluate_value(target, scope)?;
    compare(&operand, name, &target)
}

fn compare(operand: &Value, operator: &str, target: &Value) -> Result<bool, String> {
    let within = || target.as_array().is_some_and(|all| all.iter().any(|one| equal(operand, one)));
    let contains = || text(operand).contains(&text(target));
    Ok(match operator.to_ascii_lowercase().as_str() {
        "equals" => equal(operand, target),
        "notequals" => !equal(operand, target),
        "in" => within(),
        "notin" => !within(),
        "exists" => operand.is_null() != (text(target) == "true"),
        "contains" => contains(),
        "notcontains" => !contains(),
        "like" => is_like(&text(operand), &text(target)),
        "notlike" => !is_like(&text(operand), &text(target)),
        _ => return Err(format!("the operator '{operator}' is not supported by this cloud")),
    })
}

/// A missing value equals the empty text, as in the built-in tag policies.
fn equal(one: &Value, other: &Value) -> bool {
    one == other || text(one) == text(other)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.to_lowercase(),
        other => other.to_string(),
    }
}

/// Matches a text with at most one `*`.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
        None => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::super::subject::Subject;
    use super::*;
    use crate::test_cloud::TestCloud;
    use serde_json::{Map, json};

    #[test]
    fn a_condition_combines_fields_and_values() {
        let cloud = TestCloud::new();
        let body = json!({ "location": "eastus", "properties": { "publicNetworkAccess": "Enabled" } });
        let subject = Subject { kind: "Microsoft.KeyVault/vaults", name: "kv", group: "rg", body: &body };
        let parameters = Map::new();
        let scope = Scope { state: &cloud.state, subject: &subject, parameters: &parameters };
        for (condition, wanted) in [
            (json!({ "field": "type", "equals": "microsoft.keyvault/vaults" }), true),
            (json!({ "field": "location", "notIn": ["WestEurope", "EastUS"] }), false),
            (json!({ "field": "tags['Team']", "exists": "false" }), true),
            (json!({ "not": { "field": "tags", "exists": true } }), true),
            (
                json!({ "field": "Microsoft.KeyVault/vaults/publicNetworkAccess", "notEquals": "Disabled" }),
                true,
            ),
            (json!({ "field": "Microsoft.Storage/a/publicNetworkAccess", "exists": "true" }), false),
            (json!({ "anyOf": [{ "value": "", "notEquals": "" }, { "field": "name", "like": "k*" }] }), true),
            (
                json!({ "allOf": [{ "field": "name", "contains": "V" }, { "field": "name", "equals": "x" }] }),
                false,
            ),
        ] {
            assert_eq!(holds(&condition, &scope), Ok(wanted), "{condition}");
        }
        assert!(holds(&json!({ "field": "name" }), &scope).is_err());
        assert!(holds(&json!({ "field": "name", "greater": 1 }), &scope).is_err());
    }
}
