//! Evaluation of policies for a planned resource (Microsoft.PolicyInsights, checkPolicyRestrictions).

use serde_json::{Value, json};

use super::effect;
use super::store::{Operator, Policy};
use super::subject::Subject;
use crate::arm::error::ArmError;
use crate::arm::versions::POLICY_RESTRICTIONS as VERSIONS;
use crate::arm::{Call, Route};
use crate::request::Reply;
use crate::state::CloudState;

const KIND: &str = "Microsoft.PolicyInsights/checkPolicyRestrictions";
const OF_SUBSCRIPTION: &str =
    "/subscriptions/{subscription}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions";
const OF_GROUP: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions";

pub(super) fn routes() -> Vec<Route> {
    [OF_SUBSCRIPTION, OF_GROUP].map(|pattern| Route::any("POST", pattern, KIND, VERSIONS, check)).into()
}

fn check(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let requested = call.body()?;
    let content = &requested["resourceDetails"]["resourceContent"];
    let Some(kind) = content["type"].as_str().filter(|kind| kind.contains('/')) else {
        let why = "The resource content must be an object with the type of the resource.";
        return Err(ArmError::new(400, "InvalidCheckRestrictionsRequest", why));
    };
    let name = content["name"].as_str().unwrap_or_default();
    let subject = Subject { kind, name, group: call.param("group"), body: content };
    let denying = state.policies.0.iter().filter(|policy| policy.denies(&subject));
    let mut evaluations: Vec<Value> =
        denying.map(|policy| evaluation(policy, &subject, &state.subscription)).collect();
    let target = match subject.group {
        "" => format!("/subscriptions/{}", state.subscription),
        group => format!("/subscriptions/{}/resourceGroups/{group}", state.subscription),
    };
    let assigned = effect::denying(state, &subject, &target);
    evaluations.extend(assigned.into_iter().map(|[_, assignment, definition]| {
        json!({
            "policyInfo": { "policyDefinitionId": definition, "policyAssignmentId": assignment },
            "evaluationResult": "NonCompliant",
            "evaluationDetails": { "evaluatedExpressions": [] },
            "effectDetails": { "policyEffect": "Deny" },
        })
    }));
    Ok(Reply::json(
        200,
        &json!({ "fieldRestrictions": [], "contentEvaluationResult": { "policyEvaluations": evaluations } }),
    ))
}

fn evaluation(policy: &Policy, subject: &Subject<'_>, subscription: &str) -> Value {
    let (operator, target) = match policy.operator {
        Operator::In => ("In", json!(policy.values)),
        Operator::NotIn => ("NotIn", json!(policy.values)),
        Operator::Missing => ("Exists", json!("false")),
    };
    json!({
        "policyInfo": {
            "policyDefinitionId": policy.definition_id(subscription),
            "policyAssignmentId": policy.assignment_id(subscription),
        },
        "evaluationResult": "NonCompliant",
        "evaluationDetails": {
            "evaluatedExpressions": [{
                "result": "True",
                "expressionKind": "Field",
                "expression": policy.field,
                "path": policy.field,
                "expressionValue": subject.field(&policy.field),
                "targetValue": target,
                "operator": operator,
            }],
        },
        "effectDetails": { "policyEffect": "Deny" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;

    const PATH: &str = "/providers/Microsoft.PolicyInsights/checkPolicyRestrictions?api-version=2024-10-01";

    fn denied(cloud: &mut TestCloud, below: &str, content: &Value) -> usize {
        let path = cloud.path(&format!("{below}{PATH}"));
        let requested = json!({ "resourceDetails": { "resourceContent": content } });
        let request = cloud.request(Method::POST, &path).with_json(&requested);
        let reply = cloud.send(&request);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.value()["contentEvaluationResult"]["policyEvaluations"].as_array().map_or(0, Vec::len)
    }

    fn policy(field: &str, operator: Operator, values: &[&str]) -> Policy {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Policy { name: "p".into(), group: String::new(), field: field.into(), operator, values }
    }

    #[test]
    fn a_policy_restriction_check_agrees_with_the_write() {
        let network = json!({
            "type": "Microsoft.Network/virtualNetworks", "name": "vn", "location": "eastus", "tags": { "Team": "web" },
            "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } },
        });
        for (policy, denies) in [
            (policy("location", Operator::NotIn, &["westeurope"]), true),
            (policy("location", Operator::NotIn, &["EastUS"]), false),
            (policy("tags.CostCentre", Operator::Missing, &[]), true),
            (policy("tags.Team", Operator::Missing, &[]), false),
            (policy("type", Operator::In, &["microsoft.network/virtualnetworks"]), true),
            (Policy { group: "other".into(), ..policy("tags.CostCentre", Operator::Missing, &[]) }, false),
        ] {
            let mut cloud = TestCloud::new();
            cloud.state.policies.0.push(policy.clone());
            assert_eq!(denied(&mut cloud, "/resourceGroups/rg", &network), usize::from(denies), "{policy:?}");
            let at = cloud.in_group("Microsoft.Network/virtualNetworks/vn?api-version=2025-07-01");
            let put = cloud.put(&at, &network);
            let wanted = if denies { (403, "RequestDisallowedByPolicy") } else { (201, "") };
            assert_eq!((put.status.as_u16(), code(&put).as_str()), wanted, "{policy:?}");
        }
    }

    #[test]
    fn a_policy_of_a_group_applies_only_to_that_group() {
        let mut cloud = TestCloud::new();
        let of_group = Policy { group: "RG".into(), ..policy("tags.CostCentre", Operator::Missing, &[]) };
        cloud.state.policies.0.push(of_group);
        let vault = json!({ "type": "Microsoft.KeyVault/vaults" });
        assert_eq!(denied(&mut cloud, "", &vault), 0);
        assert_eq!(denied(&mut cloud, "/resourceGroups/rg", &vault), 1);
    }
}
