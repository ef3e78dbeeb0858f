//! Queries for the Azure policies that would deny a resource.

use super::SubscriptionClient;
use crate::{ApiError, ApiErrorKind};
use serde_json::{Value, json};

/// The api-version of policy restrictions.
pub const API: &str = "2024-10-01";

/// One policy that would deny a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The name of its assignment, by which its owner knows it.
    pub assignment: String,
    /// The scope of the assignment.
    pub scope: String,
    /// The conditions that matched, `location is eastus`; empty if the service does not report them.
    pub because: Vec<String>,
}

impl Denial {
    fn from_body(body: &Value) -> Option<Self> {
        let effect = body["effectDetails"]["policyEffect"].as_str().unwrap_or("Deny");
        if body["evaluationResult"] != "NonCompliant" || !effect.eq_ignore_ascii_case("deny") {
            return None;
        }
        let id = body["policyInfo"]["policyAssignmentId"].as_str().unwrap_or_default();
        let (scope, assignment) =
            id.rsplit_once("/providers/Microsoft.Authorization/policyAssignments/").unwrap_or(("", id));
        let expressions = body["evaluationDetails"]["evaluatedExpressions"].as_array();
        Some(Self {
            assignment: assignment.to_owned(),
            scope: scope.to_owned(),
            because: expressions.into_iter().flatten().filter_map(because).collect(),
        })
    }
}

/// Returns a condition that held as text.
fn because(expression: &Value) -> Option<String> {
    let field = expression["expression"].as_str().or_else(|| expression["path"].as_str())?;
    Some(match &expression["expressionValue"] {
        Value::Null => format!("{field} is missing"),
        Value::String(value) => format!("{field} is {value}"),
        value => format!("{field} is {value}"),
    })
}

impl SubscriptionClient {
    /// Lists the policies that would deny a resource of that type and body in a group. Without a group, in
    /// the whole subscription. The request is a POST that changes nothing.
    /// <https://learn.microsoft.com/rest/api/policyinsights/policy-restrictions/check-at-resource-group-scope>
    ///
    /// # Errors
    /// Any error of the request; a subscription that has not registered Microsoft.PolicyInsights answers 409.
    pub async fn policy_denials(
        &self,
        group: Option<&str>,
        kind: &str,
        name: &str,
        body: &Value,
    ) -> Result<Vec<Denial>, ApiError> {
        let scope = group.map_or_else(String::new, |group| format!("/resourceGroups/{group}"));
        let path = self.path(&format!("{scope}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions"));
        let mut content = body.clone();
        content["type"] = json!(kind);
        content["name"] = json!(name);
        let query = json!({ "resourceDetails": { "resourceContent": content } });
        let Some(response) = self.arm().query(&path, API, Some(&query)).await? else {
            return Err(ApiError::new(ApiErrorKind::Protocol, "read the policy evaluation"));
        };
        let evaluations = response["contentEvaluationResult"]["policyEvaluations"].as_array();
        Ok(evaluations.into_iter().flatten().filter_map(Denial::from_body).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_only_audits_denies_nothing() {
        let body = |effect: &str| {
            json!({
                "policyInfo": { "policyAssignmentId": "/subscriptions/s/providers/Microsoft.Authorization/policyAssignments/where" },
                "evaluationResult": "NonCompliant",
                "evaluationDetails": { "evaluatedExpressions": [
                    { "expression": "location", "expressionValue": "eastus" }, { "expression": "tags.Team" },
                ] },
                "effectDetails": { "policyEffect": effect },
            })
        };
        let denial = Denial::from_body(&body("Deny")).unwrap();
        assert_eq!((denial.assignment.as_str(), denial.scope.as_str()), ("where", "/subscriptions/s"));
        assert_eq!(denial.because, ["location is eastus", "tags.Team is missing"]);
        assert_eq!(Denial::from_body(&body("Audit")), None);
    }
}
