//! Queries for the Azure policies that modify resources.

use super::SubscriptionClient;
use crate::ApiError;
use serde_json::Value;
use std::collections::BTreeMap;

/// The api-version of policy assignments and definitions.
pub const API: &str = "2023-04-01";

/// The maximum number of definitions that one initiative may have to be examined.
const MEMBERS_MAX: usize = 20;

/// An assignment of a policy with the effect modify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyPolicy {
    /// The name of the assignment, by which its owner knows it.
    pub assignment: String,
    /// The fields that it writes, in the form of [`field_name`].
    fields: Vec<String>,
}

/// The parameters of a policy, by their lower-case name.
type Parameters = BTreeMap<String, Value>;

impl ModifyPolicy {
    /// Returns whether the policy writes a field: `tags.Environment`, or a path with or without `properties`.
    #[must_use]
    pub fn writes(&self, field: &str) -> bool {
        self.fields.contains(&field_name(field))
    }
}

impl SubscriptionClient {
    /// Lists the assigned policies with the effect modify that apply to a group. An initiative with many
    /// definitions is skipped.
    /// <https://learn.microsoft.com/rest/api/policy/policy-assignments/list-for-resource-group>
    ///
    /// # Errors
    /// Any error of the requests; without the right to read policies 403.
    pub async fn modify_policies(&self, group: &str) -> Result<Vec<ModifyPolicy>, ApiError> {
        let path = self
            .path(&format!("/resourceGroups/{group}/providers/Microsoft.Authorization/policyAssignments"));
        let mut found = Vec::new();
        for assignment in self.arm().list(&path, API, &[("$filter", "atScope()")]).await? {
            let properties = &assignment["properties"];
            let enforced = properties["enforcementMode"] != "DoNotEnforce";
            let (Some(name), Some(id)) =
                (assignment["name"].as_str(), properties["policyDefinitionId"].as_str().filter(|_| enforced))
            else {
                continue;
            };
            let fields = self.modified_fields(id, &parameters(properties, &Parameters::new())).await?;
            if !fields.is_empty() {
                found.push(ModifyPolicy { assignment: name.to_owned(), fields });
            }
        }
        Ok(found)
    }

    /// Returns the fields that a definition, or the definitions of an initiative, write.
    async fn modified_fields(&self, id: &str, given: &Parameters) -> Result<Vec<String>, ApiError> {
        let Some(definition) = self.arm().get(id, API).await? else { return Ok(Vec::new()) };
        let properties = &definition["properties"];
        let Some(members) = properties["policyDefinitions"].as_array() else {
            return Ok(fields(properties, given));
        };
        let of_initiative = with_defaults(properties, given);
        let mut all = Vec::new();
        for member in members.iter().filter(|_| members.len() <= MEMBERS_MAX) {
            let Some(id) = member["policyDefinitionId"].as_str() else { continue };
            let Some(definition) = self.arm().get(id, API).await? else { continue };
            all.extend(fields(&definition["properties"], &parameters(member, &of_initiative)));
        }
        Ok(all)
    }
}

/// Returns a field in a comparable form: lower case, without `properties`, dots as separators.
fn field_name(field: &str) -> String {
    let lower = field.to_ascii_lowercase().replace(['\'', '"', ']'], "").replace('[', ".");
    // An alias begins with the resource type: `Microsoft.KeyVault/vaults/publicNetworkAccess`.
    let below = lower.splitn(3, '/').nth(2).unwrap_or(&lower).replace('/', ".");
    below.strip_prefix("properties.").unwrap_or(&below).to_owned()
}

/// Returns the parameters that an assignment or a member of an initiative gives.
fn parameters(body: &Value, outer: &Parameters) -> Parameters {
    let given = body["parameters"].as_object().into_iter().flatten();
    let value = |given: &Value| match given["value"].as_str().and_then(|text| resolve(text, outer)) {
        Some(text) => Value::String(text),
        None => given["value"].clone(),
    };
    given.map(|(name, given)| (name.to_ascii_lowercase(), value(given))).collect()
}

fn with_defaults(properties: &Value, given: &Parameters) -> Parameters {
    let declared = properties["parameters"].as_object().into_iter().flatten();
    let defaults = declared.map(|(name, one)| (name.to_ascii_lowercase(), one["defaultValue"].clone()));
    let mut all: Parameters = defaults.collect();
    all.extend(given.clone());
    all
}

/// Returns the fields that a definition with the effect modify writes.
fn fields(properties: &Value, given: &Parameters) -> Vec<String> {
    let parameters = with_defaults(properties, given);
    let then = &properties["policyRule"]["then"];
    let text = |value: &Value| value.as_str().and_then(|text| resolve(text, &parameters));
    if !text(&then["effect"]).is_some_and(|effect| effect.eq_ignore_ascii_case("modify")) {
        return Vec::new();
    }
    let operations = then["details"]["operations"].as_array().into_iter().flatten();
    operations.filter_map(|operation| text(&operation["field"])).map(|field| field_name(&field)).collect()
}

/// Evaluates the expressions that field names consist of: `[parameters('x')]` and `[concat('tags[', …, ']')]`.
fn resolve(text: &str, parameters: &Parameters) -> Option<String> {
    let Some(expression) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return Some(text.to_owned());
    };
    let term = |term: &str| {
        let quoted = |text: &str| Some(text.trim().strip_prefix('\'')?.strip_suffix('\'')?.to_owned());
        let name = term.trim().strip_prefix("parameters(").and_then(|rest| rest.strip_suffix(')'));
        match name {
            Some(name) => parameters.get(&quoted(name)?.to_ascii_lowercase())?.as_str().map(str::to_owned),
            None => quoted(term),
        }
    };
    match expression.strip_prefix("concat(").and_then(|rest| rest.strip_suffix(')')) {
        Some(terms) => terms.split(',').map(term).collect(),
        None => term(expression),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_has_the_same_name_in_a_policy_and_in_a_change() {
        for (one, other) in [
            ("tags['Environment']", "tags.environment"),
            ("tags[Environment]", "tags.Environment"),
            ("Microsoft.KeyVault/vaults/enableRbacAuthorization", "properties.enableRbacAuthorization"),
            ("Microsoft.KeyVault/vaults/networkAcls.defaultAction", "networkAcls.defaultAction"),
        ] {
            assert_eq!(field_name(one), field_name(other), "{one}");
        }
    }

    #[test]
    fn the_tag_of_a_definition_is_a_parameter_of_its_assignment() {
        let properties = json!({
            "parameters": { "tagName": { "type": "String" }, "effect": { "defaultValue": "Modify" } },
            "policyRule": { "then": { "effect": "[parameters('effect')]", "details": { "operations": [
                { "operation": "addOrReplace", "field": "[concat('tags[', parameters('tagName'), ']')]" },
            ] } } },
        });
        let given = |body: Value| parameters(&body, &Parameters::new());
        let named = given(json!({ "parameters": { "tagName": { "value": "Environment" } } }));
        assert_eq!(fields(&properties, &named), ["tags.environment"]);
        let disabled = given(json!({ "parameters": { "effect": { "value": "Disabled" } } }));
        assert_eq!(fields(&properties, &disabled), [""; 0]);
        let member = json!({ "parameters": { "tagName": { "value": "[parameters('outer')]" } } });
        let outer = given(json!({ "parameters": { "outer": { "value": "Team" } } }));
        assert_eq!(fields(&properties, &parameters(&member, &outer)), ["tags.team"]);
    }
}
