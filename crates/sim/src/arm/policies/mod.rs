//! Azure Policy: organisational rules beyond rights, evaluated before and during a write.
//!
//! Source: Azure Policy definition structure and Microsoft.PolicyInsights, checkPolicyRestrictions
//! (2024-10-01). Two kinds exist side by side. A [`Policy`] denies and has one condition on one field, like the
//! built-in "Allowed locations", "Require a tag" and "Not allowed resource types"; tests and faults set it. Clients
//! create definitions and assignments ([`Assigned`]) with the effects modify, append and deny: those change the body
//! of a write before the provider stores it.

mod assignments;
mod definitions;
mod effect;
#[cfg(test)]
mod effect_tests;
mod expression;
mod field;
mod restrictions;
mod rule;
mod test_hooks;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::provider::Provider;
use crate::arm::{Call, Route, groups, id};
use crate::state::CloudState;

pub(super) use assignments::drop_scope;
pub(super) use effect::modified;
pub(crate) use test_hooks::assign_tag;

/// The operator of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operator {
    /// The value is in the list.
    In,
    /// The value is not in the list.
    NotIn,
    /// The field has no value.
    Missing,
}

/// A policy with the effect "deny", assigned to the subscription or to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The name of the assignment and of the definition.
    pub name: String,
    /// The group of the assignment; the subscription if empty.
    #[serde(default)]
    pub group: String,
    /// `location`, `type`, `name`, `tags.<name>`, or a path below the resource, `properties.enableRBAC`.
    pub field: String,
    /// The operator of the condition.
    pub operator: Operator,
    /// The operand, compared case-insensitively.
    #[serde(default)]
    pub values: Vec<String>,
}

/// The policies of the subscription.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policies(pub Vec<Policy>);

/// The definitions and assignments that clients created, as the service returns them, by the key of their id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Assigned {
    definitions: BTreeMap<String, Value>,
    assignments: BTreeMap<String, Value>,
}

/// The resource family of policies. They belong to no resource group.
pub const PROVIDER: Provider = Provider::stateless("policies", routes);

fn routes() -> Vec<Route> {
    let written = definitions::routes().into_iter().chain(assignments::routes());
    written.chain(restrictions::routes()).collect()
}

/// A resource, as policies see it.
pub(crate) struct Subject<'a> {
    /// The resource type, `Microsoft.Network/virtualNetworks`.
    pub(crate) kind: &'a str,
    /// The name.
    pub(crate) name: &'a str,
    /// The resource group; empty if only the subscription is evaluated.
    pub(crate) group: &'a str,
    /// The body.
    pub(crate) body: &'a Value,
}

impl Subject<'_> {
    /// Returns the value of a field: `type`, `name`, `location`, a tag or an alias; null if it has none.
    fn value(&self, field: &str) -> Value {
        match field.to_ascii_lowercase().as_str() {
            "type" => json!(self.kind),
            "name" => json!(self.name),
            _ => field::path(self.kind, field)
                .map_or(Value::Null, |path| field::value(self.body, &path).clone()),
        }
    }

    /// Returns the value of a field as text; `None` if it has none.
    fn field(&self, field: &str) -> Option<String> {
        match self.value(field) {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }
}

impl Policy {
    /// Returns whether the policy denies a resource. A global resource has no region that a policy can
    /// forbid.
    pub(crate) fn denies(&self, subject: &Subject<'_>) -> bool {
        if !(self.group.is_empty() || self.group.eq_ignore_ascii_case(subject.group)) {
            return false;
        }
        let value = subject.field(&self.field);
        let is_global = self.field == "location" && value.as_deref().is_none_or(|value| value == "global");
        let one_of = |value: &str| self.values.iter().any(|listed| listed.eq_ignore_ascii_case(value));
        match self.operator {
            Operator::Missing => value.is_none(),
            _ if is_global => false,
            Operator::In => value.is_some_and(|value| one_of(&value)),
            Operator::NotIn => !value.is_some_and(|value| one_of(&value)),
        }
    }

    fn scope(&self, subscription: &str) -> String {
        match self.group.as_str() {
            "" => format!("/subscriptions/{subscription}"),
            group => format!("/subscriptions/{subscription}/resourceGroups/{group}"),
        }
    }

    fn assignment_id(&self, subscription: &str) -> String {
        let scope = self.scope(subscription);
        format!("{scope}/providers/Microsoft.Authorization/policyAssignments/{}", self.name)
    }

    fn definition_id(&self, subscription: &str) -> String {
        format!(
            "/subscriptions/{subscription}/providers/Microsoft.Authorization/policyDefinitions/{}",
            self.name
        )
    }
}

/// Refuses a PUT that a policy denies. Subresources and role assignments have neither region nor tags, so the
/// check skips them.
///
/// # Errors
/// 403 `RequestDisallowedByPolicy`.
pub(super) fn check(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    if call.request.method != http::Method::PUT || !is_whole(call) {
        return Ok(());
    }
    // The provider refuses an invalid body.
    let Ok(body) = call.body() else { return Ok(()) };
    let (kind, group, name) = (call.route.kind, call.param("group"), id::name(&call.request.path));
    let subject = Subject { kind, name, group, body: &body };
    let denying = state.policies.0.iter().filter(|policy| policy.denies(&subject));
    let mut identifiers: Vec<Value> = denying.map(|policy| identifier(policy, &state.subscription)).collect();
    let assigned = effect::denying(state, &subject, &call.request.path);
    identifiers.extend(assigned.into_iter().map(|[assignment, id, definition]| {
        json!({
            "policyAssignment": { "name": assignment, "id": id },
            "policyDefinition": { "name": id::name(&definition), "id": definition },
        })
    }));
    if identifiers.is_empty() {
        return Ok(());
    }
    let why =
        format!("Resource '{name}' was disallowed by policy. Policy identifiers: '{}'.", json!(identifiers));
    Err(ArmError::gateway(403, "RequestDisallowedByPolicy", why).with_target(name))
}

/// Returns whether a request concerns a whole resource or group. Subresources and role assignments have neither
/// region nor tags.
fn is_whole(call: &Call<'_>) -> bool {
    let (kind, group) = (call.route.kind, call.param("group"));
    kind == groups::KIND || (!group.is_empty() && kind.matches('/').count() == 1)
}

fn identifier(policy: &Policy, subscription: &str) -> Value {
    json!({
        "policyAssignment": { "name": policy.name, "id": policy.assignment_id(subscription) },
        "policyDefinition": { "name": policy.name, "id": policy.definition_id(subscription) },
    })
}
