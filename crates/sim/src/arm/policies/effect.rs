//! The effects of assigned policies on a request: modify and append change its body, deny refuses it.

use http::Method;
use serde_json::{Map, Value, json};

use super::expression::{Scope, evaluate, evaluate_value};
use super::field::property;
use super::subject::{Subject, is_whole};
use super::{assignments, definitions, field, rule};
use crate::arm::{Call, groups, id};
use crate::request::Request;
use crate::state::CloudState;

/// An assignment that applies to a resource, with its definition.
struct Applied {
    assignment: Value,
    definition: Value,
    parameters: Map<String, Value>,
}

impl Applied {
    fn scope<'a>(&'a self, state: &'a CloudState, subject: &'a Subject<'a>) -> Scope<'a> {
        Scope { state, subject, parameters: &self.parameters }
    }

    fn then(&self) -> &Value {
        &self.definition["policyRule"]["then"]
    }

    /// Returns whether the effect applies to a resource. A rule that cannot be evaluated for it does not.
    fn has_effect(&self, state: &CloudState, subject: &Subject<'_>, effect: &str) -> bool {
        let scope = self.scope(state, subject);
        let own = evaluate(self.then()["effect"].as_str().unwrap_or_default(), &scope);
        let is_effect = own.is_ok_and(|own| own.as_str().is_some_and(|own| own.eq_ignore_ascii_case(effect)));
        is_effect && rule::holds(&self.definition["policyRule"]["if"], &scope).unwrap_or(false)
    }
}

/// Returns the assignments that apply to a resource with this id, in the order of their ids.
fn applied(state: &CloudState, subject: &Subject<'_>, target: &str) -> Vec<Applied> {
    let all = state.assigned_policies.assignments.values();
    all.filter_map(|assignment| {
        let properties = &assignment["properties"];
        let excluded = properties["notScopes"].as_array().into_iter().flatten();
        let excluded = excluded.filter_map(Value::as_str).any(|scope| id::within(target, scope));
        let enforced = properties["enforcementMode"] != "DoNotEnforce";
        if excluded || !enforced || !id::within(target, properties["scope"].as_str()?) {
            return None;
        }
        let definition = definitions::find(state, properties["policyDefinitionId"].as_str()?)?;
        let definition = definition["properties"].clone();
        // "Indexed" evaluates only types with tags and location, which groups are not among.
        if subject.kind == groups::KIND && definition["mode"] != "All" {
            return None;
        }
        let parameters = assignments::parameters(&definition, properties);
        Some(Applied { assignment: assignment.clone(), definition, parameters })
    })
    .collect()
}

/// Returns the request as the policies change it; `None` if they do not. A PATCH is evaluated with the content that
/// the resource would have.
pub(in crate::arm) fn modified(state: &CloudState, call: &Call<'_>) -> Option<Request> {
    let method = &call.request.method;
    let is_write = *method == Method::PUT || *method == Method::PATCH;
    if !is_write || state.assigned_policies.assignments.is_empty() || !is_whole(call) {
        return None;
    }
    // The provider refuses an invalid body.
    let mut body = call.body().ok()?;
    let existing = if *method == Method::PATCH { existing(state, call) } else { Value::Null };
    let (group, target) = (call.param("group"), &call.request.path);
    let name = id::name(target);
    let mut changed = false;
    let subject = Subject { kind: call.route.kind, name, group, body: &body.clone() };
    for one in applied(state, &subject, target) {
        let content = merged(&existing, &body);
        let subject = Subject { kind: call.route.kind, name, group, body: &content };
        let scope = one.scope(state, &subject);
        let before = body.clone();
        if one.has_effect(state, &subject, "modify") {
            for operation in one.then()["details"]["operations"].as_array().into_iter().flatten() {
                apply(&mut body, &content, operation, &scope);
            }
        } else if one.has_effect(state, &subject, "append") {
            for detail in one.then()["details"].as_array().into_iter().flatten() {
                let operation =
                    json!({ "operation": "add", "field": detail["field"], "value": detail["value"] });
                apply(&mut body, &content, &operation, &scope);
            }
        }
        changed |= body != before;
    }
    changed.then(|| call.request.clone().with_json(&body))
}

/// Applies an operation to the body of a request whose resource will have this content.
fn apply(body: &mut Value, content: &Value, operation: &Value, scope: &Scope<'_>) {
    let condition = operation["condition"].as_str().map(|condition| evaluate(condition, scope));
    if condition.is_some_and(|holds| holds.is_ok_and(|holds| holds == false)) {
        return;
    }
    let Ok(Value::String(name)) = evaluate(operation["field"].as_str().unwrap_or_default(), scope) else {
        return;
    };
    let Some(path) = field::path(scope.subject.kind, &name) else { return };
    let kind = operation["operation"].as_str().unwrap_or_default();
    let is_set = !scope.subject.value(&name).is_null();
    match kind.to_ascii_lowercase().as_str() {
        "remove" => remove(body, &path),
        "add" if is_set => {}
        _ => {
            if let Ok(value) = evaluate_value(&operation["value"], scope) {
                // A PATCH replaces the tags as a whole.
                if path[0] == "tags" && body["tags"].is_null() {
                    body["tags"] = content["tags"].clone();
                }
                set(body, &path, value);
            }
        }
    }
}

/// Sets a value; an existing name keeps its spelling.
fn set(body: &mut Value, path: &[String], value: Value) {
    let mut at = body;
    for name in path {
        if !at.is_object() {
            *at = json!({});
        }
        let known = at.as_object().into_iter().flatten().map(|(known, _)| known);
        let known = known.into_iter().find(|known| known.eq_ignore_ascii_case(name)).cloned();
        at = &mut at[known.unwrap_or_else(|| name.clone())];
    }
    *at = value;
}

fn remove(body: &mut Value, path: &[String]) {
    let [parents @ .., last] = path else { return };
    let mut at = Some(body);
    for name in parents {
        at = at.and_then(|value| value.get_mut(name.as_str()));
    }
    if let Some(fields) = at.and_then(Value::as_object_mut) {
        fields.retain(|known, _| !known.eq_ignore_ascii_case(last));
    }
}

/// Returns the resource that a request writes; null if it does not exist.
fn existing(state: &CloudState, call: &Call<'_>) -> Value {
    let group = call.param("group");
    if call.route.kind == groups::KIND {
        return groups::body(state, group);
    }
    let members = state.registry.members(state, group);
    let is_target =
        |member: &Value| member["id"].as_str().is_some_and(|member| id::same(member, &call.request.path));
    members.into_iter().find(is_target).unwrap_or_default()
}

/// Returns the content of a resource after a PATCH: objects are merged, except for the tags.
fn merged(existing: &Value, body: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (existing, body) else { return body.clone() };
    let mut all = old.clone();
    for (name, value) in new {
        let inner = if name == "tags" { value.clone() } else { merged(property(existing, name), value) };
        all.insert(name.clone(), inner);
    }
    Value::Object(all)
}

/// Returns the assigned policies that deny a resource: name and id of the assignment, and id of the definition.
pub(super) fn denying(state: &CloudState, subject: &Subject<'_>, target: &str) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let denies = |one: &Applied| one.has_effect(state, subject, "deny");
    let all = applied(state, subject, target).into_iter().filter(denies);
    all.map(|Applied { assignment, .. }| {
        let definition = &assignment["properties"]["policyDefinitionId"];
        [text(&assignment["name"]), text(&assignment["id"]), text(definition)]
    })
    .collect()
}
