//! Policy assignments (Authorization REST API, policyAssignments), at the subscription or a resource group.

use serde_json::{Map, Value, json};

use super::definitions;
use crate::arm::error::ArmError;
use crate::arm::filter::ListScope;
use crate::arm::versions::POLICIES as API_VERSIONS;
use crate::arm::{Call, Route, id, scope};
use crate::request::Reply;
use crate::state::CloudState;

const KIND: &str = "Microsoft.Authorization/policyAssignments";
const ALL: &str = "/{scope*}/providers/Microsoft.Authorization/policyAssignments";
const ONE: &str = "/{scope*}/providers/Microsoft.Authorization/policyAssignments/{assignment}";
/// The maximum length of a name.
const NAME_MAX: usize = 64;

pub(super) fn routes() -> [Route; 4] {
    [
        Route::new("GET", ALL, KIND, API_VERSIONS, list),
        Route::new("GET", ONE, KIND, API_VERSIONS, get),
        Route::new("PUT", ONE, KIND, API_VERSIONS, put),
        Route::new("DELETE", ONE, KIND, API_VERSIONS, delete),
    ]
}

fn id_of(call: &Call<'_>) -> String {
    format!("/{}/providers/{KIND}/{}", call.param("scope"), call.param("assignment"))
}

fn scope_of(assignment: &Value) -> &str {
    assignment["properties"]["scope"].as_str().unwrap_or_default()
}

/// Lists the assignments above, at and below a scope; with `$filter=atScope()` without those below.
fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let scope = ListScope::of(state, call)?;
    let all = state.assigned_policies.assignments.values();
    let value: Vec<&Value> = all.filter(|one| scope.lists(scope_of(one))).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let found = state.assigned_policies.assignments.get(&id::key(&id_of(call)));
    found.map(|found| Reply::json(200, found)).ok_or_else(|| {
        let why = format!("The policy assignment '{}' is not found.", call.param("assignment"));
        ArmError::gateway(404, "PolicyAssignmentNotFound", why)
    })
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let scope = format!("/{}", call.param("scope"));
    scope::scope_exists(state, &scope)?;
    let (given, name) = (call.body()?, call.param("assignment"));
    let invalid = |why: String| {
        let why = format!("The policy assignment '{name}' request is invalid. {why}");
        ArmError::gateway(400, "InvalidCreatePolicyAssignmentRequest", why)
    };
    if name.chars().count() > NAME_MAX {
        return Err(invalid(format!("The name must have at most {NAME_MAX} characters.")));
    }
    let mut properties = given["properties"].clone();
    let wanted = properties["policyDefinitionId"].as_str().unwrap_or_default().to_owned();
    let Some(definition) = definitions::find(state, &wanted) else {
        return Err(definitions::not_found(id::name(&wanted)));
    };
    let definition = &definition["properties"];
    let parameters = parameters(definition, &properties);
    let given_names = properties["parameters"].as_object().into_iter().flatten().map(|(name, _)| name);
    let declared = |name: &str| {
        let all = definition["parameters"].as_object().into_iter().flatten();
        all.map(|(known, _)| known).any(|known| known.eq_ignore_ascii_case(name))
    };
    if let Some(undefined) = given_names.into_iter().find(|name| !declared(name)) {
        let why = format!(
            "The policy assignment '{name}' has defined parameters '{undefined}' which are not defined in the policy \
             definition '{}'. The possible defined parameters are a part of the policy definition.",
            id::name(&wanted)
        );
        return Err(ArmError::gateway(400, "UndefinedPolicyParameter", why));
    }
    if let Some((missing, _)) = parameters.iter().find(|(_, value)| value.is_null()) {
        let why = format!(
            "The policy assignment '{name}' is missing the parameter(s) '{missing}' as defined in the policy definition \
             '{}'. Please provide default values or remove the parameters from the policy definition.",
            id::name(&wanted)
        );
        return Err(ArmError::gateway(400, "MissingPolicyParameter", why));
    }
    let effect = definition["policyRule"]["then"]["details"]["roleDefinitionIds"].is_array();
    let identity = given["identity"]["type"].as_str().is_some_and(|kind| !kind.eq_ignore_ascii_case("None"));
    if effect && !(identity && given["location"].is_string()) {
        let why = format!(
            "The policy assignment '{name}' request is invalid. Policy assignments must include a resource identity when \
             assigning 'Modify' policy definitions."
        );
        return Err(ArmError::gateway(400, "ResourceIdentityRequired", why));
    }
    properties["scope"] = json!(scope);
    if properties["enforcementMode"].is_null() {
        properties["enforcementMode"] = json!("Default");
    }
    let id = id_of(call);
    let mut body = json!({ "id": id, "type": KIND, "name": name, "properties": properties });
    for field in ["location", "identity"] {
        if !given[field].is_null() {
            body[field] = given[field].clone();
        }
    }
    state.assigned_policies.assignments.insert(id::key(&id), body.clone());
    Ok(Reply::json(201, &body))
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let removed = state.assigned_policies.assignments.remove(&id::key(&id_of(call)));
    Ok(removed.map_or_else(|| Reply::empty(204), |removed| Reply::json(200, &removed)))
}

/// Returns the declared parameters with the values of an assignment; null without value and default.
pub(super) fn parameters(definition: &Value, assignment: &Value) -> Map<String, Value> {
    let given = |name: &str| {
        let all = assignment["parameters"].as_object().into_iter().flatten();
        let mut named = all.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map(|(_, one)| one["value"].clone())
    };
    let declared = definition["parameters"].as_object().into_iter().flatten();
    declared
        .map(|(name, one)| (name.clone(), given(name).unwrap_or_else(|| one["defaultValue"].clone())))
        .collect()
}

/// Deletes the assignments at and below a scope, as with a resource group.
pub(in crate::arm) fn drop_scope(state: &mut CloudState, scope: &str) {
    state.assigned_policies.assignments.retain(|_, one| !id::within(scope_of(one), scope));
}
