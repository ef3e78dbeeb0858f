//! Management locks (Authorization REST API, locks): they forbid deletions, or all writes.
//!
//! A lock applies to its scope and everything below. A deletion is refused by a lock above, at or below its
//! target; a write only by a lock above or at it. Locks do not protect other locks.

pub(crate) mod store;

use http::Method;
use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::filter::ListScope;
use crate::arm::{Call, Provider, Route, id, scope, versions};
use crate::request::Reply;
use crate::state::CloudState;

use store::KIND;
pub use store::{Level, Lock, Locks};

const ALL: &str = "/{scope*}/providers/Microsoft.Authorization/locks";
const ONE: &str = "/{scope*}/providers/Microsoft.Authorization/locks/{lock}";

/// The resource family of locks.
pub const PROVIDER: Provider = Provider::stateless("locks", routes);

fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", ALL, KIND, versions::LOCKS, list),
        Route::new("GET", ONE, KIND, versions::LOCKS, get),
        Route::new("PUT", ONE, KIND, versions::LOCKS, put),
        Route::new("DELETE", ONE, KIND, versions::LOCKS, delete),
    ]
}

/// Refuses a request that a lock forbids. The nodes of a cluster are in a group of their own; a lock there
/// protects the cluster too.
///
/// # Errors
/// 409 `ScopeLocked` with the locked scopes.
pub(super) fn check(state: &CloudState, call: &Call<'_>, scope: &str) -> Result<(), ArmError> {
    if call.route.kind == KIND {
        return Ok(());
    }
    let method = &call.request.method;
    // The deletion of a role assignment at a scope deletes nothing below the scope.
    let whole = !call.route.pattern.starts_with("/{scope*}");
    let nodes = (*method == Method::DELETE && whole).then(|| nodes_of(state, scope)).flatten();
    let refuses = |lock: &&Lock| {
        lock.refuses(method, scope, whole)
            || nodes.as_ref().is_some_and(|nodes| id::within(&lock.scope, nodes))
    };
    let locked: Vec<String> =
        state.locks.0.values().filter(refuses).map(|lock| format!("'{}'", lock.scope)).collect();
    if locked.is_empty() {
        return Ok(());
    }
    let verb = if *method == Method::DELETE { "delete" } else { "write" };
    let why = format!(
        "The scope '{scope}' cannot perform {verb} operation because following scope(s) are locked: {}. Please remove \
         the lock and try again.",
        locked.join(",")
    );
    Err(ArmError::gateway(409, "ScopeLocked", why))
}

/// Returns the node resource group of a cluster.
fn nodes_of(state: &CloudState, cluster: &str) -> Option<String> {
    let owned = |group: &&crate::arm::groups::Group| {
        group.managed_by.as_ref().is_some_and(|owner| id::same(owner, cluster))
    };
    let group = state.groups.values().find(owned)?;
    Some(format!("/subscriptions/{}/resourceGroups/{}", state.subscription, group.name))
}

fn key(call: &Call<'_>) -> String {
    id::key(&format!("{}/providers/{KIND}/{}", call.param("scope"), call.param("lock")))
}

/// Lists the locks above, at and below a scope; with `$filter=atScope()` without those below.
fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let scope = ListScope::of(state, call)?;
    let value: Vec<Value> =
        state.locks.0.values().filter(|lock| scope.lists(&lock.scope)).map(Lock::body).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let found = state.locks.0.get(&key(call)).ok_or_else(|| not_found(call))?;
    Ok(Reply::json(200, &found.body()))
}

fn not_found(call: &Call<'_>) -> ArmError {
    ArmError::gateway(404, "LockNotFound", format!("The lock '{}' could not be found.", call.param("lock")))
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let scope = format!("/{}", call.param("scope"));
    scope::scope_exists(state, &scope)?;
    let properties = call.body()?["properties"].clone();
    let level = serde_json::from_value(properties["level"].clone()).map_err(|_| {
        let why = "The lock level is missing or invalid; it must be 'CanNotDelete' or 'ReadOnly'.";
        ArmError::gateway(400, "InvalidLockLevel", why)
    })?;
    let notes = properties["notes"].as_str().map(str::to_owned);
    let lock = Lock { name: call.param("lock").to_owned(), scope, level, notes };
    let status = if state.locks.0.contains_key(&key(call)) { 200 } else { 201 };
    let reply = Reply::json(status, &lock.body());
    state.locks.set(lock);
    Ok(reply)
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::empty(if state.locks.0.remove(&key(call)).is_some() { 200 } else { 204 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};

    const API: &str = "?api-version=2020-05-01";
    const NETWORK: &str = "Microsoft.Network/virtualNetworks/vn";

    fn with_network() -> TestCloud {
        let mut cloud = TestCloud::new();
        let vnet = cloud.in_group(&format!("{NETWORK}?api-version=2025-07-01"));
        let body = json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } });
        assert_eq!(cloud.put(&vnet, &body).status, 201);
        cloud.advance(10.0);
        cloud
    }

    fn lock_at(cloud: &mut TestCloud, scope: &str, level: &str) -> String {
        let at = format!("{scope}/providers/Microsoft.Authorization/locks/keep{API}");
        let body = json!({ "properties": { "level": level, "notes": "until the audit" } });
        let reply = cloud.put(&at, &body);
        assert_eq!((reply.status.as_u16(), &reply.value()["properties"]["level"]), (201, &json!(level)));
        assert_eq!(cloud.put(&at, &body).status, 200);
        at
    }

    #[test]
    fn nothing_above_or_below_a_lock_is_deleted() {
        for scope in ["", "/resourceGroups/rg", &format!("/resourceGroups/rg/providers/{NETWORK}")] {
            let mut cloud = with_network();
            let scope = cloud.path(scope);
            let lock = lock_at(&mut cloud, &scope, "CanNotDelete");
            let vnet = cloud.in_group(&format!("{NETWORK}?api-version=2025-07-01"));
            let group = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
            for target in [&vnet, &group] {
                let reply = cloud.delete(target);
                assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (409, "ScopeLocked"), "{target}");
                let why = reply.value()["error"]["message"].to_string();
                assert!(why.contains("cannot perform delete operation") && why.contains(&scope), "{why}");
            }
            let body = cloud.get(&vnet).value();
            assert_eq!(cloud.put(&vnet, &body).status, 200, "it may be written");
            cloud.advance(10.0);
            assert_eq!(cloud.delete(&lock).status, 200);
            assert_eq!(cloud.delete(&lock).status, 204);
            assert_eq!(cloud.delete(&vnet).status, 202);
        }
    }

    #[test]
    fn what_is_read_only_is_not_written_either_and_its_neighbour_is() {
        let mut cloud = with_network();
        let scope = cloud.in_group(NETWORK);
        lock_at(&mut cloud, &scope, "ReadOnly");
        let vnet = format!("{scope}?api-version=2025-07-01");
        let body = cloud.get(&vnet).value();
        let reply = cloud.put(&vnet, &body);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (409, "ScopeLocked"));
        let other = vnet.replace("/vn?", "/vn2?");
        let body = json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } });
        assert_eq!(cloud.put(&other, &body).status, 201);
        cloud.advance(10.0);
        assert_eq!(cloud.delete(&other).status, 202);
    }

    #[test]
    fn locks_are_listed_above_at_and_below_a_scope() {
        let mut cloud = with_network();
        for scope in [cloud.path(""), cloud.path("/resourceGroups/rg"), cloud.in_group(NETWORK)] {
            lock_at(&mut cloud, &scope, "CanNotDelete");
        }
        let mut listed = |filter: &str| {
            let at = cloud
                .path(&format!("/resourceGroups/rg/providers/Microsoft.Authorization/locks{API}{filter}"));
            cloud.get(&at).value()["value"].as_array().unwrap().len()
        };
        assert_eq!((listed(""), listed("&$filter=atScope()")), (3, 2));
        let one = cloud.path(&format!("/providers/Microsoft.Authorization/locks/keep{API}"));
        assert_eq!(cloud.get(&one).value()["properties"]["notes"], "until the audit");
        let none = cloud.path(&format!("/providers/Microsoft.Authorization/locks/none{API}"));
        assert_eq!(cloud.get(&none).status, 404);
    }
}
