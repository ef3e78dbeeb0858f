//! Template expressions in policy rules: `[concat('tags[', parameters('tagName'), ']')]`.
//!
//! Source: "Azure Policy definition structure", policy functions. Supported are those of the built-in tag policies.

use serde_json::{Map, Value, json};

use super::field::property;
use super::subject::Subject;
use crate::state::CloudState;

/// The values that an expression may refer to.
pub(super) struct Scope<'a> {
    /// The state, for `resourceGroup()` and `subscription()`.
    pub(super) state: &'a CloudState,
    /// The resource, for `field()` and its group.
    pub(super) subject: &'a Subject<'a>,
    /// The parameters with their defaults.
    pub(super) parameters: &'a Map<String, Value>,
}

/// Evaluates a string of a rule: itself, unless it is an expression in brackets.
///
/// # Errors
/// The reason why it is no expression that this cloud supports.
pub(super) fn evaluate(text: &str, scope: &Scope<'_>) -> Result<Value, String> {
    let Some(expression) = expression(text) else {
        return Ok(json!(text.strip_prefix("[[").map_or_else(|| text.to_owned(), |rest| format!("[{rest}"))));
    };
    let mut parser = Parser { rest: expression.trim(), scope };
    let value = parser.value()?;
    match parser.rest.trim() {
        "" => Ok(value),
        rest => Err(format!("'{rest}' is left over in the expression '{text}'")),
    }
}

/// Evaluates a value: strings as expressions, everything else as it is.
pub(super) fn evaluate_value(value: &Value, scope: &Scope<'_>) -> Result<Value, String> {
    match value {
        Value::String(text) => evaluate(text, scope),
        Value::Array(items) => items.iter().map(|item| evaluate_value(item, scope)).collect(),
        other => Ok(other.clone()),
    }
}

fn expression(text: &str) -> Option<&str> {
    text.strip_prefix('[').filter(|rest| !rest.starts_with('['))?.strip_suffix(']')
}

struct Parser<'a, 's> {
    rest: &'a str,
    scope: &'a Scope<'s>,
}

impl Parser<'_, '_> {
    fn value(&mut self) -> Result<Value, String> {
        let mut value = self.primary()?;
        loop {
            self.rest = self.rest.trim_start();
            if self.skip('.') {
                value = property(&value, self.name()).clone();
            } else if self.skip('[') {
                let key = self.value()?;
                self.expect(']')?;
                value = match key.as_u64().and_then(|at| usize::try_from(at).ok()) {
                    Some(at) => value[at].clone(),
                    None => property(&value, key.as_str().unwrap_or_default()).clone(),
                };
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self) -> Result<Value, String> {
        self.rest = self.rest.trim_start();
        if self.skip('\'') {
            return self.literal();
        }
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            let (number, rest) = self.rest.split_at(digits);
            self.rest = rest;
            return number.parse::<u64>().map(Value::from).map_err(|error| error.to_string());
        }
        let name = self.name().to_owned();
        self.expect('(')?;
        let mut arguments = Vec::new();
        while !self.skip(')') {
            arguments.push(self.value()?);
            self.rest = self.rest.trim_start();
            if !self.skip(',') {
                self.expect(')')?;
                break;
            }
        }
        self.call(&name, &arguments)
    }

    /// Reads a text up to its closing quote; two quotes are one.
    fn literal(&mut self) -> Result<Value, String> {
        let mut text = String::new();
        loop {
            let (before, after) =
                self.rest.split_once('\'').ok_or_else(|| "a text has no closing quote".to_owned())?;
            text.push_str(before);
            self.rest = after;
            if !self.skip('\'') {
                return Ok(json!(text));
            }
            text.push('\'');
        }
    }

    fn name(&mut self) -> &str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }

    fn skip(&mut self, token: char) -> bool {
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        self.rest = self.rest.trim_start();
        if self.skip(token) { Ok(()) } else { Err(format!("'{token}' is missing before '{}'", self.rest)) }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let Scope { state, subject, parameters } = self.scope;
        let text = |at: usize| arguments.get(at).and_then(Value::as_str).unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "parameters" => {
                let found = parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(text(0)));
                let missing = || format!("the policy parameter '{}' is not found", text(0));
                found.map(|(_, value)| value.clone()).ok_or_else(missing)
            }
            "concat" => {
                let parts = arguments.iter().map(|part| match part {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                });
                Ok(json!(parts.collect::<String>()))
            }
            "tolower" => Ok(json!(text(0).to_lowercase())),
            "toupper" => Ok(json!(text(0).to_uppercase())),
            "field" => Ok(subject.value(text(0))),
            "resourcegroup" => Ok(match state.groups.get(&subject.group.to_lowercase()) {
                Some(group) => {
                    json!({ "name": group.name, "location": group.location, "tags": group.tags })
                }
                None => Value::Null,
            }),
            "subscription" => Ok(json!({ "subscriptionId": state.subscription, "tags": {} })),
            _ => Err(format!("the function '{name}' is not supported by this cloud")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::TestCloud;

    #[test]
    fn expressions_of_the_tag_policies() {
        let mut cloud = TestCloud::new();
        cloud.state.groups.get_mut("rg").unwrap().tags.insert("Team".to_owned(), "web".to_owned());
        let body = json!({ "tags": { "team": "db" } });
        let subject = Subject { kind: "a/b", name: "n", group: "RG", body: &body };
        let parameters = json!({ "tagName": "team" }).as_object().unwrap().clone();
        let scope = Scope { state: &cloud.state, subject: &subject, parameters: &parameters };
        let is = |text: &str| evaluate(text, &scope);
        assert_eq!(is("plain"), Ok(json!("plain")));
        assert_eq!(is("[[x]"), Ok(json!("[x]")));
        assert_eq!(is("[concat('tags[', parameters('TagName'), ']')]"), Ok(json!("tags[team]")));
        assert_eq!(is("[resourceGroup().tags[parameters('tagName')]]"), Ok(json!("web")));
        assert_eq!(is("[toUpper(field('tags.TEAM'))]"), Ok(json!("DB")));
        assert_eq!(is("[concat('it''s ', 'so')]"), Ok(json!("it's so")));
        assert!(
            is("[parameters('none')]").is_err() && is("[unknown()]").is_err() && is("[concat('a'").is_ok()
        );
    }
}
