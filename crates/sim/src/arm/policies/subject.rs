//! Resources, as policies see them.

use serde_json::{Value, json};

use super::field;
use super::store::{Operator, Policy};
use crate::arm::Call;
use crate::arm::groups::store::KIND as GROUP;

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
    pub(super) fn value(&self, field: &str) -> Value {
        match field.to_ascii_lowercase().as_str() {
            "type" => json!(self.kind),
            "name" => json!(self.name),
            _ => field::path(self.kind, field)
                .map_or(Value::Null, |path| field::value(self.body, &path).clone()),
        }
    }

    /// Returns the value of a field as text; `None` if it has none.
    pub(super) fn field(&self, field: &str) -> Option<String> {
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

    pub(super) fn scope(&self, subscription: &str) -> String {
        match self.group.as_str() {
            "" => format!("/subscriptions/{subscription}"),
            group => format!("/subscriptions/{subscription}/resourceGroups/{group}"),
        }
    }

    pub(super) fn assignment_id(&self, subscription: &str) -> String {
        let scope = self.scope(subscription);
        format!("{scope}/providers/Microsoft.Authorization/policyAssignments/{}", self.name)
    }

    pub(super) fn definition_id(&self, subscription: &str) -> String {
        format!(
            "/subscriptions/{subscription}/providers/Microsoft.Authorization/policyDefinitions/{}",
            self.name
        )
    }
}

/// Returns whether a request concerns a whole resource or group. Subresources and role assignments have neither
/// region nor tags.
pub(super) fn is_whole(call: &Call<'_>) -> bool {
    let (kind, group) = (call.route.kind, call.param("group"));
    kind == GROUP || (!group.is_empty() && kind.matches('/').count() == 1)
}
