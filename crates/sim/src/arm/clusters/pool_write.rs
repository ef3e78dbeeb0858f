//! Writes to one node pool (agentPools - Create Or Update, Delete). Each is a write on the cluster, so only
//! one runs at a time.

use http::StatusCode;
use serde_json::{Value, json};

use super::{ManagedCluster, find, operations, put, read, update};
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::request::Reply;
use crate::state::CloudState;

/// Creates or updates a pool: 201 or 200 with the pool and an `Azure-AsyncOperation`.
pub(super) fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let mut desired = call.body()?["properties"].clone();
    let existing = find(state, call)?;
    operations::free(existing)?;
    let name = call.param("pool").to_ascii_lowercase();
    if !desired.is_object() {
        desired = json!({});
    }
    desired["name"] = json!(name);
    let mut body = existing.resource.clone();
    let pools = pools_of(&mut body);
    let known = pools.iter_mut().find(|pool| pool["name"] == json!(name));
    let is_new = known.is_none();
    match known {
        Some(pool) => update::change_pool(pool, &desired)?,
        None => pools.push(desired),
    }
    put::validate(state, call, &body, true)?;
    let mut reply = update::begin(state, call, body)?;
    let answer = read::pool_body(find(state, call)?, &name)?;
    reply.body = Reply::json(200, &answer).body;
    reply.status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(reply)
}

/// Deletes a pool: 202 with an `Azure-AsyncOperation`, or 204 if there is none of that name.
pub(super) fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let existing: &ManagedCluster = find(state, call)?;
    if read::pool_body(existing, call.param("pool")).is_err() {
        return Ok(Reply::empty(204));
    }
    operations::free(existing)?;
    let mut body = existing.resource.clone();
    pools_of(&mut body).retain(|pool| {
        pool["name"].as_str().is_some_and(|own| !own.eq_ignore_ascii_case(call.param("pool")))
    });
    put::validate(state, call, &body, true)?;
    let mut reply = update::begin(state, call, body)?;
    reply.body.clear();
    reply.status = StatusCode::ACCEPTED;
    Ok(reply)
}

fn pools_of(body: &mut Value) -> &mut Vec<Value> {
    let pools = &mut body["properties"]["agentPoolProfiles"];
    if !pools.is_array() {
        *pools = json!([]);
    }
    pools.as_array_mut().expect("it has just been made one")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, created};
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::{Value, json};

    fn names(cloud: &mut TestCloud) -> Vec<String> {
        let pools = cloud.arm(Method::GET, &at("/agentPools"), None).value();
        let name = |pool: &Value| pool["name"].as_str().unwrap().to_owned();
        pools["value"].as_array().unwrap().iter().map(name).collect()
    }

    #[test]
    fn a_pool_is_created_updated_and_deleted_by_itself() {
        let mut cloud = created();
        let second = at("/agentPools/second");
        let desired = json!({"properties": {"mode": "User", "vmSize": "Standard_D4s_v5", "count": 1}});
        let response = cloud.arm(Method::PUT, &second, Some(&desired));
        assert_eq!((response.status.as_u16(), response.value()["name"].as_str()), (201, Some("second")));
        assert!(response.headers.contains_key("azure-asyncoperation"));
        let busy = cloud.arm(Method::PUT, &second, Some(&desired));
        assert_eq!((busy.status.as_u16(), code(&busy).as_str()), (409, "OperationNotAllowed"));
        cloud.advance(90.0);
        let there = cloud.arm(Method::GET, &second, None).value();
        assert_eq!(there["properties"]["provisioningState"], "Succeeded");
        assert_eq!(there["properties"]["orchestratorVersion"], "1.34");
        let larger = json!({"properties": {"count": 3}});
        assert_eq!(cloud.arm(Method::PUT, &second, Some(&larger)).status, 200);
        cloud.advance(90.0);
        assert_eq!(cloud.arm(Method::GET, &second, None).value()["properties"]["count"], 3);
        let other = json!({"properties": {"vmSize": "Standard_D8s_v5"}});
        assert_eq!(code(&cloud.arm(Method::PUT, &second, Some(&other))), "PropertyChangeNotAllowed");
        assert_eq!(cloud.arm(Method::DELETE, &second, None).status, 202);
        cloud.advance(90.0);
        assert_eq!(names(&mut cloud), ["nodepool1"]);
        assert_eq!(cloud.arm(Method::DELETE, &second, None).status, 204);
        let last = cloud.arm(Method::DELETE, &at("/agentPools/nodepool1"), None);
        assert_eq!((last.status.as_u16(), names(&mut cloud).len()), (400, 1));
    }

    #[test]
    fn a_cluster_lists_its_upgrade_versions() {
        let mut cloud = created();
        let profile = cloud.arm(Method::GET, &at("/upgradeProfiles/default"), None).value();
        let control = &profile["properties"]["controlPlaneProfile"];
        assert_eq!(control["kubernetesVersion"], "1.34.4");
        assert_eq!(control["upgrades"][0]["kubernetesVersion"], "1.35.1");
    }
}
