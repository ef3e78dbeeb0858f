//! Access policies of a vault, one by one (vaults - Update Access Policy).

use serde_json::{Map, Value, json};

use super::{find, write};
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::request::Reply;
use crate::state::CloudState;

/// The resource type, which names the required right.
pub(super) const KIND: &str = "Microsoft.KeyVault/vaults/accessPolicies";

/// The change of the permissions that a policy grants.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Add,
    Replace,
    Remove,
}

/// Adds, replaces or removes the policies in the body; 201 with all policies of the vault.
pub(super) fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let change = match call.param("change").to_ascii_lowercase().as_str() {
        "add" => Change::Add,
        "replace" => Change::Replace,
        "remove" => Change::Remove,
        other => {
            let why = format!("The operation kind '{other}' is invalid; it must be add, replace or remove.");
            return Err(ArmError::new(400, "BadRequest", why));
        }
    };
    let given = call.body()?;
    let Some(given) = given["properties"]["accessPolicies"].as_array() else {
        return Err(ArmError::new(400, "BadRequest", "The parameter accessPolicies is not specified."));
    };
    let vault = find(state, call)?;
    let mut policies = vault.properties()["accessPolicies"].as_array().cloned().unwrap_or_default();
    given.iter().for_each(|policy| apply(&mut policies, policy, change));
    let (id, location) = (vault.id().to_owned(), vault.location().to_owned());
    write::update(state, call, &json!({ "properties": { "accessPolicies": policies } }), None)?;
    let body = json!({
        "id": format!("{id}/accessPolicies/"),
        "type": KIND,
        "location": location,
        "properties": { "accessPolicies": policies },
    });
    Ok(Reply::json(201, &body))
}

/// Applies one policy; policies of the same principal are one.
fn apply(policies: &mut Vec<Value>, given: &Value, change: Change) {
    let is_same = |own: &Value| {
        ["objectId", "applicationId"].iter().all(|key| match (own[*key].as_str(), given[*key].as_str()) {
            (Some(own), Some(given)) => own.eq_ignore_ascii_case(given),
            (own, given) => own.is_none() && given.is_none(),
        })
    };
    let position = policies.iter().position(is_same);
    let before = position.map(|at| policies.remove(at));
    let mut permissions = Map::new();
    for collection in ["keys", "secrets", "certificates", "storage"] {
        let list = |policy: Option<&Value>| -> Vec<Value> {
            let listed = policy.and_then(|policy| policy["permissions"][collection].as_array());
            listed.cloned().unwrap_or_default()
        };
        let (old, new) = (list(before.as_ref()), list(Some(given)));
        let is_new = |one: &&Value| !old.contains(*one);
        let kept: Vec<Value> = match change {
            Change::Replace => new,
            Change::Add => old.iter().chain(new.iter().filter(is_new)).cloned().collect(),
            Change::Remove => old.into_iter().filter(|one| !new.contains(one)).collect(),
        };
        permissions.insert(collection.to_owned(), Value::Array(kept));
    }
    let is_empty = permissions.values().all(|list| list.as_array().is_some_and(Vec::is_empty));
    if !(change == Change::Remove && is_empty) {
        let mut policy = given.clone();
        policy["permissions"] = Value::Object(permissions);
        policies.insert(position.unwrap_or(policies.len()), policy);
    }
}

#[cfg(test)]
mod tests {
    use crate::test_cloud::{TestCloud, code};
    use serde_json::{Value, json};

    fn policies(permissions: &[&str]) -> Value {
        let policy =
            json!({ "tenantId": "t", "objectId": "a", "permissions": { "certificates": permissions } });
        json!({ "properties": { "accessPolicies": [policy] } })
    }

    #[test]
    fn policies_are_added_replaced_and_removed_by_principal() {
        let mut cloud = TestCloud::new();
        let vault = cloud.in_group("Microsoft.KeyVault/vaults/kv-demo");
        let version = "?api-version=2023-07-01";
        let tenant = cloud.state.directory.tenant.clone();
        let body = json!({ "location": "eastus", "properties": {
            "tenantId": tenant, "sku": { "family": "A", "name": "standard" }, "accessPolicies": [],
        } });
        assert_eq!(cloud.put(&format!("{vault}{version}"), &body).status, 200);
        let mut change = |kind: &str, permissions: &[&str]| {
            let reply = cloud.put(&format!("{vault}/accessPolicies/{kind}{version}"), &policies(permissions));
            let shown = cloud.get(&format!("{vault}{version}")).value();
            let shown = shown["properties"]["accessPolicies"].clone();
            if reply.status == 201 {
                assert_eq!(reply.value()["properties"]["accessPolicies"], shown);
            }
            (code(&reply), shown[0]["permissions"]["certificates"].clone())
        };
        assert_eq!(change("add", &["get"]).1, json!(["get"]));
        assert_eq!(change("add", &["get", "list"]).1, json!(["get", "list"]));
        assert_eq!(change("replace", &["import"]).1, json!(["import"]));
        assert_eq!(change("remove", &["import"]).1, Value::Null);
        assert_eq!(change("grant", &["get"]).0, "BadRequest");
    }
}
