//! Refusal of a request that a policy denies.

use serde_json::{Value, json};

use super::effect;
use super::store::Policy;
use super::subject::{Subject, is_whole};
use crate::arm::error::ArmError;
use crate::arm::{Call, id};
use crate::state::CloudState;

/// Refuses a PUT that a policy denies. Subresources and role assignments have neither region nor tags, so the
/// check skips them.
///
/// # Errors
/// 403 `RequestDisallowedByPolicy`.
pub(in crate::arm) fn check(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
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

fn identifier(policy: &Policy, subscription: &str) -> Value {
    json!({
        "policyAssignment": { "name": policy.name, "id": policy.assignment_id(subscription) },
        "policyDefinition": { "name": policy.name, "id": policy.definition_id(subscription) },
    })
}
