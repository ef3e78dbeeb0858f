use http::Method;
use serde_json::{Value, json};

use crate::test_cloud::{TestCloud, code};

const API: &str = "?api-version=2023-04-01";
const INHERIT: &str =
    "/providers/Microsoft.Authorization/policyDefinitions/cd3aa116-8754-49c9-a813-ad46512ece54";

fn definition(cloud: &TestCloud, name: &str) -> String {
    cloud.path(&format!("/providers/Microsoft.Authorization/policyDefinitions/{name}"))
}

fn modify(condition: &Value, field: &str, value: &Value) -> Value {
    json!({ "properties": { "mode": "Indexed", "policyRule": {
        "if": condition,
        "then": { "effect": "modify", "details": {
            "roleDefinitionIds": [super::definitions::CONTRIBUTOR],
            "operations": [{ "operation": "addOrReplace", "field": field, "value": value }],
        } },
    } } })
}

fn assign(cloud: &mut TestCloud, below: &str, definition: &str, parameters: &Value) -> String {
    let at = cloud.path(&format!("{below}/providers/Microsoft.Authorization/policyAssignments/p"));
    let body = json!({
        "location": "eastus", "identity": { "type": "SystemAssigned" },
        "properties": { "policyDefinitionId": definition, "parameters": parameters },
    });
    code(&cloud.put(&format!("{at}{API}"), &body))
}

fn put_network(cloud: &mut TestCloud, tags: &Value) -> Value {
    let at = cloud.in_group("Microsoft.Network/virtualNetworks/vn?api-version=2025-07-01");
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } });
    let reply = cloud.put(&at, &json!({ "location": "eastus", "tags": tags, "properties": space }));
    cloud.advance(10.0);
    reply.value()
}

#[test]
fn a_tag_is_inherited_from_the_group_and_keeps_its_spelling() {
    let mut cloud = TestCloud::new();
    let group = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
    cloud.put(&group, &json!({ "location": "eastus", "tags": { "Team": "web" } }));
    let parameters = json!({ "tagName": { "value": "team" } });
    assert_eq!(assign(&mut cloud, "/resourceGroups/rg", INHERIT, &parameters), "");
    let network = put_network(&mut cloud, &json!({ "TEAM": "db", "a": "b" }));
    assert_eq!(network["tags"], json!({ "TEAM": "web", "a": "b" }));
    assert_eq!(put_network(&mut cloud, &Value::Null)["tags"], json!({ "team": "web" }));
    let other = cloud.path("/resourceGroups/other?api-version=2024-11-01");
    assert_eq!(
        cloud.put(&other, &json!({ "location": "eastus" })).value()["tags"],
        json!({}),
        "an indexed policy of another group"
    );
}

#[test]
fn an_alias_changes_a_property_in_put_and_patch() {
    let mut cloud = TestCloud::new();
    let alias = "Microsoft.KeyVault/vaults/publicNetworkAccess";
    let condition = json!({ "allOf": [
        { "field": "type", "equals": "Microsoft.KeyVault/vaults" },
        { "field": alias, "notEquals": "Disabled" },
    ] });
    let (at, body) = (definition(&cloud, "p"), modify(&condition, alias, &json!("Disabled")));
    assert_eq!(code(&cloud.put(&format!("{at}{API}"), &body)), "");
    assert_eq!(assign(&mut cloud, "", &at, &json!({})), "");
    cloud.make_vault("kv-demo");
    let vault = cloud.in_group("Microsoft.KeyVault/vaults/kv-demo?api-version=2026-02-01");
    let patch = json!({ "tags": { "a": "b" }, "properties": { "publicNetworkAccess": "Enabled" } });
    let request = cloud.request(Method::PATCH, &vault).with_json(&patch);
    let reply = cloud.send(&request).value();
    assert_eq!(reply["properties"]["publicNetworkAccess"], "Disabled", "{reply}");
    assert_eq!(reply["tags"], json!({ "a": "b" }));
}

#[test]
fn a_patch_of_the_tags_is_evaluated_with_the_content_of_the_resource() {
    let mut cloud = TestCloud::new();
    let condition = json!({ "field": "tags.Env", "notEquals": "Prod" });
    let at = definition(&cloud, "p");
    let mut body = modify(&condition, "tags['Env']", &json!("Prod"));
    body["properties"]["mode"] = json!("All");
    cloud.put(&format!("{at}{API}"), &body);
    assign(&mut cloud, "", &at, &json!({}));
    let group = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
    let request = cloud.request(Method::PATCH, &group).with_json(&json!({ "tags": { "env": "Dev" } }));
    assert_eq!(cloud.send(&request).value()["tags"], json!({ "env": "Prod" }));
}

#[test]
fn a_tag_is_removed_and_an_existing_one_is_not_added_again() {
    for (operation, wanted) in [
        (json!({ "operation": "remove", "field": "tags['a']" }), json!({ "b": "2" })),
        (json!({ "operation": "add", "field": "tags.B", "value": "3" }), json!({ "A": "1", "b": "2" })),
        (
            json!({ "operation": "add", "field": "tags.c", "value": "3" }),
            json!({ "A": "1", "b": "2", "c": "3" }),
        ),
    ] {
        let mut cloud = TestCloud::new();
        let at = definition(&cloud, "p");
        let mut body = modify(&json!({ "field": "type", "exists": true }), "tags.x", &json!(""));
        body["properties"]["policyRule"]["then"]["details"]["operations"] = json!([operation]);
        assert_eq!(code(&cloud.put(&format!("{at}{API}"), &body)), "");
        assert_eq!(assign(&mut cloud, "", &at, &json!({})), "");
        assert_eq!(put_network(&mut cloud, &json!({ "A": "1", "b": "2" }))["tags"], wanted, "{operation}");
    }
}

#[test]
fn definitions_and_assignments_are_checked() {
    let mut cloud = TestCloud::new();
    let at = definition(&cloud, "p");
    let is_tag = json!({ "field": "tags.a", "exists": "false" });
    let put = |cloud: &mut TestCloud, body: &Value| code(&cloud.put(&format!("{at}{API}"), body));
    for body in [
        json!({ "properties": { "policyRule": { "if": is_tag } } }),
        json!({ "properties": { "policyRule": { "if": is_tag, "then": { "effect": "explode" } } } }),
        modify(&json!({ "field": "tags.a", "greater": 1 }), "tags.a", &json!("x")),
        modify(&is_tag, "location", &json!("x")),
    ] {
        assert_eq!(put(&mut cloud, &body), "InvalidPolicyRule", "{body}");
    }
    assert_eq!(assign(&mut cloud, "", &at, &json!({})), "PolicyDefinitionNotFound");
    assert_eq!(put(&mut cloud, &modify(&is_tag, "tags.a", &json!("x"))), "");
    let without = cloud.path(&format!("/providers/Microsoft.Authorization/policyAssignments/p{API}"));
    let refused = cloud.put(&without, &json!({ "properties": { "policyDefinitionId": at } }));
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "ResourceIdentityRequired"));
    assert_eq!(assign(&mut cloud, "", INHERIT, &json!({})), "MissingPolicyParameter");
    let unknown = json!({ "tagName": { "value": "a" }, "colour": { "value": "b" } });
    assert_eq!(assign(&mut cloud, "", INHERIT, &unknown), "UndefinedPolicyParameter");
    assert_eq!(assign(&mut cloud, "/resourceGroups/none", &at, &json!({})), "ResourceGroupNotFound");
    assert_eq!(assign(&mut cloud, "", &at, &json!({})), "");
    assert_eq!(code(&cloud.delete(&format!("{at}{API}"))), "PolicyDefinitionInUse");
}

#[test]
fn an_assigned_policy_denies_and_a_switched_off_one_does_nothing() {
    let mut cloud = TestCloud::new();
    let at = definition(&cloud, "p");
    let rule = json!({ "if": { "field": "tags.Team", "exists": "false" }, "then": { "effect": "deny" } });
    cloud.put(&format!("{at}{API}"), &json!({ "properties": { "mode": "Indexed", "policyRule": rule } }));
    assert_eq!(assign(&mut cloud, "", &at, &json!({})), "");
    assert_eq!(put_network(&mut cloud, &json!({}))["error"]["code"], "RequestDisallowedByPolicy");
    let check = cloud.path(
        "/resourceGroups/rg/providers/Microsoft.PolicyInsights/checkPolicyRestrictions?api-version=2024-10-01",
    );
    let content = json!({ "type": "Microsoft.Network/virtualNetworks", "name": "vn" });
    let request = cloud
        .request(Method::POST, &check)
        .with_json(&json!({ "resourceDetails": { "resourceContent": content } }));
    let evaluations = cloud.send(&request).value()["contentEvaluationResult"]["policyEvaluations"].clone();
    assert_eq!(evaluations[0]["policyInfo"]["policyDefinitionId"], at);
    let assignment = cloud.path(&format!("/providers/Microsoft.Authorization/policyAssignments/p{API}"));
    let mut body = cloud.get(&assignment).value();
    body["properties"]["enforcementMode"] = json!("DoNotEnforce");
    cloud.put(&assignment, &body);
    assert_eq!(put_network(&mut cloud, &json!({}))["name"], "vn");
}
