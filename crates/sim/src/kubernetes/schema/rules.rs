//! The validation rules in schemas, `x-kubernetes-validations`: their evaluation on an object, and their check when
//! a definition is written.
//!
//! Contract: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules>.

use serde_json::{Value, json};

use super::traverse::{ListKind, field, item_edge, items, list_kind};
use crate::kubernetes::cel::{self, CelValue, Type, Variables};
use crate::kubernetes::status::FieldError;

/// The keyword of the rules.
const KEYWORD: &str = "x-kubernetes-validations";

/// Returns the violated rules of an object. A rule about an unchanged value is violated only if it reads the old one.
pub fn field_errors(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(schema, object, old, "", &mut errors);
    errors
}

fn walk(schema: &Value, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() {
        return;
    }
    for rule in rules(schema) {
        errors.extend(Rule(rule).error(schema, value, old, path));
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if let Some(field) = field(schema, name) {
                    walk(field, value, old.and_then(|old| old.get(name)), &below, errors);
                }
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                walk(items(schema), item, old_item(schema, item, old), &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

/// Returns the old item with the same keys; only a keyed list has them.
fn old_item<'v>(schema: &Value, item: &Value, old: Option<&'v Value>) -> Option<&'v Value> {
    let edge = item_edge(schema, item).ok().filter(|_| list_kind(schema) == ListKind::Keyed)?;
    old?.as_array()?.iter().find(|old| item_edge(schema, old).is_ok_and(|own| own == edge))
}

fn rules(schema: &Value) -> impl Iterator<Item = &Value> {
    schema.get(KEYWORD).and_then(Value::as_array).into_iter().flatten()
}

/// One rule of a schema.
struct Rule<'s>(&'s Value);

impl Rule<'_> {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default().trim()
    }

    fn is_optional(&self) -> bool {
        self.0["optionalOldSelf"] == json!(true)
    }

    /// Returns the message, by default the rule.
    fn name(&self) -> &str {
        if self.text("message").is_empty() { self.text("rule") } else { self.text("message") }
    }

    fn error(&self, schema: &Value, value: &Value, old: Option<&Value>, path: &str) -> Option<FieldError> {
        let source = self.text("rule");
        let reads_old = cel::reads_old_value(source);
        if (reads_old && old.is_none() && !self.is_optional()) || (!reads_old && old == Some(value)) {
            return None;
        }
        let before = || {
            let old = old.map(|old| CelValue::of(schema, old));
            if self.is_optional() { Some(CelValue::Optional(old.map(Into::into))) } else { old }
        };
        let own = || CelValue::of(schema, value);
        let why = match cel::evaluate(source, own(), before()) {
            Ok(CelValue::Bool(true)) => return None,
            Ok(_) => {
                let stated = cel::evaluate(self.text("messageExpression"), own(), before());
                return Some(self.violation(value, path, stated.ok()));
            }
            Err(why) if why.starts_with("no such overload") => format!(
                "'{why}': call arguments did not match a supported operator, function or macro signature for rule: {}",
                self.name()
            ),
            Err(why) if why.starts_with("operation cancelled") => format!(
                "'{why}': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                self.name()
            ),
            Err(why) => format!("{why} evaluating rule: {}", self.name()),
        };
        Some(FieldError::invalid(path, &schema["type"], &why))
    }

    fn violation(&self, value: &Value, path: &str, stated: Option<CelValue<'_>>) -> FieldError {
        let fallback = match self.text("message") {
            "" => format!("failed rule: {}", self.text("rule")),
            message => message.to_owned(),
        };
        let why = match stated {
            Some(CelValue::Text(text)) if !text.trim().is_empty() && !text.contains('\n') => {
                text.trim().to_owned()
            }
            _ => fallback,
        };
        let below = self.text("fieldPath");
        let path =
            if path.is_empty() { below.trim_start_matches('.').to_owned() } else { format!("{path}{below}") };
        match self.text("reason") {
            "FieldValueRequired" => FieldError::required(&path, &why),
            "FieldValueForbidden" => FieldError::forbidden(&path, &why),
            "FieldValueDuplicate" => FieldError::duplicate(&path, value),
            _ if value.is_object() || value.is_array() => FieldError::rule(&path, &why),
            _ => FieldError::invalid(&path, value, &why),
        }
    }

    /// Returns the rule in the format of Go.
    fn in_go_syntax(&self) -> String {
        let pointer = |kind: &str, field: &str| {
            format!("(*{kind})({})", if self.0[field].is_null() { "nil" } else { "0xc000000000" })
        };
        format!(
            "apiextensions.ValidationRule{{Rule:{:?}, Message:{:?}, MessageExpression:{:?}, Reason:{}, FieldPath:{:?}, \
             OptionalOldSelf:{}}}",
            self.0["rule"].as_str().unwrap_or_default(),
            self.0["message"].as_str().unwrap_or_default(),
            self.0["messageExpression"].as_str().unwrap_or_default(),
            pointer("apiextensions.FieldValueErrorReason", "reason"),
            self.0["fieldPath"].as_str().unwrap_or_default(),
            pointer("bool", "optionalOldSelf"),
        )
    }
}

/// Returns the errors of the rules in a definition's schema: those that do not compile, and those that read an old
/// value that cannot be found.
pub fn compile_errors(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    compile_below(schema, path, None, true, &mut errors);
    errors
}

fn compile_below(
    schema: &Value,
    path: &str,
    uncorrelated: Option<&str>,
    is_root: bool,
    errors: &mut Vec<FieldError>,
) {
    for (index, rule) in rules(schema).enumerate() {
        let at = format!("{path}.{KEYWORD}[{index}]");
        let (rule, source) = (Rule(rule), rule["rule"].as_str().unwrap_or_default());
        if source.trim().is_empty() {
            errors.push(FieldError::required(&format!("{at}.rule"), "rule is not specified"));
            continue;
        }
        let variables = Variables { schema, is_root, optional_old: rule.is_optional() };
        if let Err(why) = cel::compile(source, &variables, &Type::Bool) {
            errors.push(FieldError::invalid_text(&format!("{at}.rule"), &rule.in_go_syntax(), &why));
        } else if let Some(within) = uncorrelated.filter(|_| cel::reads_old_value(source)) {
            let why =
                format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {within}");
            errors.push(FieldError::invalid(&format!("{at}.rule"), &json!(source), &why));
        }
        let message = rule.0["messageExpression"].as_str().unwrap_or_default();
        if !message.is_empty()
            && let Err(why) = cel::compile(message, &variables, &Type::Text)
        {
            errors.push(FieldError::invalid_text(
                &format!("{at}.messageExpression"),
                &rule.in_go_syntax(),
                &why,
            ));
        }
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        compile_below(field, &format!("{path}.properties[{name}]"), uncorrelated, false, errors);
    }
    if schema["items"].is_object() {
        let is_keyed = list_kind(schema) == ListKind::Keyed;
        let uncorrelated = uncorrelated.or((!is_keyed).then_some(path));
        compile_below(&schema["items"], &format!("{path}.items"), uncorrelated, false, errors);
    }
    if schema["additionalProperties"].is_object() {
        let below = format!("{path}.additionalProperties");
        compile_below(&schema["additionalProperties"], &below, uncorrelated, false, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{Constrain, integer, keyed, list, object, string};
    use super::*;

    fn ruled(schema: Value, rules: Value) -> Value {
        schema.with(KEYWORD, rules)
    }

    fn say(schema: &Value, object: Value, old: Option<Value>) -> Vec<String> {
        field_errors(schema, &object, old.as_ref()).iter().map(FieldError::to_string).collect()
    }

    #[test]
    fn a_violated_rule_has_its_message_reason_and_path() {
        let schema = ruled(
            object(&[("min", integer()), ("max", integer()), ("name", string())]),
            json!([
                {"rule": "self.min <= self.max", "message": "min is above max", "fieldPath": ".min"},
                {"rule": "has(self.name)", "reason": "FieldValueRequired", "message": "give it a name", "fieldPath": ".name"},
                {"rule": "self.max < 10", "messageExpression": "'at most 9, not %d'.format([self.max])"},
                {"rule": "self.min > 0"},
            ]),
        );
        assert!(say(&schema, json!({"min": 1, "max": 2, "name": "a"}), None).is_empty());
        assert_eq!(
            say(&schema, json!({"min": 0, "max": 10, "name": "a"}), None),
            ["<nil>: Invalid value: at most 9, not 10", "<nil>: Invalid value: failed rule: self.min > 0"]
        );
        assert_eq!(
            say(&schema, json!({"min": 3, "max": 2}), None),
            ["min: Invalid value: min is above max", "name: Required value: give it a name"]
        );
        let failed = say(&schema, json!({"max": 2, "name": "a"}), None);
        assert_eq!(
            failed[0],
            r#"<nil>: Invalid value: "object": no such key: min evaluating rule: min is above max"#
        );
    }

    #[test]
    fn a_transition_rule_compares_a_value_with_its_old_one() {
        let fixed = || ruled(string(), json!([{"rule": "self == oldSelf", "message": "fixed"}]));
        let item = object(&[("key", string()), ("value", fixed())]);
        let schema = object(&[("name", fixed()), ("items", keyed(item, &["key"]))]);
        let one = json!({"name": "a", "items": [{"key": "x", "value": "1"}]});
        assert!(say(&schema, one.clone(), None).is_empty());
        assert!(say(&schema, one.clone(), Some(json!({"items": []}))).is_empty());
        let other = json!({"name": "b", "items": [{"key": "y", "value": "1"}, {"key": "x", "value": "2"}]});
        assert_eq!(
            say(&schema, other, Some(one)),
            [r#"name: Invalid value: "b": fixed"#, r#"items[1].value: Invalid value: "2": fixed"#]
        );
        let optional = ruled(
            integer(),
            json!([{"rule": "!oldSelf.hasValue() ? self == 1 : self > oldSelf.value()", "optionalOldSelf": true}]),
        );
        assert_eq!(say(&object(&[("n", optional.clone())]), json!({"n": 2}), None).len(), 1);
        assert!(say(&object(&[("n", optional)]), json!({"n": 2}), Some(json!({"n": 1}))).is_empty());
    }

    #[test]
    fn an_unchanged_value_is_not_judged_again() {
        let even = ruled(integer(), json!([{"rule": "self % 2 == 0", "message": "odd"}]));
        let schema = object(&[("a", even.clone()), ("b", even)]);
        let old = json!({"a": 1, "b": 1});
        assert_eq!(say(&schema, json!({"a": 1, "b": 3}), Some(old)), ["b: Invalid value: 3: odd"]);
    }

    #[test]
    fn a_rule_that_does_not_compile_is_an_error_of_the_definition() {
        let schema = object(&[
            ("a", ruled(string(), json!([{"rule": "self.size() > 0"}, {"rule": "self.x"}, {"rule": " "}]))),
            ("list", list(ruled(string(), json!([{"rule": "self == oldSelf"}])))),
            ("b", ruled(string(), json!([{"rule": "true", "messageExpression": "1"}]))),
        ]);
        let errors: Vec<String> = compile_errors(&schema, "spec.validation.openAPIV3Schema")
            .iter()
            .map(FieldError::to_string)
            .collect();
        assert_eq!(errors.len(), 4, "{errors:#?}");
        assert!(errors[0].starts_with(
            "spec.validation.openAPIV3Schema.properties[a].x-kubernetes-validations[1].rule: Invalid value: \
             apiextensions.ValidationRule{Rule:\"self.x\", Message:\"\", MessageExpression:\"\", \
             Reason:(*apiextensions.FieldValueErrorReason)(nil), FieldPath:\"\", OptionalOldSelf:(*bool)(nil)}: \
             compilation failed: ERROR: <input>:1:5: "
        ));
        assert!(
            errors[1].contains("x-kubernetes-validations[2].rule: Required value: rule is not specified")
        );
        assert!(errors[2].ends_with("within spec.validation.openAPIV3Schema.properties[list]"));
        assert!(errors[3].contains("x-kubernetes-validations[0].messageExpression: Invalid value: "));
    }
}
