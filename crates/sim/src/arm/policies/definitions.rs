//! Policy definitions (Authorization REST API, policyDefinitions): the built-in ones about tags, and custom ones of
//! the subscription.

use serde_json::{Value, json};

use super::expression::{Scope, evaluate};
use super::rule;
use super::subject::Subject;
use crate::arm::error::ArmError;
use crate::arm::versions::POLICIES as API_VERSIONS;
use crate::arm::{Call, Route, id};
use crate::request::Reply;
use crate::state::CloudState;

const KIND: &str = "Microsoft.Authorization/policyDefinitions";
const ALL: &str = "/subscriptions/{subscription}/providers/Microsoft.Authorization/policyDefinitions";
const ONE: &str =
    "/subscriptions/{subscription}/providers/Microsoft.Authorization/policyDefinitions/{policy}";
const BUILT_IN: &str = "/providers/Microsoft.Authorization/policyDefinitions/{policy}";

/// The role that the built-in tag policies name for their remediation.
pub(super) const CONTRIBUTOR: &str =
    "/providers/microsoft.authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c";

/// The effects that a rule may have; the first four act here.
const EFFECTS: [&str; 8] =
    ["deny", "modify", "append", "disabled", "audit", "auditIfNotExists", "deployIfNotExists", "manual"];
/// The operations of the effect modify.
const OPERATIONS: [&str; 3] = ["add", "addOrReplace", "remove"];

pub(super) fn routes() -> [Route; 5] {
    [
        Route::new("GET", ALL, KIND, API_VERSIONS, list),
        Route::new("GET", ONE, KIND, API_VERSIONS, get),
        Route::new("PUT", ONE, KIND, API_VERSIONS, put),
        Route::new("DELETE", ONE, KIND, API_VERSIONS, delete),
        Route::any("GET", BUILT_IN, KIND, API_VERSIONS, get_built_in),
    ]
}

/// Returns a definition by its id; `None` if it does not exist.
pub(super) fn find(state: &CloudState, definition: &str) -> Option<Value> {
    let built_in =
        || built_in().into_iter().find(|one| id::same(one["id"].as_str().unwrap_or_default(), definition));
    state.assigned_policies.definitions.get(&id::key(definition)).cloned().or_else(built_in)
}

fn id_of(call: &Call<'_>) -> String {
    format!("/subscriptions/{}/providers/{KIND}/{}", call.param("subscription"), call.param("policy"))
}

fn list(state: &mut CloudState, _: &Call<'_>) -> Result<Reply, ArmError> {
    let custom = state.assigned_policies.definitions.values().cloned();
    let value: Vec<Value> = built_in().into_iter().chain(custom).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    // A built-in definition is visible below the subscription too.
    let below = format!("/providers/{KIND}/{}", call.param("policy"));
    let found = find(state, &id_of(call)).or_else(|| find(state, &below));
    found.map(|found| Reply::json(200, &found)).ok_or_else(|| not_found(call.param("policy")))
}

fn get_built_in(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let found = find(state, &format!("/providers/{KIND}/{}", call.param("policy")));
    found.map(|found| Reply::json(200, &found)).ok_or_else(|| not_found(call.param("policy")))
}

pub(super) fn not_found(name: &str) -> ArmError {
    let why = format!("The policy definition '{name}' could not be found.");
    ArmError::gateway(404, "PolicyDefinitionNotFound", why)
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let mut properties = call.body()?["properties"].clone();
    check(state, &properties)?;
    properties["policyType"] = json!("Custom");
    if properties["mode"].is_null() {
        properties["mode"] = json!("Indexed");
    }
    let id = id_of(call);
    let body = json!({ "id": id, "type": KIND, "name": call.param("policy"), "properties": properties });
    state.assigned_policies.definitions.insert(id::key(&id), body.clone());
    Ok(Reply::json(201, &body))
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let id = id_of(call);
    let used = |assignment: &&Value| {
        assignment["properties"]["policyDefinitionId"].as_str().is_some_and(|used| id::same(used, &id))
    };
    if let Some(assignment) = state.assigned_policies.assignments.values().find(used) {
        let why = format!(
            "The policy definition '{}' cannot be deleted because it is used by the assignment '{}'.",
            call.param("policy"),
            assignment["id"].as_str().unwrap_or_default()
        );
        return Err(ArmError::gateway(409, "PolicyDefinitionInUse", why));
    }
    let removed = state.assigned_policies.definitions.remove(&id::key(&id));
    Ok(Reply::empty(if removed.is_some() { 200 } else { 204 }))
}

/// Checks the rule of a definition, by evaluating it for an empty resource with empty parameters.
fn check(state: &CloudState, properties: &Value) -> Result<(), ArmError> {
    let invalid = |why: String| ArmError::gateway(400, "InvalidPolicyRule", why);
    let policy_rule = &properties["policyRule"];
    let (condition, then) = (&policy_rule["if"], &policy_rule["then"]);
    if !condition.is_object() || !then.is_object() {
        return Err(invalid("The policy rule must be an object with 'if' and 'then'.".to_owned()));
    }
    let declared = properties["parameters"].as_object().into_iter().flatten();
    let parameters = declared
        .map(|(name, one)| (name.clone(), one.get("defaultValue").cloned().unwrap_or_else(|| json!(""))))
        .collect();
    let (body, kind) = (json!({}), "Microsoft.Resources/subscriptions/resourceGroups");
    let subject = Subject { kind, name: "", group: "", body: &body };
    let scope = Scope { state, subject: &subject, parameters: &parameters };
    rule::holds(condition, &scope)
        .map_err(|why| invalid(format!("Failed to parse policy rule: '{why}'.")))?;
    let text = then["effect"].as_str().unwrap_or_default();
    let effect = evaluate(text, &scope).map_err(&invalid)?.as_str().unwrap_or_default().to_owned();
    if !effect.is_empty() && !EFFECTS.iter().any(|known| known.eq_ignore_ascii_case(&effect)) {
        return Err(invalid(format!("The policy effect '{effect}' is invalid.")));
    }
    if effect.is_empty() && text.is_empty() {
        return Err(invalid("The policy rule has no effect.".to_owned()));
    }
    if !effect.eq_ignore_ascii_case("modify") {
        return Ok(());
    }
    let details = &then["details"];
    if details["roleDefinitionIds"].as_array().is_none_or(Vec::is_empty) {
        return Err(invalid("The effect 'modify' needs 'roleDefinitionIds' in its details.".to_owned()));
    }
    let operations = details["operations"].as_array().map(Vec::as_slice).unwrap_or_default();
    if operations.is_empty() {
        return Err(invalid("The effect 'modify' needs 'operations' in its details.".to_owned()));
    }
    for operation in operations {
        let known = operation["operation"].as_str();
        let known = known.is_some_and(|one| OPERATIONS.iter().any(|known| known.eq_ignore_ascii_case(one)));
        let field = operation["field"].as_str().unwrap_or_default();
        let field = evaluate(field, &scope).map_err(&invalid)?.as_str().unwrap_or_default().to_owned();
        let is_tag = field.to_ascii_lowercase().starts_with("tags");
        if !known || !(is_tag || field.splitn(3, '/').count() == 3) || field.contains("[*]") {
            return Err(invalid(format!(
                "The operation {operation} is invalid: the field must be a tag or an alias that can be modified."
            )));
        }
    }
    Ok(())
}

/// The built-in definitions: name, display name, mode and rule.
fn built_in() -> Vec<Value> {
    const TAG: &str = "[concat('tags[', parameters('tagName'), ']')]";
    const OF_GROUP: &str = "[resourceGroup().tags[parameters('tagName')]]";
    const GIVEN: &str = "[parameters('tagValue')]";
    let text = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!({ "type": "String" })))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let modify = |operation: &str, value: &str| {
        json!({ "effect": "modify", "details": {
            "roleDefinitionIds": [CONTRIBUTOR],
            "operations": [{ "operation": operation, "field": TAG, "value": value }],
        } })
    };
    let differs = |value: &str| json!({ "field": TAG, "notEquals": value });
    let inherited = json!({ "allOf": [differs(OF_GROUP), { "value": OF_GROUP, "notEquals": "" }] });
    let group = json!({ "field": "type", "equals": "Microsoft.Resources/subscriptions/resourceGroups" });
    let of_groups = json!({ "allOf": [group, differs(GIVEN)] });
    [
        (
            "cd3aa116-8754-49c9-a813-ad46512ece54",
            "Inherit a tag from the resource group",
            "Indexed",
            text(&["tagName"]),
            inherited,
            modify("addOrReplace", OF_GROUP),
        ),
        (
            "5ffd78d9-436d-4b41-a421-5baa819e3008",
            "Add or replace a tag on resources",
            "Indexed",
            text(&["tagName", "tagValue"]),
            differs(GIVEN),
            modify("addOrReplace", GIVEN),
        ),
        (
            "d157c373-a6c4-483d-aaad-570756956268",
            "Add or replace a tag on resource groups",
            "All",
            text(&["tagName", "tagValue"]),
            of_groups,
            modify("addOrReplace", GIVEN),
        ),
    ]
    .into_iter()
    .map(|(name, display_name, mode, parameters, condition, then)| {
        json!({
            "id": format!("/providers/{KIND}/{name}"), "type": KIND, "name": name,
            "properties": {
                "displayName": display_name, "policyType": "BuiltIn", "mode": mode,
                "metadata": { "category": "Tags" }, "parameters": parameters,
                "policyRule": { "if": condition, "then": then },
            },
        })
    })
    .collect()
}
