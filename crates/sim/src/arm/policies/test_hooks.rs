//! Hooks for faults: a policy that another party assigns without a request.

use serde_json::json;

use super::definitions;
use crate::arm::id;
use crate::state::CloudState;

/// Assigns a policy with the effect modify to the subscription, which sets a tag of every resource and group.
/// Returns false if an assignment of that name exists.
pub(crate) fn assign_tag(state: &mut CloudState, name: &str, tag: &str, value: &str) -> bool {
    let scope = format!("/subscriptions/{}", state.subscription);
    let id = |kind: &str| format!("{scope}/providers/Microsoft.Authorization/{kind}/{name}");
    let (definition, assignment) = (id("policyDefinitions"), id("policyAssignments"));
    if state.assigned_policies.assignments.contains_key(&id::key(&assignment)) {
        return false;
    }
    let field = format!("tags['{tag}']");
    let policy_rule = json!({
        "if": { "field": field, "notEquals": value },
        "then": { "effect": "modify", "details": {
            "roleDefinitionIds": [definitions::CONTRIBUTOR],
            "operations": [{ "operation": "addOrReplace", "field": field, "value": value }],
        } },
    });
    let definition_body = json!({
        "id": definition, "name": name, "type": "Microsoft.Authorization/policyDefinitions",
        "properties": { "policyType": "Custom", "mode": "All", "policyRule": policy_rule },
    });
    let assignment_body = json!({
        "id": assignment, "name": name, "type": "Microsoft.Authorization/policyAssignments",
        "location": "eastus", "identity": { "type": "SystemAssigned" },
        "properties": { "policyDefinitionId": definition, "scope": scope, "enforcementMode": "Default" },
    });
    state.assigned_policies.definitions.insert(id::key(&definition), definition_body);
    state.assigned_policies.assignments.insert(id::key(&assignment), assignment_body);
    true
}
